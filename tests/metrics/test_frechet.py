"""The Fréchet distance on sets whose Gaussians are known."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from clapstick.metrics.base import Array, NotComputableError
from clapstick.metrics.frechet import (
    Gaussian,
    equal_sizes,
    extrapolate,
    frechet_distance,
    frechet_distance_inf,
    gaussian_distance,
    small_set_warning,
)


def _whitened(rng: np.random.Generator, frames: int, dimension: int) -> Array:
    """Return rows whose sample mean is 0 and whose sample covariance is the identity, exactly."""
    rows = rng.normal(size=(frames, dimension))
    rows -= rows.mean(axis=0)
    return np.linalg.qr(rows)[0] * sqrt(frames - 1)


def test_one_dimension_by_hand() -> None:
    # {0, 2} and {1, 5}: means 1 and 3, variances 2 and 8. (1 - 3)^2 + (sqrt 8 - sqrt 2)^2 = 4 + 2 = 6.
    assert frechet_distance(np.array([[0.0], [2]]), np.array([[1.0], [5]])) == pytest.approx(6.0, abs=1e-12)


def test_correlated_covariances_by_hand() -> None:
    # C1 = [[2, 1], [1, 2]], C2 = diag(3, 1): tr(C1 C2) = 8, det = 9, and for a 2 x 2 matrix
    # tr sqrt(M) = sqrt(tr M + 2 sqrt(det M)) = sqrt(8 + 6) = sqrt 14. Distance 4 + 4 - 2 sqrt 14 = 0.5166852.
    base = _whitened(np.random.default_rng(0), 50, 2)
    reference = base @ np.linalg.cholesky(np.array([[2.0, 1], [1, 2]])).T
    generated = base @ np.diag(np.sqrt([3.0, 1]))
    assert frechet_distance(reference, generated) == pytest.approx(8 - 2 * sqrt(14), abs=1e-12)
    exact = gaussian_distance(
        Gaussian.of_moments(np.zeros(2), np.array([[2.0, 1], [1, 2]])),
        Gaussian.of_moments(np.zeros(2), np.diag([3.0, 1])),
    )
    assert exact == pytest.approx(0.5166852, abs=1e-7)


def test_a_stretched_and_moved_set_by_hand() -> None:
    # X = (-1,0), (1,0), (0,-2), (0,2), Y = (3x + 3, y + 4): means differ by (3, 4), 25. Variance of x is 2/3,
    # of 3x is 6: (3 - 1)^2 * 2/3 = 8/3, y does not change. 25 + 8/3 = 27.666667.
    rows = np.array([[-1.0, 0], [1, 0], [0, -2], [0, 2]])
    moved = rows * [3, 1] + [3, 4]
    assert frechet_distance(rows, moved) == pytest.approx(25 + 8 / 3, abs=1e-9)


@pytest.mark.parametrize(("frames", "dimension"), [(40, 8), (10, 30), (31, 30), (30, 30), (2, 5)])
def test_a_set_has_no_distance_to_itself(frames: int, dimension: int) -> None:
    rows = np.random.default_rng(frames).normal(size=(frames, dimension))
    assert 0.0 <= frechet_distance(rows, rows) < 1e-9


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(2, 40),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_symmetric_never_negative_and_blind_to_order(
    frames_r: int, frames_g: int, dimension: int, state: int, scale: float
) -> None:
    rng = np.random.default_rng(state)
    reference = scale * rng.normal(size=(frames_r, dimension))
    generated = scale * (rng.normal(size=(frames_g, dimension)) + rng.normal(size=dimension))
    generated[:, rng.random(dimension) < 0.2] = 0.0
    forward = frechet_distance(reference, generated)
    assert forward >= 0.0
    assert np.isfinite(forward)
    assert frechet_distance(generated, reference) == pytest.approx(forward, rel=1e-7, abs=1e-9 * scale**2)
    shuffled = frechet_distance(reference, rng.permutation(generated))
    assert shuffled == pytest.approx(forward, rel=1e-7, abs=1e-9 * scale**2)


def test_equals_the_matrix_square_root_on_a_regular_set() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12))
    generated = rng.normal(size=(250, 12)) @ rng.normal(size=(12, 12)) + 0.5
    first, second = np.cov(reference, rowvar=False), np.cov(generated, rowvar=False)
    offset = reference.mean(axis=0) - generated.mean(axis=0)
    expected = offset @ offset + np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real
    assert frechet_distance(reference, generated) == pytest.approx(expected, rel=1e-9)


def test_rank_deficient_sets_stay_real() -> None:
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(200, 20)) @ rng.normal(size=(20, 64))
    generated = rng.normal(size=(180, 20)) @ rng.normal(size=(20, 64))
    value = frechet_distance(reference, generated)
    assert np.isfinite(value)
    assert value > 0
    constant = np.ones((50, 64))
    # A point mass at 1 and a set of mean m and total variance V: |m - 1|^2 + V.
    spread = float(((reference.mean(axis=0) - 1) ** 2).sum() + reference.var(axis=0, ddof=1).sum())
    assert frechet_distance(reference, constant) == pytest.approx(spread, rel=1e-9)
    assert frechet_distance(constant, constant) == 0.0


def test_an_exactly_linear_series_gives_its_limit() -> None:
    # FAD(n) = 3 + 70 / n: intercept 3, slope 70, all variance explained.
    sizes = np.linspace(500, 900, 25).astype(np.int64)
    line = extrapolate(sizes, 3 + 70 / sizes)
    assert line.value == pytest.approx(3.0, abs=1e-9)
    assert line.slope == pytest.approx(70.0, rel=1e-9)
    assert line.r2 == pytest.approx(1.0)


def test_extrapolation_repeats_with_its_seed_and_differs_without() -> None:
    rng = np.random.default_rng(7)
    reference, generated = rng.normal(size=(600, 4)), rng.normal(size=(700, 4))
    runs = [frechet_distance_inf(reference, generated, np.random.default_rng(seed)).value for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_drawing_without_replacement_removes_the_bias_that_the_bootstrap_keeps() -> None:
    # Both sets from one Gaussian in 64 dimensions: the true distance is 0. The plain distance of 1500 frames is
    # biased; drawing with replacement from that pool comes back to about the same, without replacement the bias
    # of the generated set goes and the reference's is left.
    rng = np.random.default_rng(8)
    reference, generated = rng.normal(size=(1500, 64)), rng.normal(size=(1500, 64))
    plain = frechet_distance(reference, generated)
    bootstrap = frechet_distance_inf(reference, generated, np.random.default_rng(0)).value
    without = frechet_distance_inf(reference, generated, np.random.default_rng(0), draw="no-replacement").value
    assert bootstrap == pytest.approx(plain, rel=0.25)
    assert without < 0.7 * plain


def test_too_few_frames_are_a_reason() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 3))
    with pytest.raises(NotComputableError, match="generated set has 1 frames, a covariance needs at least 2"):
        frechet_distance(rows, rows[:1])
    with pytest.raises(NotComputableError, match="10 generated frames, an extrapolation without replacement"):
        frechet_distance_inf(rows, rows, np.random.default_rng(0), draw="no-replacement")
    five_hundred = np.random.default_rng(0).normal(size=(500, 3))
    with pytest.raises(NotComputableError, match="exactly 500 generated frames"):
        frechet_distance_inf(five_hundred, five_hundred, np.random.default_rng(0))


def test_bad_sets_are_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 3))
    broken = rows.copy()
    broken[4, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 10 generated embeddings are NaN or infinite"):
        frechet_distance(rows, broken)
    with pytest.raises(ValueError, match="reference embeddings have 3 dimensions and generated 2"):
        frechet_distance(rows, rows[:, :2])
    with pytest.raises(ValueError, match=r"shape \(10,\)"):
        frechet_distance(rows[:, 0], rows)


def test_equal_sizes_cut_the_larger_set() -> None:
    reference, generated = np.arange(20.0).reshape(10, 2), np.arange(8.0).reshape(4, 2)
    cut, kept = equal_sizes(reference, generated, np.random.default_rng(0))
    assert len(cut) == 4
    assert kept is generated
    assert {tuple(row) for row in cut} <= {tuple(row) for row in reference}


def test_small_sets_are_warned_of() -> None:
    assert small_set_warning(20_480, 30_000, 2048) == ()
    assert "does not have full rank" in small_set_warning(732, 732, 2048)[0]
    assert "732 frames for 128 dimensions" in small_set_warning(7320, 732, 128)[0]
