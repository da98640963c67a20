"""The control systems: what each does to the reference, and where that puts the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clapstick.metrics.base import ClipInput
from clapstick.metrics.registry import metrics
from clapstick.metrics.rms import bin_edges, rms_curve
from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.synthetic.make import make_video
from clapstick.protocols.synthetic.settings import SyntheticSettings
from clapstick.systems.base import Context, NativeOutput, Request
from clapstick.systems.controls import mono_16k
from clapstick.systems.registry import build_system, built_in_systems
from clapstick.systems.shuffled.system import derangement

CONTROLS = (
    "reference", "disc-rms", "silence", "noise", "shuffled", "shifted-100ms", "random-envelope",
    "constant-envelope", "envelope-shaper",
)  # fmt: skip
NEED_REFERENCE = {"reference", "disc-rms", "noise", "shifted-100ms", "envelope-shaper"}


def _clip(name: str = "a", duration_s: float = 2.0, source: str | None = None, sound: bool = True) -> Clip:
    return Clip(
        id=name,
        source=source or name,
        video=Path(f"{name}.mp4"),
        duration_s=duration_s,
        reference=Path(f"{name}.wav") if sound else None,
        reference_missing=None if sound else "no audio stream",
    )


def _audio(seconds: float = 2.0, rate: int = 44_100, channels: int = 1, seed: int = 0) -> Audio:
    """Bursts of noise, each an octave quieter than the one before, with silence between them."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    level = 0.3 * np.where((times % 0.4) < 0.2, 0.5 ** (times // 0.4), 0.0)
    return Audio((level[:, None] * rng.standard_normal((times.size, channels))).astype(np.float32), rate)


def _generate(
    name: str,
    clip: Clip,
    reference: Audio | None,
    *,
    clips: Sequence[Clip] | None = None,
    load: Callable[[Clip], Audio] | None = None,
    prompt: Audio | None = None,
    seed: int = 1,
    **parameters: float,
) -> NativeOutput:
    found = built_in_systems()[name]
    context = Context(
        clips or (clip, _clip("other")),
        load or (lambda _: _audio(seed=7)),
        found.card.parameters | parameters,
        {},
    )
    return build_system(found, context).generate(
        Request(clip, reference if found.card.sees_reference else None, prompt), np.random.default_rng(seed)
    )


def _scores(name: str, reference: Audio, output: NativeOutput) -> dict[str, float]:
    """Values of the envelope metrics for one clip."""
    found: dict[str, float] = {}
    samples = round(reference.duration_s * 16_000)
    clip = ClipInput(
        clip=name,
        generated=mono_16k(output.audio, samples),
        sample_rate=16_000,
        reference=mono_16k(reference, samples),
        predictions=output.predictions,
    )
    for metric_name, convention_name in (
        ("e-l1", "v2s"), ("e-l1", "video2rms"), ("acc-at-1", "topk"), ("acc-at-5", "topk"),
        ("envelope-correlation", None),
    ):  # fmt: skip
        convention = metrics()[metric_name].convention(convention_name)
        value = convention.combiner.value([convention.statistics(clip)])
        found[f"{metric_name}:{convention.name}" if convention_name else metric_name] = value
    return found


@pytest.fixture(scope="module")
def hits() -> list[Audio]:
    """Sound of eight synthetic videos."""
    videos = [make_video(SyntheticSettings(), "test", index) for index in range(8)]
    return [Audio(video.sound[:, None], 44_100) for video in videos]


# ---- all of them


@pytest.mark.parametrize("name", CONTROLS)
def test_cards_say_what_the_system_is(name: str) -> None:
    card = built_in_systems()[name].card

    assert card.role == "control"
    assert card.needs_reference == (name in NEED_REFERENCE)
    assert card.summary
    assert card.native_length
    if card.needs_reference:
        assert card.sees_reference


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize(
    ("rate", "channels", "seconds"), [(44_100, 1, 2.0), (8_000, 2, 1.0), (48_000, 6, 0.5), (22_050, 1, 0.04)]
)
def test_any_rate_channels_and_length(name: str, rate: int, channels: int, seconds: float) -> None:
    reference = _audio(seconds, rate, channels)
    card = built_in_systems()[name].card

    output = _generate(
        name,
        _clip(duration_s=seconds),
        reference,
        load=lambda _: reference,
        prompt=_audio(1.0, rate, channels, 3),
    )

    assert output.audio.duration_s == pytest.approx(seconds, abs=1 / 8_000)
    assert output.audio.samples.dtype == np.float32
    assert np.isfinite(output.audio.samples).all()
    assert card.sample_rate in (None, output.audio.sample_rate)
    assert card.channels in (None, output.audio.samples.shape[1])
    frames = round(seconds * 16_000) // 128
    for prediction in output.predictions.values():
        assert prediction.shape[0] == frames


@pytest.mark.parametrize("name", CONTROLS)
def test_same_generator_same_samples(name: str) -> None:
    first, second = (_generate(name, _clip(), _audio(), prompt=_audio(seed=3), seed=5) for _ in range(2))

    assert np.array_equal(first.audio.samples, second.audio.samples)
    for key, values in first.predictions.items():
        assert np.array_equal(values, second.predictions[key])


@pytest.mark.parametrize("name", sorted(NEED_REFERENCE))
def test_a_clip_without_reference_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ClapstickError, match="mute: no reference sound; found no audio stream"):
        _generate(name, _clip("mute", sound=False), None, prompt=_audio())


@pytest.mark.parametrize("name", CONTROLS)
def test_a_silent_reference_gives_finite_sound(name: str) -> None:
    silence = Audio(np.zeros((32_000, 1), dtype=np.float32), 16_000)

    output = _generate(name, _clip(), silence, load=lambda _: silence, prompt=_audio())

    assert np.isfinite(output.audio.samples).all()
    if name not in ("random-envelope", "constant-envelope"):
        assert not output.audio.samples.any()


@pytest.mark.parametrize("name", ["disc-rms", "random-envelope", "constant-envelope", "envelope-shaper"])
def test_a_clip_shorter_than_a_frame_is_refused(name: str) -> None:
    with pytest.raises(ClapstickError, match=r"tiny: clip is too short for an RMS curve; found 0\.0300 s"):
        _generate(name, _clip("tiny", 0.03), _audio(0.03), prompt=_audio())


# ---- each of them


def test_reference_is_handed_back_untouched() -> None:
    reference = _audio(channels=2)

    assert np.array_equal(_generate("reference", _clip(), reference).audio.samples, reference.samples)


def test_silence_is_silent_for_the_length_of_the_clip() -> None:
    output = _generate("silence", _clip(duration_s=1.5), None)

    assert output.audio.samples.shape == (24_000, 1)
    assert not output.audio.samples.any()


def test_noise_is_as_loud_as_the_reference_at_no_time_in_particular() -> None:
    reference = _audio(channels=2)
    noise = _generate("noise", _clip(), reference).audio.mono.astype(np.float64)
    tenths = np.sqrt(np.mean(noise[:88_200].reshape(20, -1) ** 2, axis=1))

    assert np.sqrt(np.mean(noise**2)) == pytest.approx(
        np.sqrt(np.mean(reference.mono.astype(np.float64) ** 2)), rel=1e-5
    )
    assert tenths.std() / tenths.mean() < 0.03


def test_shifted_is_late_by_exactly_a_tenth_of_a_second() -> None:
    reference = _audio(channels=2)
    late = _generate("shifted-100ms", _clip(), reference).audio.samples

    assert not late[:4_410].any()
    assert np.array_equal(late[4_410:], reference.samples[:-4_410])


def test_disc_rms_is_the_upper_bound_of_the_envelope_metrics(hits: list[Audio]) -> None:
    clip = _clip(duration_s=10.0)
    for reference in hits:
        output = _generate("disc-rms", clip, reference)
        scores = _scores("disc-rms", reference, output)

        assert scores["acc-at-1:topk"] == 1.0
        assert scores["acc-at-5:topk"] == 1.0
        # Half a step of 0.5 to 1.2 dB on frames that are heard, the decoded value never below the true one.
        assert 0 < scores["e-l1:video2rms"] < 0.006
        assert scores["e-l1:v2s"] < 0.005
        assert scores["envelope-correlation"] > 0.95


def test_disc_rms_scales_the_reference_and_adds_nothing() -> None:
    reference = _audio(channels=2)
    output = _generate("disc-rms", _clip(), reference).audio.samples
    sounding = np.abs(reference.samples) > 1e-3
    gains = np.divide(output, reference.samples, out=np.zeros_like(output), where=sounding)

    assert not output[reference.samples == 0].any()
    assert (gains >= 0).all()
    # Both channels get one gain.
    both = sounding.all(axis=1)
    assert np.abs(gains[both, 0] - gains[both, 1]).max() < 1e-3


def test_disc_rms_says_one_class_a_frame_and_its_amplitude() -> None:
    # A square wave of amplitude 0.2 at 1 kHz has RMS 0.2 in every frame.
    wave = 0.2 * np.sign(np.sin(2 * np.pi * 1000 * (np.arange(32_000) + 0.5) / 16_000))
    output = _generate("disc-rms", _clip(), Audio(wave[:, None].astype(np.float32), 16_000))
    edges = bin_edges()
    wanted = int(np.searchsorted(edges, 0.2 * 0.9973, side="right"))  # the filter passes 0.9973 of a constant

    logits = output.predictions["rms_logits"]
    assert logits.shape == (250, 64)
    assert np.median(logits.argmax(axis=1)) == wanted
    assert np.median(output.predictions["envelope"]) == pytest.approx(edges[wanted])


def test_random_envelope_is_random_choice() -> None:
    output = _generate("random-envelope", _clip(duration_s=40.0), None)
    classes = output.predictions["rms_logits"].argmax(axis=1)
    edges = bin_edges()
    edges[0] = 0.0

    assert np.array_equal(output.predictions["envelope"], edges[classes])
    # 5000 draws of 64 classes: 78 expected each, standard deviation 8.8.
    counts = np.bincount(classes, minlength=64)
    assert counts.min() > 78 - 4.5 * 8.8
    assert counts.max() < 78 + 4.5 * 8.8


def test_random_choice_scores_as_the_arithmetic_says(hits: list[Audio]) -> None:
    output = _generate("random-envelope", _clip(duration_s=10.0), None)
    scores = _scores("random-envelope", hits[0], output)

    assert scores["acc-at-1:topk"] == pytest.approx(1 / 64, abs=0.012)
    assert scores["acc-at-5:topk"] == pytest.approx(5 / 64, abs=0.025)
    # A random class has mean amplitude 0.2577; frames where both are class 0 are left out.
    assert scores["e-l1:video2rms"] == pytest.approx(0.25, abs=0.03)


def test_constant_envelope_says_one_level_always() -> None:
    output = _generate("constant-envelope", _clip(), None, rms=0.05)

    assert np.unique(output.predictions["envelope"]).tolist() == [0.05]
    curve = rms_curve(output.audio.mono.astype(np.float64))
    assert curve.mean() == pytest.approx(0.05, rel=0.01)
    assert curve.std() / curve.mean() < 0.05
    with pytest.raises(ClapstickError, match=r"parameter rms is out of range; found 1\.5"):
        _generate("constant-envelope", _clip(), None, rms=1.5)


def test_the_constant_level_is_the_mean_of_the_training_split() -> None:
    level = built_in_systems()["constant-envelope"].card.parameters["rms"]
    sounds = [make_video(SyntheticSettings(), "train", index).sound for index in range(0, 120, 8)]
    mean = np.mean([rms_curve(mono_16k(Audio(sound[:, None], 44_100), 160_000)).mean() for sound in sounds])

    # Every eighth video; the mean over all 120 is 0.01555.
    assert level == pytest.approx(mean, rel=0.25)


def test_controls_stand_in_the_order_that_brackets_a_system(hits: list[Audio]) -> None:
    """Mean E-L1 of eight clips: reference < disc-rms < late < constant, shuffled < random."""
    clips = [_clip(str(number), 10.0) for number in range(len(hits))]
    load = dict(zip((clip.id for clip in clips), hits, strict=True))
    mean = {}
    for name in ("reference", "disc-rms", "shifted-100ms", "shuffled", "constant-envelope", "random-envelope"):
        mean[name] = np.mean(
            [
                _e_l1(reference, _generate(name, clip, reference, clips=clips, load=lambda c: load[c.id]))
                for clip, reference in zip(clips, hits, strict=True)
            ]
        )

    assert mean["reference"] == 0.0
    assert mean["disc-rms"] < 0.5 * mean["shifted-100ms"]
    assert mean["shifted-100ms"] < mean["shuffled"] < 0.3 * mean["random-envelope"]
    assert 2 * mean["disc-rms"] < mean["constant-envelope"] < 0.3 * mean["random-envelope"]


def _e_l1(reference: Audio, output: NativeOutput) -> float:
    samples = round(reference.duration_s * 16_000)
    return float(np.abs(_curve(reference, samples) - _curve(output.audio, samples)).mean())


def _curve(audio: Audio, samples: int) -> NDArray[np.float64]:
    return rms_curve(mono_16k(audio, samples))


# ---- shuffled


@given(sources=st.lists(st.sampled_from("abcde"), min_size=2, max_size=20), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_no_clip_gets_its_own_sound_nor_its_source_where_that_can_be(sources: list[str], seed: int) -> None:
    clips = [_clip(f"{source}{number}", source=source) for number, source in enumerate(sources)]

    donors = derangement(clips, seed)

    assert sorted(donors) == sorted(clip.id for clip in clips)
    assert sorted(clip.id for clip in donors.values()) == sorted(donors)
    assert all(donors[clip.id].id != clip.id for clip in clips)
    largest = max(sources.count(source) for source in sources)
    same = sum(donors[clip.id].source == clip.source for clip in clips)
    # A source of k clips finds n - k strangers: the rest of its clips must stay within it.
    assert same == max(0, 2 * largest - len(clips))


def test_the_donor_depends_on_the_seed_and_not_on_the_order() -> None:
    clips = [_clip(f"c{number}") for number in range(20)]

    def ids(found: dict[str, Clip]) -> dict[str, str]:
        return {key: clip.id for key, clip in found.items()}

    assert ids(derangement(clips, 3)) == ids(derangement(clips[::-1], 3))
    assert ids(derangement(clips, 3)) != ids(derangement(clips, 4))


def test_shuffled_gives_another_clips_sound() -> None:
    clips = [_clip("a"), _clip("b"), _clip("mute", sound=False)]
    sounds = {"a": _audio(seed=1), "b": _audio(seed=2)}

    for name, donor in (("a", "b"), ("b", "a")):
        output = _generate("shuffled", _clip(name), None, clips=clips, load=lambda clip: sounds[clip.id])
        assert np.array_equal(output.audio.samples, sounds[donor].samples)
    mute = _generate("shuffled", clips[2], None, clips=clips, load=lambda clip: sounds[clip.id])
    assert any(np.array_equal(mute.audio.samples, sound.samples) for sound in sounds.values())


def test_shuffled_needs_two_clips_with_sound() -> None:
    with pytest.raises(ClapstickError, match="a: no other clip with sound; found 0 clips"):
        _generate("shuffled", _clip("a"), None, clips=[_clip("a"), _clip("mute", sound=False)])


# ---- envelope-shaper


def test_envelope_shaper_follows_the_reference_with_the_prompts_timbre(hits: list[Audio]) -> None:
    reference = hits[0]
    times = np.arange(16_000) / 16_000
    prompt = Audio((0.2 * np.sin(2 * np.pi * 2000 * times))[:, None].astype(np.float32), 16_000)

    output = _generate("envelope-shaper", _clip(duration_s=10.0), reference, prompt=prompt)

    asked = rms_curve(mono_16k(reference, 160_000))
    heard = rms_curve(output.audio.mono.astype(np.float64))
    assert np.corrcoef(asked, heard)[0, 1] > 0.95
    spectrum = np.abs(np.fft.rfft(output.audio.mono))
    near = np.abs(np.fft.rfftfreq(160_000, 1 / 16_000) - 2000) < 200
    assert (spectrum[near] ** 2).sum() / (spectrum**2).sum() > 0.9


def test_envelope_shaper_needs_a_prompt_that_sounds() -> None:
    silent = Audio(np.zeros((1_000, 1), dtype=np.float32), 16_000)

    with pytest.raises(ClapstickError, match="a: no audio prompt; found prompt of kind none"):
        _generate("envelope-shaper", _clip("a"), _audio())
    with pytest.raises(ClapstickError, match="audio prompt is silent"):
        _generate("envelope-shaper", _clip("a"), _audio(), prompt=silent)
