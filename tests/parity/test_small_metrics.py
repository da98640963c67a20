"""KL, IS, FD, KID and AV-Align against audioldm_eval, av-benchmark, TempoTokens and ReWaS."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.av_align import SMALLEST_FLOW, audio_peaks, peak_overlap, video_peaks
from clapstick.metrics.base import NotComputableError
from clapstick.metrics.class_posteriors import EPSILON, divergence, inception_scores, sigmoid_divergence
from clapstick.metrics.frechet import frechet_distance
from clapstick.metrics.kid import kernel_inception_distance
from clapstick.metrics.motion import flow_magnitudes
from clapstick.metrics.waveform import resample

FORM = "small_metrics"


def _number(fixture: Any, recipe: str, pattern: str) -> int:
    """Return the number that a pattern finds in one of the recipes."""
    match = re.search(pattern, fixture.facts["inputs"][recipe])
    assert match, (recipe, pattern)
    return int(match[1])


def _logits(fixture: Any) -> tuple[np.ndarray, np.ndarray]:
    return fixture.arrays["gt_logits"].astype(np.float64), fixture.arrays["pred_logits"].astype(np.float64)


def test_divergences(fixture: Any) -> None:
    reference, generated = _logits(fixture)
    ours = {
        "av_bench.kl_softmax": divergence(reference, generated),
        "audioldm_eval.kl_softmax": divergence(reference, generated, epsilon=EPSILON),
        "av_bench.kl_sigmoid": sigmoid_divergence(reference, generated),
        "audioldm_eval.kl_sigmoid": sigmoid_divergence(reference, generated, epsilon=EPSILON),
    }
    for key, values in ours.items():
        assert values.mean() == pytest.approx(float(fixture.arrays[key]), rel=1e-5), key
    # The official per-item list divides every clip's sum by clips times classes.
    items = ours["audioldm_eval.kl_softmax"] / reference.size
    np.testing.assert_allclose(items, fixture.arrays["audioldm_eval.kl_ref_per_item"], rtol=1e-4)


@pytest.mark.parametrize("origin", ["", "av_bench."])
def test_inception_scores(fixture: Any, origin: str) -> None:
    logits = _logits(fixture)[1]
    keys = [key for key in fixture.arrays if key.startswith(f"{origin}isc_")]
    assert keys
    for key in keys:
        splits, shuffled = re.match(r".*isc_splits(\d+)_shuffle(\w+)\.", key).groups()  # type: ignore[union-attr]
        rows = logits
        if shuffled == "True":
            seed = _number(fixture, "isc", r"rng_seed (\d+)")
            rows = rows[np.random.RandomState(seed).permutation(len(rows))]
        scores = inception_scores(rows, int(splits))
        np.testing.assert_allclose([scores.mean(), scores.std()], fixture.arrays[key], rtol=1e-6, atol=1e-9)


def test_distances(fixture: Any) -> None:
    first, second = (fixture.arrays[name].astype(np.float64) for name in ("feat1", "feat2"))
    for key in ("audioldm_eval.frechet_distance", "av_bench.fd"):
        assert frechet_distance(first, second) == pytest.approx(float(fixture.arrays[key]), rel=1e-6)
    for key in ("audioldm_eval.kid_mean_std", "av_bench.kid_mean_std"):
        found = kernel_inception_distance(
            second,
            first,
            np.random.RandomState(_number(fixture, "kid", r"seed (\d+)")),
            subsets=_number(fixture, "kid", r"(\d+) subsets"),
            # The official functions take whole sets where one is smaller than a subset.
            subset_size=min(_number(fixture, "kid", r"subsets of (\d+)"), len(first), len(second)),
        )
        np.testing.assert_allclose([found.mean, found.deviation], fixture.arrays[key], rtol=1e-6)


def test_peak_overlap(fixture: Any) -> None:
    frame_rate = float(fixture.facts["inputs"]["fps"])
    for number, case in fixture.facts["av_align_results"].items():
        sound, picture = fixture.arrays[f"iou{number}.audio"], fixture.arrays[f"iou{number}.video"]
        for origin, one_to_one in (("tempotokens", True), ("rewas", False), ("seeing_and_hearing", False)):
            if "exception" in case[origin]:
                with pytest.raises(NotComputableError, match="divides by zero"):
                    peak_overlap(sound, picture, frame_rate, one_to_one=one_to_one)
                continue
            value = peak_overlap(sound, picture, frame_rate, one_to_one=one_to_one)
            assert value == pytest.approx(case[origin]["value"], abs=1e-12), (case["case"], origin)


def test_local_maxima(fixture: Any) -> None:
    frame_rate = float(fixture.facts["inputs"]["fps"])
    magnitude = fixture.arrays["localmax.in"]
    for origin, smallest in (("tempotokens", SMALLEST_FLOW), ("rewas", 0.0), ("seeing_and_hearing", 0.0)):
        times = video_peaks(magnitude, frame_rate, smallest_flow=smallest)
        np.testing.assert_allclose(times, fixture.arrays[f"localmax.{origin}"], atol=1e-12)


def test_flow(fixture: Any, rules: ModuleType) -> None:
    recipe = fixture.facts["inputs"]["video"]
    count, height, width, seed = map(int, re.match(r"frames\((\d+),(\d+),(\d+),(\d+)\)", recipe).groups())  # type: ignore[union-attr]
    frames = rules.frames(count, height, width, seed)[fixture.arrays["video.frame_index"]]
    magnitude = flow_magnitudes(frames[..., ::-1].copy())
    np.testing.assert_allclose(magnitude, fixture.arrays["video.flow_trajectory"], rtol=1e-3)
    frame_rate = float(fixture.facts["inputs"]["fps"])
    times = video_peaks(magnitude, frame_rate, smallest_flow=SMALLEST_FLOW)
    np.testing.assert_allclose(times, fixture.arrays["video.peaks_tempotokens"], atol=1e-12)


def test_audio_peaks(fixture: Any, rules: ModuleType) -> None:
    recipes = re.findall(r"waveform\(([\d.]+),(\d+),(\d+)\)", fixture.facts["inputs"]["audio"])
    for (seconds, rate, seed), match in zip(
        recipes, fixture.matches(r"audio\w*\.peaks_tempotokens"), strict=True
    ):
        sound = np.asarray(rules.waveform(float(seconds), int(rate), int(seed)), dtype=np.float64)
        times = audio_peaks(resample(sound, int(rate), 22_050))
        np.testing.assert_allclose(times, fixture.arrays[match[0]], atol=1e-9)
