"""From a configuration's name and a data folder to a trained checkpoint."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.extractors import make_extractor
from clapstick.systems.two_stage.features import default_cache
from clapstick.systems.two_stage.stage_one_data import list_clips, load_examples
from clapstick.systems.two_stage.train_video2rms import TRAININGS, Progress, train_video2rms
from clapstick.systems.two_stage.video2rms import CONFIGS


def run_video2rms(
    name: str,
    *,
    data: Path,
    out: Path,
    seed: int,
    epochs: int | None,
    device: str,
    note: Callable[[str], None],
    report: Callable[[Progress], None],
    weights: Mapping[str, Path] | None = None,
) -> dict[str, Any]:
    """Train stage 1 on the train split of a folder.

    Returns
    -------
    dict
        ``checkpoint``, ``seconds`` of training, ``clips``, ``parameters``.

    Raises
    ------
    ClapstickError
        If there is no such configuration, or the data cannot be used.
    """
    if name not in CONFIGS:
        near = difflib.get_close_matches(name, CONFIGS, n=1)
        raise fail(
            "no such stage 1 configuration",
            name,
            expected=f"one of {', '.join(CONFIGS)}",
            remedy=f"Did you mean {near[0]}?" if near else "",
        )
    config, training = CONFIGS[name], TRAININGS[name]
    if epochs is not None:
        training = training.model_copy(update={"epochs": epochs})
    clips = list_clips(data, "train", training.clip_s)
    extractor = make_extractor(config, weights or {}, device)
    examples = load_examples(clips, config, extractor, default_cache(), note)
    started = time.monotonic()
    facts = {"data": data.name, "clips": len(examples), "features": extractor.key}
    checkpoint = train_video2rms(
        examples, config, training, out, seed=seed, device=device, report=report, facts=facts
    )
    return {
        "checkpoint": str(checkpoint),
        "seconds": round(time.monotonic() - started, 1),
        "clips": len(examples),
    }
