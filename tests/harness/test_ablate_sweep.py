"""Sweep files: every shipped one is valid, and what is wrong with another is named."""

from __future__ import annotations

import pytest

from clapstick.harness.ablate.resolve import check_keys, resolve
from clapstick.harness.ablate.sweep import Sweep, built_in_sweeps, find_sweep, points_of
from clapstick.harness.plan import score_requests
from clapstick.protocols.problems import ClapstickError

SMALL = {
    "name": "small",
    "title": "t",
    "question": "q",
    "paper": "p",
    "protocol": "synthetic-hits",
    "system": "two-stage-tiny",
    "seeds": [0, 1],
    "metrics": ["e-l1:v2s"],
    "choose": "e-l1:v2s",
    "grid": {"train.epochs": [1, 2], "train.smoothing_form": ["paper", "official"]},
}


def sweep(**changes) -> Sweep:
    return Sweep.model_validate(SMALL | changes)


@pytest.mark.parametrize("name", built_in_sweeps())
def test_shipped_sweeps_have_known_keys_possible_values_and_known_scores(name):
    found = find_sweep(name)
    assert found.name == name
    check_keys(found)
    for point in points_of(found):
        resolved = resolve(found, point)
        score_requests(resolved.protocol)


def test_points_are_the_grid_times_the_seeds():
    points = list(points_of(sweep()))
    assert len(points) == 2 * 2 * 2
    assert points[0].values == {"train.epochs": 1, "train.smoothing_form": "paper"}
    assert [point.seed for point in points[:2]] == [0, 1]
    assert points[2].label == "epochs=1, smoothing_form=official"


def test_tied_keys_follow_the_grid():
    found = sweep(grid={"video2rms.classes": [16, 32]}, tied={"train.batch_size": "video2rms.classes"})
    assert [point.values["train.batch_size"] for point in points_of(found)] == [16, 16, 32, 32]


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(ClapstickError, match=r"found train\.epoch; .*The nearest valid key is train\.epochs"):
        check_keys(sweep(grid={"train.epoch": [1]}))


def test_an_impossible_value_costs_its_own_point():
    found = sweep(grid={"train.epochs": [0, 1]})
    check_keys(found)
    bad, good = (point for point in points_of(found) if point.seed == 0)
    with pytest.raises(ClapstickError, match=r"small, epochs=0: sweep value is not valid.*found epochs = 0"):
        resolve(found, bad)
    assert resolve(found, good).training.epochs == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choose": "acc-at-1"}, "not among metrics"),
        ({"grid": {}}, "at least one key"),
        ({"grid": {"train.epochs": [1, 1]}}, "comes twice"),
        ({"tied": {"train.seed": "train.nothing"}}, "not in the grid"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        sweep(**changes)


def test_unknown_keys_and_names_are_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nsedes = [1]\n')
    with pytest.raises(ClapstickError, match=r"unknown sweep key|sweep value is not valid"):
        find_sweep(str(path))
    with pytest.raises(ClapstickError, match=r"no such sweep.*Did you mean bins\?"):
        find_sweep("bin")
