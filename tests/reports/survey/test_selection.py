"""Which clips a test asks about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.survey.design import QuestionRules, find_design
from clapstick.reports.survey.selection import clip_cell, select_clips


def clip(
    name: str, events: Sequence[tuple[float, str | None, str | None]] | None = None, **facts: object
) -> Clip:
    onsets = None if events is None else tuple(Onset(time_s=t, material=m, action=a) for t, m, a in events)
    values = {"source": name, "video": Path("v.mp4"), "duration_s": 10.0} | facts
    return Clip(id=name, onsets=onsets, **values)  # type: ignore[arg-type]


def test_a_cell_is_what_most_events_of_the_part_shown_have() -> None:
    wood, metal = ("wood", "hit"), ("metal", "scratch")
    assert clip_cell(clip("a", [(1, *wood), (2, *wood), (3, *metal)]), 4.0) == "wood-hit"
    assert clip_cell(clip("b", [(1, *wood), (5, *metal), (6, *metal)]), 4.0) == "wood-hit", (
        "later events are cut off"
    )
    assert clip_cell(clip("c", [(1, *wood), (2, *metal)]), 4.0) is None, "half is not most"
    assert clip_cell(clip("d", [(1, *wood), (2, None, None), (3, None, "hit")]), 4.0) is None
    assert clip_cell(clip("e", []), 4.0) is None
    assert clip_cell(clip("f", material="wood", action="hit"), 4.0) == "wood-hit"
    assert clip_cell(clip("g", material="wood"), 4.0) is None


def test_the_paper_s_twelve_cells_give_six_scratched_and_six_hit_clips() -> None:
    rules = find_design("video-foley").questions
    clips = [clip(f"{cell} {n}", [(1.0, *cell.split("-"))]) for cell in rules.cells for n in range(3)]
    chosen = select_clips(clips, rules, 4.0, np.random.default_rng(0))
    assert [c.id.split()[0] for c in chosen] == list(rules.cells)
    assert Counter(c.onsets[0].action for c in chosen if c.onsets) == {"scratch": 6, "hit": 6}
    others = [select_clips(clips, rules, 4.0, np.random.default_rng(seed)) for seed in range(5)]
    assert len({tuple(c.id for c in found) for found in others}) > 1, "drawn at random within a cell"


def test_spread_takes_cells_and_sources_in_turn() -> None:
    clips = [
        clip(f"{m}{a}{n}", material=m, action=a, source=f"s{n}") for m in "xyz" for a in "hs" for n in range(4)
    ]
    rules = QuestionRules(rule="spread", count=12)
    chosen = select_clips(clips, rules, 4.0, np.random.default_rng(0))
    assert set(Counter((c.material, c.action) for c in chosen).values()) == {2}
    assert (
        max(Counter(c.source for c in chosen).values()) - min(Counter(c.source for c in chosen).values()) <= 1
    )


def test_filters_and_lists() -> None:
    clips = [clip(f"{m}{n}", material=m, action="hit") for m in ("wood", "metal") for n in range(3)]
    rng = np.random.default_rng(0)
    only = select_clips(clips, QuestionRules(rule="all", count=0, materials=("wood",)), 4.0, rng)
    assert {c.material for c in only} == {"wood"}
    listed = select_clips(clips, QuestionRules(rule="listed", count=0, clips=("metal2", "wood0")), 4.0, rng)
    assert [c.id for c in listed] == ["metal2", "wood0"]
    with pytest.raises(ClapstickError, match=r"brass.*lacks a video or a sound"):
        select_clips(clips, QuestionRules(rule="listed", count=0, clips=("brass",)), 4.0, rng)
    with pytest.raises(ClapstickError, match="found 6; expected at least 9"):
        select_clips(clips, QuestionRules(rule="spread", count=9), 4.0, rng)
