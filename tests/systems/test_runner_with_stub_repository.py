"""A whole official runner over a stand-in for its repository: what it asks of the official functions."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from clapstick.protocols.clips import Clip, Prompt
from clapstick.systems.registry import find_system
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.results import Generated
from clapstick.systems.runtimes.run import run_out_of_process

PACKAGE = """
import torch
class Conditioner:
    unconditional_prob = 0.1
    embed_mode = "audio"
class LatentDiffusion(torch.nn.Module):
    def __init__(self, device, cond_stage_key):
        super().__init__()
        assert cond_stage_key == "text"
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.cond_stage_model = Conditioner()
"""
UTILS = """
def default_audioldm_config(name):
    assert name == "audioldm-s-full"
    return {"model": {"params": {}}}
"""
PIPELINE = """
import numpy
def text_to_audio(model, text, seed, ddim_steps, duration, guidance_scale, n_candidate_gen_per_text):
    told = [ord(text[0]), seed, ddim_steps, duration, guidance_scale, n_candidate_gen_per_text]
    told += [model.cond_stage_model.unconditional_prob, float(model.scale)]
    assert model.cond_stage_model.embed_mode == "text"
    sound = numpy.zeros((1, 1, round(duration / 2.5) * 40960 + 32), dtype=numpy.float32)
    sound[0, 0, : len(told)] = told
    return sound
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "AudioLDM" / "audioldm"
    folder.mkdir(parents=True)
    for name, text in (("__init__", PACKAGE), ("utils", UTILS), ("pipeline", PIPELINE)):
        (folder / f"{name}.py").write_text(text)
    return folder.parent


def test_audioldm_runner_hands_over_what_the_card_says(
    repository: Path, tmp_path: Path, video_of_four_seconds: Path
) -> None:
    torch = pytest.importorskip("torch")
    weights = tmp_path / "weights"
    weights.mkdir()
    torch.save({"state_dict": {"scale": torch.full((1,), 3.0)}}, weights / "audioldm-s-full.ckpt")
    prompt = Prompt(kind="text", policy="test", text="A bell")
    clip = Clip(id="x", source="x", video=video_of_four_seconds, duration_s=4.0, prompt=prompt)
    silent = clip.model_copy(update={"id": "y", "prompt": Prompt()})
    found = find_system("audioldm")
    results: list[Generated] = []
    failed = run_out_of_process(
        found,
        [clip, silent],
        tmp_path / "job",
        parameters={**found.card.parameters, "steps": 7, "prompt_dropout": 0.0},
        seed_of=lambda _: 11,
        on_result=results.append,
        options=RuntimeOptions(
            runtime="env", python=Path(sys.executable), repository=repository, weights=weights
        ),
    )
    assert [result.clip.id for result in results] == ["x"]
    # 4 s are asked for as 5 s, the next multiple of 2.5 s: 2 x 40,960 + 32 samples.
    samples = results[0].output.audio.samples[:, 0]
    assert results[0].native_samples == (81_952,)
    np.testing.assert_array_equal(samples[:8], np.float32([ord("A"), 11, 7, 5.0, 2.5, 1, 0.0, 3.0]))
    assert [one.clip.id for one in failed if one.clip] == ["y"]
    assert "a text prompt is needed" in str(failed[0].problem)


@pytest.fixture
def video_of_four_seconds(tmp_path: Path) -> Path:
    from clapstick.systems.conformance import write_flashes

    return write_flashes(tmp_path / "v.mp4", 4.0, np.array([1.0]))
