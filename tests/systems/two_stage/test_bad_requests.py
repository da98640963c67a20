"""What users give by mistake, to every two-stage system in small: each has its error or its warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nano_two_stage import STAGE_ONE
from official_audioldm import write_official

from clapstick.protocols.clips import Clip, Prompt
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Request
from clapstick.systems.two_stage.block_motion import BlockMotion
from clapstick.systems.two_stage.checkpoints import save_checkpoint
from clapstick.systems.two_stage.clap_prompts import ClapPrompts, PromptedStageTwo
from clapstick.systems.two_stage.energy import load_official_energy
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.official import load_official_rewas
from clapstick.systems.two_stage.rms2sound import CONFIGS, RMS2Sound
from clapstick.systems.two_stage.sampling import Sampling
from clapstick.systems.two_stage.stage_one_windows import predict
from clapstick.systems.two_stage.video2rms import CONFIGS as STAGE_ONE_CONFIGS
from clapstick.systems.two_stage.video2rms import Video2RMS, load_video2rms
from clapstick.systems.two_stage.video_foley import VideoFoley
from tests.protocols.media import make_video


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> ClapPrompts:
    """CLAP's tokenizer with one token a letter, and towers that count."""
    folder = tmp_path_factory.mktemp("tokenizer")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    letters = [*"abcdefghijklmnopqrstuvwxyz", "\u0120"]
    (folder / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(special + letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tower: Any = lambda told: {"embedding": torch.full((1, 512), float(told.shape[1]) / 1e4)}  # noqa: E731
    return ClapPrompts(tower, tower, folder / "vocab.json", folder / "merges.txt")


@pytest.fixture(scope="module")
def system(prompts: ClapPrompts) -> VideoFoley:
    torch.manual_seed(0)
    config = CONFIGS["rewas-tiny"].model_copy(
        update={"control": "rms", "window_frames": 128, "sampling": Sampling(solver="dpm++", steps=2)}
    )
    stage_two = PromptedStageTwo(RMS2Sound(config).eval(), prompts, config.sampling)
    stage_one = Video2RMS(STAGE_ONE_CONFIGS["tiny"]).eval()
    return VideoFoley(stage_one, BlockMotion(), stage_two, envelopes="predicted")


def _request(video: Path, seconds: float, text: str | None = "wood hit") -> Request:
    prompt = Prompt() if text is None else Prompt(kind="text", policy="user", text=text)
    return Request(Clip(id="clip", source="clip", video=video, duration_s=seconds, prompt=prompt), None, None)


def _generate(system: VideoFoley, request: Request) -> Any:
    return system.generate(request, np.random.default_rng(0))


def test_a_video_shorter_than_a_window_is_looped(tmp_path: Path, system: VideoFoley) -> None:
    output = _generate(system, _request(make_video(tmp_path / "v.mp4", 1.0, fps=30), 1.0))
    assert output.audio.samples.shape == (16_000, 1)
    assert any("looped to the window" in warning for warning in output.warnings)


def test_one_frame(tmp_path: Path, system: VideoFoley) -> None:
    request = _request(make_video(tmp_path / "v.mp4", 1 / 30, fps=30), 1 / 30)
    with pytest.raises(ClapstickError, match="too short to see motion; found 1 frame"):
        _generate(system, request)


def test_longer_than_ten_minutes(tmp_path: Path, system: VideoFoley) -> None:
    request = _request(tmp_path / "none.mp4", 600.5)
    with pytest.raises(ClapstickError, match=r"clip is too long; found 600.5 s; expected 600 s at most"):
        _generate(system, request)
    envelope = Envelope(np.zeros(75_062), 125.0)
    with pytest.raises(ClapstickError, match="clip is too long"):
        system.generate_from_envelope(request, envelope, np.random.default_rng(0))


def test_a_still_picture_makes_sound_all_the_same(tmp_path: Path, system: VideoFoley) -> None:
    output = _generate(system, _request(make_video(tmp_path / "v.mp4", 1.0, fps=30, still=True), 1.0))
    assert np.isfinite(output.audio.samples).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" \n", "text prompt is empty"),
        ("wood " * 500, "text prompt is too long; found 2499 characters"),
        ("wood" * 150, "text prompt is too long; found 602 tokens; expected 512 at most"),
    ],
)
def test_prompts(tmp_path: Path, system: VideoFoley, text: str, message: str) -> None:
    request = _request(tmp_path / "none.mp4", 1.0, text)
    with pytest.raises(ClapstickError, match=message):
        system.generate_from_envelope(request, Envelope(np.zeros(125), 125.0), np.random.default_rng(0))


def test_no_prompt_is_the_empty_text(tmp_path: Path, system: VideoFoley) -> None:
    output = system.generate_from_envelope(
        _request(tmp_path / "none.mp4", 1.0, None), Envelope(np.full(125, 0.1), 125.0), np.random.default_rng(0)
    )
    assert np.isfinite(output.audio.samples).all()


@pytest.mark.parametrize("frames", [100, 150])
def test_envelopes_of_another_length(tmp_path: Path, system: VideoFoley, frames: int) -> None:
    with pytest.raises(ClapstickError, match="envelope has another length than the clip"):
        system.generate_from_envelope(
            _request(tmp_path / "none.mp4", 1.0), Envelope(np.zeros(frames), 125.0), np.random.default_rng(0)
        )


def test_checkpoints_of_other_networks(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "two.safetensors", {}, CONFIGS["tiny"])
    with pytest.raises(ClapstickError, match="another kind of network"):
        load_video2rms(tmp_path / "two.safetensors")
    torch.save({"projection1.0.weight": torch.zeros(4, 4)}, tmp_path / "phi.ckpt")
    with pytest.raises(ClapstickError, match=r"another configuration; found projection1.0.weight: \(4, 4\)"):
        load_official_energy(tmp_path / "phi.ckpt")
    write_official(tmp_path / "video-foley.pth", "video-foley")
    with pytest.raises(ClapstickError, match="does not hold the energy adapter; found 0 tensors; expected 332"):
        load_official_rewas(tmp_path / "video-foley.pth")


def test_stage_one_on_a_full_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Video2RMS(STAGE_ONE).eval()
    features = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    wanted = predict(network, features, 2.0, where="clip")
    whole, room = Video2RMS.forward, 1

    def forward(self: Video2RMS, rows: torch.Tensor) -> Any:
        if rows.shape[0] > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, rows)

    monkeypatch.setattr(Video2RMS, "forward", forward)
    found = predict(network, features, 2.0, where="clip", batch=2)
    assert found.warnings == ("stage 1 is out of GPU memory: went on with 1 windows at once",)
    np.testing.assert_allclose(found.envelope, wanted.envelope, atol=1e-6)
    room = 0
    with pytest.raises(ClapstickError, match="clip: one window alone does not fit into the GPU's memory"):
        predict(network, features, 2.0, where="clip", batch=2)
