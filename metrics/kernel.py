"""Kernel distances between sets of embeddings: unbiased squared maximum mean discrepancies."""

from __future__ import annotations

from typing import Literal

import numpy as np

from clapstick.metrics.base import Array
from clapstick.metrics.frechet import require_pair

SCALE = 100.0
"""KAD is printed times 100."""
STABILISER = 1e-8
"""kadtk adds it to twice the squared bandwidth."""

Kernel = Literal["gaussian", "iq", "imq"]


def kernel_distance(
    reference: Array, generated: Array, bandwidth: float, *, kernel: Kernel = "gaussian"
) -> float:
    """Return 100 times the unbiased squared MMD (KAD). It may be negative.

    Parameters
    ----------
    reference, generated : array, shape (frames, dimension)
    bandwidth : float
        Standard deviation of the Gaussian kernel exp(-d^2 / (2 b^2 + 1e-8)).
    kernel : {"gaussian", "iq", "imq"}
        Gaussian, inverse quadratic or inverse multiquadric.

    Raises
    ------
    ValueError, NotComputableError
        As `frechet_distance`.
    """
    reference, generated = require_pair(reference, generated)
    gamma = 1 / (2 * bandwidth**2 + STABILISER)
    within_reference = _mean_off_diagonal(_kernel(squared_distances(reference, reference), gamma, kernel))
    within_generated = _mean_off_diagonal(_kernel(squared_distances(generated, generated), gamma, kernel))
    between = float(_kernel(squared_distances(reference, generated), gamma, kernel).mean())
    return SCALE * (within_reference + within_generated - 2 * between)


def median_distance(rows: Array) -> float:
    """Return the lower median of all pairwise distances, as ``torch.median`` takes it."""
    rows = np.asarray(rows, dtype=np.float64)
    upper = np.triu_indices(len(rows), k=1)
    distances = np.sqrt(squared_distances(rows, rows)[upper])
    middle = (len(distances) - 1) // 2
    return float(np.partition(distances, middle)[middle])


def polynomial_kernel_distance(
    reference: Array, generated: Array, *, degree: int = 3, offset: float = 1.0
) -> float:
    """Return the unbiased squared MMD with kernel (x.y / dimension + offset)^degree (one KID subset)."""
    reference, generated = require_pair(reference, generated)
    scale = 1 / reference.shape[1]
    within_reference = _mean_off_diagonal((reference @ reference.T * scale + offset) ** degree)
    within_generated = _mean_off_diagonal((generated @ generated.T * scale + offset) ** degree)
    between = float(((reference @ generated.T * scale + offset) ** degree).mean())
    return within_reference + within_generated - 2 * between


def squared_distances(first: Array, second: Array) -> Array:
    """Return squared Euclidean distances of all pairs of rows; shape (first rows, second rows)."""
    squares: Array = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :] - 2 * (first @ second.T)
    return np.maximum(squares, 0.0)


def _kernel(squares: Array, gamma: float, kernel: Kernel) -> Array:
    if kernel == "gaussian":
        values: Array = np.exp(-gamma * squares)
    elif kernel == "iq":
        values = 1 / (1 + gamma * squares)
    else:
        values = 1 / np.sqrt(1 + gamma * squares)
    return values


def _mean_off_diagonal(matrix: Array) -> float:
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))
