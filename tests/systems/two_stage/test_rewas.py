"""ReWaS in small: released files load by name, energies go through windows, every length makes its sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from official_audioldm import adapter_names, write_official

from clapstick.protocols.audio import Audio
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.base import Context, Request
from clapstick.systems.registry import find_system
from clapstick.systems.two_stage.clap_prompts import PromptedStageTwo
from clapstick.systems.two_stage.energy import EnergyRegressor
from clapstick.systems.two_stage.envelope import Envelope, EnvelopeSystem
from clapstick.systems.two_stage.mel import smooth_energy
from clapstick.systems.two_stage.official import load_official_rewas
from clapstick.systems.two_stage.rewas import MotionTokens, ReWaS, build, starts_of, synchformer_tokens
from clapstick.systems.two_stage.rms2sound import CONFIGS, RMS2Sound
from clapstick.systems.two_stage.sampling import Branch, Sampling
from tests.protocols.media import make_video


class Words:
    """Stands for CLAP: a point for each word."""

    def embed(self, request: Request) -> torch.Tensor:
        return self.of_text(request.clip.prompt.text or "", request.clip.id)

    def of_text(self, text: str, where: str) -> torch.Tensor:
        point = torch.randn(512, generator=torch.Generator().manual_seed(len(text)))
        return torch.nn.functional.normalize(point, dim=0)


@pytest.fixture(scope="module")
def small() -> RMS2Sound:
    torch.manual_seed(0)
    return RMS2Sound(CONFIGS["rewas-tiny"]).eval()


def _system(model: RMS2Sound, **changes: Any) -> ReWaS:
    torch.manual_seed(2)
    prompts: Any = Words()
    stage_two = PromptedStageTwo(model, prompts, Sampling(solver="dpm++", steps=2, guided="prompt-and-control"))
    regressor = EnergyRegressor(MotionTokens.width, 1).eval()
    return ReWaS(regressor, MotionTokens(), stage_two, **changes)


def _request(folder: Path, seconds: float, reference: Audio | None = None) -> Request:
    video = make_video(folder / f"{seconds}.mp4", seconds)
    return Request(Clip(id="clip", source="clip", video=video, duration_s=seconds), reference, None)


@pytest.mark.parametrize("seconds", [2.0, 5.0, 11.3])
def test_any_length_from_the_picture(tmp_path: Path, small: RMS2Sound, seconds: float) -> None:
    system, request = _system(small), _request(tmp_path, seconds)
    assert isinstance(system, EnvelopeSystem)
    output = system.generate(request, np.random.default_rng(1))
    assert output.audio.samples.shape == (round(seconds * 16_000), 1)
    assert np.isfinite(output.audio.samples).all()
    assert any("looped" in warning for warning in output.warnings) == (seconds < 5)
    assert system.predict_envelope(request).amplitudes.size == round(seconds * 100)


def test_windows_by_hand() -> None:
    def starts(seconds: float) -> list[int]:
        return starts_of(Clip(id="c", source="c", video=Path("none.mp4"), duration_s=seconds))

    # 25 frames a second and windows of 125: a clip of 11.3 s has 282 frames, the last window starts at 157.
    assert starts(2.0) == [0]
    assert starts(10.0) == [0, 125]
    assert starts(11.3) == [0, 125, 157]


def test_energy_is_what_the_regressor_says(tmp_path: Path, small: RMS2Sound) -> None:
    system, request = _system(small), _request(tmp_path, 5.0)
    tokens = torch.from_numpy(MotionTokens().of(request.clip))
    regressor = system._regressor
    assert regressor is not None
    with torch.no_grad():
        wanted = np.exp(smooth_energy(regressor(tokens)[0].double().numpy()))[:500]
    np.testing.assert_allclose(system.predict_envelope(request).amplitudes, np.minimum(wanted, 1.0), rtol=1e-5)


def test_control_reaches_the_sound_once_it_is_trained(small: RMS2Sound) -> None:
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 8, 128, 16, generator=generator)
    prompt = torch.randn(1, 512, generator=generator)
    flat, ramp = torch.full((1, 512), -5.0), torch.linspace(-9.0, -1.0, 512)[None]
    branch = (Branch(prompted=True, controlled=True),)

    @torch.no_grad()
    def predicted(model: RMS2Sound, energy: torch.Tensor) -> torch.Tensor:
        control = model.control_of(energy)
        return model.predict(noisy, torch.tensor(500), prompt, prompt, control, branch)

    torch.testing.assert_close(predicted(small, flat), predicted(small, ramp))  # zero convolutions
    trained = RMS2Sound(small.config)
    trained.load_state_dict(small.state_dict())
    for zero in (*trained.controlnet.zero_convs, trained.controlnet.hint.zero):
        torch.nn.init.normal_(zero.weight, 0.0, 0.2, generator=generator)
    one, other = predicted(trained.eval(), flat), predicted(trained, ramp)
    assert float((one - other).norm()) > 0.01 * float(one.norm())


def test_reference_energy_and_no_energy(tmp_path: Path, small: RMS2Sound) -> None:
    sound = np.random.default_rng(0).standard_normal((80_000, 1)).astype(np.float32) * 0.1
    request = _request(tmp_path, 5.0, Audio(sound, 16_000))
    for source in ("reference", "none"):
        output = _system(small, envelopes=source).generate(request, np.random.default_rng(1))
        assert output.audio.samples.shape == (80_000, 1)


def test_an_envelope_of_another_length_is_refused(tmp_path: Path, small: RMS2Sound) -> None:
    with pytest.raises(ClapstickError, match=r"another length than the clip; found 4.000 s; expected 5.000 s"):
        _system(small).generate_from_envelope(
            _request(tmp_path, 5.0), Envelope(np.zeros(400), 100.0), np.random.default_rng(0)
        )


@pytest.mark.parametrize("averaged", [False, True])
def test_released_file_loads_by_name(tmp_path: Path, averaged: bool) -> None:
    wanted = write_official(tmp_path / "rewas.ckpt", "rewas", clap="base", averaged=averaged).state_dict()
    parts = load_official_rewas(tmp_path / "rewas.ckpt")
    loaded = parts.model.state_dict()
    assert parts.model.config.control == "energy"
    assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)
    with torch.no_grad():
        assert parts.clap_text(torch.tensor([[0, 2]]))["embedding"].shape == (1, 512)


def test_full_size_adapter_has_its_count() -> None:
    assert len(adapter_names()) == 332
    with torch.device("meta"):
        control = RMS2Sound(CONFIGS["rewas"]).controlnet
    # 182.45 million and the hint: a map of 16 x 16 and a convolution from 8 to 192 channels.
    hint = 16 * 16 + 16 + 8 * 192 * 9 + 192
    assert sum(weight.numel() for weight in control.hint.parameters()) == hint
    assert (sum(weight.numel() for weight in control.parameters()) - hint) / 1e6 == pytest.approx(
        182.45, abs=0.01
    )


def test_features_of_a_folder(tmp_path: Path) -> None:
    clip = Clip(id="a/b", source="a", video=Path("none.mp4"), duration_s=5.0)
    supplied = synchformer_tokens(str(tmp_path))
    path = tmp_path / f"{clip.file_stem}.npy"
    with pytest.raises(ClapstickError, match="Synchformer features of the clip cannot be read"):
        supplied.of(clip)
    np.save(path, np.zeros((1, 112, 512), dtype=np.float32))
    with pytest.raises(ClapstickError, match=r"another shape; found \(1, 112, 512\)"):
        supplied.of(clip)
    np.save(path, np.full((1, 112, 768), np.nan, dtype=np.float32))
    with pytest.raises(ClapstickError, match="not all finite numbers"):
        supplied.of(clip)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ClapstickError, match="cannot be read"):
        supplied.of(clip)
    np.save(path, np.zeros((1, 112, 768), dtype=np.float32))
    assert supplied.of(clip).shape == (1, 112, 768)


def test_another_number_of_windows_is_refused(tmp_path: Path, small: RMS2Sound) -> None:
    class TwoWindows:
        def of(self, clip: Clip) -> np.ndarray:
            return np.zeros((2, 112, MotionTokens.width), dtype=np.float32)

    system = _system(small)
    system._tokens = TwoWindows()
    with pytest.raises(ClapstickError, match="another number of windows than the clip; found 2; expected 1"):
        system.generate(_request(tmp_path, 5.0), np.random.default_rng(0))


def test_card_without_features_says_what_is_missing(tmp_path: Path) -> None:
    card = find_system("rewas").card
    torch.save(
        {f"module.{name}": tensor for name, tensor in EnergyRegressor().state_dict().items()},
        tmp_path / "phi.ckpt",
    )
    context = Context((), lambda clip: None, card.parameters, {"rewas-phi": tmp_path / "phi.ckpt"})  # type: ignore[arg-type,return-value]
    with pytest.raises(ClapstickError, match=r"no folder with Synchformer features.*rewas.features=FOLDER"):
        build(context)
