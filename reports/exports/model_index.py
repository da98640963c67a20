"""Results as the model-index of Hugging Face model cards.

Form: https://huggingface.co/docs/hub/model-cards, ``EvalResult`` of huggingface_hub.
"""

from __future__ import annotations

from typing import Any

from clapstick.protocols.archive import ScoreRecord
from clapstick.reports.leaderboard import make_column
from clapstick.reports.run_data import RunData, SystemFacts


def model_index(data: RunData) -> str:
    """Return YAML with one model a competing system; what was not computed is left out."""
    import yaml

    models = [_model(data, system) for system in data.competitors]
    text: str = yaml.safe_dump(
        {"model-index": [model for model in models if model["results"][0]["metrics"]]},
        sort_keys=False,
        allow_unicode=True,
        width=1000,
    )
    return text


def _model(data: RunData, system: SystemFacts) -> dict[str, Any]:
    protocol = data.run.protocol
    scores = [s for s in data.scores if s.system == system.name and s.value is not None]
    return {
        "name": system.title,
        "results": [
            {
                "task": {"type": "video-to-audio", "name": "Video to sound"},
                "dataset": {
                    "type": protocol.dataset.reader,
                    "name": protocol.title,
                    "split": protocol.dataset.split,
                },
                "metrics": [_metric(data, score) for score in scores],
            }
        ],
    }


def _metric(data: RunData, score: ScoreRecord) -> dict[str, Any]:
    column = make_column(data, score.metric, score.convention)
    arguments: dict[str, Any] = {"convention": score.convention, "n": score.n, "signature": score.signature}
    if score.ci_low is not None and score.ci_high is not None:
        arguments["interval"] = [score.ci_low, score.ci_high]
    return {
        "type": score.metric,
        "name": f"{column.title} ({score.convention})",
        "value": score.value,
        "args": arguments,
        "verified": False,
    }
