"""The public functions: they return frames, and their names do not collide with the package's folders."""

from __future__ import annotations

import importlib
import inspect

import pandas as pd
import pytest

import clapstick
from clapstick.protocols.problems import ClapstickError


def test_every_public_name_is_a_documented_function_also_after_the_folders_were_imported():
    for folder in ("harness", "metrics", "protocols", "reports", "systems"):
        importlib.import_module(f"clapstick.{folder}")
    for name in clapstick.__all__:
        function = getattr(clapstick, name)
        assert inspect.isfunction(function), name
        assert function.__doc__, name


def test_lists_are_frames():
    assert {"silence", "two-stage-tiny"} <= set(clapstick.list_systems().name)
    assert {"synthetic-hits", "folder"} <= set(clapstick.list_protocols().name)
    metrics = clapstick.list_metrics()
    assert metrics[metrics.default].metric.is_unique


def test_a_run_from_python_and_its_frames(hits, tmp_path):
    board = clapstick.run(
        "synthetic-hits", data=hits, systems=["silence"], out=tmp_path / "run", limit=2, workers=2
    )
    assert set(board.system) == {"reference", "silence"}
    pd.testing.assert_frame_equal(board, clapstick.leaderboard(tmp_path / "run"))
    pd.testing.assert_frame_equal(board, clapstick.score(tmp_path / "run", workers=1))
    assert set(clapstick.scores(tmp_path / "run").columns) >= {"system", "clip", "metric", "value", "reason"}
    assert len(clapstick.clips(tmp_path / "run")) == 2
    assert list(clapstick.comparisons(tmp_path / "run").columns)[:2] == ["metric", "convention"]


@pytest.mark.parametrize("name", ["leaderboard", "scores", "comparisons", "clips"])
def test_a_folder_that_is_no_run_is_named(name, tmp_path):
    with pytest.raises(ClapstickError, match="not a run archive; found no run"):
        getattr(clapstick, name)(tmp_path)


def test_an_unknown_name_is_named():
    with pytest.raises(AttributeError, match="no attribute 'leaderbord'"):
        clapstick.leaderbord  # noqa: B018
