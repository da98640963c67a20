"""FOL-AI's ControlNet learns, a killed training ends with the same weights, and the base stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage.features import FeatureCache
from clapstick.systems.two_stage.fol_ai_sound import CONFIGS, FolAISound, load_fol_ai
from clapstick.systems.two_stage.stable_audio import StableAudio
from clapstick.systems.two_stage.stage_one_data import load_example
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.train_fol_ai import (
    FolAITraining,
    StereoSound,
    load_stereo_sounds,
    train_fol_ai,
)
from clapstick.systems.two_stage.training_runs import run_fol_ai
from clapstick.systems.two_stage.video2rms import CONFIGS as STAGE_ONE

CONFIG = CONFIGS["fol-ai-tiny"].model_copy(update={"cavp": False})
TRAINING = FolAITraining(steps=4, batch_size=2, learning_rate=1e-3, save_every=2, precision="no", ema_decay=0.5)


def _model() -> FolAISound:
    torch.manual_seed(0)
    return FolAISound(CONFIG, StableAudio(CONFIG.dit, CONFIG.vae))


def _sounds() -> list[StereoSound]:
    rng = np.random.default_rng(0)
    beat = (np.arange(60_000) % 20_000 < 4000) * 0.2
    samples = (rng.standard_normal((2, 60_000)) * beat).astype(np.float32)
    clip = Clip(id="a", source="a", video=Path("none.mp4"), duration_s=60_000 / 44_100)
    return [StereoSound(clip, samples, np.abs(rng.standard_normal((2, 170))) * 0.1, None)]


class KilledError(Exception):
    """Stands for a kill."""


def _train(out: Path, kill_after: int | None = None) -> tuple[Path, FolAISound]:
    calls = 0

    def prompt_of(windows: Sequence[np.ndarray]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if kill_after is not None and calls > kill_after:
            raise KilledError
        return torch.ones(len(windows), 512) / 512**0.5

    model = _model()
    return train_fol_ai(_sounds(), model, TRAINING, out, seed=2, prompt_of=prompt_of), model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FolAISound]:
    """Checkpoint and network of one whole training."""
    return _train(tmp_path_factory.mktemp("whole"))


def test_it_learns_and_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, trained: tuple[Path, FolAISound]
) -> None:
    path, whole = trained
    assert path.name == "controlnet.safetensors"
    with pytest.raises(KilledError):
        _train(tmp_path / "killed", kill_after=3)
    _, again = _train(tmp_path / "killed")
    before, after, resumed = (model.state_dict() for model in (_model(), whole, again))
    assert all(torch.equal(after[name], resumed[name]) for name in after)
    changed = {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"control"}
    assert all(zero.weight.any() for zero in whole.control.controlnet.zero_out)


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        _train(tmp_path, kill_after=2)
    with pytest.raises(ClapstickError, match="folder holds another training"):
        train_fol_ai(
            _sounds(), _model(), TRAINING, tmp_path, seed=9, prompt_of=lambda windows: torch.zeros(2, 512)
        )


def test_checkpoint_loads_onto_its_base(tmp_path: Path, trained: tuple[Path, FolAISound]) -> None:
    model = _model()
    for part, folder in (("dit", "transformer"), ("vae", "vae"), ("lengths", "projection_model")):
        getattr(model.base, part).save_pretrained(tmp_path / "base" / folder)
    path, whole = trained
    loaded = load_fol_ai(path, tmp_path / "base")
    assert loaded.config == CONFIG
    wanted = whole.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.state_dict().items())


def test_recordings_shorter_than_a_window_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((44_100, 2)), 44_100)
    clip = Clip(id="a", source="a", video=tmp_path / "a.mp4", duration_s=1.0, reference=tmp_path / "a.wav")
    # 24 latent frames of 2048 samples are 1.11 s.
    with pytest.raises(ClapstickError, match=r"every clip is shorter than a training window.*1.11 s"):
        load_stereo_sounds([clip], CONFIG)
    soundfile.write(tmp_path / "a.wav", np.full((88_200, 1), 0.25), 44_100)
    longer = clip.model_copy(update={"duration_s": 2.0})
    (sound,) = load_stereo_sounds([longer], CONFIG)
    assert sound.samples.shape == (2, 88_200)
    assert sound.rms.shape == (2, 250)
    np.testing.assert_allclose(sound.rms[:, 20:-20], 0.25, rtol=1e-3)


def test_without_a_base_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match=r"training needs a base.*Give it with --base"):
        run_fol_ai(
            data=tmp_path,
            out=tmp_path,
            seed=0,
            steps=1,
            device="cpu",
            note=lambda line: None,
            report=lambda report: None,
            base=None,
            clap=tmp_path / "clap.pt",
        )


def test_stage_one_takes_supplied_features(tmp_path: Path) -> None:
    config = STAGE_ONE["fol-ai"]
    soundfile.write(tmp_path / "a.wav", np.full(160_000, 0.5), 16_000)
    clip = Clip(id="a", source="a", video=tmp_path / "a.mp4", duration_s=10.0, reference=tmp_path / "a.wav")
    supplied = SuppliedFeatures(tmp_path, "TC-CLIP features", "its repository", (1024,))
    np.save(tmp_path / "a.npy", np.ones((300, 1024), dtype=np.float32))
    example = load_example(clip, config, supplied, FeatureCache(None))
    assert example.features.shape == (300, 1024)
    assert example.curve.shape == (1250,)
    np.save(tmp_path / "a.npy", np.ones((299, 1024), dtype=np.float32))
    with pytest.raises(ClapstickError, match="another length than the clip; found 299 rows"):
        load_example(clip, config, supplied, FeatureCache(None))
