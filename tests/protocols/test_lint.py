"""Faults of clips: each planted alone and found alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from clapstick.protocols.clips import Clip
from clapstick.protocols.lint import FRAME_SIDE, lint_clip, lint_media, sound_offset
from tests.protocols.media import make_video

RATE = 8000
RNG = np.random.default_rng(0)
SOUND = (0.1 * RNG.standard_normal(4 * RATE)).astype(np.float32)
MOVING = RNG.integers(0, 256, (16, FRAME_SIDE, FRAME_SIDE)).astype(np.uint8)


def faults(
    *,
    frames: NDArray[np.uint8] = MOVING,
    reference: NDArray[np.float32] | None = SOUND,
    video_sound: NDArray[np.float32] | None = None,
) -> list[str]:
    found = lint_media(
        duration_s=4.0, frames=frames, reference=reference, video_sound=video_sound, sample_rate=RATE
    )
    return [finding.fault for finding in found]


def test_a_good_clip_has_no_fault() -> None:
    assert faults() == []
    assert faults(video_sound=SOUND) == []
    assert faults(reference=None) == []


def test_still_pictures_are_found_through_coding_noise() -> None:
    still = np.repeat(MOVING[:1] // 2 + 50, 16, axis=0)
    noisy = still + RNG.integers(0, 5, still.shape).astype(np.uint8)
    assert faults(frames=noisy) == ["still"]
    # One small thing that moves: a stick of 2 x 8 of the 64 x 64 pixels.
    noisy[8:, 10:12, 10:18] += 40
    assert faults(frames=noisy) == []


def test_mute_and_short_and_early_end() -> None:
    assert faults(reference=np.zeros_like(SOUND)) == ["mute"]
    assert faults(reference=SOUND * np.float32(1e-4)) == ["mute"]
    assert faults(reference=SOUND[: 3 * RATE]) == ["short"]
    assert faults(frames=MOVING[:10]) == ["short"]


@given(shift=st.integers(-RATE, RATE))
def test_offset_is_measured_to_the_sample(shift: int) -> None:
    late = np.roll(SOUND, shift)
    offset_s, correlation = sound_offset(SOUND, late, RATE)
    assert offset_s == pytest.approx(shift / RATE, abs=1e-9)
    assert correlation > 0.5


def test_offset_and_foreign_sound_are_faults() -> None:
    assert faults(video_sound=np.roll(SOUND, round(0.05 * RATE))) == ["offset"]
    assert faults(video_sound=np.roll(SOUND, round(0.01 * RATE))) == []
    other = (0.1 * np.random.default_rng(1).standard_normal(len(SOUND))).astype(np.float32)
    assert faults(video_sound=other) == ["other-sound"]


def test_a_file_is_decoded_and_linted(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", seconds=2.0, still=True)
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    clip = Clip(id="a", source="a", video=video, duration_s=2.0, reference=tmp_path / "a.wav")
    assert [finding.fault for finding in lint_clip(clip)] == ["still", "short", "mute"]
    good = Clip(id="b", source="b", video=make_video(tmp_path / "b.mp4", seconds=2.0), duration_s=2.0)
    assert lint_clip(good) == ()
