"""The page of a sweep: figures, the closed form, published numbers beside, what failed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pandas as pd
import pytest

from clapstick.reports.ablation import SweepPage, sweep_figures, write_sweep_page
from clapstick.reports.figures.sweep import Axes, CostAxis, SweepLine, SweepValue, cost_figure

BINS = ("16", "64", "continuous")


def table() -> pd.DataFrame:
    """Two systems over three settings, one control that no setting reaches, and one failed score."""
    rows = []
    for place, bins in enumerate(BINS):
        for system, mean in (("two-stage-tiny", 0.010 - 0.001 * place), ("disc-rms", 0.004 - 0.001 * place)):
            rows.append(
                {
                    "setting": f"RMS bins {bins}",
                    "video2rms.classes": bins,
                    "system": system,
                    "mean": mean,
                    "low": mean - 0.001,
                    "high": mean + 0.001,
                    "parameters": 1000 * (place + 1) if system == "two-stage-tiny" else None,
                    "train_s": 10.0 + place if system == "two-stage-tiny" else None,
                    "generate_s": 0.5,
                    "published": 0.0431 if bins == "64" and system == "two-stage-tiny" else None,
                    "published_in": "Video-Foley, Table 1: ours" if bins == "64" else None,
                }
            )
    rows.append({"setting": "every setting", "system": "no-rms", "mean": 0.02, "low": 0.018, "high": 0.022})
    shared = {
        "score": "e-l1:v2s",
        "metric": "E-L1",
        "unit": "amplitude",
        "direction": "lower",
        "seeds": 3,
        "clips": 12,
        "reason": None,
    }
    return pd.DataFrame([shared | row for row in rows])


def page(**changes) -> SweepPage:
    values = {
        "title": "Bins <of> RMS",
        "question": "How many?",
        "paper": "Video-Foley, figure 2",
        "paper_says": "64 are enough.",
        "system": "two-stage-tiny",
        "choose": "e-l1:v2s",
        "prefer": "fewer are smaller",
        "verdict": "RMS bins 64 is the first setting not significantly worse than the best.",
        "seeds": (0, 1, 2),
        "axes": [("video2rms.classes", "RMS bins")],
        "figures": [],
        "table": table(),
        "against_best": [],
        "closed_form": [{"bins": "16", "expected": "0.01000", "measured": "0.01010", "accuracy": "1"}],
        "failures": [("RMS bins 8, seed 0", "out of memory & more")],
        "notes": ["Read this."],
    }
    return SweepPage(**values | changes)


def texts(svg: str) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_a_figure_has_axes_with_units_bands_and_the_papers_numbers_below():
    setting, cost = sweep_figures(page())
    words = texts(str(setting.svg))
    assert {"16", "64", "continuous", "RMS bins", "amplitude", "two-stage-tiny", "disc-rms", "no-rms"} <= set(
        words
    )
    assert "E-L1 (v2s) ↓" in words
    assert "The paper prints, from other data, 64: 0.0431." in setting.caption
    assert "The band does not depend on the setting." in setting.caption
    assert str(setting.svg).count('class="ghost"') == 1
    words = texts(str(cost.svg))
    assert {"processor s to train", "weights of stage 1"} <= set(words)
    assert "s to make a clip" not in words, "a cost that is the same for all says nothing"


def test_of_many_settings_the_unbeaten_are_named():
    # Cheapest first: 0 and 1 are unbeaten, 2 to 6 cost more than 1 and are worse, 7 is best and dearest.
    means = [0.5, 0.3, 0.4, 0.45, 0.4, 0.6, 0.35, 0.2]
    values = tuple(SweepValue(f"s{n}", mean, mean - 0.1, mean + 0.1) for n, mean in enumerate(means))
    cost = CostAxis("seconds", tuple(float(n) for n in range(8)))
    for direction, expected in (("lower", {"s0", "s1", "s7"}), ("higher", {"s0", "s5"})):
        axes = Axes("Error", "", direction, "setting", tuple(value.label for value in values))
        figure = cost_figure("cost", axes, SweepLine("system", True, values), [cost])
        assert figure is not None
        assert {
            word for word in texts(str(figure.svg)) if word.startswith("s") and word[1:].isdigit()
        } == expected
        assert "labelled are those that no other is both cheaper and better than" in figure.caption


def test_intervals_are_drawn_where_they_are():
    (setting, _) = sweep_figures(page(figures=[("Title", "e-l1:v2s", ("disc-rms",))]))
    bars = re.findall(r'class="mark-line"[^>]*d="M([\d.]+),([\d.]+)V([\d.]+)"', str(setting.svg))
    assert len(bars) == 3
    lengths = {round(float(low) - float(high), 1) for _, low, high in bars}
    assert len(lengths) == 1, "intervals of one width are bars of one length"
    assert lengths.pop() > 20


def test_a_second_key_makes_a_line_each():
    frame = table()[lambda rows: rows.system == "two-stage-tiny"].drop(columns="video2rms.classes")
    frame["width"] = ["0", "2", "0"]
    frame["form"] = ["paper", "paper", "official"]
    setting, _ = sweep_figures(page(table=frame, axes=[("width", "window"), ("form", "form")]))
    words = texts(str(setting.svg))
    assert {"form paper", "form official", "window", "0", "2"} <= set(words)


def test_the_page_is_whole_and_escaped(tmp_path):
    path = write_sweep_page(page(), tmp_path)
    html = path.read_text(encoding="utf-8")
    assert "Bins &lt;of&gt; RMS" in html
    assert "out of memory &amp; more" in html
    assert "64 are enough. (Video-Foley, figure 2.)" in html
    assert "Rounding alone, in closed form" in html
    assert "0.0431" in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".svg"}


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen(browser, tmp_path, width):
    path = write_sweep_page(page(), tmp_path)
    view = browser.new_page(viewport={"width": width, "height": 800})
    view.goto(path.as_uri())
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    view.close()
