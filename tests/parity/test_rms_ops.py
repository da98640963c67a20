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
from clapstick.systems.two_stage.mel import to_mel_frames

FORM = "rms_ops"


def _sound(rules: ModuleType, recipe: str) -> Array:
    match = re.match(r"waveform\(([\d.]+), ?(\d+), ?(\d+)\)(?: cropped to (\d+))?", recipe)
    assert match, recipe
    sound = np.asarray(rules.waveform(float(match[1]), int(match[2]), int(match[3])), dtype=np.float64)
    return sound[: int(match[4])] if match[4] else sound


def _setting(fixture: Any, name: str) -> float:
    """Return a number of a text such as ``sr 16000, frame 512, bins 64``."""
    match = re.search(rf"\b{name} ([\d.]+)", fixture.facts["inputs"]["configuration"])
    assert match, name
    return float(match[1])


def _edges(fixture: Any) -> Array:
    return rms.bin_edges(int(_setting(fixture, "bins")), _setting(fixture, "rms_min"))


def _classes(fixture: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (clips, frames, classes) and targets (clips, frames)."""
    logits = fixture.arrays["logits"].astype(np.float64).transpose(0, 2, 1)
    return logits, fixture.arrays["targets"]


def test_curve_and_filter(fixture: Any, rules: ModuleType) -> None:
    frame, hop = int(_setting(fixture, "frame")), int(_setting(fixture, "hop"))
    for match in fixture.matches(r"(\w+)_filtered"):
        name = match[1]
        curve = rms.rms_curve(
            _sound(rules, fixture.facts["inputs"][name]), frame_samples=frame, hop_samples=hop
        )
        np.testing.assert_allclose(curve, fixture.arrays[name], rtol=0, atol=1e-6)
        np.testing.assert_allclose(rms.low_pass(curve), fixture.arrays[match[0]], rtol=0, atol=1e-6)


def test_edges_and_classes(fixture: Any) -> None:
    for match in fixture.matches(r"mu_bins_(\d+)"):
        official = fixture.arrays[match[0]].astype(np.float64)
        edges = rms.bin_edges(int(match[1]), _setting(fixture, "rms_min"))
        np.testing.assert_allclose(edges, official, rtol=0, atol=1e-6)
        classes = rms.discretise(fixture.arrays["grid"].astype(np.float64), official)
        np.testing.assert_array_equal(classes, fixture.arrays[f"grid_inds_{match[1]}"])


def test_classes_of_the_filtered_curve(fixture: Any) -> None:
    for match in fixture.matches(r"(\w+_filtered)_inds_(\d+)_as_dataset_does"):
        edges = rms.bin_edges(int(match[2]), _setting(fixture, "rms_min"))
        classes = rms.discretise(fixture.arrays[match[1]], edges)
        np.testing.assert_array_equal(classes, fixture.arrays[match[0]])


def test_decoding(fixture: Any) -> None:
    edges = _edges(fixture)
    decoded = rms.undiscretise(np.arange(len(edges)), edges)
    np.testing.assert_allclose(decoded, fixture.arrays["undisc_ignore_min"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(edges, fixture.arrays["undisc_keep_min"], rtol=0, atol=1e-6)
    with pytest.raises(NotComputableError, match=f"class {len(edges)}"):
        rms.undiscretise(np.array([len(edges)]), edges)


def test_mu_law(fixture: Any) -> None:
    for match in fixture.matches(r"mu_law_(\d+)"):
        mu, official = int(match[1]), fixture.arrays[match[0]]
        values = np.linspace(0, 1, len(official))
        np.testing.assert_allclose(rms.mu_law(values, mu), official, rtol=0, atol=1e-6)
        np.testing.assert_allclose(
            rms.inverse_mu_law(values, mu), fixture.arrays[f"inv_{match[0]}"], rtol=0, atol=1e-6
        )


def test_tolerant_accuracy(fixture: Any) -> None:
    logits, targets = _classes(fixture)
    for match in fixture.matches(r"acc_tol(\d+)"):
        shares = [
            acc.tolerance_hits(target, scores.argmax(axis=1), int(match[1])).mean()
            for scores, target in zip(logits, targets, strict=True)
        ]
        assert np.mean(shares) == pytest.approx(float(fixture.arrays[match[0]]), abs=1e-6)


def test_top_k(fixture: Any) -> None:
    logits, targets = _classes(fixture)
    for match in fixture.matches(r"topk(\d+)_per_item"):
        shares = [
            acc.top_k_hits(target, scores, int(match[1])).mean()
            for scores, target in zip(logits, targets, strict=True)
        ]
        np.testing.assert_allclose(shares, fixture.arrays[match[0]], rtol=0, atol=1e-6)


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
    edges = _edges(fixture)
    key = "evaluate_drop_true" if dropped else "evaluate_drop_false"
    official = dict(zip(fixture.arrays["evaluate_names"], fixture.arrays[key], strict=True))
    rows: dict[str, list[float]] = {name: [] for name in official if name.startswith(("MAE", "ACC"))}
    assert {"MAE", "ACC"} <= rows.keys()
    lengths = []
    for scores, target, curve in zip(logits, targets, continuous, strict=True):
        predicted = scores.argmax(axis=1)
        kept = sounding_frames(target, predicted) if dropped else np.ones(len(target), dtype=bool)
        lengths.append(int(kept.sum()))
        rows["MAE"].append(e_l1(curve[kept], rms.undiscretise(predicted, edges)[kept]))
        for name in rows.keys() - {"MAE"}:
            bins = int(name.partition("+-")[2] or 0)
            rows[name].append(float(acc.tolerance_hits(target[kept], predicted[kept], bins).mean()))
    for name, values in rows.items():
        assert np.mean(values) == pytest.approx(official[name], abs=1e-6), name
    if dropped:
        assert lengths == fixture.arrays["drop_kept_length_per_item"].tolist()


def test_envelope_on_mel_frames(fixture: Any) -> None:
    official = fixture.arrays["interp_out"].reshape(-1)
    rate = _setting(fixture, "sr") / _setting(fixture, "hop")
    found = to_mel_frames(fixture.arrays["interp_in"].reshape(-1).astype(np.float64), official.size, rate)
    np.testing.assert_array_equal(found.astype(np.float32), official)


def test_e_l1_of_sounds(fixture: Any, rules: ModuleType) -> None:
    how = E_L1.convention("v2s")
    recipes = zip(fixture.facts["inputs"]["el1_gt"], fixture.facts["inputs"]["el1_gen"], strict=True)
    clips = [
        ClipInput(
            str(number),
            _sound(rules, generated),
            int(_setting(fixture, "sr")),
            reference=_sound(rules, reference),
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
