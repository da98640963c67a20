"""Figures: what is drawn is what was measured, and words in them stay words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from archive_builder import BuiltSystem, build_archive
from markupsafe import Markup

from clapstick.protocols.archive import RunArchive
from clapstick.reports.figures import make_figures
from clapstick.reports.figures.svg import Scale, element, scale_for, text
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.run_data import read_run

SVG = "{http://www.w3.org/2000/svg}"


def test_a_scale_maps_its_ends_and_its_middle() -> None:
    linear = Scale(0.0, 10.0, 100.0, 300.0)
    assert [linear(value) for value in (0, 5, 10)] == [100.0, 200.0, 300.0]
    assert linear.ticks(5) == [0, 2, 4, 6, 8, 10]
    # log10: 1 -> 0, 10 -> half of the way to 100.
    logarithmic = Scale(1.0, 100.0, 0.0, 200.0, logarithmic=True)
    assert [logarithmic(value) for value in (1, 10, 100)] == [0.0, 100.0, 200.0]
    assert logarithmic.ticks() == [1.0, 10.0, 100.0]


def test_a_scale_of_one_value_has_width() -> None:
    place = scale_for([0.0, 0.0], 0, 100)
    assert place.low < 0 < place.high


def test_words_in_a_figure_are_escaped() -> None:
    assert text(0, 0, "<b>&") == element("text", "fg", Markup("&lt;b&gt;&amp;"), x=0, y=0)
    assert 'title="&#34;&gt;&lt;script&gt;"' in element("rect", "", title='"><script>')


def test_the_figures_of_a_run(archive: RunArchive) -> None:
    data = read_run(archive.root)
    figures = {figure.name: figure for figure in make_figures(data, make_leaderboard(data))}
    assert set(figures) == {
        "intervals-e-l1-v2s",
        "intervals-envelope-correlation-rms",
        "scatter-e-l1-envelope-correlation",
        "cost-e-l1",
        "breakdown-e-l1",
        "clip-one",
        "clip-three",
    }
    for figure in figures.values():
        ElementTree.fromstring(str(figure.svg))
        assert figure.caption


def test_marks_stand_where_the_scores_are(archive: RunArchive) -> None:
    """Differences between marks are proportional to differences between values."""
    data = read_run(archive.root)
    board = make_leaderboard(data)
    figure = make_figures(data, board)[0]
    marks = ElementTree.fromstring(str(figure.svg)).findall(f"{SVG}circle")
    values = [row.cells[0].score.value for row in board.rows if not row.system.is_control]  # type: ignore[union-attr]
    places = [float(mark.attrib["cx"]) for mark in marks]
    assert len(places) == len(values) == 4
    pixels_per_unit = (places[1] - places[0]) / (values[1] - values[0])  # type: ignore[operator]
    for place, value in zip(places, values, strict=True):
        assert place - places[0] == pytest.approx((value - values[0]) * pixels_per_unit, abs=0.02)  # type: ignore[operator]


def test_hostile_titles_make_a_well_formed_picture(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("one", '</text><script>alert("1")</script>'),
        BuiltSystem("two", "a & b < c > 'd' ‮e"),
        BuiltSystem("silence", "\x0bvertical", role="control"),
    )
    archive = build_archive(tmp_path / "run", clip_ids=("<i>&",), systems=systems)
    data = read_run(archive.root)
    figures = make_figures(data, make_leaderboard(data))
    assert figures
    for figure in figures:
        tree = ElementTree.fromstring(str(figure.svg))
        assert not tree.findall(f".//{SVG}script")
