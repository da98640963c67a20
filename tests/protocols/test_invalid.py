"""What a misspelt, missing or impossible setting is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.card import SystemCard, read_card

CARD = 'name = "own"\ntitle = "Own"\nsummary = "Own."\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('promts = ["none"]', r"unknown card key; found promts; .*The nearest valid key is prompts\."),
        (
            '[[checkpoints]]\npath = "a"\nsuorce = "b"',
            r"found checkpoints\.0\.suorce; expected path, source.*nearest valid key is source\.",
        ),
        (
            '[length]\nrule = "fixed"\ncovers_s = 2.0\nshow_s = 2.0\nnative_samples = 3',
            r"found length\.fixed\.show_s; .*nearest valid key is shown_s\.",
        ),
        ('channels = "two"', r"card value is not valid: .*found channels = 'two'\. Change channels\."),
        ('[[checkpoints]]\npath = "a"', r"card key is missing; expected checkpoints\.0\.source"),
    ],
)
def test_key_is_named_with_its_nearest_neighbour(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "system.toml"
    path.write_text(CARD + text + "\n")
    with pytest.raises(ClapstickError, match=told):
        read_card(path, SystemCard)
