"""Smoothed labels and the loss on them, against jnwnlee/video-foley."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from clapstick.systems.two_stage.label_smoothing import smooth_labels, smoothed_cross_entropy

FORM = "rms_ops"


def test_smoothed_labels(fixture: Any) -> None:
    targets = torch.from_numpy(fixture.arrays["label_targets"])
    for match in fixture.matches(r"smoothed_(\d+)_blur(\d+)"):
        classes, width = map(int, match.groups())
        labels = smooth_labels(targets, classes, width=width, form="official").permute(0, 2, 1)
        np.testing.assert_allclose(labels, fixture.arrays[match[0]], rtol=0, atol=1e-6)


def test_loss(fixture: Any) -> None:
    logits = torch.from_numpy(fixture.arrays["logits"].astype(np.float32))
    targets = torch.from_numpy(fixture.arrays["targets"])
    for match in fixture.matches(r"ce_gls_blur(\d+)"):
        loss = smoothed_cross_entropy(logits, targets, width=int(match[1]), form="official")
        np.testing.assert_allclose(loss, fixture.arrays[match[0]], rtol=1e-6, atol=1e-6)
