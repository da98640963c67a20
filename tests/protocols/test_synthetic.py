"""synthetic-hits: same seed, same bytes; what is heard is what is seen; nothing can be told from the clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.metrics.rms import rms_curve
from clapstick.protocols.media import probe, read_audio, read_frames
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import find_protocol
from clapstick.protocols.readers.base import find_reader
from clapstick.protocols.synthetic.looks import draw_object
from clapstick.protocols.synthetic.make import Video, make_synthetic_hits, make_video, synthetic_hits_folder
from clapstick.protocols.synthetic.materials import MATERIALS
from clapstick.protocols.synthetic.picture import Scene, place_objects
from clapstick.protocols.synthetic.settings import FPS, SAMPLE_RATE, SyntheticSettings, settings_of_size
from clapstick.protocols.synthetic.sound import render_sound
from clapstick.protocols.synthetic.strokes import FULL_HIT_SPEED, PATH_RATE, Stroke, follow

SMALL = SyntheticSettings(train_videos=2, test_videos=2, duration_s=2.0, seed=5)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic_hits(SMALL, tmp_path_factory.mktemp("hits"), workers=2, progress=False)


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    """The default test split and as many training videos, in memory."""
    settings = SyntheticSettings()
    return [make_video(settings, split, index) for split in ("test", "train") for index in range(24)]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def _envelope(video: Video) -> NDArray[np.float64]:
    return rms_curve(librosa.resample(video.sound.astype(np.float64), orig_sr=SAMPLE_RATE, target_sr=16_000))


# ---- files


def test_files_are_those_of_greatest_hits(small: Path) -> None:
    assert (small / "train.txt").read_text() == "train-0001\ntrain-0002\n"
    assert (small / "test.txt").read_text() == "test-0001\ntest-0002\n"
    for name in ("train-0001", "train-0002", "test-0001", "test-0002"):
        info = probe(small / f"{name}_denoised.mp4")
        assert (info.fps, info.height, info.duration_s) == (30.0, 256, 2.0)
        assert info.has_audio
        wav = soundfile.info(small / f"{name}_denoised.wav")
        assert (wav.frames, wav.samplerate, wav.channels) == (88_200, 44_100, 1)
        for line in (small / f"{name}_times.txt").read_text().splitlines():
            time_s, material, action, reaction = line.split()
            assert 0 < float(time_s) < 2
            assert material in {known.name for known in MATERIALS}
            assert action in ("hit", "scratch")
            assert reaction in ("deform", "static", "rigid-motion", "splash", "scatter")


def test_the_greatest_hits_reader_finds_no_fault(small: Path) -> None:
    listing = find_reader("greatest-hits").read(small, find_protocol("synthetic-hits").dataset)

    assert listing.problems == ()
    assert [clip.id for clip in listing.clips] == ["test-0001", "test-0002"]
    assert all(clip.onsets for clip in listing.clips)


def test_coded_sound_is_the_wav_at_the_same_time(small: Path) -> None:
    for path in small.glob("*.wav"):
        wav, coded = read_audio(path).mono, read_audio(path.with_suffix(".mp4"), 0.0, 2.0).mono
        lags = np.correlate(coded.astype(np.float64), wav[2_000:-2_000].astype(np.float64), mode="valid")
        assert np.argmax(np.abs(lags)) == 2_000


def test_same_seed_same_bytes_for_any_number_of_workers(small: Path, tmp_path: Path) -> None:
    again = make_synthetic_hits(SMALL, tmp_path / "one", workers=1, progress=False)

    assert _bytes(again) == _bytes(small)


def test_another_seed_gives_other_videos() -> None:
    first, second = (make_video(SyntheticSettings(duration_s=2.0, seed=seed), "test", 0) for seed in (0, 1))

    assert first.annotations != second.annotations
    assert not np.array_equal(first.sound, second.sound)


def test_a_video_does_not_depend_on_how_many_there_are() -> None:
    few = SyntheticSettings(train_videos=1, test_videos=1, duration_s=2.0)
    many = SyntheticSettings(train_videos=900, test_videos=300, duration_s=2.0)

    assert np.array_equal(make_video(few, "test", 0).sound, make_video(many, "test", 0).sound)
    assert make_video(few, "test", 0).annotations != make_video(few, "train", 0).annotations


def test_a_killed_start_is_finished_by_the_next(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hits"
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from clapstick.protocols.synthetic.make import make_synthetic_hits\n"
        "from clapstick.protocols.synthetic.settings import SyntheticSettings\n"
        "if __name__ == '__main__':\n"
        "    settings = SyntheticSettings.model_validate_json(sys.argv[1])\n"
        "    make_synthetic_hits(settings, Path(sys.argv[2]), workers=2, progress=False)\n"
    )
    script = tmp_path / "start.py"
    script.write_text(code, encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(script), SMALL.model_dump_json(), str(folder)])
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.wav")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the workers notice and end; a file that they had open stays behind under a hidden name
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}

    make_synthetic_hits(SMALL, folder, workers=2, progress=False)

    assert _bytes(folder) == _bytes(small)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_folder_of_other_settings_is_refused(small: Path) -> None:
    other = SMALL.model_copy(update={"seed": 6})

    with pytest.raises(ClapstickError, match=r'other settings; found .*"seed": 5.*expected .*"seed": 6'):
        make_synthetic_hits(other, small, workers=1, progress=False)


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ClapstickError, match="/proc/hits: cannot be written to"):
        make_synthetic_hits(SMALL, Path("/proc/hits"), workers=1, progress=False)


def test_the_cache_is_filled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPSTICK_CACHE", str(tmp_path))
    settings = SMALL.model_copy(update={"train_videos": 1, "test_videos": 1})

    folder = synthetic_hits_folder(settings, 1, splits=("test",), progress=False)
    first = {path: path.stat().st_mtime_ns for path in folder.glob("*.mp4")}

    assert folder == tmp_path / "synthetic-hits" / settings.key
    assert [path.name for path in first] == ["test-0001_denoised.mp4"]
    synthetic_hits_folder(settings, 1, progress=False)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert (folder / "train-0001_denoised.mp4").is_file()


def test_the_command_prints_data_on_stdout_alone(tmp_path: Path) -> None:
    arguments = ["data", "synth", "--out", str(tmp_path), "--videos", "2", "--duration", "2", "--json"]

    result = CliRunner().invoke(build_app(), [*arguments, "--workers", "1"])

    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["settings"]["train_videos"] == told["settings"]["test_videos"] == 1
    assert (Path(told["folder"]) / "test-0001_denoised.mp4").is_file()
    assert "synthetic-hits" in result.stderr


# ---- settings


def test_settings_out_of_range_are_refused_by_name() -> None:
    with pytest.raises(ClapstickError, match=r"duration_s: .*greater than or equal to 2; found 1\.0"):
        settings_of_size(duration_s=1.0)
    with pytest.raises(ClapstickError, match=r"train_videos: .*less than or equal to 9999; found 49998"):
        settings_of_size(videos=60_000 - 2)
    with pytest.raises(ClapstickError, match=r"seed: .*greater than or equal to 0; found -1"):
        settings_of_size(seed=-1)


@pytest.mark.parametrize(("videos", "train", "test"), [(1, 0, 1), (2, 1, 1), (12, 10, 2), (144, 120, 24)])
def test_a_sixth_is_for_testing(videos: int, train: int, test: int) -> None:
    settings = settings_of_size(videos)

    assert (settings.train_videos, settings.test_videos) == (train, test)


def test_keys_differ_where_files_differ() -> None:
    changes = ({}, {"seed": 1}, {"train_videos": 3}, {"duration_s": 5.0}, {"height": 272})

    assert len({SyntheticSettings(**change).key for change in changes}) == len(changes)


# ---- sound


def test_there_are_eight_materials_and_all_are_in_both_splits(videos: list[Video]) -> None:
    assert len({material.name for material in MATERIALS}) >= 8
    for split in ("train", "test"):
        struck = {
            line.split()[1] for video in videos if video.name.startswith(split) for line in video.annotations
        }
        assert struck == {material.name for material in MATERIALS}


def test_annotated_times_are_where_librosa_hears_onsets(videos: list[Video]) -> None:
    found = total = 0
    for video in videos:
        heard_s = librosa.onset.onset_detect(
            y=video.sound, sr=SAMPLE_RATE, hop_length=256, backtrack=False, units="time"
        )
        for stroke in _loud(video):
            total += 1
            found += bool(np.abs(heard_s - stroke.time_s).min(initial=9.0) <= 1 / FPS)

    assert total > 150
    assert found / total > 0.95


def test_sound_begins_within_a_millisecond_of_a_stroke(videos: list[Video]) -> None:
    for video in videos:
        for stroke in _loud(video):
            contact = round(stroke.time_s * SAMPLE_RATE)
            before = np.abs(video.sound[contact - 441 : contact]).max()
            after = np.abs(video.sound[contact : contact + 882]).max()
            early = np.abs(video.sound[contact : contact + 132]).max()  # 3 ms: scratches start within 8 ms
            assert after > 2 * before, (video.name, stroke)
            assert early > 0.1 * after, (video.name, stroke)


def _loud(video: Video) -> list[Stroke]:
    """Strokes at 30 % of full speed and more, with 0.4 s of silence before them."""
    ends_s = [-1.0] + [stroke.end_s for stroke in video.strokes if stroke.action != "air"]
    heard = [stroke for stroke in video.strokes if stroke.action != "air"]
    return [
        stroke
        for stroke, end_s in zip(heard, ends_s, strict=False)
        if stroke.speed >= 0.3 and stroke.time_s - end_s > 0.4 and "metal" not in _names(video)
    ]


def _names(video: Video) -> set[str]:
    return {material.name for material in video.materials}


@pytest.mark.parametrize("material", MATERIALS, ids=lambda material: material.name)
def test_loudness_follows_stick_speed(material) -> None:
    speeds = (0.25, 0.5, 1.0)
    hits = [Stroke(1.0 + 2 * k, "hit", speed, 0, 0.0, 0.1) for k, speed in enumerate(speeds)]
    slides = [Stroke(8.0 + k, "scratch", speed, 0, 0.0, 0.4) for k, speed in enumerate(speeds)]
    sound = render_sound([*hits, *slides], [material], [1.0], 11 * SAMPLE_RATE, np.random.default_rng(0))

    def part(stroke: Stroke, seconds: float) -> NDArray[np.float64]:
        first = round(stroke.time_s * SAMPLE_RATE)
        return sound[first : first + round(seconds * SAMPLE_RATE)]

    peaks = [np.abs(part(stroke, 0.3)).max() for stroke in hits]
    levels = [np.sqrt(np.mean(part(stroke, 0.4) ** 2)) for stroke in slides]

    # A hit's peak is its material's level times the speed. A slide slows down as 1 - s^2, whose mean square is
    # 8/15; crackles cost up to a sixth of it, as their peaks are cut.
    assert peaks == pytest.approx([material.level * speed for speed in speeds], rel=0.05)
    nominal = material.scratch_level * np.sqrt(8 / 15) * np.array(speeds)
    assert np.ptp(levels / nominal) < 0.1
    assert 0.8 < np.mean(levels / nominal) < 1.05


def test_materials_are_told_apart_by_ear() -> None:
    """Hits of other sizes and speeds, put to the nearest mean spectrum of their material."""
    spectra = np.array([[_spectrum(material, seed) for seed in range(8)] for material in MATERIALS])
    means = spectra[:, :4].mean(axis=1)

    guesses = [[np.linalg.norm(means - one, axis=1).argmin() for one in row[4:]] for row in spectra]

    assert (np.array(guesses) == np.arange(len(MATERIALS))[:, None]).mean() > 0.9


def _spectrum(material, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    stroke = Stroke(0.1, "hit", rng.uniform(0.3, 1.0), 0, 0.0, 0.1)
    sound = render_sound([stroke], [material], [rng.uniform(0.8, 1.25)], SAMPLE_RATE // 2, rng)[4_410:13_230]
    bands = librosa.feature.melspectrogram(y=sound, sr=SAMPLE_RATE, n_mels=32, n_fft=2048).mean(axis=1)
    return np.asarray(librosa.power_to_db(bands, ref=np.max, top_db=40))


def test_strokes_that_miss_make_no_sound(videos: list[Video]) -> None:
    missed = 0
    for video in videos:
        silent = [stroke for stroke in video.strokes if stroke.action == "air"]
        heard_s = np.array([(s.time_s, s.end_s) for s in video.strokes if s.action != "air"])
        for stroke in silent:
            if ((heard_s[:, 1] < stroke.time_s - 1.6) | (heard_s[:, 0] > stroke.time_s + 0.1)).all():
                first = round((stroke.time_s - 0.05) * SAMPLE_RATE)
                missed += 1
                assert np.sqrt(np.mean(video.sound[first : first + 6_615] ** 2)) < 0.003
    assert missed >= 3


def test_some_videos_are_silent_for_long(videos: list[Video]) -> None:
    longest_s = []
    for video in videos:
        times_s = [0.0, *(s.end_s for s in video.strokes if s.action != "air"), 10.0]
        starts_s = [*(s.time_s for s in video.strokes if s.action != "air"), 10.0]
        gaps = [(end_s, start_s) for end_s, start_s in zip(times_s, starts_s, strict=False)]
        end_s, start_s = max(gaps, key=lambda gap: gap[1] - gap[0])
        longest_s.append(start_s - end_s)
        if start_s - end_s > 3:
            part = video.sound[round((end_s + 1.6) * SAMPLE_RATE) : round((start_s - 0.01) * SAMPLE_RATE)]
            assert np.sqrt(np.mean(part**2)) < 0.003  # the background is at most 54 dB down
    assert 0.15 < np.mean(np.array(longest_s) > 3) < 0.6


def test_nothing_clips(videos: list[Video]) -> None:
    assert max(np.abs(video.sound).max() for video in videos) < 0.95


def test_the_clock_tells_nothing(videos: list[Video]) -> None:
    """The mean envelope of all other videos does no better than the constant median, and follows no video."""
    envelopes = np.array([_envelope(video) for video in videos])
    others = (envelopes.sum(axis=0) - envelopes) / (len(envelopes) - 1)
    by_clock = np.abs(envelopes - others).mean()
    by_silence = np.abs(envelopes).mean()
    following = [np.corrcoef(one, other)[0, 1] for one, other in zip(envelopes, others, strict=True)]

    assert by_clock > by_silence
    assert abs(np.mean(following)) < 0.1


def test_rhythms_are_irregular(videos: list[Video]) -> None:
    spreads = []
    for video in videos:
        times_s = np.array([stroke.time_s for stroke in video.strokes])
        if times_s.size >= 5:
            gaps_s = np.diff(times_s)
            spreads.append(gaps_s.std() / gaps_s.mean())
    assert len(spreads) > 30
    assert np.median(spreads) > 0.4
    assert min(spreads) > 0.1


# ---- picture


def _scene(strokes: list[Stroke], material: str, height: int = 256) -> tuple[Scene, float]:
    """A scene with one object and these strokes, and the row of the object's surface in the picture."""
    chosen = [known for known in MATERIALS if known.name == material]
    rng = np.random.default_rng(4)
    width = SyntheticSettings(height=height).width
    objects = place_objects(chosen, [1.0], width, height, rng)
    scale = height / 256
    centre = (objects[0].centre[0] / scale, objects[0].centre[1] / scale)
    path = follow(strokes, 3.0, [centre], rng)
    return Scene(objects, strokes, path, (height, width), rng), objects[0].centre[1]


def _tip_rows(frames: NDArray[np.uint8], left: float, right: float) -> NDArray[np.float64]:
    """Lowest row of the stick's colour (bright, much more red than blue) between two columns, in each frame."""
    part = frames[:, :, round(left) : round(right)].astype(int)
    stick = (part[..., 0] > 170) & (part[..., 0] - part[..., 2] > 50) & (part[..., 1] > 120)
    rows = np.arange(frames.shape[1])[None, :, None]
    return np.where(stick, rows, -1).max(axis=(1, 2)).astype(float)


@pytest.mark.parametrize("height", [256, 512])
def test_the_stick_touches_when_the_sound_starts(height: int) -> None:
    strokes = [Stroke(time_s, "hit", 0.8, 0, 0.0, 0.12) for time_s in (0.71, 1.383, 2.0)]
    scene, surface = _scene(strokes, "metal", height)
    frames = np.stack(list(scene.frames(90)))
    middle = frames.shape[2] / 2
    tips = _tip_rows(frames, middle - 0.35 * height, middle + 0.1 * height)

    for stroke in strokes:
        contact = int(np.ceil(stroke.time_s * FPS))
        # The camera may shake by 4 pixels of 256.
        assert tips[contact] == pytest.approx(surface, abs=5 * height / 256)
        window = tips[contact - 4 : contact + 5]
        assert tips[contact] >= window.max() - 2 * height / 256
        # Two frames before contact the tip is 0.4 to 0.6 of its way above the surface.
        assert tips[contact] - tips[contact - 2] > 15 * height / 256


def test_the_tip_falls_at_the_speed_that_is_heard() -> None:
    for speed in (0.2, 0.6, 1.0):
        stroke = Stroke(1.5, "hit", speed, 0, 0.0, 0.12)
        path = follow([stroke], 3.0, [(150.0, 180.0)], np.random.default_rng(0))
        contact = round(1.5 * PATH_RATE)

        landing = -(path.height[contact] - path.height[contact - 3]) * PATH_RATE / 3

        assert path.height[contact] == 0.0
        # Mean over the last 5 ms of 120: 1 - 5/240 of the speed at contact; the hand's sway changes it little.
        assert landing == pytest.approx(speed * FULL_HIT_SPEED * (1 - 0.005 / 0.24), rel=0.03)


def test_a_scratch_goes_as_far_as_it_is_heard() -> None:
    stroke = Stroke(1.0, "scratch", 0.5, 0, -20.0, 0.3, direction=1)
    path = follow([stroke], 3.0, [(150.0, 180.0)], np.random.default_rng(0))
    first, last = round(1.0 * PATH_RATE), round(1.3 * PATH_RATE)

    assert np.all(path.height[first : last + 1] == 0.0)
    assert path.x[last] - path.x[first] == pytest.approx(stroke.length, abs=0.5)
    # 0.5 * 420 px/s over 0.3 s, slowing as 1 - s^2: two thirds of it, less half of the first 8 ms.
    assert stroke.length == pytest.approx(0.5 * 420 * (0.3 * 2 / 3 - 0.004))
    assert np.all(np.diff(path.x[first:last]) >= 0)


def test_an_air_stroke_stays_above_the_surface() -> None:
    stroke = Stroke(1.0, "air", 0.8, 0, 0.0, 0.12)
    path = follow([stroke], 2.0, [(150.0, 180.0)], np.random.default_rng(0))

    assert path.height.min() > 8


def test_materials_are_told_apart_by_eye() -> None:
    looks = [draw_object(material, 90, np.random.default_rng(1)) for material in MATERIALS]
    features = np.array(
        [
            [
                *(look.colour[look.alpha > 128].mean(axis=0)),
                look.colour[look.alpha > 128].std(),
                100 * look.alpha.shape[0] / 90,
            ]
            for look in looks
        ]
    )
    distances = np.linalg.norm(features[:, None] - features[None], axis=2) + 999 * np.eye(len(MATERIALS))

    assert distances.min() > 12


def test_frames_differ_from_one_to_the_next_and_are_seeded(small: Path) -> None:
    video = make_video(SMALL, "test", 0)
    drawn = np.stack(list(video.scene.frames(SMALL.frames)))
    coded = read_frames(
        small / "test-0001_denoised.mp4", start_s=0, duration_s=2.0, fps=FPS, height=256, width=SMALL.width
    )

    assert drawn.shape == (60, 256, 336, 3)
    assert np.array_equal(drawn, np.stack(list(make_video(SMALL, "test", 0).scene.frames(SMALL.frames))))
    # H.264 keeps the picture: mean error of a few grey levels, in every frame its own picture.
    errors = np.abs(drawn[:, None, ::8, ::8].astype(int) - coded[None, :, ::8, ::8]).mean(axis=(2, 3, 4))
    assert np.diag(errors).max() < 6
    still = np.abs(np.diff(drawn.astype(int), axis=0)).mean(axis=(1, 2, 3)) == 0
    assert still.mean() < 0.2


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "from pathlib import Path\n"
        "from clapstick.protocols.synthetic.make import make_synthetic_hits\n"
        "from clapstick.protocols.synthetic.settings import SyntheticSettings\n"
        "if __name__ == '__main__':\n"
        "    settings = SyntheticSettings(train_videos=40, test_videos=0, duration_s=2.0)\n"
        f"    make_synthetic_hits(settings, Path({str(tmp_path / 'hits')!r}), workers=2, progress=False)\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "hits").glob("*.wav")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 20
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert not _alive(process.pid)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
