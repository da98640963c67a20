"""What the shipped tiny pair reaches on videos that nothing was trained or chosen on.

``pytest -m slow -s tests/systems/two_stage/test_tiny_pair.py`` prints the tables of the model card.
"""

from __future__ import annotations

import sys
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import clapstick
from clapstick.metrics.rms import rms_curve
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.synthetic.make import make_synthetic_hits
from clapstick.protocols.synthetic.settings import SyntheticSettings
from clapstick.systems.base import Request
from clapstick.systems.registry import find_system
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.stage_one_data import list_clips, reference_samples
from clapstick.systems.two_stage.tiny_diffusion import load_pair
from clapstick.systems.two_stage.train_rms2sound import words_of

pytestmark = pytest.mark.slow
VIDEOS = 16
SYSTEM = find_system("two-stage-tiny")
CONTROLS = ("silence", "noise", "random-envelope", "constant-envelope")
"""Controls that do not see the reference of the clip, nor one that sounds like it."""
Samples = NDArray[np.float64]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SyntheticSettings(train_videos=0, test_videos=VIDEOS, seed=77)
    return make_synthetic_hits(settings, tmp_path_factory.mktemp("hits"), progress=False)


@pytest.fixture(scope="module")
def board(data: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    systems = ("two-stage-tiny", "gt-rms", "disc-rms", "t2a", "shuffled", *CONTROLS)
    out = tmp_path_factory.mktemp("run")
    board = clapstick.run("synthetic-hits", data=data, out=out, systems=systems)
    board["name"] = board.metric + ":" + board.convention
    chosen = ["e-l1:v2s", "envelope-correlation:rms", "onset-ap:clean", "onset-ap:annotations"]
    table = board[board.name.isin(chosen)]
    _say(table[["system", "name", "value", "ci_low", "ci_high", "n"]].to_string(index=False))
    return table.set_index(["name", "system"]).value.unstack()


def test_sound_follows_the_picture(board: pd.DataFrame) -> None:
    e_l1, correlation = board.loc["e-l1:v2s"], board.loc["envelope-correlation:rms"]
    assert e_l1["two-stage-tiny"] <= e_l1["t2a"] / 2
    assert e_l1["two-stage-tiny"] < e_l1["silence"]
    assert correlation["two-stage-tiny"] >= 0.75
    assert abs(correlation["shuffled"]) < 0.2


@pytest.mark.parametrize("control", CONTROLS)
def test_onsets_are_found_better_than_by_controls(board: pd.DataFrame, control: str) -> None:
    for name in ("onset-ap:clean", "onset-ap:annotations"):
        of_control = board.loc[name].get(control, 0.0)
        assert board.loc[name, "two-stage-tiny"] > (0.0 if np.isnan(of_control) else of_control)


@pytest.mark.parametrize("shape", ["rising", "falling", "V", "A"])
@pytest.mark.parametrize("text", ["metal scratch", "gravel", "wood hit"])
def test_hand_drawn_envelopes_are_followed(shape: str, text: str) -> None:
    ramp = np.linspace(0, 0.2, 1250)
    fold = np.abs(np.linspace(-0.2, 0.2, 1250))
    asked = {"rising": ramp, "falling": ramp[::-1], "V": fold, "A": 0.2 - fold}[shape]
    clip = Clip(id="drawn", source="drawn", video=Path("none.mp4"), duration_s=10.0)
    request = Request(clip.model_copy(update={"prompt": Prompt(kind="text", text=text)}), None, None)
    found = []
    for corrections in (0, SYSTEM.card.parameters["corrections"]):
        system = load_pair("predicted", corrections=int(corrections))
        made = system.generate_from_envelope(request, Envelope(asked, 125.0), np.random.default_rng(0))
        heard = rms_curve(made.audio.mono.astype(np.float64))
        found.append((np.corrcoef(heard, asked)[0, 1], np.abs(heard - asked).mean()))
    (plain, plain_error), (followed, error) = found
    _say(
        f"{shape}, {text}: correlation {followed:.3f}, E-L1 {error:.4f}; without correction {plain:.3f}, "
        f"{plain_error:.4f}"
    )
    assert followed >= 0.9


def test_the_right_prompt_sounds_more_like_the_reference_than_a_wrong_one(data: Path) -> None:
    system, distances = load_pair("reference"), []
    clips = list_clips(data, "test", 0.0)
    for clip, other in zip(clips, clips[1:] + clips[:1], strict=True):
        reference = reference_samples(clip, 16_000)
        heard = []
        for told in (clip, other):
            prompt = Prompt(kind="text", text=" ".join(words_of(told)))
            envelope = Envelope(rms_curve(reference), 125.0)
            request = Request(clip.model_copy(update={"prompt": prompt}), None, None)
            made = system.generate_from_envelope(request, envelope, np.random.default_rng(0))
            heard.append(_timbre_distance(reference, made.audio.mono.astype(np.float64)))
        distances.append(heard)
    right, wrong = np.mean(distances, axis=0)
    _say(f"distance of mean MFCCs to the reference: right prompt {right:.1f}, wrong {wrong:.1f}")
    assert right < 0.9 * wrong


def _say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


def _timbre_distance(reference: Samples, generated: Samples) -> float:
    """Return the distance of energy-weighted mean MFCCs, level left out, in librosa's units."""
    means = []
    for samples in (reference, generated):
        cepstrum = librosa.feature.mfcc(y=samples, sr=16_000, n_mfcc=20)[1:]
        energy = librosa.feature.rms(y=samples)[0] ** 2
        means.append((cepstrum * energy).sum(axis=1) / energy.sum())
    return float(np.linalg.norm(means[0] - means[1]))
