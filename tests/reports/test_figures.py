"""Figures: what is drawn is what was measured, and words in them stay words."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from archive_builder import SYSTEMS, BuiltSystem, build_archive
from markupsafe import Markup

from clapstick.protocols.archive import RunArchive
from clapstick.reports.figures import make_figures
from clapstick.reports.figures.labels import Box, Label, draw_labels, text_width
from clapstick.reports.figures.reach import reach_of
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


def boxes_of(svg: Markup) -> list[tuple[float, float, float, float]]:
    """Return about where the names of a drawing stand: every text that is neither tick nor title."""
    found = []
    for node in ElementTree.fromstring(f"<svg>{svg}</svg>").iter("text"):
        width = text_width(node.text or "", 11)
        x, y = float(node.attrib["x"]), float(node.attrib["y"])
        left = x if node.attrib["text-anchor"] == "start" else x - width
        found.append((left, y - 9, left + width, y + 2))
    return found


def share_a_point(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_names_of_crowded_marks_cover_neither_marks_nor_each_other() -> None:
    places = [(80.0 + 6 * k, 40.0 + 3 * (k % 2)) for k in range(7)]
    labels = [Label(x, y, f"A system with a long name, number {k}", "fg") for k, (x, y) in enumerate(places)]
    marks = [Box(x, y, x, y).wider(5.0) for x, y in places]
    intervals = [Box(x - 20, y, x + 20, y).wider(1.0) for x, y in places]
    inside = Box(60, 10, 560, 330)
    names = boxes_of(Markup("").join(draw_labels(labels, marks, intervals, inside)))
    assert len(names) == 7
    for index, name in enumerate(names):
        assert inside.left <= name[0]
        assert name[2] <= inside.right + 1
        assert inside.top <= name[1]
        assert name[3] <= inside.bottom
        assert not any(share_a_point(name, mark.corners) for mark in marks)
        assert not any(share_a_point(name, other) for other in names[index + 1 :])


def test_a_lone_name_stands_right_beside_its_mark_and_a_moved_one_has_a_line() -> None:
    inside = Box(0, 0, 300, 200)
    mark = Box(50, 100, 50, 100).wider(5.0)
    (alone,) = draw_labels([Label(50, 100, "one", "fg")], [mark], [], inside)
    assert 'x="58"' in alone
    wall = Box(40, 60, 300, 140)
    moved = Markup("").join(draw_labels([Label(50, 100, "one", "fg")], [mark, wall], [], inside))
    assert moved.startswith('<line class="rule"')


def test_an_axis_leaves_off_what_is_far_worse_and_nothing_else() -> None:
    near = [(0.01 * k, 0.01 * k + 0.002) for k in range(7)]
    ends = (0.0, pytest.approx(0.062))
    # 0.062 wide: the gap has to be above 4 * 0.062 = 0.248.
    assert reach_of([*near, (0.32, 0.4)], "lower").ends == ends
    assert reach_of([*near, (0.30, 0.4)], "lower").ends == (0.0, 0.4)
    assert reach_of([*near, (0.32, 0.4)], "higher").ends == (0.0, 0.4), "good values stay"
    assert reach_of([*near, (0.32, 0.4)], "none").ends == (0.0, 0.4)
    assert reach_of([*near, (-0.9, -0.8)], "higher").ends == ends
    assert reach_of([(0.0, 0.01), (0.02, 0.02), (9.0, 9.0)], "lower").ends == (0.0, 9.0), "too few to tell"
    two_off = reach_of([*near, (0.01, 0.02), (0.9, 0.9), (5.0, 5.0)], "lower")
    assert two_off.ends == ends
    assert [two_off.side(value) for value in (-0.1, 0.03, 5.0)] == [-1, 0, 1]


def test_a_value_beyond_the_axis_is_an_arrow_with_its_number(tmp_path: Path) -> None:
    far = BuiltSystem("wild", "Wild control with a name that is not short", role="control", error=0.7)
    archive = build_archive(tmp_path / "run", systems=(*SYSTEMS, far), media=False)
    data = read_run(archive.root)
    board = make_leaderboard(data)
    figures = {figure.name: figure for figure in make_figures(data, board)}
    cell = next(row.cells[0] for row in board.rows if row.system.name == "wild")
    intervals, scatter = figures["intervals-e-l1-v2s"], figures["scatter-e-l1-envelope-correlation"]
    words = {node.text for node in ElementTree.fromstring(str(intervals.svg)).iter(f"{SVG}text")}
    assert f"{cell.text} ({cell.interval})" in words
    words = {node.text or "" for node in ElementTree.fromstring(str(scatter.svg)).iter(f"{SVG}text")}
    (label,) = (word for word in words if word.startswith("Wild"))
    assert label.startswith(f"{far.title} (E-L1 {cell.text}, Envelope correlation −")
    for figure in (intervals, scatter):
        assert figure.caption.endswith("An arrow is a value beyond the axis, printed beside it.")
    marks = ElementTree.fromstring(str(intervals.svg)).findall(f"{SVG}circle")
    places = [float(mark.attrib["cx"]) for mark in marks]
    assert max(places) - min(places) > 150, "the others use the width"
