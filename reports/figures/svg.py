"""Small tools for hand-written SVG.

Every element carries print colours as attributes and a class: a page restyles the classes for its theme, and a
file of its own looks right on white paper. One blue and greys carry everything: nothing rests on hue alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

INK = "#1c1e21"
MUTED = "#5a5e66"
LINE = "#d9d9d3"
BLUE = "#0b57a4"
GREY = "#6d7179"
PALE = "#c9cbcf"
PAPER = "#fcfcfa"

_STYLES = {
    "fg": {"fill": INK},
    "dim": {"fill": MUTED},
    "grid": {"stroke": LINE},
    "rule": {"stroke": MUTED},
    "mark": {"fill": BLUE, "stroke": BLUE},
    "mark-line": {"fill": "none", "stroke": BLUE},
    "control": {"fill": PAPER, "stroke": GREY},
    "control-line": {"fill": "none", "stroke": GREY},
    "ghost": {"fill": PALE},
    "hollow": {"fill": PAPER, "stroke": BLUE},
    "onset": {"stroke": INK},
}
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif"


@dataclass(frozen=True)
class Figure:
    """A picture with what to write below it."""

    name: str
    svg: Markup
    caption: str
    is_wide: bool = False


def element(tag: str, style: str = "", *children: Markup, **attributes: object) -> Markup:
    """Return an element; attribute names write ``-`` as ``_``, and values are escaped."""
    values: dict[str, object] = {}
    if style:
        values = {"class": style, **_STYLES.get(style, {})}
    values |= {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    parts = Markup("").join(
        Markup(' {}="{}"').format(Markup(name), _clean(_number(value))) for name, value in values.items()
    )
    opening = Markup("<") + Markup(tag) + parts
    if not children:
        return opening + Markup("/>")
    return opening + Markup(">") + Markup("").join(children) + Markup("</{}>").format(Markup(tag))


def text(x: float, y: float, words: str, style: str = "fg", **attributes: object) -> Markup:
    """Return a line of text; the words are escaped."""
    return element("text", style, escape(_clean(words)) if words else Markup(" "), x=x, y=y, **attributes)


def drawing(width: float, height: float, words: str, *children: Markup) -> Markup:
    """Return a whole picture with a title for those who cannot see it."""
    return element(
        "svg",
        "",
        element("title", "", escape(_clean(words))),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        font_family=FONT,
        font_size=12,
        stroke_width=1,
    )


@dataclass(frozen=True)
class Scale:
    """Maps values to places along an axis."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high = self._stretch(self.low), self._stretch(self.high)
        share = (self._stretch(value) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values between the ends."""
        if self.logarithmic:
            powers = _powers(self.low, self.high)
            if len(powers) > 2:
                return powers
        step = _nice((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [round((first + index) * step, 10) for index in range(count)]

    def _stretch(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def scale_for(
    values: Sequence[float], start: float, end: float, *, logarithmic: bool = False, margin: float = 0.06
) -> Scale:
    """Return a scale that holds all values with a little room at both ends."""
    low, high = min(values), max(values)
    if logarithmic:
        return Scale(low / 1.5, high * 1.5, start, end, logarithmic=True)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Scale(low - room, high + room, start, end)


def label_for(value: float) -> str:
    """Return an axis label."""
    return f"{value:g}".replace("-", "−")


def _nice(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(size * power for size in (1, 2, 5, 10) if size * power >= rough - 1e-12)


def _powers(low: float, high: float) -> list[float]:
    found = [
        size * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for size in (1, 2, 5)
    ]
    inside = [value for value in found if low <= value <= high]
    tens = [value for value in inside if f"{value:e}".startswith("1.")]
    return tens if len(tens) >= 3 else inside


def _clean(value: object) -> object:
    """Replace characters that XML does not allow at all."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
