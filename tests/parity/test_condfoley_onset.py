"""Onset detection, suppression and matching against XYPB/CondFoleyGen."""

from __future__ import annotations

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
SECONDS = 2.0
TOLERANCES = (0.1, 0.15, 0.2, 0.25)


def _sound(rules: ModuleType, seed: int | None, times: list[float] | None) -> Array:
    if seed is None:
        return np.zeros(int(SECONDS * SAMPLE_RATE))
    return np.asarray(rules.waveform(SECONDS, SAMPLE_RATE, seed, times=times), dtype=np.float64)


def _pairs(fixture: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(number, case) for number, case in fixture.facts["upstream_results"].items() if number.isdecimal()]


def test_pairs_of_sounds(fixture: Any, rules: ModuleType) -> None:
    assert _pairs(fixture)
    for number, case in _pairs(fixture):
        reference = _sound(rules, case["target_seed"], case["target_times"])
        generated = _sound(rules, case["generated_seed"], case["generated_times"])
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
        same = METRICS[2].convention("clean").statistics(clip)["value"]
        assert bool(same) == bool(fixture.arrays[f"p{number}.count_match"]), case["case"]
        wider = [match_condfoleygen(targets, found, generated, tolerance_s=width) for width in TOLERANCES]
        np.testing.assert_allclose(
            [[matching.recall, average_precision(matching)] for matching in wider],
            fixture.arrays[f"p{number}.acc_ap_at_delta_0.1_0.15_0.2_0.25"],
            atol=1e-9,
        )


def test_onset_lists(fixture: Any, rules: ModuleType) -> None:
    numbers = [
        key[4 : key.index(".")] for key in fixture.arrays if key.endswith(".acc_ap") and key[:4] == "core"
    ]
    assert numbers
    recipe = fixture.facts["inputs"]["core"]
    first_seed = int(recipe[recipe.index("22050,") + 6 : recipe.index("+j")])
    offset = int(recipe.rsplit("+", 1)[1].rstrip(")"))
    for number in numbers:
        targets, found = fixture.arrays[f"core{number}.target"], fixture.arrays[f"core{number}.generated"]
        sound = np.asarray(
            rules.waveform(SECONDS, SAMPLE_RATE, first_seed + int(number) + offset), dtype=np.float64
        )
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
        match_condfoleygen(early, early, np.linspace(0, 1, int(SECONDS * SAMPLE_RATE)))
