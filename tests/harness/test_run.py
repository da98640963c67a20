"""A whole run over a small data set: archive, scores, resuming, faults of systems and of the machine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clapstick.harness.run import run, score_again
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import ClapstickError

FAULTY = str(Path(__file__).parent / "faulty")
SYSTEMS = ("silence", "noise", "shifted-100ms")


def scores_of(archive: RunArchive) -> dict[tuple[str, str, str], float | None]:
    return {(r.system, r.metric, r.convention): r.value for r in archive.read_summary()}


@pytest.fixture(scope="module")
def finished(hits, tmp_path_factory):
    """One finished run that tests only read."""
    from clapstick.harness.settings import RunSettings
    from clapstick.protocols.protocol import find_protocol
    from clapstick.systems.registry import find_system

    out = tmp_path_factory.mktemp("finished") / "run"
    systems = tuple(find_system(name) for name in SYSTEMS)
    return run(RunSettings(find_protocol("synthetic-hits"), hits, systems, out, workers=2))


def test_the_reference_row_is_always_there_and_brackets_the_metrics(finished):
    assert finished.failures == ()
    scores = scores_of(finished.archive)
    assert scores["reference", "e-l1", "v2s"] == 0.0
    assert scores["reference", "envelope-correlation", "rms"] == pytest.approx(1.0)
    assert scores["silence", "e-l1", "v2s"] > 0
    assert scores["shifted-100ms", "envelope-correlation", "rms"] < 1.0


def test_every_sound_is_archived_with_exact_length_and_record(finished):
    archive = finished.archive
    clips = archive.read_clips()
    assert len(clips) == 4
    for system in ("reference", *SYSTEMS):
        for clip in clips:
            info = soundfile.info(archive.audio_wav(system, clip))
            assert (info.frames, info.samplerate, info.channels) == (32_000, 16_000, 1)
            native = archive.read_native(system, clip)
            standard = archive.read_standard(system, clip)
            assert standard.native_sha256 == native.sha256
            assert native.seed > 0


def test_a_clip_score_can_be_recomputed_from_the_archived_sound(finished):
    # E-L1 by its definition, with numpy alone: reflect pad 192, windows 512, hop 128, mean absolute difference.
    archive = finished.archive
    clip = archive.read_clips()[0]

    def envelope(system):
        samples, _ = soundfile.read(archive.audio_wav(system, clip))
        padded = np.pad(samples, 192, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 512)[::128]
        return np.sqrt((windows**2).mean(axis=1))

    expected = np.abs(envelope("noise") - envelope("reference")).mean()
    scores = archive.read_scores().set_index(["system", "clip", "metric", "convention"]).value
    assert scores["noise", clip.id, "e-l1", "v2s"] == pytest.approx(expected, rel=1e-9)


def test_every_record_carries_signature_interval_and_n(finished):
    for record in finished.archive.read_summary():
        assert f"metric:{record.metric}|convention:{record.convention}|n:{record.n}|" in record.signature
        assert (record.value is None) == (record.reason is not None)
        if record.value is not None:
            assert record.n + len(record.missing) == 4
            if record.ci_low is not None:
                assert record.ci_low <= record.value <= record.ci_high


def test_topk_accuracy_of_a_system_without_logits_is_a_reason(finished):
    reasons = {
        r.reason for r in finished.archive.read_summary() if r.metric == "acc-at-5" and r.convention == "topk"
    }
    assert all(reason and "logits" in reason for reason in reasons)


def test_a_second_run_makes_nothing_again(settings_for):
    outcome = run(settings_for("noise"))
    made = {path: path.stat().st_mtime_ns for path in outcome.archive.root.rglob("*.wav")}
    summary = (outcome.archive.root / "summary.json").read_bytes()
    assert run(settings_for("noise")).failures == ()
    assert {path: path.stat().st_mtime_ns for path in outcome.archive.root.rglob("*.wav")} == made
    assert (outcome.archive.root / "summary.json").read_bytes() == summary


def test_workers_and_order_of_systems_do_not_change_a_byte(settings_for, tmp_path):
    one = run(settings_for("noise", "random-envelope", out=tmp_path / "one", workers=1)).archive
    three = run(settings_for("random-envelope", "noise", out=tmp_path / "three", workers=3)).archive
    for clip in one.read_clips():
        for system in ("noise", "random-envelope"):
            assert one.native_wav(system, clip).read_bytes() == three.native_wav(system, clip).read_bytes()
    assert scores_of(one) == scores_of(three)


def test_another_seed_gives_another_noise(settings_for, tmp_path):
    zero = run(settings_for("noise", out=tmp_path / "zero", limit=1)).archive
    one = run(settings_for("noise", out=tmp_path / "one", limit=1, seed=1)).archive
    clip = zero.read_clips()[0]
    assert zero.native_wav("noise", clip).read_bytes() != one.native_wav("noise", clip).read_bytes()


def test_a_changed_sound_never_returns_an_old_score(settings_for):
    archive = run(settings_for("noise")).archive
    before = scores_of(archive)
    clip = archive.read_clips()[0]
    path = archive.native_wav("noise", clip)
    samples, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, samples / 2, rate, subtype="FLOAT")
    record = json.loads(path.with_suffix(".json").read_text())
    record["sha256"] = "changed by hand"
    path.with_suffix(".json").write_text(json.dumps(record))
    after = scores_of(score_again(archive.root, 1, "cpu").archive)
    assert after["noise", "e-l1", "v2s"] != before["noise", "e-l1", "v2s"]
    assert after["reference", "e-l1", "v2s"] == before["reference", "e-l1", "v2s"]


def test_systems_can_be_added_to_a_run(settings_for):
    run(settings_for("silence"))
    archive = run(settings_for("noise")).archive
    assert {system for system, _, _ in scores_of(archive)} == {"reference", "silence", "noise"}


def test_a_limit_takes_the_first_clips_and_the_same_prompts(settings_for, tmp_path):
    whole = run(settings_for("silence", out=tmp_path / "whole")).archive.read_clips()
    part = run(settings_for("silence", out=tmp_path / "part", limit=2)).archive.read_clips()
    assert part == whole[:2]


def test_a_system_that_breaks_its_contract_costs_its_own_clips(settings_for, hits):
    outcome = run(settings_for(FAULTY, "silence", limit=4))
    found = {error.clip: error.problem.what for error in outcome.failures}
    # By the order of the clips: one good, then an exception, NaN samples, another rate than the card's.
    assert [found.get(clip.id) for clip in outcome.archive.read_clips()] == [
        None,
        "RuntimeError: out of ideas",
        "1 samples are NaN or infinite",
        "system emitted another rate than its card states",
    ]
    record = next(r for r in outcome.archive.read_summary() if r.system == "faulty" and r.metric == "e-l1")
    assert (record.n, len(record.missing)) == (1, 3)
    silence = next(r for r in outcome.archive.read_summary() if r.system == "silence" and r.metric == "e-l1")
    assert silence.n == 4


def test_other_settings_over_the_same_archive_are_refused(settings_for):
    run(settings_for("silence", limit=1))
    with pytest.raises(
        ClapstickError, match=r"this run has another seed; found 1; expected 0\. Name another --out"
    ):
        run(settings_for("silence", limit=1, seed=1))


def test_unknown_metrics_and_parameters_are_named(settings_for):
    settings = settings_for("silence")
    misspelt = settings.protocol.model_copy(update={"metrics": ("e-l2",)})
    with pytest.raises(ClapstickError, match=r"found e-l2; expected one of .*Did you mean e-l1\?"):
        run(settings_for("silence", out=settings.out).__class__(**{**settings.__dict__, "protocol": misspelt}))
    with pytest.raises(ClapstickError, match="system has no such parameter; found volume"):
        run(settings_for("silence", parameters={"silence": {"volume": 11}}))
    for wrong in ("abc", True):
        message = rf"t2a\.steps: .*another kind; found {wrong}; expected a number, such as 12\. Correct --set"
        with pytest.raises(ClapstickError, match=message):
            run(settings_for("t2a", parameters={"t2a": {"steps": wrong}}))


def test_an_empty_data_folder_is_named(settings_for, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ClapstickError, match="nothing: no video; expected files ending in"):
        run(settings_for("silence", protocol="folder", data=tmp_path / "nothing"))


def test_an_output_that_cannot_be_written_is_named(settings_for):
    with pytest.raises(ClapstickError, match=r"run folder|/proc|cannot write"):
        run(settings_for("silence", out=Path("/proc/clapstick-run")))


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_stops_with_the_way_out_and_goes_on_afterwards(settings_for, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"mount is refused here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(ClapstickError, match=r"No space left on device.*Free space"):
            run(settings_for("silence", "noise", out=disk / "run"))
        kept = list((disk / "run" / "native").rglob("*.wav"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=200M", str(disk)], check=True)
        outcome = run(settings_for("silence", "noise", out=disk / "run"))
        assert outcome.failures == ()
        assert all(path.is_file() for path in kept)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


SUDDEN = """
import sys
import numpy as np
from clapstick.protocols.audio import Audio
from clapstick.systems.base import NativeOutput

class Sudden:
    def generate(self, request, rng):
        print("a line on standard output")
        if request.clip.id.endswith("1"):
            sys.exit(0)
        return NativeOutput(Audio(np.zeros((16_000, 1), np.float32), 16_000))

def build(context):
    return Sudden()
"""


def test_a_system_that_exits_and_prints_costs_its_own_clip_and_leaves_stdout_alone(
    settings_for, tmp_path, capfd
):
    folder = tmp_path / "sudden"
    folder.mkdir()
    (folder / "sudden.py").write_text(SUDDEN)
    (folder / "system.toml").write_text(
        'name = "sudden"\ntitle = "Sudden"\nsummary = "Leaves."\nentry = "sudden.py:build"\n'
    )
    outcome = run(settings_for(str(folder), "silence"))
    assert [error.problem.what for error in outcome.failures] == ["SystemExit: 0"]
    silence = next(r for r in outcome.archive.read_summary() if r.system == "silence" and r.metric == "e-l1")
    assert silence.n == 4
    assert "standard output" not in capfd.readouterr().out


def test_options_without_effect_are_refused(settings_for):
    with pytest.raises(ClapstickError, match=r"noise: system is not in this run; expected reference, silence"):
        run(settings_for("silence", parameters={"noise": {"level": 1}}))
