"""FOL-AI in small: Stable Audio's two layouts, its sampler, stereo sound of any length."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Context, Request
from clapstick.systems.registry import find_system
from clapstick.systems.two_stage.checkpoints import save_checkpoint
from clapstick.systems.two_stage.envelope import Envelope, EnvelopeSystem
from clapstick.systems.two_stage.fol_ai import FolAI, MotionRows, build
from clapstick.systems.two_stage.fol_ai_sound import (
    CONFIGS,
    DiTSampling,
    FolAISound,
    StereoOrder,
    load_fol_ai,
    make_dit_scheduler,
    render_stereo,
    save_fol_ai,
    stereo_rms,
)
from clapstick.systems.two_stage.sampling import settings_of
from clapstick.systems.two_stage.stable_audio import StableAudio, from_original, load_stable_audio
from clapstick.systems.two_stage.supplied import SuppliedFeatures
from clapstick.systems.two_stage.video2rms import CONFIGS as STAGE_ONE
from clapstick.systems.two_stage.video2rms import Video2RMS
from tests.protocols.media import make_video

TINY = CONFIGS["fol-ai-tiny"]
QUICK = DiTSampling(steps=3)


def _base(seed: int = 0) -> StableAudio:
    torch.manual_seed(seed)
    return StableAudio(TINY.dit, TINY.vae).eval()


@pytest.fixture(scope="module")
def sound() -> FolAISound:
    base = _base()
    return FolAISound(TINY, base).eval().requires_grad_(False)


def _trained(sound: FolAISound) -> FolAISound:
    """A copy whose zero maps are not zero any more."""
    model = FolAISound(TINY, sound.base)
    model.load_state_dict(sound.state_dict())
    generator = torch.Generator().manual_seed(7)
    for zero in (model.control.controlnet.zero_in, *model.control.controlnet.zero_out):
        torch.nn.init.normal_(zero.weight, 0.0, 0.5, generator=generator)
    return model.eval()


def _order(**changes: Any) -> StereoOrder:
    told: dict[str, Any] = {
        "clap": torch.ones(512) / 512**0.5,
        "cavp": None,
        "envelope": np.full(125, 0.2),
        "envelope_rate": 125.0,
        "duration_s": 1.0,
        "seed": 3,
    }
    return StereoOrder(**(told | changes))


class Words:
    """Stands for CLAP."""

    def embed(self, request: Request) -> torch.Tensor:
        return torch.ones(512) / 512**0.5


def _system(sound: FolAISound, **changes: Any) -> FolAI:
    torch.manual_seed(4)
    stage_one = Video2RMS(STAGE_ONE["fol-ai-tiny"]).eval()
    return FolAI(stage_one, MotionRows(30.0), sound, Words(), **({"sampling": QUICK} | changes))


def _request(folder: Path, seconds: float, reference: Audio | None = None) -> Request:
    video = make_video(folder / f"{seconds}.mp4", seconds)
    return Request(Clip(id="clip", source="clip", video=video, duration_s=seconds), reference, None)


@pytest.mark.parametrize("seconds", [0.5, 2.6])
def test_any_length_from_the_picture(tmp_path: Path, sound: FolAISound, seconds: float) -> None:
    # 24 latent frames are 1.11 s: 2.6 s take 56 frames, windows at 0, 22 and 32.
    system, request = _system(sound), _request(tmp_path, seconds)
    assert isinstance(system, EnvelopeSystem)
    output = system.generate(request, np.random.default_rng(1))
    assert output.audio.samples.shape == (round(seconds * 44_100), 2)
    assert np.isfinite(output.audio.samples).all()
    assert "no CAVP features: told the prompt alone" in output.warnings
    assert output.predictions["rms_logits"].shape == (round(seconds * 16_000) // 128, 64)


def test_a_fresh_controlnet_changes_nothing_and_a_trained_one_does(sound: FolAISound) -> None:
    loud, soft = _order(envelope=np.full(125, 0.9)), _order(envelope=None)
    plain = render_stereo(sound, soft, QUICK).samples
    np.testing.assert_allclose(render_stereo(sound, loud, QUICK).samples, plain, atol=1e-5)
    trained = _trained(sound)
    assert np.abs(render_stereo(trained, loud, QUICK).samples - plain).max() > 1e-3


def test_the_two_channels_have_their_own_envelopes(sound: FolAISound) -> None:
    trained = _trained(sound)
    both = np.stack([np.full(125, 0.9), np.full(125, 0.9)])
    one = np.stack([np.full(125, 0.9), np.zeros(125)])
    made = [render_stereo(trained, _order(envelope=curves), QUICK).samples for curves in (both, one)]
    mono = render_stereo(trained, _order(envelope=np.full(125, 0.9)), QUICK).samples
    np.testing.assert_array_equal(made[0], mono)
    assert np.abs(made[0] - made[1]).max() > 1e-3


def test_tokens_are_prompt_cavp_start_and_length(sound: FolAISound) -> None:
    one, nine = torch.tensor([1.0]), torch.tensor([9.0])
    cross, lengths = sound.conditions(torch.zeros(1, 512), torch.zeros(1, 4, 512), one)
    assert cross.shape == (1, 1 + 4 + 2, 32)
    assert lengths.shape == (1, 1, 64)
    torch.testing.assert_close(lengths[0, 0], cross[0, -2:].flatten())
    longer = sound.conditions(torch.zeros(1, 512), None, nine)[1]
    torch.testing.assert_close(longer[..., :32], lengths[..., :32])
    assert not torch.allclose(longer[..., 32:], lengths[..., 32:])


def test_sigmas_of_stable_audio() -> None:
    scheduler = make_dit_scheduler(DiTSampling(steps=150))
    sigmas = scheduler.sigmas
    # From 500 to 0.3 in even ratios, then 0.
    torch.testing.assert_close(sigmas[0], torch.tensor(500.0))
    torch.testing.assert_close(sigmas[-2], torch.tensor(0.3))
    assert sigmas[-1] == 0
    ratios = sigmas[1:-1] / sigmas[:-2]
    torch.testing.assert_close(ratios, torch.full((149,), (0.3 / 500) ** (1 / 149)))


@pytest.mark.parametrize("solver", ["sde-dpmsolver++", "dpmsolver++"])
def test_the_sampler_finds_a_known_answer(solver: Any) -> None:
    # All data is the point 2. With sigma = tan(angle) the scaled latent is cos * 2 + sin * noise,
    # and its velocity cos * noise - sin * 2.
    scheduler = make_dit_scheduler(DiTSampling(steps=30, solver=solver))
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn((1, 2, 3), generator=generator) * scheduler.init_noise_sigma
    for step, sigma in zip(scheduler.timesteps, scheduler.sigmas[:-1], strict=True):
        scaled = scheduler.scale_model_input(sample, step)
        angle = torch.atan(sigma)
        noise = (scaled - torch.cos(angle) * 2) / torch.sin(angle)
        velocity = torch.cos(angle) * noise - torch.sin(angle) * 2
        sample = scheduler.step(velocity, step, sample, generator=generator).prev_sample
    torch.testing.assert_close(sample, torch.full((1, 2, 3), 2.0), rtol=0, atol=2e-3)


def _original(base: StableAudio) -> dict[str, torch.Tensor]:
    """Name tensors as Stability AI does: joint projections, unnamed layers, scales without axes."""
    state: dict[str, torch.Tensor] = {"model.model.transformer.rotary_pos_emb.inv_freq": torch.zeros(4)}
    dit = base.dit.state_dict()
    for name, tensor in dit.items():
        new = name.replace("time_proj.weight", "timestep_features.weight")
        for ours, official in (
            ("timestep_proj.", "to_timestep_embed."),
            ("global_proj.", "to_global_embed."),
            ("cross_attention_proj.", "to_cond_embed."),
            ("proj_in.", "transformer.project_in."),
            ("proj_out.", "transformer.project_out."),
            ("transformer_blocks.", "transformer.layers."),
            (".attn1.", ".self_attn."),
            (".attn2.", ".cross_attn."),
            (".to_out.0.", ".to_out."),
            (".ff.net.", ".ff.ff."),
        ):
            new = new.replace(ours, official)
        for ours, official in (("norm1", "pre_norm"), ("norm2", "cross_attend_norm"), ("norm3", "ff_norm")):
            new = new.replace(f".{ours}.weight", f".{official}.gamma").replace(
                f".{ours}.bias", f".{official}.beta"
            )
        if new.endswith((".to_k.weight", ".to_v.weight", "self_attn.to_q.weight")):
            continue
        state[f"model.model.{new}"] = tensor[:, None] if new.startswith("timestep_features") else tensor
    for index in range(len(base.dit.transformer_blocks)):
        block, official = f"transformer_blocks.{index}", f"model.model.transformer.layers.{index}"
        query, key, value = (dit[f"{block}.attn1.to_{one}.weight"] for one in "qkv")
        state[f"{official}.self_attn.to_qkv.weight"] = torch.cat([query, key, value])
        key, value = (dit[f"{block}.attn2.to_{one}.weight"] for one in "kv")
        state[f"{official}.cross_attn.to_kv.weight"] = torch.cat([key, value])
    for name, tensor in base.vae.state_dict().items():
        flat = tensor.flatten() if name.endswith(("alpha", "beta")) else tensor
        state[f"pretransform.model.{_oobleck_name(name)}"] = flat
    for name, tensor in base.lengths.state_dict().items():
        which = "seconds_start" if name.startswith("start") else "seconds_total"
        leaf = name.split("time_positional_embedding.")[1]
        state[f"conditioner.conditioners.{which}.embedder.embedding.{leaf}"] = tensor
    return state


def _oobleck_name(name: str) -> str:
    side, rest = name.split(".", 1)
    ends = {"conv1": 0, "snake1": 6, "conv2": 7}
    first, tail = rest.split(".", 1)
    if first in ends:
        return f"{side}.layers.{ends[first]}.{tail}"
    match = re.match(r"(\d+)\.(\w+?)(\d)\.(.+)", tail)
    assert match
    level, part, number, leaf = int(match[1]) + 1, match[2], int(match[3]), match[4]
    if part == "res_unit":
        inside, leaf = leaf.split(".")
        place = number - 1 if side == "encoder" else number + 1
        unit = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}[inside]
        return f"{side}.layers.{level}.layers.{place}.layers.{unit}.{leaf}"
    place = {"encoder": {"snake": 3, "conv": 4}, "decoder": {"snake": 0, "conv_t": 1}}[side][part]
    return f"{side}.layers.{level}.layers.{place}.{leaf}"


def test_names_by_hand() -> None:
    one = torch.ones(6, 2)
    parts = from_original(
        {
            "model.model.transformer.layers.3.self_attn.to_qkv.weight": one,
            "model.model.transformer.layers.3.cross_attend_norm.gamma": one,
            "model.model.transformer.layers.3.ff.ff.0.proj.weight": one,
            "pretransform.model.encoder.layers.2.layers.1.layers.3.weight_g": one,
            "pretransform.model.decoder.layers.5.layers.1.weight_v": one,
            "pretransform.model.decoder.layers.6.alpha": torch.ones(3),
            "conditioner.conditioners.seconds_total.embedder.embedding.0.weights": one,
            "conditioner.conditioners.prompt.proj_out.weight": one,
        }
    )
    assert set(parts["dit"]) == {
        *(f"transformer_blocks.3.attn1.to_{which}.weight" for which in "qkv"),
        "transformer_blocks.3.norm2.weight",
        "transformer_blocks.3.ff.net.0.proj.weight",
    }
    assert parts["dit"]["transformer_blocks.3.attn1.to_k.weight"].shape == (2, 2)
    assert set(parts["vae"]) == {
        "encoder.block.1.res_unit2.conv2.weight_g",
        "decoder.block.4.conv_t1.weight_v",
        "decoder.snake1.alpha",
    }
    assert parts["vae"]["decoder.snake1.alpha"].shape == (1, 3, 1)
    assert set(parts["lengths"]) == {"end_number_conditioner.time_positional_embedding.0.weights"}


def test_full_size_layout_has_a_place_for_every_tensor() -> None:
    with torch.device("meta"):
        base = StableAudio(CONFIGS["fol-ai"].dit, CONFIGS["fol-ai"].vae)
    parts = from_original(_original(base))
    for part, tensors in parts.items():
        own = getattr(base, part).state_dict()
        assert {name: tensor.shape for name, tensor in tensors.items()} == {
            name: tensor.shape for name, tensor in own.items()
        }
    assert sum(tensor.numel() for tensor in parts["dit"].values()) == 1_056_939_136
    assert sum(tensor.numel() for tensor in parts["vae"].values()) / 1e6 == pytest.approx(156.1, abs=0.1)


@pytest.mark.slow
def test_ten_seconds_at_full_size() -> None:
    config = CONFIGS["fol-ai"]
    torch.manual_seed(0)
    model = FolAISound(config, StableAudio(config.dit, config.vae)).eval().requires_grad_(False)
    order = _order(envelope=np.abs(np.sin(np.arange(1250) / 50)) * 0.2, duration_s=10.0)
    made = render_stereo(model, order, DiTSampling(steps=2))
    assert made.samples.shape == (441_000, 2)
    assert np.isfinite(made.samples).all()


@pytest.mark.parametrize("layout", ["model.safetensors", "model.ckpt", "folder"])
def test_every_layout_loads(tmp_path: Path, layout: str) -> None:
    base = _base(5)
    path = tmp_path / layout
    if layout == "folder":
        for part, folder in (("dit", "transformer"), ("vae", "vae"), ("lengths", "projection_model")):
            getattr(base, part).save_pretrained(path / folder)
    elif layout == "model.ckpt":
        torch.save({"state_dict": _original(base)}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in _original(base).items()}, path)
    loaded = load_stable_audio(path, TINY.dit, TINY.vae).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in base.state_dict().items())


def test_checkpoints_that_do_not_fit_are_named(tmp_path: Path, sound: FolAISound) -> None:
    with pytest.raises(ClapstickError, match="Stable Audio Open cannot be read"):
        load_stable_audio(tmp_path / "model.safetensors", TINY.dit, TINY.vae)
    state = _original(sound.base)
    del state["model.model.transformer.project_out.weight"]
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "model.safetensors")
    with pytest.raises(ClapstickError, match=r"found proj_out.weight: no such tensor"):
        load_stable_audio(tmp_path / "model.safetensors", TINY.dit, TINY.vae)
    save_checkpoint(tmp_path / "other.safetensors", {}, STAGE_ONE["fol-ai-tiny"])
    with pytest.raises(ClapstickError, match="another kind of network"):
        load_fol_ai(tmp_path / "other.safetensors", tmp_path)


def test_what_was_trained_comes_back(tmp_path: Path, sound: FolAISound) -> None:
    trained = _trained(sound)
    save_fol_ai(tmp_path / "controlnet.safetensors", trained, {"seed": 1})
    save_file(
        {name: tensor.contiguous() for name, tensor in _original(sound.base).items()},
        tmp_path / "model.safetensors",
    )
    again = load_fol_ai(tmp_path / "controlnet.safetensors", tmp_path / "model.safetensors")
    np.testing.assert_array_equal(
        render_stereo(again, _order(), QUICK).samples, render_stereo(trained, _order(), QUICK).samples
    )


def test_reference_of_two_channels(tmp_path: Path, sound: FolAISound) -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    request = _request(tmp_path, 1.0, Audio(np.stack([noise, 0 * noise], axis=1), 16_000))
    assert request.reference is not None
    curves = stereo_rms(request.reference, 1.0)
    assert curves.shape == (2, 125)
    assert curves[0].mean() == pytest.approx(0.1, rel=0.05)
    assert curves[1].max() < 1e-9
    output = _system(sound, envelopes="reference").generate(request, np.random.default_rng(0))
    assert output.audio.samples.shape == (44_100, 2)


def test_cavp_rows_are_told(tmp_path: Path, sound: FolAISound) -> None:
    request = _request(tmp_path, 2.0)
    cavp = SuppliedFeatures(tmp_path, "CAVP features", "its repository", (512,))
    system = _system(sound, cavp=cavp, envelopes="none")
    made = []
    for value in (0.0, 3.0):
        np.save(tmp_path / "clip.npy", np.full((8, 512), value, dtype=np.float32))
        made.append(system.generate(request, np.random.default_rng(0)))
    assert made[0].warnings == ()
    assert np.abs(made[0].audio.samples - made[1].audio.samples).max() > 1e-5
    np.save(tmp_path / "clip.npy", np.zeros((30, 512), dtype=np.float32))
    with pytest.raises(ClapstickError, match="CAVP features have another length than the clip; found 30 rows"):
        system.generate(request, np.random.default_rng(0))
    without = FolAISound(TINY.model_copy(update={"cavp": False}), sound.base)
    with pytest.raises(ClapstickError, match="ControlNet was trained without CAVP"):
        _system(without, cavp=cavp)


def test_bad_requests_are_named(tmp_path: Path, sound: FolAISound) -> None:
    system = _system(sound)
    with pytest.raises(ClapstickError, match="envelope has another length than the clip"):
        system.generate_from_envelope(
            _request(tmp_path, 1.0), Envelope(np.zeros(80), 125.0), np.random.default_rng(0)
        )
    long = Request(Clip(id="long", source="long", video=tmp_path / "none.mp4", duration_s=601.0), None, None)
    for source in ("predicted", "none"):
        with pytest.raises(ClapstickError, match=r"clip is too long; found 601.0 s"):
            _system(sound, envelopes=source).generate(long, np.random.default_rng(0))
    with pytest.raises(ClapstickError, match=r"steps: impossible sampling: .*; found 1"):
        settings_of(DiTSampling, {"steps": 1, "envelopes": "none"})


def test_card_without_features_says_what_is_missing(tmp_path: Path) -> None:
    card = find_system("fol-ai").card
    config = STAGE_ONE["fol-ai-tiny"]
    save_checkpoint(tmp_path / "one.safetensors", Video2RMS(config).state_dict(), config)
    weights = {"fol-ai-video2rms": tmp_path / "one.safetensors"}
    context = Context((), lambda clip: None, card.parameters, weights)  # type: ignore[arg-type,return-value]
    with pytest.raises(ClapstickError, match=r"no folder with TC-CLIP features.*fol-ai.features=FOLDER"):
        build(context)
