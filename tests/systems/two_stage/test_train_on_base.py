"""A ControlNet is trained on a small file in AudioLDM's layout, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from official_audioldm import write_official
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage import training_runs
from clapstick.systems.two_stage.official import load_audioldm_base, load_official_rms2sound
from clapstick.systems.two_stage.rms2sound import load_rms2sound
from clapstick.systems.two_stage.train_rms2sound import TRAININGS
from tests.protocols.test_greatest_hits_reader import add_recording


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One recording that is a little longer than a window of 10.24 s."""
    folder = tmp_path / "data"
    folder.mkdir()
    add_recording(folder, "a", seconds=10.5, times="1.0 wood hit static\n")
    noise = np.random.default_rng(0).standard_normal(round(10.5 * 16_000)) * 0.05
    soundfile.write(folder / "a_denoised.wav", noise, 16_000)
    (folder / "train.txt").write_text("a\n")
    (folder / "test.txt").write_text("")
    return folder


def test_only_the_controlnet_learns_and_the_base_stays(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_official(tmp_path / "audioldm.ckpt", "audioldm").state_dict()
    short = TRAININGS["video-foley"].model_copy(update={"batch_size": 1, "precision": "no"})
    monkeypatch.setitem(training_runs.RMS2SOUND_TRAININGS, "video-foley", short)  # type: ignore[arg-type]
    command = [
        "train",
        "rms2sound",
        "--config",
        "video-foley",
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    told = ["--base", str(tmp_path / "audioldm.ckpt"), "--control-steps", "2", "--json"]
    done = CliRunner().invoke(build_app(), [*command, *told], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    trained = load_rms2sound(Path(json.loads(done.stdout)["checkpoint"]))
    assert trained.config.unet.widths == (32, 64, 96, 160)
    frozen = {name: tensor for name, tensor in base.items() if not name.startswith("controlnet.")}
    kept = trained.state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in frozen.items())
    unet = {f"controlnet.{name.removeprefix('unet.')}": tensor for name, tensor in frozen.items()}
    copied = [name for name in kept if name in unet]
    assert any(not torch.equal(kept[name], unet[name]) for name in copied)
    # Two steps of AdamW at 1e-4 move no weight by more than that each.
    assert max(float((kept[name] - unet[name]).abs().max()) for name in copied) < 3e-4


def test_without_a_base_it_says_so(tmp_path: Path, data: Path) -> None:
    command = ["train", "rms2sound", "--config", "video-foley", "--data", str(data), "--out", str(tmp_path)]
    with pytest.raises(ClapstickError, match=r"training needs a base.*Give it with --base"):
        CliRunner().invoke(build_app(), command, catch_exceptions=False)


def test_released_stage_two_of_video_foley_loads_by_name(tmp_path: Path) -> None:
    wanted = write_official(tmp_path / "released.pth", "video-foley").state_dict()
    loaded = load_official_rms2sound(tmp_path / "released.pth").model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in wanted.items())


def test_files_that_are_no_base_are_named(tmp_path: Path) -> None:
    (tmp_path / "text.ckpt").write_text("no tensors")
    with pytest.raises(ClapstickError, match="checkpoint cannot be read"):
        load_audioldm_base(tmp_path / "text.ckpt")
    write_official(tmp_path / "part.ckpt", "audioldm")
    state = torch.load(tmp_path / "part.ckpt", weights_only=True)["state_dict"]
    for missing in ("scale_factor", "first_stage_model.vocoder.conv_pre.weight"):
        torch.save({name: tensor for name, tensor in state.items() if name != missing}, tmp_path / "part.ckpt")
        with pytest.raises(ClapstickError, match=f"checkpoint lacks {missing}"):
            load_audioldm_base(tmp_path / "part.ckpt")
