"""RMS curve, bins, accuracies, E-L1 and onset matching against jnwnlee/video-foley."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clapstick.metrics import acc, onset_logits, rms
from clapstick.metrics.base import Array, ClipInput, NotComputableError
from clapstick.metrics.combiners import MeanOfClips
from clapstick.metrics.e_l1 import METRIC as E_L1
from clapstick.metrics.e_l1 import e_l1
from clapstick.metrics.onsets import average_precision
from clapstick.metrics.predicted_rms import sounding_frames

FORM = "rms_ops"
SAMPLES = 160_000


def _sound(rules: ModuleType, recipe: str) -> Array:
    seconds, rate, seed = re.match(r"waveform\(([\d.]+), ?(\d+), ?(\d+)\)", recipe).groups()  # type: ignore[union-attr]
    return np.asarray(rules.waveform(float(seconds), int(rate), int(seed)), dtype=np.float64)


def _classes(fixture: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (clips, frames, classes) and targets (clips, frames)."""
    logits = fixture.arrays["logits"].astype(np.float64).transpose(0, 2, 1)
    return logits, fixture.arrays["targets"]


@pytest.mark.parametrize("name", ["rms", "rms_short"])
def test_curve_and_filter(fixture: Any, rules: ModuleType, name: str) -> None:
    curve = rms.rms_curve(_sound(rules, fixture.facts["inputs"][name]))
    np.testing.assert_allclose(curve, fixture.arrays[name], rtol=0, atol=1e-6)
    np.testing.assert_allclose(rms.low_pass(curve), fixture.arrays[f"{name}_filtered"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bins", [16, 32, 64, 128, 256])
def test_edges_and_classes(fixture: Any, bins: int) -> None:
    official = fixture.arrays[f"mu_bins_{bins}"].astype(np.float64)
    np.testing.assert_allclose(rms.bin_edges(bins), official, rtol=0, atol=1e-6)
    classes = rms.discretise(fixture.arrays["grid"].astype(np.float64), official)
    np.testing.assert_array_equal(classes, fixture.arrays[f"grid_inds_{bins}"])


def test_classes_of_the_filtered_curve(fixture: Any) -> None:
    classes = rms.discretise(fixture.arrays["rms_filtered"], rms.bin_edges())
    np.testing.assert_array_equal(classes, fixture.arrays["rms_filtered_inds_64_as_dataset_does"])


def test_decoding(fixture: Any) -> None:
    decoded = rms.undiscretise(np.arange(64), rms.bin_edges())
    np.testing.assert_allclose(decoded, fixture.arrays["undisc_ignore_min"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(rms.bin_edges(), fixture.arrays["undisc_keep_min"], rtol=0, atol=1e-6)
    with pytest.raises(NotComputableError, match="class 64"):
        rms.undiscretise(np.array([64]), rms.bin_edges())


def test_mu_law(fixture: Any) -> None:
    values = np.linspace(0, 1, len(fixture.arrays["mu_law_63"]))
    np.testing.assert_allclose(rms.mu_law(values, 63), fixture.arrays["mu_law_63"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        rms.inverse_mu_law(values, 63), fixture.arrays["inv_mu_law_63"], rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("tolerance", [0, 1, 2, 5, 8])
def test_tolerant_accuracy(fixture: Any, tolerance: int) -> None:
    logits, targets = _classes(fixture)
    shares = [
        acc.tolerance_hits(target, scores.argmax(axis=1), tolerance).mean()
        for scores, target in zip(logits, targets, strict=True)
    ]
    assert np.mean(shares) == pytest.approx(float(fixture.arrays[f"acc_tol{tolerance}"]), abs=1e-6)


@pytest.mark.parametrize("k", [3, 5, 10])
def test_top_k(fixture: Any, k: int) -> None:
    logits, targets = _classes(fixture)
    shares = [acc.top_k_hits(target, scores, k).mean() for scores, target in zip(logits, targets, strict=True)]
    np.testing.assert_allclose(shares, fixture.arrays[f"topk{k}_per_item"], rtol=0, atol=1e-6)


def test_argmax_accuracy_is_top_1(fixture: Any) -> None:
    logits, targets = _classes(fixture)
    shares = [acc.top_k_hits(target, scores, 1).mean() for scores, target in zip(logits, targets, strict=True)]
    official = dict(
        zip(fixture.arrays["get_loss_values_names"], fixture.arrays["get_loss_values_micro"], strict=True)
    )
    assert np.mean(shares) == pytest.approx(official["ACC"], abs=1e-6)


@pytest.mark.parametrize("dropped", [True, False])
def test_evaluation_with_and_without_silent_frames(fixture: Any, dropped: bool) -> None:
    logits, targets = _classes(fixture)
    continuous = fixture.arrays["gt_rms_continuous"].astype(np.float64)
    edges = rms.bin_edges()
    rows: dict[str, list[float]] = {"MAE": [], "ACC": [], "ACC+-2": [], "ACC+-5": [], "ACC+-8": []}
    lengths = []
    for scores, target, curve in zip(logits, targets, continuous, strict=True):
        predicted = scores.argmax(axis=1)
        kept = sounding_frames(target, predicted) if dropped else np.ones(len(target), dtype=bool)
        lengths.append(int(kept.sum()))
        rows["MAE"].append(e_l1(curve[kept], rms.undiscretise(predicted, edges)[kept]))
        for name, bins in (("ACC", 0), ("ACC+-2", 2), ("ACC+-5", 5), ("ACC+-8", 8)):
            rows[name].append(float(acc.tolerance_hits(target[kept], predicted[kept], bins).mean()))
    key = "evaluate_drop_true" if dropped else "evaluate_drop_false"
    official = dict(zip(fixture.arrays["evaluate_names"], fixture.arrays[key], strict=True))
    for name, values in rows.items():
        assert np.mean(values) == pytest.approx(official[name], abs=1e-6), name
    if dropped:
        assert lengths == fixture.arrays["drop_kept_length_per_item"].tolist()


def test_e_l1_of_sounds(fixture: Any, rules: ModuleType) -> None:
    how = E_L1.convention("v2s")
    recipes = zip(fixture.facts["inputs"]["el1_gt"], fixture.facts["inputs"]["el1_gen"], strict=True)
    clips = [
        ClipInput(
            str(number),
            _sound(rules, generated)[:SAMPLES],
            16_000,
            reference=_sound(rules, reference)[:SAMPLES],
        )
        for number, (reference, generated) in enumerate(recipes)
    ]
    statistics = [how.statistics(clip) for clip in clips]
    assert MeanOfClips().value(statistics) == pytest.approx(float(fixture.arrays["el1"]), abs=1e-6)
    first = MeanOfClips().clip_value(statistics[0])
    assert first == pytest.approx(float(fixture.arrays["el1_scalar_first_only"]), abs=1e-6)


def test_onset_matching(fixture: Any) -> None:
    cases = fixture.facts["upstream_results"]["onset"]
    assert cases
    for number in cases:
        targets = np.flatnonzero(fixture.arrays[f"onset{number}_gt"] == 1)
        matching = onset_logits.match_videofoley(targets, fixture.arrays[f"onset{number}_logit"])
        assert matching.labels.tolist() == fixture.arrays[f"onset{number}_y_gt"].tolist(), number
        np.testing.assert_allclose(matching.scores, fixture.arrays[f"onset{number}_y_pred"], rtol=0, atol=1e-6)
        if not len(matching.labels):
            continue
        accuracy, precision = onset_logits.accuracy(matching), average_precision(matching)
        assert accuracy == pytest.approx(float(fixture.arrays[f"onset{number}_acc"]), abs=1e-6), number
        assert precision == pytest.approx(float(fixture.arrays[f"onset{number}_ap"]), abs=1e-6), number
