"""Digits that intervals support."""

from __future__ import annotations

import pytest

from clapstick.reports.numbers import decimals_for, format_p, format_value


@pytest.mark.parametrize(
    ("values", "half_widths", "decimals"),
    [
        # A half-width of 0.0045 has two significant digits at the fourth decimal.
        ([0.0232], [0.0045], 4),
        ([27.2], [1.3], 1),
        ([425.0], [60.0], 0),
        # A control that is always right has an interval of no width, and does not count.
        ([0.0, 0.02], [0.0, 0.0045], 4),
        ([1.0, 0.98, 0.97], [1e-17, 0.02, 0.03], 3),
        # Without intervals: three significant digits of the largest.
        ([0.0232, 0.5], [], 3),
        ([579.0], [None], 0),
        ([0.0], [], 0),
        ([None], [None], 0),
    ],
)
def test_decimals(values: list[float | None], half_widths: list[float | None], decimals: int) -> None:
    assert decimals_for(values, half_widths) == decimals


def test_values_have_true_minus_signs_and_no_negative_zero() -> None:
    assert format_value(-0.0236, 3) == "−0.024"
    assert format_value(-0.0001, 2) == "0.00"
    assert format_value(None, 2) == "–"
    assert format_value(float("nan"), 2) == "–"


def test_p_values_are_never_zero() -> None:
    assert format_p(0.0) == "p < 0.001"
    assert format_p(0.0312) == "p = 0.031"
