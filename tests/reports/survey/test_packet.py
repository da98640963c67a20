"""Packets: same seed, same bytes; nothing in them tells the systems apart; the plan and the key hold
together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from survey_raters import plan_and_key, small_packet, small_run

from clapstick.protocols.audio import Audio
from clapstick.protocols.media import probe, read_audio
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.survey.design import StimulusRules, built_in_designs, find_design
from clapstick.reports.survey.plan import read_key, read_plan, sha256_of
from clapstick.reports.survey.stimuli import beeps, flash_and_click, mux, pad_mp4, prepare_sound

ALL_PAGES = ("presentation.training_pages=2", "presentation.attention_pages=2", "presentation.repeated_pages=1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"))


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("design", sorted(built_in_designs()))
def test_same_seed_same_packet_other_seed_another(run: Path, tmp_path: Path, design: str) -> None:
    made = [
        small_packet(run, tmp_path / name, design, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, again, other = (tree(m.packet) for m in made)
    assert first == again
    assert made[0].key.read_bytes() == made[1].key.read_bytes()
    assert first["plan.json"] != other["plan.json"]


def test_video_foley_pages_hold_all_systems_and_the_truth(run: Path, tmp_path: Path) -> None:
    plan, key = plan_and_key(small_packet(run, tmp_path, extra=ALL_PAGES, raters=6))
    for session in plan.sessions:
        kinds = Counter(page.kind for page in session.pages)
        assert kinds == {"training": 2, "rating": 5, "attention": 2}
        met: list[tuple[str, str]] = []
        for page in session.pages:
            if page.kind == "rating":
                systems = {key.sounds[sound].system for sound in page.sounds}
                assert systems == {"video-foley", "syncfusion", "two-stage-tiny", "spec-vqgan", "reference"}
                assert len({key.sounds[sound].clip for sound in page.sounds}) == 1
                if page.id not in key.repeats:
                    met += [(key.sounds[sound].clip, key.sounds[sound].system) for sound in page.sounds]
        assert len(set(met)) == len(met) == 20
        repeated = next(page for page in session.pages if page.id in key.repeats)
        original = next(page for page in session.pages if page.id == key.repeats[repeated.id])
        assert repeated.sounds == original.sounds[::-1]
    roles = Counter(sound.role for sound in key.sounds.values())
    assert roles == {"test": 20, "training": 10, "attention": 5, "example": 8}


def test_rewas_pages_have_one_sound_one_criterion_and_one_truth_a_rater(run: Path, tmp_path: Path) -> None:
    extra = ("presentation.clips_per_rater=2",)
    plan, key = plan_and_key(small_packet(run, tmp_path, "rewas", extra=extra, raters=6))
    assert Counter(session.criteria for session in plan.sessions) == {
        ("audio-quality",): 2,
        ("relevance",): 2,
        ("temporal-alignment",): 2,
    }
    for session in plan.sessions:
        systems = Counter(key.sounds[page.sounds[0]].system for page in session.pages)
        assert all(len(page.sounds) == 1 for page in session.pages)
        assert systems == {
            "video-foley": 2,
            "syncfusion": 2,
            "two-stage-tiny": 2,
            "spec-vqgan": 2,
            "reference": 1,
        }


def test_the_paper_s_rater_answers_21_questions() -> None:
    # ReWaS, appendix A.4: five samples of each of four methods and one ground truth.
    show = find_design("rewas").presentation
    assert show.clips_per_rater * 4 + show.extra_references == 21


def test_forced_choice_pages_hold_two_different_systems(run: Path, tmp_path: Path) -> None:
    plan, key = plan_and_key(small_packet(run, tmp_path, "2afc", raters=6))
    pages = [page for session in plan.sessions for page in session.pages]
    pairs = Counter(tuple(sorted(key.sounds[sound].system for sound in page.sounds)) for page in pages)
    assert len(pairs) == 6
    assert set(pairs.values()) == {4}


def test_packet_names_no_system_and_no_clip(run: Path, tmp_path: Path) -> None:
    made = small_packet(run, tmp_path, extra=ALL_PAGES)
    _, key = plan_and_key(made)
    told = [
        *(name.encode() for name in ("syncfusion", "spec-vqgan", "two-stage-tiny")),
        b"clip 3",
        b"source-",
        str(run).encode(),
    ]
    for path in made.packet.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for secret in told:
                assert secret not in data, f"{path.name} tells {secret!r}"
    assert not any(path.samefile(made.key) for path in made.packet.rglob("*"))
    assert str(key.seed) not in json.loads((made.packet / "plan.json").read_text())
    assert made.key.stat().st_mode & 0o077 == 0


def test_media_of_a_clip_have_one_size_and_date_and_no_tags(run: Path, tmp_path: Path) -> None:
    import av

    made = small_packet(run, tmp_path)
    _, key = plan_and_key(made)
    sizes: dict[str, set[int]] = {}
    for number, sound in key.sounds.items():
        path = made.packet / "media" / f"{number}.mp4"
        sizes.setdefault(sound.clip, set()).add(path.stat().st_size)
        assert path.stat().st_mtime == 0
        with av.open(str(path)) as container:
            assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
    assert all(len(own) == 1 for own in sizes.values())


def test_media_sound_is_the_run_s_sample_by_sample(run: Path, tmp_path: Path) -> None:
    from clapstick.protocols.archive import RunArchive
    from clapstick.protocols.audio import read_wav

    made = small_packet(run, tmp_path)
    _, key = plan_and_key(made)
    clips = {clip.id: clip for clip in RunArchive(run).read_clips()}
    number, sound = next((n, s) for n, s in key.sounds.items() if s.role == "test")
    path = made.packet / "media" / f"{number}.mp4"
    played = read_audio(path).samples
    wav = read_wav(RunArchive(run).audio_wav(sound.system, clips[sound.clip])).samples[: played.shape[0]]
    assert played.shape[0] == 8000
    assert np.abs(played - wav).max() <= 1.5 / 32768
    assert probe(path).video_duration_s == pytest.approx(0.5, abs=0.02)


def test_changed_plan_and_wrong_key_are_refused(run: Path, tmp_path: Path) -> None:
    made, other = (small_packet(run, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 2)))
    plan = read_plan(made.packet)
    assert sha256_of(plan) == made.plan_sha256
    with pytest.raises(ClapstickError, match="key belongs to another packet"):
        read_key(other.key, plan)
    text = (made.packet / "plan.json").read_text()
    (made.packet / "plan.json").write_text(text.replace('"level":0.95', '"level":0.9'))
    with pytest.raises(ClapstickError, match="plan was changed"):
        read_plan(made.packet)


def test_cells_that_the_run_lacks_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match=r"plastic-scratch.*found clips for cloth-hit, metal-hit"):
        small_packet(run, tmp_path, extra=('questions.rule="cells"',))
    assert not (tmp_path / "packet").exists()
    assert not (tmp_path / "key.json").exists()


def test_key_in_the_packet_existing_folders_and_unknown_systems_are_refused(run: Path, tmp_path: Path) -> None:
    from clapstick.reports.survey.packet import make_packet

    design = find_design("2afc", ["questions.count=2"])
    with pytest.raises(ClapstickError, match="key would lie in the packet"):
        make_packet(run, design, raters=2, seed=0, out=tmp_path / "p", key_path=tmp_path / "p" / "key.json")
    with pytest.raises(ClapstickError, match=r"nobody.*expected video-foley"):
        make_packet(
            run, design, raters=2, seed=0, out=tmp_path / "p", key_path=tmp_path / "k.json", systems=["nobody"]
        )
    (tmp_path / "p").mkdir()
    with pytest.raises(ClapstickError, match="packet folder exists"):
        make_packet(run, design, raters=2, seed=0, out=tmp_path / "p", key_path=tmp_path / "k.json")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("questions.colour=1", "unknown design key"),
        ('kind="forced-choice"', "a forced choice shows pairs"),
        ("presentation.clips_per_rater=-1", "greater than or equal to 0"),
        ("questions.rule", "override has no value; found no ="),
        ("criteria=[]", "at least 1 item"),
        ("questions.cells=[]", "needs questions.cells"),
    ],
)
def test_wrong_designs_are_refused_with_the_key(override: str, message: str) -> None:
    with pytest.raises(ClapstickError, match=message):
        find_design("video-foley", [override])


def test_text_needs_no_quotes_that_a_shell_takes_away() -> None:
    quoted = find_design("video-foley", ['title="Our own"'])
    assert find_design("video-foley", ["title=Our own"]) == quoted


def test_changed_design_does_not_keep_its_name() -> None:
    assert find_design("video-foley").name == "video-foley"
    assert find_design("video-foley", ["stimuli.duration_s=3.0"]).name == "video-foley-modified"
    with pytest.raises(ClapstickError, match="Did you mean video-foley"):
        find_design("video-foly")


def test_gain_policies_by_hand() -> None:
    # Half-scale 1 kHz sine to -20 dBFS peak: gain 0.1 / 0.5 = 0.2, that is -13.98 dB.
    tone = Audio(
        (0.5 * np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)).astype(np.float32)[:, None], 48_000
    )
    rules = StimulusRules(duration_s=1, loudness="peak", loudness_target_db=-20, height_px=240)
    assert prepare_sound(tone, rules, 1.0).gain_db == pytest.approx(-13.98, abs=0.01)
    # BS.1770: a full-scale 997 Hz sine in one channel reads -3.01 LUFS, so half scale reads -9.03.
    lufs = rules.model_copy(update={"loudness": "lufs", "loudness_target_db": -23.0})
    assert prepare_sound(tone, lufs, 1.0).gain_db == pytest.approx(-23 + 9.03, abs=0.1)
    silent = Audio(np.zeros((48_000, 1), dtype=np.float32), 48_000)
    assert prepare_sound(silent, lufs, 1.0).gain_db == 0.0
    loud = lufs.model_copy(update={"loudness_target_db": 0.0})
    assert np.abs(prepare_sound(tone, loud, 1.0).audio.samples).max() <= 10 ** (-1 / 20) + 1e-6
    as_is = prepare_sound(Audio(tone.samples * 3, 48_000), rules.model_copy(update={"loudness": "none"}), 1.0)
    assert as_is.clipped_samples > 0


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_beeps_can_be_counted(count: int) -> None:
    sound = np.abs(beeps(count, 4.0, 16_000).samples[:, 0])
    loud = np.convolve(sound, np.ones(400) / 400, mode="same") > 0.02
    assert int(np.diff(loud.astype(int)).clip(0).sum()) == count


@pytest.mark.parametrize("late_s", [0.0, 0.24, -0.24])
def test_click_comes_as_much_after_the_flash_as_asked(tmp_path: Path, late_s: float) -> None:
    from clapstick.protocols.media import read_frames

    path = tmp_path / "check.mp4"
    path.write_bytes(flash_and_click(late_s))
    frames = read_frames(path, start_s=0, duration_s=3, fps=100, height=90, width=160, pixel_format="gray")
    flash_s = np.flatnonzero(frames.mean(axis=(1, 2)) > 128)[0] / 100
    click_s = np.flatnonzero(np.abs(read_audio(path).samples[:, 0]) > 0.1)[0] / 48_000
    assert click_s - flash_s == pytest.approx(late_s, abs=0.01)


def test_padding_changes_the_size_and_nothing_else(tmp_path: Path) -> None:
    data = flash_and_click(0.0)
    path = tmp_path / "padded.mp4"
    path.write_bytes(pad_mp4(data, len(data) + 5000))
    plain = tmp_path / "plain.mp4"
    plain.write_bytes(data)
    assert path.stat().st_size == len(data) + 5000
    assert np.array_equal(read_audio(path).samples, read_audio(plain).samples)
    with pytest.raises(ValueError, match="8 bytes"):
        pad_mp4(data, len(data) + 3)


def test_stereo_sound_keeps_its_channels(tmp_path: Path) -> None:
    from fractions import Fraction

    from clapstick.reports.survey.stimuli import Picture, encode_picture

    rng = np.random.default_rng(0)
    audio = Audio(rng.uniform(-0.5, 0.5, (8000, 2)).astype(np.float32), 16_000)
    picture = encode_picture(Picture([np.zeros((120, 160, 3), np.uint8)] * 10, Fraction(20)))
    path = tmp_path / "stereo.mp4"
    path.write_bytes(mux(picture, audio))
    assert np.abs(read_audio(path).samples - audio.samples).max() <= 1.5 / 32768
