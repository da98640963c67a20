"""Scores on seen and unseen clips come from the statistics of the whole score."""

from __future__ import annotations

import numpy as np
import pytest

from clapstick.harness.score import score_splits
from clapstick.harness.statistics import ClipResult, ScoreRequest
from clapstick.protocols.archive import RunRecord
from clapstick.protocols.clips import Clip
from clapstick.protocols.protocol import find_protocol

REQUEST = ScoreRequest("e-l1", "v2s")


def _clip(name: str, seen_by: tuple[str, ...]) -> Clip:
    return Clip(id=name, source=name, video="x.mp4", duration_s=1.0, seen_by=seen_by)


def _result(value: float) -> ClipResult:
    return ClipResult("key", {"value": np.array(value)})


def _run(*systems: str) -> RunRecord:
    return RunRecord(
        protocol=find_protocol("synthetic-hits"),
        data="data",
        systems={name: {"role": "system"} for name in systems},
        seed=0,
        clips_listed=5,
        libraries={},
        machine={},
        started="2026-11-29T10:00:00+00:00",
    )


@pytest.fixture
def clips() -> list[Clip]:
    seen = ("trained",)
    return [_clip("a", seen), _clip("b", seen), _clip("c", ()), _clip("d", ()), _clip("e", ())]


def test_each_part_has_its_own_mean_interval_and_number(clips) -> None:
    """Seen: (0.1 + 0.3) / 2 = 0.2; unseen: (0.5 + 0.9) / 2 = 0.7, clip e has no sound."""
    table = {"a": _result(0.1), "b": _result(0.3), "c": _result(0.5), "d": _result(0.9)}
    run = _run("trained", "other")
    splits = score_splits(run, clips, [REQUEST], {("trained", REQUEST): table, ("other", REQUEST): table}, {})
    (seen,), (unseen,) = splits["seen"], splits["unseen"]
    assert (seen.system, seen.value, seen.n, seen.missing) == ("trained", pytest.approx(0.2), 2, ())
    assert (unseen.value, unseen.n, unseen.missing) == (pytest.approx(0.7), 2, ("e",))
    assert seen.ci_low is not None
    assert seen.ci_low < 0.2 < seen.ci_high
    assert seen.signature != unseen.signature


def test_a_part_without_clips_has_a_reason(clips) -> None:
    run = _run("trained")
    splits = score_splits(run, clips[:2], [REQUEST], {("trained", REQUEST): {"a": _result(0.1)}}, {})
    assert splits["unseen"][0].value is None
    assert splits["unseen"][0].reason == "the system was trained on every clip"
    assert splits["seen"][0].value == pytest.approx(0.1)
    assert "no interval" in splits["seen"][0].warnings[0]


def test_systems_that_saw_nothing_have_no_parts(clips) -> None:
    splits = score_splits(_run("other"), clips, [REQUEST], {("other", REQUEST): {}}, {})
    assert splits == {"seen": [], "unseen": []}
