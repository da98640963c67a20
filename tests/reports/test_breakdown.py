"""Means by attribute, and how small cells are shrunk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clapstick.protocols.archive import RunArchive
from clapstick.reports.breakdown import by_attribute, shrink, student_interval
from clapstick.reports.run_data import read_run


def test_shrinking_by_hand() -> None:
    # Two groups of two: {0, 2} and {4, 6}. Within variance s2 = (2 + 2) / 2 = 2; a mean has 1.
    # Precisions 1, 1; pooled mean 3; Q = (1 - 3)^2 + (5 - 3)^2 = 8; scale = 2 - 2 / 2 = 1; t2 = 8 - 1 = 7.
    # Weight of a mean = 7 / (7 + 1) = 0.875: 3 - 0.875 * 2 = 1.25 and 3 + 0.875 * 2 = 4.75.
    assert shrink([np.array([0.0, 2.0]), np.array([4.0, 6.0])]) == pytest.approx([1.25, 4.75])


def test_groups_that_differ_by_no_more_than_chance_become_one() -> None:
    # Means 1 and 1.1 with s2 = 2: Q is far below 1, so t2 = 0 and both become the pooled mean.
    assert shrink([np.array([0.0, 2.0]), np.array([0.1, 2.1])]) == pytest.approx([1.05, 1.05])


def test_nothing_to_estimate_from_leaves_means_alone() -> None:
    assert shrink([np.array([3.0])]) == [3.0]
    assert shrink([np.array([3.0]), np.array([5.0])]) == [3.0, 5.0]
    assert shrink([np.array([3.0, 3.0]), np.array([5.0, 5.0])]) == [3.0, 5.0]


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=6).map(np.array), min_size=1, max_size=6))
def test_a_shrunk_mean_lies_between_the_smallest_and_the_largest(groups: list[np.ndarray]) -> None:
    means = [float(group.mean()) for group in groups]
    for value in shrink(groups):
        assert min(means) - 1e-6 <= value <= max(means) + 1e-6


def test_smaller_groups_move_more() -> None:
    rng = np.random.default_rng(0)
    large, small = rng.normal(0, 1, 50), rng.normal(0, 1, 3)
    small = small - small.mean() + 3
    large = large - large.mean() - 3
    middle = rng.normal(0, 1, 20)
    means = shrink([large, small, middle])
    assert abs(means[1] - 3) > abs(means[0] + 3)


def test_the_interval_of_a_mean_by_hand() -> None:
    # 1 to 5, each of its own source: standard error sqrt(2.5 / 5) = 0.7071, t of 4 degrees 2.7764: 3 +- 1.9632.
    values = np.arange(1.0, 6.0)
    assert student_interval(values, list("abcde"), 0.95) == pytest.approx((1.0368, 4.9632), abs=1e-4)


def test_clips_of_one_source_count_as_one() -> None:
    # Two sources with means 1 and 3: leaving one out gives 3 and 1, standard error 1, t of 1 degree 12.7062.
    values = np.array([1.0, 1.0, 1.0, 3.0, 3.0, 3.0])
    assert student_interval(values, list("aaabbb"), 0.95) == pytest.approx((-10.7062, 14.7062), abs=1e-4)


def test_few_clips_or_one_source_have_no_interval() -> None:
    assert student_interval(np.arange(4.0), list("abcd"), 0.95) is None
    assert student_interval(np.arange(9.0), ["a"] * 9, 0.95) is None


def test_cells_of_a_run(archive: RunArchive) -> None:
    data = read_run(archive.root)
    found = by_attribute(data, ("e-l1", "v2s"), "material")
    assert found.labels == ("cloth", "metal", "wood")
    assert found.counts == (1, 2, 1)
    scores = data.clip_values["e-l1", "v2s"]
    # Clip four is metal too, but has no reference and so no value.
    assert found.cells["metal", "video-foley"].mean == scores.loc["one", "video-foley"]
    assert found.cells["metal", "video-foley"].n == 1
    assert ("wood", "syncfusion") not in found.cells
