"""Onset detection, suppression and matching against XYPB/CondFoleyGen."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.base import Array, ClipInput, NotComputableError
from clapstick.metrics.onset import METRICS
from clapstick.metrics.onsets import (
    NMS_WINDOW_S,
    SAMPLE_RATE,
    average_precision,
    confidence,
    detect_onsets,
    loudness_profile,
    match_condfoleygen,
    official_nms,
)

FORM = "condfoley_onset"


def _seconds(recipe: str) -> float:
    """Return the length in ``waveform(2.0,22050,seed,...)``; the rate is the official script's."""
    match = re.search(rf"waveform\(([\d.]+),\s*{SAMPLE_RATE},", recipe)
    assert match, recipe
    return float(match[1])


def _sound(rules: ModuleType, seconds: float, seed: int | None, times: list[float] | None) -> Array:
    if seed is None:
        return np.zeros(int(seconds * SAMPLE_RATE))
    return np.asarray(rules.waveform(seconds, SAMPLE_RATE, seed, times=times), dtype=np.float64)


def _pairs(fixture: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(number, case) for number, case in fixture.facts["upstream_results"].items() if number.isdecimal()]


def test_pairs_of_sounds(fixture: Any, rules: ModuleType) -> None:
    assert _pairs(fixture)
    seconds = _seconds(fixture.facts["inputs"]["pairs"])
    for number, case in _pairs(fixture):
        reference = _sound(rules, seconds, case["target_seed"], case["target_times"])
        generated = _sound(rules, seconds, case["generated_seed"], case["generated_times"])
        targets, found = detect_onsets(reference), detect_onsets(generated)
        assert targets.tolist() == fixture.arrays[f"p{number}.target_onsets"].tolist(), case["case"]
        assert found.tolist() == fixture.arrays[f"p{number}.generated_onsets"].tolist(), case["case"]
        clip = ClipInput(case["case"], generated, SAMPLE_RATE, reference=reference)
        conventions = [metric.convention("condfoleygen") for metric in METRICS[:2]]
        if "exception" in case:
            with pytest.raises(NotComputableError):
                conventions[0].statistics(clip)
            continue
        values = [how.combiner.value([how.statistics(clip)]) for how in conventions]
        assert values == pytest.approx([case["acc"], case["ap"]], abs=1e-9), case["case"]
        same = METRICS[2].convention("condfoleygen").statistics(clip)["value"]
        assert bool(same) == bool(fixture.arrays[f"p{number}.count_match"]), case["case"]
        for match in fixture.matches(rf"p{number}\.acc_ap_at_delta_([\d._]+)"):
            wider = [
                match_condfoleygen(targets, found, generated, tolerance_s=float(width))
                for width in match[1].split("_")
            ]
            np.testing.assert_allclose(
                [[matching.recall, average_precision(matching)] for matching in wider],
                fixture.arrays[match[0]],
                atol=1e-9,
            )


def test_onset_lists(fixture: Any, rules: ModuleType) -> None:
    recipe = fixture.facts["inputs"]["core"]
    seeds = re.search(r"(\d+)\+j(?:\+(\d+))?\)", recipe)
    assert seeds, recipe
    first_seed = int(seeds[1]) + int(seeds[2] or 0)
    for match in fixture.matches(r"core(\d+)\.acc_ap"):
        number = match[1]
        targets, found = fixture.arrays[f"core{number}.target"], fixture.arrays[f"core{number}.generated"]
        sound = _sound(rules, _seconds(recipe), first_seed + int(number), None)
        profile = loudness_profile(sound)
        confidences = [confidence(profile, int(onset), clamped=False) for onset in found]
        kept = official_nms(found.tolist(), confidences, NMS_WINDOW_S * SAMPLE_RATE)
        assert kept == fixture.arrays[f"core{number}.after_nms"].tolist(), number
        matching = match_condfoleygen(targets, found, sound)
        np.testing.assert_allclose(
            [matching.recall, average_precision(matching)],
            fixture.arrays[f"core{number}.acc_ap"],
            atol=1e-9,
            err_msg=number,
        )


def test_the_first_50_ms_fail_as_they_do_there(fixture: Any) -> None:
    assert fixture.facts["upstream_results"]["core_onset_before_50ms"]["exception"] == "ValueError"
    early = np.array([500], dtype=np.int64)
    with pytest.raises(NotComputableError, match="first 50 ms"):
        match_condfoleygen(early, early, np.linspace(0, 1, 2 * SAMPLE_RATE))
