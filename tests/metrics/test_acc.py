"""acc@k on classes that can be counted by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from clapstick.metrics import acc, rms
from clapstick.metrics.base import ClipInput, NotComputableError
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.predicted_rms import sounding_frames


def test_encoding_of_known_amplitudes() -> None:
    # Class = number of edges <= r: nothing below 0.01, all 64 at 1.0.
    amplitudes = np.array([0, 0.00999, 0.01, 0.02, 0.1, 0.5, 0.999, 1.0])
    assert rms.discretise(amplitudes, rms.bin_edges()).tolist() == [0, 0, 1, 6, 26, 52, 63, 64]


def test_decoding_gives_the_upper_edge() -> None:
    edges = rms.bin_edges()
    decoded = rms.undiscretise(np.array([0, 1, 6, 26, 52]), edges)
    assert decoded == pytest.approx([0.0, 0.0115521, 0.0208261, 0.1018022, 0.5193358], abs=1e-7)
    with pytest.raises(NotComputableError, match="class 64 has no amplitude"):
        rms.undiscretise(np.array([64]), edges)


def test_silence_in_both_is_dropped_and_the_rest_counted() -> None:
    # (reference, prediction) = (0,0), (0,3), (5,0), (5,5), (5,7): the first is dropped. Equal: 1 of 4.
    # Within 2: 5-5 and 5-7, 2 of 4. Within 5: distances 3, 5, 0, 2, all 4.
    reference, generated = np.array([0, 0, 5, 5, 5]), np.array([0, 3, 0, 5, 7])
    kept = sounding_frames(reference, generated)
    assert kept.tolist() == [False, True, True, True, True]
    shares = [acc.tolerance_hits(reference[kept], generated[kept], bins).mean() for bins in (0, 2, 5)]
    assert shares == [0.25, 0.5, 1.0]


def test_clips_are_averaged_and_all_silent_ones_left_out() -> None:
    # Clip A 1/4, clip B without a kept frame, clip C 1/1: (0.25 + 1) / 2 = 0.625.
    assert MeanOfClips().value([clip_score(0.25), clip_score(1.0)]) == 0.625
    with pytest.raises(NotComputableError, match="silent in every frame"):
        sounding_frames(np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64))


def test_ties_go_to_the_highest_class_in_top_k_and_to_the_lowest_in_argmax() -> None:
    # 64 equal scores: the five highest-ranked are classes 59 to 63, argmax is class 0; a fair ranking finds any
    # class with probability 5/64.
    logits, classes = np.zeros((64, 64)), np.arange(64)
    assert np.flatnonzero(acc.top_k_hits(classes, logits, 5)).tolist() == [59, 60, 61, 62, 63]
    assert np.flatnonzero(acc.top_k_hits(classes, logits, 1)).tolist() == [0]
    assert acc.expected_top_k_hits(classes, logits, 5) == pytest.approx(5 / 64)


def test_fair_top_k_splits_a_tie_across_the_border() -> None:
    # Scores 3, 2, 2, 2, 1 and k = 2: one place is left for three equal scores, so each has it with 1/3.
    logits = np.tile([3.0, 2.0, 2.0, 2.0, 1.0], (5, 1))
    hits = acc.expected_top_k_hits(np.arange(5), logits, 2)
    assert hits == pytest.approx([1, 1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("k", [3, 5, 10])
def test_top_k_equals_scikit_learns(k: int) -> None:
    rng = np.random.default_rng(k)
    logits = np.maximum(0, rng.normal(size=(300, 64))).round(1)
    classes = rng.integers(0, 64, 300)
    expected = top_k_accuracy_score(classes, logits, k=k, labels=list(range(64)))
    assert acc.top_k_hits(classes, logits, k).mean() == pytest.approx(expected, abs=1e-12)


def test_a_random_system_is_right_k_times_in_64() -> None:
    rng = np.random.default_rng(1)
    logits, classes = rng.normal(size=(40_000, 64)), rng.integers(0, 64, 40_000)
    for k in (1, 5, 10):
        assert acc.top_k_hits(classes, logits, k).mean() == pytest.approx(k / 64, abs=0.005)
        assert acc.expected_top_k_hits(classes, logits, k).mean() == pytest.approx(k / 64, abs=0.005)


def test_tolerance_of_a_random_system() -> None:
    # Uniform classes of 64: pairs within t bins number 64 + 2 (63 + ... + (64 - t)): t = 2 gives 314, t = 5
    # 674.
    classes = np.arange(64)
    for bins, pairs in ((2, 314), (5, 674)):
        total = sum(acc.tolerance_hits(classes, np.full(64, other), bins).sum() for other in classes)
        assert total == pairs


def test_tolerance_listens_to_the_sound_where_nothing_is_predicted() -> None:
    # Constants 0.5 and 0.45 after the filter's gain of 0.9977: 0.49885 is class 51, 0.44896 two or three
    # below (a bin is 0.51 dB there, and 0.5 / 0.45 is 0.92 dB): within 2 bins, not equal.
    clip = ClipInput("clip", np.full(16_000, 0.45), 16_000, reference=np.full(16_000, 0.5))
    scores = {
        metric.name: metric.convention("tolerance").combiner.value(
            [metric.convention("tolerance").statistics(clip)]
        )
        for metric in acc.METRICS
    }
    assert scores["acc-at-1"] < 0.05
    assert scores["acc-at-5"] == 1.0
    assert scores["acc-at-10"] == 1.0


def test_one_hot_logits_of_the_reference_are_always_right() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000)
    curve = rms.low_pass(rms.rms_curve(sound))
    logits = np.eye(64)[rms.discretise(curve, rms.bin_edges())]
    clip = ClipInput("clip", sound, 16_000, reference=sound, predictions={"rms_logits": logits})
    score = partial(MeanOfClips().value)
    for metric in acc.METRICS:
        for convention in metric.conventions:
            assert score([convention.statistics(clip)]) == 1.0, (metric.name, convention.name)


def test_a_reference_beyond_the_last_class_is_a_reason() -> None:
    with pytest.raises(NotComputableError, match="reaches RMS class 64 but the system scores 64 classes"):
        acc.top_k_hits(np.array([64]), np.zeros((1, 64)), 5)


def test_top_k_needs_logits() -> None:
    clip = ClipInput("clip", np.zeros(16_000), 16_000, reference=np.zeros(16_000))
    with pytest.raises(NotComputableError, match="gives no rms_logits"):
        acc.METRICS[0].convention("topk").statistics(clip)
