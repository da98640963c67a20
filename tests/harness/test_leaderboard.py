"""The table that a terminal shows."""

from __future__ import annotations

from clapstick.harness.leaderboard import leaderboard_rows
from clapstick.protocols.archive import ScoreRecord


def _record(system: str, value: float | None, n: int) -> ScoreRecord:
    return ScoreRecord(
        system=system,
        metric="e-l1",
        convention="v2s",
        value=value,
        ci_low=None,
        ci_high=None,
        n=n,
        direction="lower",
        unit="amplitude",
        signature="",
        reason=None if value is not None else "no sound",
        missing=(),
    )


def test_values_of_fewer_clips_carry_their_number() -> None:
    rows, columns, notes = leaderboard_rows(
        [_record("whole", 0.05, 4), _record("part", 0.0761, 1), _record("none", None, 0)]
    )
    assert columns == ["score", "whole", "part", "none"]
    assert rows == [{"score": "E-L1 ↓", "whole": "0.05", "part": "0.0761 (1 of 4)", "none": "–"}]
    assert notes[0] == "E-L1 ↓: no sound (none)"
    assert "not one comparison" in notes[1]


def test_values_of_the_same_clips_carry_none() -> None:
    rows, _, notes = leaderboard_rows([_record("one", 0.05, 4), _record("two", 0.07, 4)])
    assert rows[0]["two"] == "0.07"
    assert not [note for note in notes if "not one comparison" in note]
