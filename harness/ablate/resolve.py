"""What a point's dotted keys mean: a stage-1 configuration, its training, parameters of systems, prompts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from clapstick.harness.ablate.sweep import Point, Sweep, Value
from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail
from clapstick.protocols.protocol import PromptRules, Protocol, find_protocol
from clapstick.systems.two_stage.train_video2rms import TRAININGS, Video2RMSTraining
from clapstick.systems.two_stage.video2rms import CONFIGS, Video2RMSConfig

Model = TypeVar("Model", bound=BaseModel)

CHECKPOINT_PARAMETER = "video2rms"
"""Parameter of a two-stage system that names a stage-1 checkpoint."""


@dataclass(frozen=True)
class Resolved:
    """Everything a point runs with."""

    config: Video2RMSConfig
    training: Video2RMSTraining
    protocol: Protocol
    parameters: Mapping[str, Mapping[str, Value]]
    """System -> parameter -> value, the card's own included."""
    trains: bool
    """Whether a stage 1 of its own has to be trained."""


def check_keys(sweep: Sweep) -> None:
    """Raise `ClapstickError` where a key of the sweep means nothing; names the nearest one that does.

    Impossible values are left to `resolve`: they cost their own point only.
    """
    known = _known_keys(sweep)
    bundled = [key for choices in sweep.bundles.values() for keys in choices.values() for key in keys]
    for key in [*sweep.base, *(key for key in sweep.grid if key not in sweep.bundles), *bundled, *sweep.tied]:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise fail(
                "sweep has an unknown key",
                sweep.name,
                found=key,
                expected=", ".join(sorted(known)),
                remedy=f"The nearest valid key is {near[0]}.",
            )


def resolve(sweep: Sweep, point: Point) -> Resolved:
    """Return what a point runs with.

    Raises
    ------
    ClapstickError
        If a value is impossible; names key and value.
    """
    where = f"{sweep.name}, {point.label}"
    protocol = find_protocol(sweep.protocol)
    prompt = _changed(protocol.prompt, point.room("prompt"), where, PromptRules)
    systems = {name: {**sweep.find(name).card.parameters, **point.room(name)} for name in point.systems}
    return Resolved(
        config=_changed(CONFIGS[sweep.config], point.room("video2rms"), where, Video2RMSConfig),
        training=_changed(TRAININGS[sweep.config], point.room("train"), where, Video2RMSTraining),
        protocol=protocol.model_copy(update={"metrics": sweep.metrics, "prompt": prompt}),
        parameters=systems,
        trains=bool(point.room("video2rms") or point.room("train")),
    )


def _known_keys(sweep: Sweep) -> set[str]:
    rooms: dict[str, list[str]] = {
        "video2rms": list(Video2RMSConfig.model_fields),
        "train": list(Video2RMSTraining.model_fields),
        "prompt": list(PromptRules.model_fields),
    }
    for name in (sweep.system, *sweep.controls):
        rooms[name] = list(sweep.find(name).card.parameters)
    return {f"{room}.{name}" for room, names in rooms.items() for name in names}


def _changed(model: Model, changes: Mapping[str, Value], where: str, kind: type[Model]) -> Model:
    try:
        return kind.model_validate(model.model_dump() | dict(changes))
    except ValidationError as error:
        raise explain_invalid(error, kind, where, "sweep") from error
