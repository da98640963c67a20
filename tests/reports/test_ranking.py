"""Rows of a column against each other and against controls; clip scores chosen by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from clapstick.metrics import e_l1, envelope_correlation
from clapstick.metrics.base import Metric
from clapstick.metrics.combiners import clip_score
from clapstick.protocols.archive import ComparedRecord
from clapstick.reports.ranking import Rows, Table, compare_rows

CLIPS = 12


def _table(values: list[float], first: int = 0) -> Table:
    return {f"clip {first + number:02}": clip_score(value) for number, value in enumerate(values)}


def _compare(
    metric: Metric,
    ranked: Mapping[str, Table],
    *,
    floors: Mapping[str, Table] | None = None,
    ceilings: Mapping[str, Table] | None = None,
    given_reference: Mapping[str, Table] | None = None,
) -> ComparedRecord:
    sources = {f"clip {number:02}": f"video {number}" for number in range(2 * CLIPS)}
    rows = Rows(ranked, given_reference or {}, floors or {}, ceilings or {})
    rng = np.random.default_rng(0)
    convention = metric.conventions[0]
    return compare_rows(metric, convention, rows, sources, rng, level=0.95, resamples=200)


def test_a_floor_is_tested_only_where_it_is_ahead() -> None:
    # E-L1, lower is better. Noise is ahead of bad by 0.1 on each of 12 clips: of 2^12 sign patterns 2 reach the
    # sum, p = 2/4096; Holm counts 2 systems x 1 floor: 4/4096. Good is ahead of noise: no test.
    found = _compare(
        e_l1.METRIC,
        {"good": _table([0.1] * CLIPS), "bad": _table([0.3] * CLIPS)},
        floors={"noise": _table([0.2] * CLIPS)},
    )
    [test] = found.controls
    assert (test.system_a, test.system_b, test.n) == ("bad", "noise", CLIPS)
    assert test.difference == pytest.approx(0.1)
    assert test.p == pytest.approx(2 / 4096)
    assert test.p_holm == pytest.approx(4 / 4096)
    assert [(pair.system_a, pair.system_b) for pair in found.comparisons] == [("good", "bad")]


def test_a_control_is_compared_on_the_clips_that_both_have() -> None:
    # Over its own clips noise has 0.05 and partial 0.2; on the two they share noise has 0.3, partial 0.2.
    noise = _table([0.3, 0.3] + [0.0] * (CLIPS - 2))
    found = _compare(e_l1.METRIC, {"partial": _table([0.2, 0.2])}, floors={"noise": noise})
    assert found.controls == []
    behind = _compare(e_l1.METRIC, {"partial": _table([0.4, 0.4])}, floors={"noise": noise})
    # Two clips: 2 of 4 sign patterns reach the sum.
    assert [(test.n, test.p) for test in behind.controls] == [(2, pytest.approx(0.5))]


def test_a_system_is_tested_against_a_ceiling_that_it_passes() -> None:
    higher = envelope_correlation.METRIC
    rows = {"odd": _table([0.9] * CLIPS), "fair": _table([0.5] * CLIPS)}
    found = _compare(higher, rows, ceilings={"reference": _table([0.8] * CLIPS)})
    assert [(test.system_a, test.system_b) for test in found.controls] == [("odd", "reference")]


def test_systems_given_the_reference_meet_controls_but_are_not_ranked() -> None:
    told = {"told": _table([0.3] * CLIPS)}
    found = _compare(
        e_l1.METRIC,
        {"blind": _table([0.1] * CLIPS)},
        given_reference=told,
        floors={"noise": _table([0.2] * CLIPS)},
    )
    assert [test.system_a for test in found.controls] == ["told"]
    assert found.ranks == found.comparisons == []


def test_without_shared_clips_nothing_is_compared() -> None:
    rows = {"one": _table([0.3] * CLIPS)}
    found = _compare(e_l1.METRIC, rows, floors={"noise": _table([0.1] * CLIPS, first=CLIPS)})
    assert found == ComparedRecord()
