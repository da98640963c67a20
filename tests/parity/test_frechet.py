"""Frechet distances, FAD-inf and KAD against both fadtk forks, kadtk and the FAVD code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clapstick.metrics.base import Array
from clapstick.metrics.frechet import (
    Gaussian,
    extrapolate,
    frechet_distance,
    frechet_distance_inf,
    gaussian_distance,
)
from clapstick.metrics.kernel import kernel_distance, median_distance

FORM = "frechet"


def _cases(fixture: Any) -> list[tuple[str, str, Array, Array]]:
    """Return key, name, reference and generated set of every case."""
    return [
        (
            f"c{number}",
            case["name"],
            fixture.arrays[f"c{number}.x"].astype(np.float64),
            fixture.arrays[f"c{number}.y"].astype(np.float64),
        )
        for number, case in fixture.facts["upstream_results"]["cases"].items()
    ]


def _tolerance(name: str) -> dict[str, float]:
    """Return the tolerance that the fixture states for the kind of case that a name belongs to."""
    if name.startswith("identical"):
        return {"rel": 0, "abs": 1e-6}
    return {"rel": 1e-6, "abs": 0} if name.startswith("regular") else {"rel": 0, "abs": 1e-4}


@pytest.mark.parametrize("official", ["fadtk_dcase", "fadtk_microsoft", "favd", "reference_psd_eigh"])
def test_distances(fixture: Any, official: str) -> None:
    for key, name, reference, generated in _cases(fixture):
        value = frechet_distance(reference, generated)
        assert value >= 0
        expected = float(fixture.arrays[f"{key}.{official}"])
        if np.isfinite(expected):
            assert value == pytest.approx(expected, **_tolerance(name)), name


def test_distances_of_float16_arrays(fixture: Any) -> None:
    """Means of float16 arrays are float16, and so is the square of their difference; covariances are not."""
    for key, name, reference, generated in _cases(fixture):
        fitted = [Gaussian.fit(rows, half_precision_mean=True) for rows in (reference, generated)]
        exact = fitted[0].mean - fitted[1].mean
        half = exact.astype(np.float16)
        value = gaussian_distance(*fitted) - float(exact @ exact) + float(half.dot(half))
        expected = float(fixture.arrays[f"{key}.fadtk_dcase_float16_mu"])
        if np.isfinite(expected):
            assert value == pytest.approx(expected, **_tolerance(name)), name


def test_kernel_distances(fixture: Any) -> None:
    for key, name, reference, generated in _cases(fixture):
        bandwidth = median_distance(generated)
        assert bandwidth == pytest.approx(float(fixture.arrays[f"{key}.kad_median_bandwidth_of_y"]), rel=1e-6)
        assert median_distance(reference) == pytest.approx(
            float(fixture.arrays[f"{key}.kad_median_bandwidth_of_x"]), rel=1e-6
        )
        value = kernel_distance(reference, generated, bandwidth)
        exact = float(fixture.arrays[f"{key}.kad_gaussian_float64"])
        assert value == pytest.approx(exact, rel=1e-6, abs=1e-6), name
        assert value == pytest.approx(float(fixture.arrays[f"{key}.kad_gaussian"]), abs=2e-3), name
        for match in fixture.matches(rf"{key}\.kad_gaussian_bandwidth_([\d.]+)"):
            fixed = kernel_distance(reference, generated, float(match[1]))
            assert fixed == pytest.approx(float(fixture.arrays[match[0]]), abs=2e-3), name
        for kernel in ("iq", "imq"):
            other = kernel_distance(reference, generated, bandwidth, kernel=kernel)  # type: ignore[arg-type]
            assert other == pytest.approx(float(fixture.arrays[f"{key}.kad_{kernel}"]), abs=2e-3), (
                name,
                kernel,
            )


def test_extrapolations(fixture: Any) -> None:
    results = fixture.facts["upstream_results"]
    names = [
        name for name, value in results.items() if isinstance(value, dict) and "numpy_global_seed" in value
    ]
    assert names
    for name in names:
        facts, generated = results[name], fixture.arrays[f"{name}.eval"].astype(np.float64)
        base = Gaussian.of_moments(fixture.arrays[f"{name}.base_mu"], fixture.arrays[f"{name}.base_cov"])
        line = frechet_distance_inf(
            base,
            generated,
            np.random.RandomState(facts["numpy_global_seed"]),
            sizes=facts["steps"],
            smallest=facts["min_n"],
            half_precision_mean=True,
        )
        assert line.sizes.tolist() == fixture.arrays[f"{name}.sizes"].tolist()
        np.testing.assert_allclose(line.distances, fixture.arrays[f"{name}.values"], rtol=1e-6)
        score, slope, r2 = fixture.arrays[f"{name}.score_slope_r2"]
        fitted = extrapolate(line.sizes, fixture.arrays[f"{name}.values"])
        assert (fitted.value, fitted.slope, fitted.r2) == pytest.approx((score, slope, r2), rel=1e-6)
        assert line.value == pytest.approx(score, rel=1e-5), name


def test_draws_are_numpys_global_ones(fixture: Any) -> None:
    results = fixture.facts["upstream_results"]
    for name, facts in results.items():
        if not isinstance(facts, dict) or "numpy_global_seed" not in facts:
            continue
        frames, first = len(fixture.arrays[f"{name}.eval"]), fixture.arrays[f"{name}.first_indices"]
        size = int(fixture.arrays[f"{name}.sizes"][0])
        drawn = np.random.RandomState(facts["numpy_global_seed"]).choice(frames, size=size, replace=True)
        assert drawn[: len(first)].tolist() == first.tolist(), name


def test_single_rows_are_stacked(fixture: Any) -> None:
    rows = fixture.arrays["one_row.x"].astype(np.float64)
    fitted = Gaussian.fit(rows)
    np.testing.assert_allclose(fitted.mean, fixture.arrays["one_row.mu"], atol=1e-12)
    np.testing.assert_allclose(fitted.factor.T @ fitted.factor, fixture.arrays["one_row.cov"], atol=1e-12)
