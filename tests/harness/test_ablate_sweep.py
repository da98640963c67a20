"""Sweep files: every shipped one is valid, and what is wrong with another is named."""

from __future__ import annotations

import pytest

from clapstick.harness.ablate.resolve import check_keys, resolve
from clapstick.harness.ablate.results import published_number
from clapstick.harness.ablate.sweep import Sweep, built_in_sweeps, find_sweep, points_of
from clapstick.harness.plan import score_requests
from clapstick.protocols.problems import ClapstickError

SMALL = {
    "name": "small",
    "title": "t",
    "question": "q",
    "paper": "p",
    "paper_says": "says",
    "protocol": "synthetic-hits",
    "system": "two-stage-tiny-shaper",
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
    assert points[2].label == "epochs 1, smoothing_form official"


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
    with pytest.raises(ClapstickError, match=r"small, epochs 0: sweep value is not valid.*found epochs = 0"):
        resolve(found, bad)
    assert resolve(found, good).training.epochs == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choose": "acc-at-1"}, "not among metrics"),
        ({"grid": {}}, "at least one key"),
        ({"grid": {"train.epochs": [1, 1]}}, "comes twice"),
        ({"tied": {"train.seed": "train.nothing"}}, "not in the grid"),
        ({"bundles": {"prompt": {"a": {"prompt.text": "none"}}}}, "bundle 'prompt' is not in the grid"),
        (
            {"grid": {"prompt": ["a", "b"]}, "bundles": {"prompt": {"a": {"prompt.text": "none"}}}},
            "bundle 'prompt' has no 'b'",
        ),
        (
            {"figures": [{"title": "f", "score": "e-l1:v2s", "systems": ["noise"]}]},
            "shows a score or system that the sweep has not",
        ),
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


@pytest.mark.parametrize("name", built_in_sweeps())
def test_every_shipped_sweep_has_its_published_counterpart(name):
    found = find_sweep(name)
    requests = score_requests(resolve(found, next(points_of(found))).protocol)
    settings = [*found.settings(), ()]
    assert len(found.paper_says) > 60
    for row in found.published:
        numbers = [published_number(found, s, row.system, r) for s in settings for r in requests]
        assert any(number and number[1].endswith(row.row) for number in numbers), row


def test_table_two_of_fol_ai_stands_beside_the_features():
    found = find_sweep("features")
    (request,) = (
        r for r in score_requests(resolve(found, next(points_of(found))).protocol) if r.metric == "acc-at-5"
    )
    numbers = {
        found.label(setting): published_number(found, setting, "two-stage-tiny-shaper", request)
        for setting in found.settings()
    }
    assert numbers["features appearance"] == (0.340, "FOL-AI, Table II: FOL-AI video model, TC-CLIP RGB only")
    assert numbers["features motion"] is None
    assert numbers["features both"] == (0.430, "FOL-AI, Table II: FOL-AI video model, TC-CLIP RGB+flow")


def test_features_can_be_swept_at_full_size():
    tiny = find_sweep("features")
    found = tiny.model_copy(update={"config": "video-foley", "system": "video-foley"})
    check_keys(found)
    columns = {point.label: resolve(found, point).config.input_columns for point in points_of(found)}
    widths = {label: len(range(2048)[of_rows]) for label, of_rows in columns.items()}
    assert widths == {"features appearance": 1024, "features motion": 1024, "features both": 2048}


def test_bundles_set_several_keys_at_once():
    found = find_sweep("prompt")
    told = {point.label: point.room("prompt") for point in points_of(found)}
    assert len(found.settings()) == 12
    assert told["RMS 64 bins, prompt wrong"] == {"text": "none", "audio": "other-material"}
    assert told["RMS none, prompt text"] == {"text": "video-foley", "audio": "none"}


def test_what_no_key_reaches_is_run_once_a_seed():
    found = sweep(controls=["disc-rms", "silence"], tied={"disc-rms.bins": "train.epochs"})
    points = list(points_of(found))
    assert [point.systems for point in points if point.setting] == [("two-stage-tiny-shaper", "disc-rms")] * 8
    last = points[8:]
    assert [(point.label, point.seed, point.systems) for point in last] == [
        ("every setting", 0, ("silence",)),
        ("every setting", 1, ("silence",)),
    ]
    assert not resolve(found, last[0]).trains


def test_a_variant_is_a_system_with_parameters_of_its_own():
    found = sweep(controls=["coarse"], variants={"coarse": {"system": "disc-rms", "parameters": {"bins": 4}}})
    assert found.find("coarse").card.name == "coarse"
    assert resolve(found, list(points_of(found))[-1]).parameters["coarse"] == {"bins": 4}
    with pytest.raises(ClapstickError, match=r"The nearest valid key is coarse\.bins"):
        check_keys(sweep(controls=["coarse"], variants=found.variants, base={"coarse.bin": 3}))


def test_the_grid_can_be_narrowed_by_words_or_values():
    found = find_sweep("bins").narrowed({"video2rms.classes": ["continuous", "16"]})
    assert found.grid == {"video2rms.classes": (16, 0)}
    with pytest.raises(
        ClapstickError, match=r"value is not in the grid.*video2rms.classes=17.*16,32,64,128,256,0"
    ):
        find_sweep("bins").narrowed({"video2rms.classes": ["17"]})
    with pytest.raises(ClapstickError, match=r"train\.epochs=1"):
        find_sweep("bins").narrowed({"train.epochs": ["1"]})


def test_keys_that_are_not_varied_can_be_set():
    assert find_sweep("bins").with_base({"train.epochs": 3}).base["train.epochs"] == 3
    with pytest.raises(ClapstickError, match=r"varies this key itself.*disc-rms.bins"):
        find_sweep("bins").with_base({"disc-rms.bins": 3})
