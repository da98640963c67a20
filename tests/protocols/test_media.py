"""What media files hold, their sound and their frames: timing to the frame and the millisecond, bad files."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from bad_inputs import cut_off_video, write_bad_sounds, write_bad_videos, write_odd_names
from flash_click import CODECS, FlashClick, click_times_s, write_flash_click

from clapstick.protocols.audio import read_wav
from clapstick.protocols.media import MediaInfo, frames_at, probe, read_audio, read_frames, shown_size
from clapstick.protocols.problems import ClapstickError

_REAL_CLIPS = Path(__file__).parents[2].parent / "shared" / "data" / "clips"


@pytest.fixture(scope="module")
def bad_videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_bad_videos(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="module")
def bad_sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_bad_sounds(tmp_path_factory.mktemp("sounds"))


def _clicks_s(path: Path) -> list[float]:
    audio = read_audio(path)
    return click_times_s(audio.mono, audio.sample_rate)


def _flashes_s(path: Path, fps: float, seconds: float = 2.0) -> list[float]:
    """Start of every run of white frames on a grid of `fps`."""
    frames = read_frames(path, start_s=0, duration_s=seconds, fps=fps, height=8, width=8, pixel_format="gray")
    white = frames.mean(axis=(1, 2)) > 100
    return [float(k / fps) for k in np.flatnonzero(white & ~np.concatenate(([False], white[:-1])))]


# ---- timing


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_flash_and_click_agree_in_every_container(tmp_path: Path, suffix: str) -> None:
    path = write_flash_click(tmp_path / f"a{suffix}", FlashClick(events_s=(0.5, 1.2)))

    assert _flashes_s(path, 30) == pytest.approx([0.5, 1.2], abs=1e-9)
    assert _clicks_s(path) == pytest.approx([0.5, 1.2], abs=0.001)


@pytest.mark.parametrize(
    ("suffix", "codecs", "sample_rate"),
    [
        (".mp4", ("libx264", "aac"), 22_050),
        (".mp4", ("mpeg4", "libmp3lame"), 44_100),
        (".mkv", ("libx264", "aac"), 44_100),
        (".mkv", ("libx264", "libopus"), 48_000),
        (".mov", ("libx264", "alac"), 96_000),
    ],
)
def test_encoder_delay_is_taken_off(
    tmp_path: Path, suffix: str, codecs: tuple[str, str], sample_rate: int
) -> None:
    spec = FlashClick(events_s=(0.5, 1.2), codecs=codecs, sample_rate=sample_rate)

    assert _clicks_s(write_flash_click(tmp_path / f"a{suffix}", spec)) == pytest.approx([0.5, 1.2], abs=0.002)


def test_a_tone_has_no_seams_where_the_container_rounds_times(tmp_path: Path) -> None:
    """A frame of 1024 samples at 44.1 kHz lasts 23.22 ms, Matroska says 23: laid by the stated time, 9 samples
    would be overwritten or left silent at each of 86 seams."""
    path = tmp_path / "tone.mkv"
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * 44_100) / 44_100)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        for first in range(0, tone.size, 1024):
            piece = av.AudioFrame.from_ndarray(
                tone[None, first : first + 1024].astype(np.float32), format="fltp", layout="mono"
            )
            piece.sample_rate, piece.pts = 44_100, first
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))

    heard = read_audio(path).mono[4_410:-8_820].astype(np.float64)
    curvature = np.abs(np.diff(heard, 2))

    # The second difference of a sine is (2 pi f / rate)^2 times its amplitude: 0.5 * 0.0627^2 = 0.002.
    assert curvature.max() < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_that_starts_late_is_preceded_by_silence(tmp_path: Path, suffix: str) -> None:
    spec = FlashClick(events_s=(0.5, 1.2), sound_start_s=0.3, sound_seconds=1.7)

    # The click is 0.5 s into a stream that starts at 0.3 s.
    assert _clicks_s(write_flash_click(tmp_path / f"a{suffix}", spec)) == pytest.approx([0.8, 1.5], abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_clock_starts_with_the_picture(tmp_path: Path, suffix: str) -> None:
    path = write_flash_click(tmp_path / f"a{suffix}", FlashClick(events_s=(0.5, 1.2), video_start_s=0.3))

    # Nine frames late: what is heard at 0.5 s is 0.2 s after the first picture, the flash still 0.5 s after it.
    assert _flashes_s(path, 30) == pytest.approx([0.5, 1.2], abs=1e-9)
    assert _clicks_s(path) == pytest.approx([0.2, 0.9], abs=0.001)


@pytest.mark.parametrize("suffix", sorted(CODECS))
@pytest.mark.parametrize("fps", [24, 30, 30_000 / 1001])
def test_every_frame_is_the_one_on_screen(tmp_path: Path, suffix: str, fps: float) -> None:
    """Grey levels rise by one step a frame, so a frame that is one early or late is seen."""
    path = _numbered(tmp_path / f"n{suffix}", round(fps * 1.5), fps)

    levels = _levels(path, np.arange(round(fps * 1.5)) / fps)

    assert np.array_equal(levels, np.arange(levels.size))


def test_reading_at_another_rate_holds_each_frame_until_the_next(tmp_path: Path) -> None:
    path = _numbered(tmp_path / "n.mp4", 20, 10)

    # Frame k is on screen from 0.1 k until 0.1 (k + 1).
    times_s = np.array([0.0, 0.09, 0.11, 0.199, 0.2, 0.55, 1.95, 7.0])

    assert _levels(path, times_s).tolist() == [0, 0, 1, 1, 2, 5, 19, 19]


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_a_stretch_far_into_the_file_is_the_same_as_reading_from_the_start(tmp_path: Path, suffix: str) -> None:
    path = _numbered(tmp_path / f"n{suffix}", 120, 30)
    whole_s = np.arange(120) / 30

    assert np.array_equal(_levels(path, whole_s[77:]), _levels(path, whole_s)[77:])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_variable_frame_rates_keep_their_times(tmp_path: Path, suffix: str) -> None:
    gaps_s = np.random.default_rng(3).uniform(0.012, 0.09, 60)
    times_s = np.concatenate(([0.0], np.cumsum(gaps_s)))
    times_s = tuple(float(time_s) for time_s in times_s[times_s < 1.95])
    path = write_flash_click(tmp_path / f"a{suffix}", FlashClick(events_s=(0.5, 1.2), frame_times_s=times_s))

    shown_s = [max(time_s for time_s in times_s if time_s <= event) for event in (0.5, 1.2)]

    assert _flashes_s(path, 1000) == pytest.approx(shown_s, abs=0.0015)
    assert _clicks_s(path) == pytest.approx([0.5, 1.2], abs=0.001)


def test_a_stretch_of_sound_is_cut_to_the_sample(tmp_path: Path) -> None:
    path = write_flash_click(tmp_path / "a.mov", FlashClick(sample_rate=44_100))
    whole = read_audio(path).samples

    part = read_audio(path, 0.25, 0.5)

    assert part.samples.shape == (22_050, 1)
    assert np.array_equal(part.samples, whole[11_025:33_075])
    assert read_audio(path, 1.9, 0.5).samples.shape == (4_410, 1)
    with pytest.raises(ClapstickError, match="sound ends before the clip starts"):
        read_audio(path, 2.5, 1.0)


def test_a_stretch_of_wav_is_read_alone(tmp_path: Path) -> None:
    samples = np.arange(16_000, dtype=np.float32) / 16_000
    samples[100] = np.nan
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")

    assert np.array_equal(read_audio(path, 0.5, 0.25).mono, samples[8_000:12_000])
    with pytest.raises(ClapstickError, match=r"1 samples are NaN.*the first at 0\.0063 s"):
        read_audio(path, 0.005, 0.25)


# ---- what a file holds


def test_probe_tells_rates_sizes_and_lengths(tmp_path: Path) -> None:
    spec = FlashClick(seconds=2.0, fps=24, sample_rate=44_100, layout="stereo", size=(48, 64))
    path = write_flash_click(tmp_path / "a.mp4", spec)

    assert probe(path) == MediaInfo(
        path=path,
        duration_s=2.0,
        fps=24.0,
        width=64,
        height=48,
        video_duration_s=2.0,
        audio_duration_s=pytest.approx(2.0, abs=1e-6),
        sample_rate=44_100,
        channels=2,
    )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_picture_and_sound_have_their_own_lengths(tmp_path: Path, suffix: str) -> None:
    info = probe(write_flash_click(tmp_path / f"a{suffix}", FlashClick(seconds=1.0, sound_seconds=3.0)))

    assert info.duration_s == info.video_duration_s == pytest.approx(1.0, abs=0.01)
    assert info.audio_duration_s == pytest.approx(3.0, abs=0.02)


def test_telephones_that_film_on_their_side_are_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    picture = np.zeros((48, 64, 3), dtype=np.uint8)
    picture[:24] = 255  # The upper half is white as stored.
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    _turn_clockwise(path)

    frame = next(frames_at(path, np.array([0.0]), height=64, width=48, pixel_format="gray"))

    # Shown a quarter turn clockwise, what was up is on the right.
    assert frame.shape == (64, 48)
    assert frame[:, 30:].min() > 200
    assert frame[:, :18].max() < 50
    assert shown_size(path) == (64, 48)


# ---- bad files


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("truncated", "not a media file, or cut off"),
        ("zero bytes", "file is empty; found 0 bytes"),
        ("text", "not a media file, or cut off"),
    ],
)
def test_files_that_are_no_media_are_refused_by_name(
    bad_videos: dict[str, Path], key: str, message: str
) -> None:
    path = bad_videos[key]
    for read in (probe, read_audio, _first_frame):
        with pytest.raises(ClapstickError, match=message) as caught:
            read(path)
        assert caught.value.problems[0].where == str(path)
        assert caught.value.problems[0].remedy


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match=r"gone\.mp4: file is missing"):
        probe(tmp_path / "gone.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_download_that_was_broken_off_is_not_read_as_a_still_picture(tmp_path: Path, suffix: str) -> None:
    path = cut_off_video(tmp_path / f"cut{suffix}")

    with pytest.raises(ClapstickError, match=r"video is (cut off|damaged)"):
        read_frames(path, start_s=0, duration_s=4.0, fps=30, height=8, width=8)
    with pytest.raises(ClapstickError, match=r"sound is (cut off|damaged)"):
        read_audio(path)
    assert read_frames(path, start_s=0, duration_s=1.0, fps=30, height=8, width=8).shape == (30, 8, 8, 3)
    assert read_audio(path, 0.0, 1.0).duration_s == 1.0


@pytest.mark.parametrize("key", ["no video", "cover picture"])
def test_a_file_of_sound_alone_has_no_video(bad_videos: dict[str, Path], key: str) -> None:
    info = probe(bad_videos[key])

    assert not info.has_video
    assert info.has_audio
    with pytest.raises(ClapstickError, match="no video stream"):
        _first_frame(bad_videos[key])


def test_a_file_without_sound_says_so(bad_videos: dict[str, Path]) -> None:
    assert not probe(bad_videos["no audio"]).has_audio
    with pytest.raises(ClapstickError, match="no audio stream"):
        read_audio(bad_videos["no audio"])


def test_sound_and_picture_of_other_lengths_are_told_apart(bad_videos: dict[str, Path]) -> None:
    short, long = probe(bad_videos["short audio"]), probe(bad_videos["long audio"])

    assert (short.duration_s, short.audio_duration_s) == pytest.approx((2.0, 0.7), abs=0.001)
    assert (long.duration_s, long.audio_duration_s) == pytest.approx((1.0, 3.0), abs=0.001)
    assert read_audio(bad_videos["short audio"], 0.0, 2.0).duration_s == pytest.approx(0.7, abs=0.022)


def test_one_frame_fills_any_stretch(bad_videos: dict[str, Path]) -> None:
    frames = read_frames(bad_videos["one frame"], start_s=0, duration_s=1.0, fps=15, height=8, width=8)

    assert frames.shape == (15, 8, 8, 3)
    assert frames.min() > 200


@pytest.mark.parametrize(("key", "channels"), [("stereo", 2), ("5.1", 6)])
def test_channels_are_kept(bad_videos: dict[str, Path], key: str, channels: int) -> None:
    assert probe(bad_videos[key]).channels == channels
    assert read_audio(bad_videos[key]).samples.shape[1] == channels


def test_odd_names_are_read_like_any_other(tmp_path: Path) -> None:
    for path in write_odd_names(tmp_path):
        assert probe(path).duration_s == 1.0
        assert _clicks_s(path) == pytest.approx([0.5], abs=0.001)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nan", r"3 samples are NaN or infinite; found the first at 0\.2500 s"),
        ("inf", r"3 samples are NaN or infinite; found the first at 0\.2500 s"),
        ("empty", "sound file holds no sample"),
        ("text", "cannot be read as sound"),
    ],
)
def test_unusable_sounds_are_refused_by_name(bad_sounds: dict[str, Path], key: str, message: str) -> None:
    with pytest.raises(ClapstickError, match=message) as caught:
        read_wav(bad_sounds[key])
    assert caught.value.problems[0].where == str(bad_sounds[key])


@pytest.mark.parametrize(
    ("key", "tolerance"),
    [
        ("8 bit", 1 / 127),
        ("16 bit", 1 / 32767),
        ("24 bit", 1e-6),
        ("float", 1e-7),
        ("double", 1e-7),
        ("flac", 1 / 32767),
    ],
)
def test_every_sample_format_gives_the_same_sound(
    bad_sounds: dict[str, Path], key: str, tolerance: float
) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)

    audio = read_wav(bad_sounds[key])

    assert audio.samples.dtype == np.float32
    assert np.abs(audio.mono - tone.astype(np.float32)).max() <= tolerance


def test_levels_are_kept_as_they_are(bad_sounds: dict[str, Path]) -> None:
    assert not read_wav(bad_sounds["silence"]).samples.any()
    assert read_wav(bad_sounds["clipping"]).samples.max() == pytest.approx(1.0, abs=1e-4)
    assert read_wav(bad_sounds["beyond full scale"]).samples.max() == pytest.approx(2.0, abs=1e-6)
    # Left carries the tone, right is silent: the mean of both is half as loud.
    assert read_wav(bad_sounds["stereo"]).mono.max() == pytest.approx(0.25, abs=1e-4)
    assert read_wav(bad_sounds["truncated"]).samples.shape[0] == pytest.approx(8_000, abs=30)


# ---- real clips


_PATHS = sorted(_REAL_CLIPS.glob("*.mp4")) if _REAL_CLIPS.is_dir() else []


@pytest.mark.skipif(not _PATHS, reason="needs ../shared/data/clips")
@pytest.mark.parametrize("path", _PATHS, ids=lambda path: path.stem)
def test_real_clips_are_read_whole(path: Path) -> None:
    info = probe(path)
    frames = read_frames(path, start_s=0, duration_s=info.duration_s, fps=15, height=24, width=32)

    assert frames.shape == (round(info.duration_s * 15), 24, 32, 3)
    assert 14 < (info.fps or 0) < 31
    # The picture moves: few frames equal the one before.
    assert (np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3)) > 0).mean() > 0.5
    if info.has_audio:
        audio = read_audio(path, 0.0, info.duration_s)
        assert audio.sample_rate == info.sample_rate
        assert audio.duration_s == pytest.approx(min(info.duration_s, info.audio_duration_s or 0), abs=0.06)
        assert np.abs(audio.samples).max() > 0.01
    else:
        assert path.stem == "basketball_bounce"


# ---- helpers


_STEP = 5


def _first_frame(path: Path) -> np.ndarray:
    return next(frames_at(path, np.array([0.0]), height=8, width=8))


def _numbered(path: Path, count: int, fps: float) -> Path:
    """Write frames of rising grey levels, so far apart that no encoder takes one for the next."""
    from fractions import Fraction

    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix][0], rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.gop_size = 12
        for number in range(count):
            pixels = np.full((48, 64, 3), 10 + _STEP * (number % 48), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            frame.time_base = 1 / Fraction(fps).limit_denominator(1001)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _levels(path: Path, times_s: np.ndarray) -> np.ndarray:
    """Numbers of the frames on screen at these times."""
    frames = np.stack(list(frames_at(path, times_s, height=48, width=64)))
    return np.round((frames.mean(axis=(1, 2, 3)) - 10) / _STEP).astype(int)


def _turn_clockwise(path: Path) -> None:
    """Put a quarter turn into the track header's matrix (ISO 14496-12, 8.3.2: nine 32-bit numbers).

    Before it: type, version and flags, two dates, track, reserved, duration, reserved, layer to volume.
    """
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one, minus_one, w = 0x10000, 0xFFFF0000, 0x40000000
    matrix = (0, one, 0, minus_one, 0, 0, 48 * one, 0, w)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in matrix)
    path.write_bytes(bytes(data))
