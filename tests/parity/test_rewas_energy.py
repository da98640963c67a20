"""ReWaS's energy curves and energy MAE against naver-ai/rewas."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clapstick.metrics import mel_energy
from clapstick.metrics.base import Array, ClipInput
from clapstick.metrics.energy_mae import METRIC

FORM = "rewas_energy"


def _sounds(fixture: Any, rules: ModuleType) -> dict[str, Array]:
    sounds = {}
    for name, recipe in fixture.facts["inputs"].items():
        seconds, rate, seed = re.match(r"waveform\(([\d.]+), ?(\d+), ?(\d+)\)", recipe).groups()  # type: ignore[union-attr]
        sounds[name] = np.asarray(rules.waveform(float(seconds), int(rate), int(seed)), dtype=np.float64)
    return sounds


def test_spectrum_energy_and_control(fixture: Any, rules: ModuleType) -> None:
    for name, sound in _sounds(fixture, rules).items():
        spectrum = mel_energy.log_mel(sound)
        assert spectrum.shape == tuple(fixture.arrays[f"{name}.log_mel.shape"])
        sampled = spectrum.reshape(-1)[fixture.arrays[f"{name}.log_mel.idx"]]
        np.testing.assert_allclose(sampled, fixture.arrays[f"{name}.log_mel.val"], rtol=0, atol=1e-4)
        energy = mel_energy.energy_curve(sound)
        np.testing.assert_allclose(energy, fixture.arrays[f"{name}.mel_mean_512_raw"], rtol=0, atol=1e-4)
        control = mel_energy.control_curve(energy)
        np.testing.assert_allclose(control, fixture.arrays[f"{name}.hint_512"], rtol=0, atol=1e-4)


def test_energy_mae(fixture: Any, rules: ModuleType) -> None:
    sounds = _sounds(fixture, rules)
    sample_rate = fixture.facts["config"]["audio"]["sampling_rate"]
    keys = [key for key in fixture.arrays if key.startswith("eval_mae_")]
    assert keys
    for key in keys:
        first, second = key.removeprefix("eval_mae_").split("_vs_")
        curves = [mel_energy.energy_curve(sounds[name]) for name in (first, second)]
        assert np.abs(curves[0] - curves[1]).mean() == pytest.approx(float(fixture.arrays[key]), abs=1e-4)
        if len(sounds[first]) == len(sounds[second]):
            how = METRIC.convention("code")
            clip = ClipInput(key, sounds[second], sample_rate, reference=sounds[first])
            value = how.combiner.value([how.statistics(clip)])
            assert value == pytest.approx(float(fixture.arrays[key]), abs=1e-4)
