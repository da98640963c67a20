"""Onset matching on onset lists and amplitudes chosen by hand; 22.05 kHz, times in seconds."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from clapstick.metrics import onset, onset_logits
from clapstick.metrics.base import Array, ClipInput, NotComputableError
from clapstick.metrics.onset_strength import pick_onsets
from clapstick.metrics.onsets import (
    Matching,
    average_precision,
    greedy_nms,
    match_clean,
    match_condfoleygen,
    official_nms,
)

RATE = 22_050


def _samples(*times: float) -> np.ndarray:
    return np.array([round(time * RATE) for time in times], dtype=np.int64)


def _sound(onsets: np.ndarray, amplitudes: list[float]) -> Array:
    sound = np.zeros(2 * RATE)
    sound[onsets] = amplitudes
    return sound


def test_same_onsets_are_all_found() -> None:
    target = _samples(0.5, 1.0, 1.5)
    for match in (match_condfoleygen, match_clean):
        matching = match(target, target, _sound(target, [1, 0.5, 0.25]))
        assert matching.recall == 1.0
        assert average_precision(matching) == pytest.approx(1.0)


def test_a_miss_and_a_false_alarm() -> None:
    # Reference 0.5, 1, 1.5; found 0.5 (amplitude 1), 1.02 (0.5), 1.8 (0.8). Hits 2 of 3.
    # Official ranking: 1 (hit), 0.8 (false), 0.5 (hit), 0 (missed): AP = (1 + 2/3 + 3/4) / 3 = 0.805556.
    # Clean: the missed one is never retrieved: AP = (1 + 2/3) / 3 = 0.555556.
    target, found = _samples(0.5, 1.0, 1.5), _samples(0.5, 1.02, 1.8)
    sound = _sound(found, [1, 0.5, 0.8])
    official = match_condfoleygen(target, found, sound)
    assert official.labels.tolist() == [1, 1, 1, 0]
    assert official.scores == pytest.approx([1, 0.5, 0, 0.8])
    assert official.recall == pytest.approx(2 / 3)
    assert average_precision(official) == pytest.approx(0.805556, abs=1e-6)
    clean = match_clean(target, found, sound)
    assert clean.recall == pytest.approx(2 / 3)
    assert average_precision(clean) == pytest.approx(5 / 9)


def test_early_exit_hides_misses_from_the_official_ap() -> None:
    # Reference .4, .8, 1.2, 1.6, found .4, .8: after two matches nothing is left and the loop ends: AP 1.
    # Clean: precision 1 at recall 1/4 and 2/4, the rest never: AP = (1 + 1) / 4 = 0.5.
    target, found = _samples(0.4, 0.8, 1.2, 1.6), _samples(0.4, 0.8)
    sound = _sound(found, [1, 0.9])
    official, clean = match_condfoleygen(target, found, sound), match_clean(target, found, sound)
    assert (official.recall, average_precision(official)) == (0.5, 1.0)
    assert (clean.recall, average_precision(clean)) == (0.5, 0.5)


def test_the_tolerance_is_strict() -> None:
    # 0.1 s is 2205 samples: at that distance it is a miss and a false alarm (AP 1/2), one sample nearer a hit.
    target = _samples(0.5)
    late = _samples(0.6)
    assert late[0] - target[0] == 2205
    missed = match_condfoleygen(target, late, _sound(late, [1]))
    assert (missed.recall, average_precision(missed)) == (0.0, 0.5)
    nearer = late - 1
    hit = match_condfoleygen(target, nearer, _sound(nearer, [1]))
    assert (hit.recall, average_precision(hit)) == (1.0, 1.0)
    assert match_clean(target, late, _sound(late, [1])).recall == 0.0
    assert match_clean(target, nearer, _sound(nearer, [1])).recall == 1.0


def test_official_suppression_passes_the_neighbour_by() -> None:
    # 1.00 (1), 1.02 (.9), 1.04 (.8): removing 1.02 while walking the list skips 1.04.
    onsets = _samples(1.0, 1.02, 1.04).tolist()
    assert official_nms(onsets, [1, 0.9, 0.8], 0.05 * RATE) == [onsets[0], onsets[2]]
    assert greedy_nms(onsets, [1, 0.9, 0.8], 0.05 * RATE) == [onsets[0]]


def test_a_silent_system_wins_the_official_ap_only() -> None:
    target, nothing = _samples(0.5, 1.0), _samples()
    official = match_condfoleygen(target, nothing, np.zeros(2 * RATE))
    assert (official.recall, average_precision(official)) == (0.0, 1.0)
    clean = match_clean(target, nothing, np.zeros(2 * RATE))
    assert (clean.recall, average_precision(clean)) == (0.0, 0.0)


def test_an_onset_in_the_first_50_ms_breaks_the_official_confidence() -> None:
    early = _samples(0.02)
    with pytest.raises(NotComputableError, match=r"onset at 0\.020 s lies in the first 50 ms"):
        match_condfoleygen(early, early, _sound(early, [1]))
    assert match_clean(early, early, _sound(early, [1])).recall == 1.0


def test_each_onset_is_matched_once_and_nearest_first() -> None:
    # Two found onsets near one reference onset: one hit, one false alarm; a loud one may not take two.
    target, found = _samples(0.5, 0.58), _samples(0.52)
    matching = match_clean(target, found, _sound(found, [1]))
    assert matching.hits == 1
    assert matching.labels.tolist() == [1, 1]
    assert match_clean(found, target, _sound(target, [1, 0.5])).labels.tolist() == [1, 0]


@pytest.mark.parametrize("trial", range(20))
def test_average_precision_equals_scikit_learns(trial: int) -> None:
    rng = np.random.default_rng(trial)
    labels = rng.integers(0, 2, 12)
    labels[0] = 1
    scores = rng.integers(0, 6, 12) / 5
    expected = average_precision_score(labels, scores)
    assert average_precision(Matching(labels, scores, 0, 0)) == pytest.approx(expected, abs=1e-12)


def _logits(*frames: int) -> Array:
    logits = np.full(300, -4.0)
    logits[list(frames)] = 4.0
    return logits


def test_videofoley_tolerance_is_two_frames() -> None:
    # 30 frames a second. Two frames late is a hit: accuracy 1, AP 1. Three frames late (0.1 s) is a miss and a
    # false alarm: the miss has the network's low score, so both entries are wrong: accuracy 0; ranking false,
    # miss: AP 1/2.
    def scores(predicted: int) -> tuple[float, float]:
        matching = onset_logits.match_videofoley(np.array([100]), _logits(predicted))
        return onset_logits.accuracy(matching), average_precision(matching)

    assert scores(102) == (1.0, 1.0)
    assert scores(103) == (0.0, 0.5)


def test_videofoley_hit_and_false_alarm() -> None:
    # One hit, one false alarm with less confidence: accuracy 1/2, AP 1.
    logits = _logits(100, 200)
    logits[200] = 2.0
    matching = onset_logits.match_videofoley(np.array([100]), logits)
    assert (onset_logits.accuracy(matching), average_precision(matching)) == (0.5, 1.0)


def _clicks(*times: float) -> Array:
    rng = np.random.default_rng(0)
    sound = 1e-4 * rng.standard_normal(2 * RATE)
    for time in times:
        start = int(time * RATE)
        decay = np.exp(-np.arange(4000) / 600)
        sound[start : start + 4000] += 0.5 * decay * rng.standard_normal(4000)
    return sound


def test_a_copy_hits_every_onset_and_silence_none() -> None:
    sound = _clicks(0.3, 0.8, 1.4)
    acc, ap, count = onset.METRICS
    copy = ClipInput("clip", sound, RATE, reference=sound, onsets_s=np.array([0.3, 0.8, 1.4]))
    silent = ClipInput("clip", np.zeros(2 * RATE), RATE, reference=sound, onsets_s=copy.onsets_s)
    for metric in (acc, ap, count):
        for name in ("clean", "annotations"):
            how = metric.convention(name)
            assert how.combiner.value([how.statistics(copy)]) == pytest.approx(1.0)
            assert how.combiner.value([how.statistics(silent)]) == 0.0


def test_clips_without_reference_onsets_have_a_reason() -> None:
    clip = ClipInput("clip", _clicks(0.5), RATE, reference=np.zeros(2 * RATE))
    with pytest.raises(NotComputableError, match="no onset in the reference sound"):
        onset.METRICS[0].convention("clean").statistics(clip)
    with pytest.raises(NotComputableError, match="no annotated onsets"):
        onset.METRICS[0].convention("annotations").statistics(clip)
    silent = ClipInput("clip", np.zeros(2 * RATE), RATE, reference=np.zeros(2 * RATE))
    with pytest.raises(NotComputableError, match="no onset was found in either sound"):
        onset.METRICS[1].convention("condfoleygen").statistics(silent)


@given(
    strength=arrays(np.float64, st.integers(1, 120), elements=st.floats(0, 10, width=32)),
    delta=st.sampled_from([0.0, 0.07, 0.3]),
)
@settings(deadline=None)
def test_onsets_are_picked_as_librosa_does(strength: Array, delta: float) -> None:
    expected = librosa.onset.onset_detect(onset_envelope=strength, sr=22_050, hop_length=512, delta=delta)
    np.testing.assert_array_equal(pick_onsets(strength, delta), expected)
