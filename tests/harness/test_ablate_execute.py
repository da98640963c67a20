"""Carrying out sweeps with real training and real runs: failures are named, points shared, kills harmless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from clapstick.harness.ablate.execute import PointResult, fitting, key_of_data, make_tasks, run_points
from clapstick.harness.ablate.halving import GivenUp, run_halving
from clapstick.harness.ablate.results import collect
from clapstick.harness.ablate.sweep import Sweep, points_of
from clapstick.harness.cli.ablate import write_results
from clapstick.protocols.problems import ClapstickError, Problem
from clapstick.protocols.synthetic.make import make_synthetic_hits
from clapstick.protocols.synthetic.settings import SyntheticSettings

TOO_WIDE = 200_000
"""Convolutions of 800 GB."""


def sweep(**changes) -> Sweep:
    values = {
        "name": "small",
        "title": "Small",
        "question": "q",
        "paper": "p",
        "paper_says": "s",
        "protocol": "synthetic-hits",
        "system": "two-stage-tiny-shaper",
        "seeds": [0],
        "metrics": ["e-l1:video2rms", "acc-at-1:tolerance"],
        "choose": "e-l1:video2rms",
        "base": {"train.epochs": 1},
        "grid": {"video2rms.classes": [16]},
    }
    return Sweep.model_validate(values | changes)


@pytest.fixture(scope="module")
def trainable(tmp_path_factory) -> Path:
    """Two training and two test videos, a little longer than a window of the tiny stage 1."""
    settings = SyntheticSettings(train_videos=2, test_videos=2, duration_s=3.3, seed=4)
    folder = tmp_path_factory.mktemp("trainable")
    return make_synthetic_hits(settings, folder, workers=1, progress=False)


@pytest.fixture(scope="module")
def carried_out(trainable, tmp_path_factory):
    """A sweep of which one point is impossible, one needs too much memory and one works."""
    root = tmp_path_factory.mktemp("runs")
    wanted = sweep(
        grid={"video2rms.channels": [-1, TOO_WIDE, 16]}, controls=["disc-rms"], base={"train.epochs": 1}
    )
    return wanted, root, run_points(wanted, list(points_of(wanted)), trainable, root, workers=2)


def test_failing_points_are_named_and_the_others_go_on(carried_out):
    wanted, _, outcomes = carried_out
    by_label = {point.label: outcome for point, outcome in outcomes.items()}
    too_wide = by_label[f"channels {TOO_WIDE}"]
    assert isinstance(too_wide, Problem)
    assert too_wide.what == "out of memory"
    assert too_wide.where == f"small, channels {TOO_WIDE}, seed 0"
    assert isinstance(by_label["channels -1"], Problem)
    assert isinstance(by_label["channels 16"], PointResult)
    results = collect(wanted, outcomes)
    assert [name for name, _ in results.failures] == ["channels -1, seed 0", f"channels {TOO_WIDE}, seed 0"]
    row = results.table[(results.table.setting == "channels 16") & (results.table.score == wanted.choose)].iloc[
        0
    ]
    assert row["mean"] > 0
    assert row.parameters > 0
    assert row.train_s > 0
    failed = results.table[results.table.setting == "channels -1"]
    assert set(failed.reason) == {"no point of this setting worked"}


def test_points_are_shared_by_content(carried_out, trainable):
    _, root, outcomes = carried_out
    (worked,) = (done for point, done in outcomes.items() if point.setting and isinstance(done, PointResult))
    other = sweep(name="other", title="Other", grid={"video2rms.channels": [16]})
    (point,) = points_of(other)
    (again,) = run_points(other, [point], trainable, root, workers=1).values()
    assert isinstance(again, PointResult)
    assert again.reused
    assert again.folder == worked.folder
    scored_otherwise = sweep(grid={"video2rms.channels": [16]}, metrics=["e-l1:v2s"], choose="e-l1:v2s")
    (point,) = points_of(scored_otherwise)
    (other_scores,) = run_points(scored_otherwise, [point], trainable, root, workers=1).values()
    assert isinstance(other_scores, PointResult)
    assert other_scores.folder != worked.folder, "other scores: another archive"
    assert other_scores.train_s == worked.train_s, "the training is shared"
    assert len(list((root / "models").iterdir())) == 1


def test_content_is_seed_settings_and_data(trainable, tmp_path):
    from clapstick.harness.ablate.resolve import resolve

    def folders(wanted: Sweep, data: Path) -> list[Path]:
        tasks = make_tasks(wanted, list(points_of(wanted)), data, tmp_path)
        return [task.model_folder(resolve(task.sweep, task.point)) for task in tasks]

    seeds = folders(sweep(seeds=[0, 1]), trainable)
    assert len(set(seeds)) == 2
    assert folders(sweep(name="renamed", notes=["n"]), trainable) == seeds[:1]
    copy = tmp_path / "data"
    copy.mkdir()
    (copy / "a.wav").write_bytes(b"1")
    before = key_of_data(copy)
    (copy / "a.wav").write_bytes(b"22")
    assert key_of_data(copy) != before
    with pytest.raises(ClapstickError, match="data folder is missing"):
        key_of_data(tmp_path / "nowhere")


def test_points_side_by_side_fit_into_free_memory(monkeypatch):
    monkeypatch.setattr("clapstick.harness.memory.available_bytes", lambda: 10 * 1024**3)
    assert fitting(1024**3) == 8  # 0.8 of 10 GiB
    assert fitting(7 * 1024**3) == 1
    assert fitting(100 * 1024**3) == 1


def test_page_and_table_of_a_sweep_with_failures(carried_out):
    wanted, root, outcomes = carried_out
    page = write_results(collect(wanted, outcomes), root / "small").read_text(encoding="utf-8")
    assert "out of memory" in page
    assert "No choice: fewer than two settings worked" in page
    table = (root / "small" / "table.csv").read_text()
    assert "train_s" not in table
    assert "disc-rms" in table


@pytest.mark.slow
def test_halving_gives_settings_up_and_says_so(trainable, tmp_path):
    wanted = sweep(grid={"video2rms.classes": [4, 64]}, base={"train.epochs": 4})
    outcomes = run_halving(wanted, list(points_of(wanted)), trainable, tmp_path, workers=2)
    kinds = sorted(type(outcome).__name__ for outcome in outcomes.values())
    assert kinds == ["GivenUp", "PointResult"]
    results = collect(wanted, outcomes)
    assert not results.failures
    (given_up,) = (point for point, outcome in outcomes.items() if isinstance(outcome, GivenUp))
    reasons = set(results.table[results.table.setting == given_up.label].reason)
    assert reasons == {"given up after 25 % of its training: in the worse half then"}


def start(trainable: Path, runs: Path, toml: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from clapstick.harness.cli import main; main()"]
    command += ["ablate", str(toml), "--data", str(trainable), "--out", str(runs), "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.slow
def test_a_killed_sweep_ends_with_the_same_table(trainable, tmp_path):
    toml = tmp_path / "small.toml"
    toml.write_text(
        'name = "small"\ntitle = "t"\nquestion = "q"\npaper = "p"\npaper_says = "s"\n'
        'protocol = "synthetic-hits"\n'
        'system = "two-stage-tiny-shaper"\ncontrols = ["disc-rms"]\nseeds = [0, 1]\nmetrics = ["e-l1:v2s"]\n'
        'choose = "e-l1:v2s"\n[base]\n"train.epochs" = 4\n"train.validate_every" = 1\n'
        '[grid]\n"video2rms.classes" = [16, 0]\n[tied]\n"disc-rms.bins" = "video2rms.classes"\n'
    )
    started = time.monotonic()
    whole = start(trainable, tmp_path / "whole", toml)
    _, errors = whole.communicate(timeout=900)
    assert whole.returncode == 0, errors.decode()
    lasts_s = time.monotonic() - started
    for share in (0.3, 0.6):
        process = start(trainable, tmp_path / "killed", toml)
        time.sleep(share * lasts_s)
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive, "workers of a killed sweep must not go on"
    again = start(trainable, tmp_path / "killed", toml)
    _, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors.decode()
    table = Path("small") / "table.csv"
    assert (tmp_path / "killed" / table).read_bytes() == (tmp_path / "whole" / table).read_bytes()
