"""What rounding to RMS classes costs: by hand, in closed form, and as the discretised reference has it."""

from __future__ import annotations

import numpy as np
import pytest

from clapstick.harness.ablate.quantisation import expected_error
from clapstick.metrics.acc import tolerance_hits
from clapstick.metrics.e_l1 import e_l1
from clapstick.metrics.rms import RMS_MIN, bin_edges
from clapstick.systems.controls import classes_of, predictions_of


def rounding_error(envelope: np.ndarray, bins: int) -> float:
    """E-L1 of the discretised envelope over the frames that are not class 0, as e-l1:video2rms counts."""
    kept = envelope >= RMS_MIN
    told = predictions_of(classes_of(envelope, bins), bins)["envelope"]
    return e_l1(envelope[kept], told[kept].astype(np.float64))


def test_error_falls_with_bins_as_by_hand_for_a_known_envelope():
    envelope = np.array([0.005, 0.1, 0.3, 0.6])
    # 0.005 is class 0 and left out. Two bins: edges 0.01 and 1, all three round up to 1:
    # (0.9 + 0.7 + 0.4) / 3 = 0.66667.
    assert rounding_error(envelope, 2) == pytest.approx(2 / 3)
    # Four bins: mu = 3, q = (4 / 1.03) ** (1/3) = 1.57184;
    # edges (0.01 + 1/3) q**k - 1/3 = 0.01, 0.20633, 0.51493, 1.
    # 0.1 -> 0.20633, 0.3 -> 0.51493, 0.6 -> 1: (0.10633 + 0.21493 + 0.4) / 3 = 0.24042.
    assert bin_edges(4) == pytest.approx([0.01, 0.20633, 0.51493, 1.0], abs=1e-5)
    assert rounding_error(envelope, 4) == pytest.approx(0.24042, abs=1e-5)


def test_closed_form_by_hand():
    # Four bins, mean amplitude 0.3: ln q = ln(4 / 1.03) / 3 = 0.452245; (q - 1) / ln q - 1 =
    # 0.571839 / 0.452245 - 1 = 0.264446; times (0.3 + 1/3): 0.167482.
    assert expected_error(0.3, 4) == pytest.approx(0.16748, abs=2e-5)
    assert expected_error(0.3, 0) == 0.0


@pytest.mark.parametrize("bins", [16, 32, 64, 128, 256])
def test_closed_form_holds_for_a_decaying_hit(bins):
    # A hit that decays from 1 to 0.01: its amplitudes come to lie in all places of all bins.
    decay = np.exp(np.linspace(np.log(0.9999), np.log(RMS_MIN), 50_000))
    assert rounding_error(decay, bins) == pytest.approx(expected_error(float(decay.mean()), bins), rel=0.03)


def test_closed_form_falls_with_bins_towards_half_a_step():
    errors = [expected_error(0.1, bins) for bins in (16, 32, 64, 128, 256)]
    assert errors == sorted(errors, reverse=True)
    # 256 bins: ln(256 / 3.55) / 255 = 0.016778; half of it times (0.1 + 1/255) = 0.00087179.
    assert errors[-1] == pytest.approx(0.00087179, rel=0.01)


@pytest.mark.parametrize("bins", [2, 16, 64, 256])
def test_classes_of_the_discretised_reference_are_right_by_construction(bins):
    envelope = np.random.default_rng(0).uniform(0, 1, 500)
    classes = classes_of(envelope, bins)
    told = predictions_of(classes, bins)["rms_logits"].argmax(axis=1)
    assert tolerance_hits(classes, told, 0).mean() == 1.0
