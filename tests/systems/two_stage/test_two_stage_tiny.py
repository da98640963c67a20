"""The shipped two-stage-tiny-shaper on freshly made synthetic videos that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clapstick.metrics.rms import rms_curve
from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.synthetic.make import make_synthetic_hits
from clapstick.protocols.synthetic.settings import SyntheticSettings
from clapstick.systems.base import Request
from clapstick.systems.card import SystemCard, read_card
from clapstick.systems.two_stage.envelope import Envelope, EnvelopeSystem
from clapstick.systems.two_stage.features import FeatureCache
from clapstick.systems.two_stage.stage_one_data import list_clips
from clapstick.systems.two_stage.tiny import WEIGHTS, TwoStageTiny, load_tiny
from clapstick.systems.two_stage.training_runs import score_video2rms

VIDEOS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = SyntheticSettings(train_videos=0, test_videos=VIDEOS, seed=77)
    return make_synthetic_hits(settings, tmp_path_factory.mktemp("hits"), 1, progress=False)


@pytest.fixture(scope="module")
def clip(data: Path) -> Clip:
    return list_clips(data, "test", 0.0)[0]


@pytest.fixture(scope="module")
def system() -> TwoStageTiny:
    return load_tiny()


def _request(clip: Clip, **prompt: object) -> Request:
    return Request(clip.model_copy(update={"prompt": Prompt(**prompt)}), None, None)  # type: ignore[arg-type]


def test_stage_one_lies_between_its_bounds(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clapstick.systems.two_stage.training_runs.default_cache", lambda: FeatureCache(None))
    rows = score_video2rms(None, data=data, split="test", seed=0, note=lambda message: None)
    by_name = {row.predictor: row for row in rows}
    ours = by_name["video2rms"]
    assert ours.clips == VIDEOS
    assert by_name["discretised reference"].e_l1 < ours.e_l1
    for blind in ("shuffled videos", "constant mean envelope", "random classes"):
        assert ours.e_l1 < 0.6 * by_name[blind].e_l1
        assert ours.acc_at_5 > 1.5 * by_name[blind].acc_at_5
    assert ours.correlation > 0.75


def test_sound_follows_the_predicted_envelope(system: TwoStageTiny, clip: Clip) -> None:
    request = _request(clip, kind="text", policy="user", text="a person hit wood with a wooden stick")
    output = system.generate(request, np.random.default_rng(1))
    frames = output.predictions["envelope"].size
    assert output.audio.samples.shape == (round(clip.duration_s * 16_000), 1)
    assert output.predictions["rms_logits"].shape == (frames, 64)
    assert output.predictions["onset_logits"].shape == (round(clip.duration_s * 30),)
    heard = rms_curve(output.audio.mono.astype(np.float64))
    assert np.corrcoef(heard, output.predictions["envelope"])[0, 1] > 0.9
    assert output.warnings == ()


def test_same_seed_same_samples(system: TwoStageTiny, clip: Clip) -> None:
    request = _request(clip, kind="text", text="metal")
    first, second, other = (system.generate(request, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.audio.samples, second.audio.samples)
    assert not np.array_equal(first.audio.samples, other.audio.samples)


def test_prompts_differ_in_timbre(system: TwoStageTiny, clip: Clip) -> None:
    def centroid(text: str) -> float:
        samples = system.generate(_request(clip, kind="text", text=text), np.random.default_rng(0)).audio.mono
        power = np.abs(np.fft.rfft(samples)) ** 2
        return float((np.linspace(0, 8000, power.size) * power).sum() / power.sum())

    assert centroid("hit carpet") < 0.7 * centroid("hit leaf")


def test_unknown_words_are_said(system: TwoStageTiny, clip: Clip) -> None:
    output = system.generate(_request(clip, kind="text", text="a cow"), np.random.default_rng(0))
    assert "names none of the materials" in output.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"), [("  ", "prompt is empty"), ("wood " * 900, "is too long; found 4499")]
)
def test_unusable_texts_are_refused(system: TwoStageTiny, clip: Clip, text: str, message: str) -> None:
    with pytest.raises(ClapstickError, match=message):
        system.generate(_request(clip, kind="text", text=text), np.random.default_rng(0))


@pytest.mark.parametrize("shape", ["rising", "falling", "V", "A"])
def test_hand_drawn_envelopes_are_followed(system: TwoStageTiny, clip: Clip, shape: str) -> None:
    ramp = np.linspace(0, 0.2, 1250)
    fold = np.abs(np.linspace(-0.2, 0.2, 1250))
    wanted = {"rising": ramp, "falling": ramp[::-1], "V": fold, "A": 0.2 - fold}[shape]
    rng = np.random.default_rng(0)
    output = system.generate_from_envelope(
        _request(clip, kind="text", text="gravel"), Envelope(wanted, 125.0), rng
    )
    heard = rms_curve(output.audio.mono.astype(np.float64))
    assert np.corrcoef(heard, wanted)[0, 1] > 0.98


def test_an_audio_prompt_gives_its_timbre(system: TwoStageTiny, clip: Clip) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    request = Request(
        clip.model_copy(update={"prompt": Prompt(kind="audio", policy="user", path=Path("tone.wav"))}),
        None,
        Audio(tone[:, None].astype(np.float32), 16_000),
    )
    samples = system.generate(request, np.random.default_rng(0)).audio.mono
    spectrum = np.abs(np.fft.rfft(samples))
    peak = np.argmax(spectrum) / samples.size * 16_000
    assert peak == pytest.approx(440, abs=10)


def test_envelope_of_another_length_is_refused(system: TwoStageTiny, clip: Clip) -> None:
    with pytest.raises(ClapstickError, match="another length than the clip; found 7 values"):
        system.generate_from_envelope(_request(clip), Envelope(np.zeros(7), 125.0), np.random.default_rng(0))


def test_a_short_clip_is_looped_and_says_so(system: TwoStageTiny, clip: Clip) -> None:
    short = clip.model_copy(update={"duration_s": 1.0})
    output = system.generate(_request(short), np.random.default_rng(0))
    assert output.audio.samples.shape == (16_000, 1)
    assert any("looped" in warning for warning in output.warnings)


def test_clips_without_motion_in_time_are_refused(system: TwoStageTiny, clip: Clip) -> None:
    with pytest.raises(ClapstickError, match="too short to see motion; found 1 frame"):
        system.predict_envelope(_request(clip.model_copy(update={"duration_s": 1 / 30})))
    with pytest.raises(ClapstickError, match="clip is too long; found 700"):
        system.predict_envelope(_request(clip.model_copy(update={"duration_s": 700.0})))


def test_card_and_interface(system: TwoStageTiny) -> None:
    card = read_card(WEIGHTS.parent / "two-stage-tiny-shaper.toml", SystemCard)
    assert card.name == "two-stage-tiny-shaper"
    assert not card.sees_reference
    assert isinstance(system, EnvelopeSystem)
