"""Comparing systems at equal n."""

from __future__ import annotations

from clapstick.harness.compare_systems import shared_clips_only
from clapstick.harness.statistics import ClipResult, ScoreRequest
from clapstick.metrics.combiners import clip_score

E_L1 = ScoreRequest("e-l1", "v2s")
FAD = ScoreRequest("fad-p", "plain")


def _table(values: dict[str, float | None]) -> dict[str, ClipResult]:
    return {
        clip: ClipResult("key", None, "silent") if value is None else ClipResult("key", clip_score(value))
        for clip, value in values.items()
    }


def test_only_clips_that_every_system_has_are_counted() -> None:
    # Under E-L1 one lacks c, two has a reason for b, three has nothing and takes no clip away: a is left.
    tables = {
        ("one", E_L1): _table({"a": 1, "b": 2}),
        ("two", E_L1): _table({"a": 3, "b": None, "c": 5}),
        ("three", E_L1): _table({"a": None}),
        ("one", FAD): _table({"a": 1, "b": 2}),
    }
    shared = shared_clips_only(["one", "two", "three"], [E_L1, FAD], tables)
    assert {name: list(shared[name, E_L1]) for name in ("one", "two", "three")} == {
        "one": ["a"],
        "two": ["a"],
        "three": ["a"],
    }
    assert float(shared["two", E_L1]["a"].statistics["value"]) == 3  # type: ignore[index]
    assert shared["three", E_L1]["a"].reason == "silent"
    # Another score has its own clips; who has none of it has an empty table.
    assert list(shared["one", FAD]) == ["a", "b"]
    assert shared["two", FAD] == {}


def test_without_any_shared_clip_nothing_is_left() -> None:
    tables = {("one", E_L1): _table({"a": 1}), ("two", E_L1): _table({"b": 2})}
    assert list(shared_clips_only(["one", "two"], [E_L1], tables).values()) == [{}, {}]
