"""Text and audio prompts as separate rows of one table: two cards of the same system."""

from __future__ import annotations

from pathlib import Path

import pytest

from clapstick.harness.generate import prompt_for
from clapstick.harness.weights import known_weights
from clapstick.protocols.clips import Prompt
from clapstick.systems.registry import built_in_systems, find_system


@pytest.mark.parametrize("name", ["video-foley", "fol-ai"])
def test_the_same_clip_is_told_by_text_in_one_row_and_by_sound_in_the_other(name: str) -> None:
    both = Prompt(kind="audio", policy="both", text="wood hit", path=Path("hit.wav"), duration_s=1.0)
    by_text, by_sound = (prompt_for(find_system(row).card, both) for row in (name, f"{name}-audio"))
    assert by_text is not None
    assert by_sound is not None
    assert (by_text.kind, by_text.text, by_text.path) == ("text", "wood hit", None)
    assert (by_sound.kind, by_sound.text, by_sound.path) == ("audio", None, Path("hit.wav"))
    text_only = both.model_copy(update={"path": None})
    assert prompt_for(find_system(f"{name}-audio").card, text_only) is None


@pytest.mark.parametrize("name", ["video-foley", "fol-ai"])
def test_the_two_rows_differ_in_nothing_else(name: str) -> None:
    row, other = (find_system(card).card for card in (name, f"{name}-audio"))
    same = {"name": row.name, "title": row.title, "summary": row.summary, "prompts": row.prompts}
    assert other.model_copy(update=same) == row


def test_weights_name_the_two_stage_systems_that_need_them() -> None:
    for name, found in built_in_systems().items():
        for weights in found.card.weights:
            assert name in known_weights()[weights].needed_by, (name, weights)
