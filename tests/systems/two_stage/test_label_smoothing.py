"""Smoothed labels by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clapstick.systems.two_stage.label_smoothing import Form, smooth_labels, smoothed_cross_entropy


@pytest.mark.parametrize(
    ("form", "near", "far"),
    # Paper: exp(-1/2) = 0.6065, exp(-4/2) = 0.1353. Code: exp(-2/4) = 0.6065, exp(-4/4) = 0.3679.
    [("paper", 0.60653066, 0.13533528), ("official", 0.60653066, 0.36787944)],
)
def test_weights_by_hand(form: Form, near: float, far: float) -> None:
    weights = smooth_labels(torch.tensor([[5]]), 8, width=2, form=form)[0, :, 0]
    assert weights.tolist() == pytest.approx([0, 0, 0, far, near, 1, near, far], abs=1e-7)


@given(target=st.integers(0, 15), width=st.integers(0, 6), form=st.sampled_from(["paper", "official"]))
def test_silence_is_one_hot_and_takes_nothing(target: int, width: int, form: Form) -> None:
    weights = smooth_labels(torch.tensor([[target]]), 16, width=width, form=form)[0, :, 0]
    assert weights[target] == 1
    if target == 0:
        assert weights.sum() == 1
    else:
        assert weights[0] == 0
        assert (weights > 0).sum() == min(15, target + width) - max(1, target - width) + 1


def test_loss_by_hand() -> None:
    # Equal logits: log softmax is -ln 3 everywhere; labels of class 1 among 0..2 are 0, 1, exp(-1/2).
    loss = smoothed_cross_entropy(torch.zeros(1, 3, 1), torch.tensor([[1]]), width=1)
    assert loss.item() == pytest.approx(math.log(3) * (1 + math.exp(-0.5)), rel=1e-6)


def test_width_zero_is_plain_cross_entropy() -> None:
    logits = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[0, 1, 2, 8, 4], [3, 3, 0, 7, 6]])
    expected = torch.nn.functional.cross_entropy(logits, targets)
    assert smoothed_cross_entropy(logits, targets, width=0).item() == pytest.approx(expected.item(), rel=1e-6)
