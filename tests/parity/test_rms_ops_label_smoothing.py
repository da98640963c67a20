"""Smoothed labels and the loss on them, against jnwnlee/video-foley."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from clapstick.systems.two_stage.label_smoothing import smooth_labels, smoothed_cross_entropy

FORM = "rms_ops"
WIDTHS = (0, 1, 2, 3, 5)


def test_smoothed_labels(fixture: Any) -> None:
    targets = torch.from_numpy(fixture.arrays["label_targets"])
    for width in WIDTHS:
        labels = smooth_labels(targets, 64, width=width, form="official").permute(0, 2, 1)
        np.testing.assert_allclose(labels, fixture.arrays[f"smoothed_64_blur{width}"], rtol=0, atol=1e-6)


def test_loss(fixture: Any) -> None:
    logits = torch.from_numpy(fixture.arrays["logits"].astype(np.float32))
    targets = torch.from_numpy(fixture.arrays["targets"])
    for width in (2, 3):
        loss = smoothed_cross_entropy(logits, targets, width=width, form="official")
        np.testing.assert_allclose(loss, fixture.arrays[f"ce_gls_blur{width}"], rtol=1e-6, atol=1e-6)
