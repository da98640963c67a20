"""The Fréchet distance between two Gaussians fitted to sets of embeddings, and its extrapolation to infinite
sets.

||m_r - m_g||^2 + tr C_r + tr C_g - 2 tr (C_r C_g)^(1/2), covariances with divisor n - 1: a squared distance.
Source: K. Kilgour et al., Fréchet Audio Distance, Interspeech 2019; microsoft/fadtk@ec74b1f fadtk/fad.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.base import Array, NotComputableError

SIZES = 25
SMALLEST_SIZE = 500
"""Both are fadtk's: 25 subset sizes from 500 frames up."""

Draw = Literal["bootstrap", "no-replacement"]


@dataclass(frozen=True)
class Extrapolation:
    """FAD-inf and the straight line it was read from."""

    value: float
    """The line's value at 1/n = 0. It may be negative: it is an extrapolation."""
    slope: float
    r2: float
    """Share of the variance that the line explains; near 0 the extrapolation means little."""
    sizes: NDArray[np.int64]
    distances: Array


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian fitted to embeddings: its mean, total variance, and a factor F of its covariance, C = F^T
    F.
    """

    mean: Array
    """Shape (dimension,)."""
    variance: float
    """Trace of the covariance."""
    factor: Array
    """Shape (at most dimension, dimension)."""

    @classmethod
    def fit(cls, rows: Array, *, half_precision_mean: bool = False) -> Gaussian:
        """Fit mean and covariance (divisor n - 1) to rows of shape (frames, dimension)."""
        mean = rows.mean(axis=0)
        scaled = (rows - mean) / np.sqrt(len(rows) - 1)
        variance = float(np.einsum("ij,ij->", scaled, scaled))
        if half_precision_mean:
            mean = rows.astype(np.float16).mean(axis=0).astype(np.float64)
        return cls(mean, variance, _factor(scaled) if len(rows) > rows.shape[1] else scaled)

    @classmethod
    def of_moments(cls, mean: Array, covariance: Array) -> Gaussian:
        """Take mean, shape (dimension,), and covariance, shape (dimension, dimension), as they are."""
        values, vectors = np.linalg.eigh(covariance)
        factor = (vectors * np.sqrt(np.maximum(values, 0.0))).T
        return cls(np.asarray(mean, dtype=np.float64), float(np.trace(covariance)), factor)


def gaussian_distance(reference: Gaussian, generated: Gaussian) -> float:
    """Return the squared Fréchet distance between two Gaussians, at least 0."""
    offset = reference.mean - generated.mean
    overlap = float(np.linalg.svd(reference.factor @ generated.factor.T, compute_uv=False).sum())
    return max(0.0, float(offset @ offset) + reference.variance + generated.variance - 2 * overlap)


def frechet_distance(reference: Array, generated: Array) -> float:
    """Return the squared Fréchet distance between Gaussians fitted to two sets of embeddings.

    With centred rows X and Y, tr (C_r C_g)^(1/2) is the sum of singular values of X Y^T over sqrt((n_r - 1)(n_g
    - 1)). That needs no matrix square root, never turns complex on rank-deficient sets and works on the smaller
    of frames and dimension.

    Parameters
    ----------
    reference, generated : array, shape (frames, dimension)
        The sets may differ in frames, not in dimension.

    Returns
    -------
    float
        At least 0.

    Raises
    ------
    ValueError
        If a set is not two-dimensional, not finite, or the dimensions differ.
    NotComputableError
        If a set has fewer than 2 frames.
    """
    reference, generated = require_pair(reference, generated)
    return gaussian_distance(Gaussian.fit(reference), Gaussian.fit(generated))


def frechet_distance_inf(
    reference: Array | Gaussian,
    generated: Array,
    rng: np.random.Generator | np.random.RandomState,
    *,
    draw: Draw = "bootstrap",
    sizes: int = SIZES,
    smallest: int = SMALLEST_SIZE,
    half_precision_mean: bool = False,
) -> Extrapolation:
    """Extrapolate the Fréchet distance to infinitely many generated frames (FAD-inf).

    Parameters
    ----------
    reference : array, shape (frames, dimension), or Gaussian
    generated : array, shape (frames, dimension)
    rng : numpy Generator or RandomState
        ``RandomState(seed)`` draws what fadtk draws after ``numpy.random.seed(seed)``.
    draw : {"bootstrap", "no-replacement"}
        fadtk draws with replacement from the pool it extrapolates from, which returns about the plain distance
        of that pool. Without replacement the line approaches the distance of the distribution.
    sizes, smallest : int
        How many subset sizes, evenly spaced from `smallest` to all frames.
    half_precision_mean : bool
        Round the generated mean to float16, as fadtk does because it caches embeddings in float16.

    Raises
    ------
    NotComputableError
        Without replacement, if there are fewer than `smallest` + 1 frames: there is no line through one size.
    """
    if isinstance(reference, Gaussian):
        fixed = reference
    else:
        reference, generated = require_pair(reference, generated)
        fixed = Gaussian.fit(reference)
    available = len(generated)
    counts = np.linspace(smallest, available, sizes).astype(np.int64)
    if draw == "no-replacement" and available <= smallest:
        raise NotComputableError(
            f"{available} generated frames, an extrapolation without replacement needs more than {smallest}; "
            "score more clips or use the plain distance"
        )
    if available == smallest:
        raise NotComputableError(
            f"exactly {smallest} generated frames leave one subset size and no line through it"
        )
    distances = np.empty(sizes)
    for index, count in enumerate(counts):
        chosen = rng.choice(available, size=int(count), replace=draw == "bootstrap")
        drawn = Gaussian.fit(generated[chosen], half_precision_mean=half_precision_mean)
        distances[index] = gaussian_distance(fixed, drawn)
    return extrapolate(counts, distances)


def extrapolate(sizes: NDArray[np.int64], distances: Array) -> Extrapolation:
    """Fit distances against 1 / size by least squares and read the line at 0."""
    inverse = 1 / sizes
    slope, intercept = np.polyfit(inverse, distances, 1)
    residual = distances - (slope * inverse + intercept)
    total = float(((distances - distances.mean()) ** 2).sum())
    r2 = 1 - float((residual**2).sum()) / total if total else 1.0
    return Extrapolation(float(intercept), float(slope), r2, sizes, distances)


def equal_sizes(reference: Array, generated: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw the larger set down to the size of the smaller one, without replacement.

    The distance of two finite sets grows as they shrink, so distances of sets of unequal size do not compare.
    """
    size = min(len(reference), len(generated))
    return tuple(  # type: ignore[return-value]
        rows if len(rows) == size else rows[np.sort(rng.choice(len(rows), size=size, replace=False))]
        for rows in (reference, generated)
    )


def small_set_warning(reference_frames: int, generated_frames: int, dimension: int) -> tuple[str, ...]:
    """Return a warning where a set has fewer frames than ten times the dimension, and how far below it is."""
    frames = min(reference_frames, generated_frames)
    if frames >= 10 * dimension:
        return ()
    rank = "; its covariance does not have full rank" if frames <= dimension else ""
    return (
        f"{frames} frames for {dimension} dimensions: the distance is biased upwards by about dimension / "
        f"frames{rank}. Compare it only with distances of equally many frames.",
    )


def require_pair(reference: Array, generated: Array) -> tuple[Array, Array]:
    """Return both sets as float64; raise where no distance between them is defined."""
    checked = []
    for rows, name in ((reference, "reference"), (generated, "generated")):
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError(f"{name} embeddings have shape {rows.shape}, expected (frames, dimension)")
        if len(rows) < 2:
            raise NotComputableError(f"{name} set has {len(rows)} frames, a covariance needs at least 2")
        if not np.isfinite(rows).all():
            bad = int((~np.isfinite(rows).all(axis=1)).sum())
            raise ValueError(
                f"{bad} of {len(rows)} {name} embeddings are NaN or infinite; embed the sound again"
            )
        checked.append(rows)
    if checked[0].shape[1] != checked[1].shape[1]:
        raise ValueError(
            f"reference embeddings have {checked[0].shape[1]} dimensions and generated {checked[1].shape[1]}; "
            "use one embedder for both"
        )
    return checked[0], checked[1]


def _factor(scaled: Array) -> Array:
    """Return an upper triangular F with F^T F = X^T X: Cholesky's, or from QR where X has no full rank."""
    try:
        lower: Array = np.linalg.cholesky(scaled.T @ scaled)
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.qr(scaled, mode="r"), dtype=np.float64)
    return lower.T
