"""Numbers as readers see them: as many digits as the interval supports, and a true minus sign."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, log10
from statistics import median

MOST_DECIMALS = 6
_UNKNOWN = "–"


def decimals_for(values: Iterable[float | None], half_widths: Iterable[float | None]) -> int:
    """Return how many decimals a column needs: two significant digits of its median interval.

    Without intervals, three significant digits of the largest value.
    """
    widths = [abs(width) for width in half_widths if width is not None and isfinite(width)]
    visible = [width for width in widths if width > 1e-9 * max(widths)]
    if visible:
        return _clip(1 - floor(log10(median(visible))))
    sizes = [abs(value) for value in values if value is not None and isfinite(value) and value != 0]
    return _clip(2 - floor(log10(max(sizes)))) if sizes else 0


def format_value(value: float | None, decimals: int) -> str:
    """Format with fixed decimals; a dash where there is no value."""
    if value is None or not isfinite(value):
        return _UNKNOWN
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def format_p(p: float) -> str:
    """Format a p-value as journals do: never 0."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _clip(decimals: int) -> int:
    return min(max(decimals, 0), MOST_DECIMALS)
