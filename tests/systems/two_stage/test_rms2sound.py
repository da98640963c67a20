"""Stage 2 in a size of seconds: lengths, joins, zero-initialised control, training that survives a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nano_two_stage import STAGE_TWO_TRAINING, make_model, make_sounds

from clapstick.metrics.mel_energy import log_mel as energy_log_mel
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage.energy import EnergyRegressor, load_official_energy
from clapstick.systems.two_stage.envelope import Envelope
from clapstick.systems.two_stage.mel import log_mel, smooth_energy, to_mel_frames
from clapstick.systems.two_stage.official import load_official_rms2sound
from clapstick.systems.two_stage.rms2sound import (
    Order,
    RMS2Sound,
    cross_fade,
    load_rms2sound,
    render,
)
from clapstick.systems.two_stage.sampling import Branch, Sampling, draw, guide
from clapstick.systems.two_stage.stage_one_windows import window_starts
from clapstick.systems.two_stage.tiny_codec import level_control
from clapstick.systems.two_stage.train_rms2sound import (
    train_rms2sound,
)


def _train(out: Path, stop_at: tuple[str, int] | None = None) -> Path:
    sounds = make_sounds()
    model = make_model(sounds)

    class KilledError(Exception):
        pass

    calls = 0

    def prompt_of(mels: torch.Tensor, chosen: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if stop_at is not None and calls > stop_at[1]:
            raise KilledError
        assert model.timbre is not None
        return model.timbre.of_mel(mels)

    try:
        return train_rms2sound(sounds, model, STAGE_TWO_TRAINING, out, seed=5, prompt_of=prompt_of)
    except KilledError:
        return out


@pytest.mark.parametrize("steps", [3, 7])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, steps: int) -> None:
    # Three steps end within the base, seven within the control phase; both between two saved states.
    whole = load_rms2sound(_train(tmp_path / "whole")).state_dict()
    _train(tmp_path / "killed", stop_at=("any", steps))
    again = load_rms2sound(_train(tmp_path / "killed")).state_dict()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_only_the_controlnet_learns_in_its_phase(tmp_path: Path) -> None:
    sounds = make_sounds()
    before = make_model(sounds)
    model = make_model(sounds)
    training = STAGE_TWO_TRAINING.model_copy(update={"base_steps": 0})
    assert model.timbre is not None
    encoder = model.timbre
    train_rms2sound(
        sounds, model, training, tmp_path, seed=1, prompt_of=lambda mels, chosen: encoder.of_mel(mels)
    )
    old, new = before.state_dict(), model.state_dict()
    changed = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"controlnet"}


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    _train(tmp_path, stop_at=("any", 3))
    sounds = make_sounds()
    with pytest.raises(ClapstickError, match="folder holds another training"):
        train_rms2sound(
            sounds,
            make_model(sounds),
            STAGE_TWO_TRAINING,
            tmp_path,
            seed=6,
            prompt_of=lambda mels, chosen: mels[:, 0, :16],
        )


def test_a_fresh_controlnet_changes_nothing() -> None:
    model = make_model(make_sounds()).eval()
    prompt = torch.zeros(16)
    loud = Envelope(np.full(250, 0.5), 125.0)
    plain, told = (render(model, Order(prompt, envelope, 2.0, 3), prompt) for envelope in (None, loud))
    np.testing.assert_allclose(plain.samples, told.samples, atol=1e-4)


@pytest.mark.parametrize("duration_s", [0.3, 0.64, 1.0, 2.117])
def test_any_length(duration_s: float) -> None:
    model = make_model(make_sounds()).eval()
    envelope = Envelope(np.full(max(1, int(duration_s * 125)), 0.1), 125.0)
    order = Order(torch.zeros(16), envelope, duration_s, 3)
    for batch in (1, 8):
        samples = render(model, order, torch.zeros(16), batch=batch).samples
        assert samples.shape == (round(duration_s * 16_000),)
        assert np.isfinite(samples).all()


def test_solvers_agree_on_a_known_answer() -> None:
    # All data is the point 2: the exact noise is (x - alpha * 2) / sigma, and every sampler must end at 2.
    betas = torch.linspace(0.0015**0.5, 0.0195**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0)

    def predict(sample: torch.Tensor, timestep: torch.Tensor, branches: Sequence[Branch]) -> torch.Tensor:
        alpha = alphas[int(timestep)]
        noise = ((sample - alpha.sqrt() * 2) / (1 - alpha).sqrt()).float()
        return torch.cat([noise] * len(branches))

    for sampling in (
        Sampling(steps=200, eta=1.0),
        Sampling(steps=50, eta=0.0),
        Sampling(solver="dpm++", steps=20),
    ):
        made = draw(predict, (3, 4, 2), sampling, "epsilon", [torch.Generator().manual_seed(1)])
        # The schedule ends at its first alpha, 0.9985, so noise of sqrt(0.0015) = 0.04 is left.
        torch.testing.assert_close(made, torch.full((1, 3, 4, 2), 2.0), atol=0.16, rtol=0)


def test_a_latent_does_not_depend_on_its_batch() -> None:
    def predict(sample: torch.Tensor, timestep: torch.Tensor, branches: Sequence[Branch]) -> torch.Tensor:
        return torch.cat([sample * 0.1] * len(branches))

    sampling = Sampling(steps=5, eta=1.0)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    together = draw(predict, (2, 3), sampling, "epsilon", generators)
    alone = draw(predict, (2, 3), sampling, "epsilon", [torch.Generator().manual_seed(2)])
    torch.testing.assert_close(together[1], alone[0])


def test_temperature_scales_what_a_linear_network_draws() -> None:
    # Where the predicted noise is linear in the sample, every step is, and so is the latent in its noise.
    def predict(sample: torch.Tensor, timestep: torch.Tensor, branches: Sequence[Branch]) -> torch.Tensor:
        return torch.cat([sample * 0.1] * len(branches))

    whole, quarter = (
        draw(
            predict,
            (2, 3),
            Sampling(steps=5, eta=1.0, temperature=temperature),
            "epsilon",
            [torch.Generator().manual_seed(1)],
        )
        for temperature in (1.0, 0.25)
    )
    torch.testing.assert_close(quarter, whole / 4)


def test_guidance_of_one_asks_for_no_null_branch() -> None:
    asked: list[int] = []

    def predict(sample: torch.Tensor, timestep: torch.Tensor, branches: Sequence[Branch]) -> torch.Tensor:
        asked.append(len(branches))
        return torch.cat([sample * (2.0 if branch.prompted else 1.0) for branch in branches])

    sample, timestep = torch.ones(1, 2, 3), torch.tensor(5)
    assert torch.equal(guide(predict, sample, timestep, Sampling(guidance=1.0)), sample * 2)
    # 1 + 3 * (2 - 1) = 4
    assert torch.equal(guide(predict, sample, timestep, Sampling(guidance=3.0)), sample * 4)
    assert asked == [1, 2]


def test_levels_by_hand() -> None:
    # -20 dB is 30 dB above the floor of -50 dB: 30 / 50; full scale is 1, and nothing lies below 0.
    told = level_control(torch.tensor([0.1, 1.0, 2.0, 0.001, 0.0, -0.1]))
    torch.testing.assert_close(told, torch.tensor([0.6, 1.0, 1.0, 0.0, 0.0, 0.0]))


def test_windows_and_fades_by_hand() -> None:
    assert window_starts(10, 4, 3) == [0, 3, 6]
    assert window_starts(11, 4, 3) == [0, 3, 6, 7]
    assert window_starts(4, 4, 3) == [0]
    # Ones and threes overlap in four samples, of which the middle two are faded: powers 3/4, 1/4 then 1/4, 3/4.
    joined = cross_fade([np.ones(6), np.full(6, 3.0)], [0, 2], 4)
    first, second = 0.75**0.5 + 0.5 * 3, 0.5 + 0.75**0.5 * 3
    np.testing.assert_allclose(joined, [1, 1, 1, first, second, 3, 3, 3])


def test_unrelated_windows_keep_their_level_where_they_meet() -> None:
    rng = np.random.default_rng(0)
    joined = cross_fade([rng.standard_normal(60_000), rng.standard_normal(60_000)], [0, 20_000], 40_000)
    # The mean square of 20,000 samples of unit noise lies within 0.03 of 1 (three standard errors).
    assert np.mean(joined[30_000:50_000] ** 2) == pytest.approx(1.0, abs=0.03)


def test_mel_is_the_one_of_the_energy_metric() -> None:
    samples = np.random.default_rng(1).standard_normal(81_920) * 0.1
    samples -= samples.mean()
    samples *= 0.5 / np.abs(samples).max()
    ours = log_mel(torch.from_numpy(samples.astype(np.float32))[None])[0].numpy()
    np.testing.assert_allclose(ours, energy_log_mel(samples), atol=2e-3)


def test_hand_over_of_ten_seconds() -> None:
    # 1250 values become 1000, value i being floor(1.25 i), and 24 zeros follow.
    told = to_mel_frames(np.arange(1250.0), 1024, 125.0)
    assert told[:6].tolist() == [0, 1, 2, 3, 5, 6]
    assert told[999] == 1248
    assert not told[1000:].any()


def test_energy_regressor_as_released(tmp_path: Path) -> None:
    network = EnergyRegressor().eval()
    assert sum(weight.numel() for weight in network.parameters()) == 21_966_561
    torch.save(
        {f"module.{name}": tensor for name, tensor in network.state_dict().items()}, tmp_path / "phi.ckpt"
    )
    loaded = load_official_energy(tmp_path / "phi.ckpt")
    features = torch.randn(1, 112, 768, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(loaded(features), network(features))
        # One clip alone: attention has nothing to mix, so swapping points swaps what comes out.
        torch.testing.assert_close(network(features.flip(1)), network(features).flip(1))
    assert smooth_energy(np.ones(112)).shape == (512,)


def test_incomplete_official_files_are_refused(tmp_path: Path) -> None:
    torch.save({"scale_factor": torch.tensor(0.9)}, tmp_path / "part.pth")
    with pytest.raises(ClapstickError, match="does not hold the U-Net; found 0 tensors; expected 690"):
        load_official_rms2sound(tmp_path / "part.pth")


@pytest.mark.parametrize("guided", ["prompt", "prompt-and-control"])
def test_one_call_or_two_for_the_guidance(guided: Any) -> None:
    model = make_model(make_sounds()).eval()
    for weight in model.controlnet.parameters():
        torch.nn.init.normal_(weight, 0.0, 0.1, generator=torch.Generator().manual_seed(1))
    order = Order(torch.ones(16) / 4, Envelope(np.full(250, 0.3), 125.0), 2.0, 3)
    made = []
    for branches in ("together", "one-by-one"):
        sampling = Sampling(steps=4, guidance=2.0, guided=guided, branches=branches)
        made.append(render(model, order, torch.zeros(16), sampling=sampling).samples)
    np.testing.assert_allclose(made[0], made[1], rtol=0, atol=1e-4 * np.abs(made[1]).max())


def test_a_full_gpu_gets_smaller_batches_and_then_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(make_sounds()).eval()
    order = Order(torch.zeros(16), None, 2.0, 3)  # five windows of 0.64 s
    whole = RMS2Sound.predict
    room = 2

    def predict(self: RMS2Sound, sample: torch.Tensor, *rest: Any) -> torch.Tensor:
        if sample.shape[0] * len(rest[-1]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, sample, *rest)

    wanted = render(model, order, torch.zeros(16))
    monkeypatch.setattr(RMS2Sound, "predict", predict)
    made = render(model, order, torch.zeros(16), batch=4)
    assert [*made.warnings] == [
        "out of GPU memory: went on with 2 windows at once",
        "out of GPU memory: went on with 1 windows at once",
    ]
    # Griffin-Lim finds other phases from latents that differ by rounding: the level is what can be compared.
    assert made.samples.shape == wanted.samples.shape
    assert made.samples.std() == pytest.approx(wanted.samples.std(), rel=0.2)
    room = 1
    assert "guidance in two calls" in render(model, order, torch.zeros(16), batch=1).warnings[-1]
    room = 0
    with pytest.raises(ClapstickError, match="one window alone does not fit into the GPU's memory"):
        render(model, order, torch.zeros(16), batch=1)
