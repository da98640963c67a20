"""The smaller metrics on inputs whose value is worked out in a comment."""

from __future__ import annotations

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest

from clapstick.metrics import desync, energy_mae, imagebind_score, mel_energy, peavs
from clapstick.metrics.av_align import peak_overlap, video_peaks
from clapstick.metrics.base import ClipInput, Convention, NotComputableError
from clapstick.metrics.clap_score import METRIC as CLAP_SCORE
from clapstick.metrics.clap_score import cosine, drawn_cosines, expected_cosine
from clapstick.metrics.class_posteriors import EPSILON, divergence, inception_scores
from clapstick.metrics.e_l1 import e_l1
from clapstick.metrics.envelope_correlation import envelope_correlation
from clapstick.metrics.favd import METRIC as FAVD
from clapstick.metrics.favd import side_by_side
from clapstick.metrics.frechet import frechet_distance
from clapstick.metrics.kernel import kernel_distance, median_distance, polynomial_kernel_distance
from clapstick.metrics.kld import METRIC as KLD
from clapstick.metrics.log_mel import log_mel, log_mel_patches


def _score(convention: Convention, clip: ClipInput) -> float:
    return convention.combiner.value([convention.statistics(clip)])


def _column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_favd_of_one_number_each() -> None:
    # Picture v = (-1,-1,1,1) and sound a = (-1,1,-1,1) do not co-vary, nor do v and 2a + 1. Picture: 0. Sound:
    # means 0 and 1, variances 4/3 and 16/3: 1 + (sqrt(16/3) - sqrt(4/3))^2 = 1 + 4/3 = 2.333333.
    video, audio = _column(-1, -1, 1, 1), _column(-1, 1, -1, 1)
    reference = side_by_side(video, audio)
    assert frechet_distance(reference, side_by_side(video, 2 * audio + 1)) == pytest.approx(7 / 3, abs=1e-9)
    # The same sounds in another order, (1,-1,1,-1): same marginals, still no co-variance: 0.
    other = side_by_side(video, _column(1, -1, 1, -1))
    assert frechet_distance(reference, other) == pytest.approx(0.0, abs=1e-9)


def test_favd_cuts_to_the_shorter_stream() -> None:
    assert side_by_side(np.zeros((10, 1024)), np.zeros((10, 128))).shape == (10, 1152)
    assert side_by_side(np.zeros((10, 1024)), np.zeros((9, 128))).shape == (9, 1152)
    with pytest.raises(NotComputableError, match=r"no whole window of 0\.96 s"):
        side_by_side(np.zeros((0, 1024)), np.zeros((9, 128)))


def test_favd_notices_sound_that_moved_to_another_picture() -> None:
    # Equal marginals, but loud goes with bright in the reference and with dark in the generated set.
    rng = np.random.default_rng(0)
    bright = rng.normal(size=(400, 1))
    reference = side_by_side(bright, bright + 0.1 * rng.normal(size=(400, 1)))
    generated = side_by_side(bright, -bright + 0.1 * rng.normal(size=(400, 1)))
    assert frechet_distance(reference, generated) > 1.0


def test_favd_with_another_flow_is_another_convention() -> None:
    official, raft = FAVD.convention("official"), FAVD.convention("raft")
    assert (official.video_embedders, raft.video_embedders) == (("i3d",), ("i3d-raft",))
    assert official.parameters["flow"] == "PWC-Net (Sintel)" != raft.parameters["flow"]
    assert FAVD.default == "official"
    clip = ClipInput(
        "clip", np.zeros(1), 16_000, reference=np.zeros(1), video_embeddings={"i3d": _column(1, 2)}
    )
    clip = replace(clip, reference_embeddings={"vggish-relu": _column(1, 2)})
    clip = replace(clip, generated_embeddings=clip.reference_embeddings)
    with pytest.raises(NotComputableError, match="no i3d-raft embedding of the video"):
        raft.statistics(clip)
    assert official.statistics(clip)["generated"].shape == (2, 2)


def test_cosines() -> None:
    # (1,0).(0.6,0.8) = 0.6; (3,4).(4,3) = 24 / 25 = 0.96, whatever the lengths.
    assert cosine(np.array([1.0, 0]), np.array([0.6, 0.8])) == pytest.approx(0.6)
    assert cosine(np.array([3.0, 4]), np.array([4.0, 3])) == pytest.approx(0.96)
    assert cosine(np.array([30.0, 40]), np.array([0.4, 0.3])) == pytest.approx(0.96)
    with pytest.raises(NotComputableError, match="all zeros"):
        cosine(np.zeros(2), np.ones(2))


def test_clap_score_of_a_copy_and_under_random_replacement() -> None:
    # Copy: 1. Each of two embeddings replaced with probability 0.1 by one at right angles: both kept 0.81 -> 1,
    # one replaced 0.18 -> 0, both replaced 0.01 -> 1: 0.82.
    kept, empty = np.array([1.0, 0]), np.array([0.0, 1])
    assert expected_cosine(kept, kept, empty, 0.1) == pytest.approx(0.82)
    rows = np.tile(kept, (40_000, 1))
    drawn = drawn_cosines(rows, rows, empty, 0.1, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.82, abs=0.006)
    embeddings = {"laion-clap-htsat-base": kept[None]}
    clip = ClipInput(
        "clip",
        np.zeros(1),
        16_000,
        reference_embeddings=embeddings,
        generated_embeddings=embeddings,
        text_embeddings={"laion-clap-htsat-base-empty": empty[None]},
    )
    assert _score(CLAP_SCORE.convention("audio"), clip) == pytest.approx(1.0)
    assert _score(CLAP_SCORE.convention("audio-released"), clip) == pytest.approx(0.82)


def test_divergences_of_two_classes() -> None:
    # p = (.5,.5), q = (.9,.1): KL(p||q) = .5 ln(.5/.9) + .5 ln(.5/.1) = 0.5108256; KL(q||p) = .9 ln 1.8 + .1 ln
    # .2 = 0.3680642; with 1e-6 inside the logarithm KL(p||q) = 0.5108201.
    p, q = np.log([0.5, 0.5]), np.log([0.9, 0.1])
    assert float(divergence(p, q)) == pytest.approx(0.5108256, abs=1e-7)
    assert float(divergence(q, p)) == pytest.approx(0.3680642, abs=1e-7)
    assert float(divergence(p, q, epsilon=EPSILON)) == pytest.approx(0.5108201, abs=1e-7)
    # Saturated q = (1 - 1e-9, 1e-9): 9.668 in log space, 6.214 with the epsilon.
    saturated = np.log([1 - 1e-9, 1e-9])
    assert float(divergence(p, saturated)) == pytest.approx(9.668, abs=1e-3)
    assert float(divergence(p, saturated, epsilon=EPSILON)) == pytest.approx(6.214, abs=1e-3)


def test_kld_conventions_take_their_own_direction() -> None:
    reference, generated = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    embedders = ("panns-cnn14-16k-unpadded-logits", "passt-logits", "passt-windows-logits")
    clip = ClipInput(
        "clip",
        np.zeros(1),
        16_000,
        reference_embeddings=dict.fromkeys(embedders, reference),
        generated_embeddings=dict.fromkeys(embedders, generated),
    )
    values = {name: _score(KLD.convention(name), clip) for name in ("panns", "passt", "passt-reversed")}
    assert values == pytest.approx(
        {"panns": 0.5108256, "passt": 0.5108256, "passt-reversed": 0.3680642}, abs=3e-6
    )


def test_segments_are_pairs_of_their_own() -> None:
    # Segments with KL 0.5108256 and 0: mean 0.2554128. Averaged logits are another quantity.
    reference = np.log([[0.5, 0.5], [0.5, 0.5]])
    generated = np.log([[0.9, 0.1], [0.5, 0.5]])
    clip = ClipInput(
        "clip",
        np.zeros(1),
        16_000,
        reference_embeddings={"passt-segments-logits": reference, "passt-windows-logits": reference},
        generated_embeddings={"passt-segments-logits": generated, "passt-windows-logits": generated},
    )
    assert _score(KLD.convention("passt-segments"), clip) == pytest.approx(0.2554128, abs=5e-6)
    assert _score(KLD.convention("passt-reversed"), clip) < 0.2


def test_inception_scores() -> None:
    # (.9,.1) and (.1,.9), one split: mean (.5,.5), exp(.9 ln 1.8 + .1 ln .2) = 1.444935. Equal rows: 1. One-hot
    # over four balanced classes: 4.
    assert inception_scores(np.log([[0.9, 0.1], [0.1, 0.9]]), 1) == pytest.approx([1.444935], abs=1e-6)
    assert inception_scores(np.log([[0.7, 0.3]] * 5), 1) == pytest.approx([1.0])
    assert inception_scores(1000 * np.tile(np.eye(4), (3, 1)), 1) == pytest.approx([4.0])


def test_kernel_distances_of_two_points() -> None:
    # x = {0, 1}, y = {0, 2}; k(d) = exp(-d^2 / (2 b^2)). b = 2 (from y): within x e^(-1/8), within y e^(-1/2),
    # between distances 0, 2, 1, 1: 100 (e^-1/8 + e^-1/2 - (1 + e^-1/2 + 2 e^-1/8) / 2) = -19.67347. b = 1:
    # -43.23324.
    x, y = _column(0, 1), _column(0, 2)
    assert kernel_distance(x, y, median_distance(y)) == pytest.approx(-19.67347, abs=1e-5)
    assert kernel_distance(x, y, median_distance(x)) == pytest.approx(-43.23324, abs=1e-5)
    # Identical sets: 100 (2 e^-1/2 - (2 + 2 e^-1/2) / 2) = 100 (e^-1/2 - 1) = -39.34693, and not 0.
    assert kernel_distance(x, x, 1.0) == pytest.approx(-39.34693, abs=1e-5)


def test_median_is_the_lower_one() -> None:
    # Points 0, 1, 3, 7: distances 1, 2, 3, 4, 6, 7; the lower of the middle two is 3.
    assert median_distance(_column(0, 1, 3, 7)) == pytest.approx(3.0)


def test_polynomial_kernel_by_hand() -> None:
    # x = {0, 1}, y = {1, 2}, k = (xy + 1)^3. Within x: k(0,1) = 1; within y: k(1,2) = 27; between: k(0,1) = 1,
    # k(0,2) = 1, k(1,1) = 8, k(1,2) = 27, mean 37/4. 1 + 27 - 37/2 = 9.5.
    assert polynomial_kernel_distance(_column(0, 1), _column(1, 2)) == pytest.approx(9.5)


def test_peaks_that_coincide() -> None:
    # Sound .5, 1.0, picture .5, 2.0, 25 fps: one match of 2 + 2 - 1 = 3.
    sound, picture = np.array([0.5, 1.0]), np.array([0.5, 2.0])
    assert peak_overlap(sound, picture, 25, one_to_one=True) == pytest.approx(1 / 3)
    # Sound .48, .5, .52 around picture .5, 10 fps: 2023 counts 3 / (3 + 1 - 3) = 3, 2025 one match: 1/3.
    sound, picture = np.array([0.48, 0.5, 0.52]), np.array([0.5])
    assert peak_overlap(sound, picture, 10, one_to_one=False) == pytest.approx(3.0)
    assert peak_overlap(sound, picture, 10, one_to_one=True) == pytest.approx(1 / 3)


def test_motion_peaks() -> None:
    # Flow 1, 1, 3, 1 has its peak at index 2; at 25 fps that is 0.08 s. A peak of 0.05 is too small since 2025.
    assert video_peaks(np.array([1.0, 1, 3, 1]), 25).tolist() == [0.08]
    small = np.array([0.0, 0.05, 0.0, 0.2, 0.0])
    assert video_peaks(small, 1).tolist() == [1.0, 3.0]
    assert video_peaks(small, 1, smallest_flow=0.1).tolist() == [3.0]


def test_energy_is_blind_to_gain() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 81_920)
    clip = ClipInput("clip", 0.1 * sound, 16_000, reference=sound)
    assert _score(energy_mae.METRIC.convention("code"), clip) == pytest.approx(0.0, abs=1e-5)
    assert _score(energy_mae.METRIC.convention("paper"), clip) == pytest.approx(0.0, abs=1e-5)


def test_energy_differences_by_hand() -> None:
    # A log-mel that lies ln 2 higher everywhere: 0.693147. One of 512 frames higher by 1: 1 / 512.
    bands = np.random.default_rng(0).normal(size=(512, 64))
    energy = bands.mean(axis=1)
    assert e_l1(energy, (bands + log(2)).mean(axis=1)) == pytest.approx(0.693147, abs=1e-6)
    one_louder = energy.copy()
    one_louder[100] += 1.0
    assert e_l1(energy, one_louder) == pytest.approx(1 / 512)


def test_energy_of_silence_is_the_floor() -> None:
    # log(1e-5) in every band of every frame.
    assert mel_energy.energy_curve(np.zeros(81_920)) == pytest.approx(log(1e-5))
    assert mel_energy.control_curve(np.full(512, log(1e-5))) == pytest.approx(log(1e-5))


def test_peavs_scale() -> None:
    # clamp(4 y + 1, 1, 5): -0.2 -> 1 (0.2 clamped), 0.2 -> 1.8, 0.5 -> 3, 1.3 -> 5 (6.2 clamped).
    assert [peavs.peavs_score(y) for y in (-0.2, 0.2, 0.5, 1.3)] == pytest.approx([1.0, 1.8, 3.0, 5.0])


def test_desync_of_two_windows() -> None:
    # Classes 10 (0 s) and 0 (-2 s): (0 + 2) / 2 = 1. First window alone: 0. Uniform probabilities expect
    # the mean of |grid| = 22 / 21.
    logits = np.zeros((2, 21))
    logits[0, 10] = logits[1, 0] = 50.0
    assert desync.likeliest_offset(logits) == pytest.approx(1.0)
    assert desync.expected_offset(logits) == pytest.approx(1.0)
    assert desync.expected_offset(np.zeros((1, 21))) == pytest.approx(22 / 21)
    given = {"synchformer": logits[:1], "synchformer-av-benchmark": logits}
    clip = ClipInput("clip", np.zeros(1), 16_000, pair_embeddings=given)
    assert _score(desync.METRIC.convention("first-window"), clip) == pytest.approx(0.0)
    assert _score(desync.METRIC.convention("two-windows"), clip) == pytest.approx(1.0)
    short = ClipInput("clip", np.zeros(1), 16_000, pair_embeddings={"synchformer-av-benchmark": logits[:1]})
    with pytest.raises(NotComputableError, match=r"logits of shape \(1, 21\)"):
        desync.METRIC.convention("two-windows").statistics(short)


def test_desync_of_a_clip_of_one_window_is_that_windows_offset() -> None:
    # 4.8 s hold 14 segments: the first and the last 14 are the same, class 13 (0.6 s) twice: 0.6.
    logits = np.zeros((2, 21))
    logits[:, 13] = 50.0
    assert desync.likeliest_offset(logits) == pytest.approx(0.6)


def test_a_clip_that_an_adapter_failed_on_says_why() -> None:
    clip = ClipInput("clip", np.zeros(1), 16_000, embedding_reasons={"synchformer": "ValueError: no frame"})
    with pytest.raises(NotComputableError, match="no frame"):
        desync.METRIC.convention("first-window").statistics(clip)


def test_imagebind_score_is_a_cosine() -> None:
    clip = ClipInput(
        "clip",
        np.zeros(1),
        16_000,
        # picture (3, 4), sound (4, 3) at ten times its length: 24 / (5 * 5) = 0.96, whatever the lengths
        pair_embeddings={"imagebind": np.array([[3.0, 4], [40.0, 30]])},
    )
    assert _score(imagebind_score.METRIC.convention(), clip) == pytest.approx(0.96)


def test_envelope_correlation_by_hand() -> None:
    # (1,2,3) and (2,4,6): 1. (1,2,3) and (3,2,1): -1. (1,0,0) and (0,1,0): centred (2,-1,-1)/3 and (-1,2,-1)/3:
    # -3/9 over 6/9 = -0.5.
    rising = np.array([1.0, 2, 3])
    assert envelope_correlation(rising, 2 * rising) == pytest.approx(1.0)
    assert envelope_correlation(rising, rising[::-1]) == pytest.approx(-1.0)
    assert envelope_correlation(np.array([1.0, 0, 0]), np.array([0.0, 1, 0])) == pytest.approx(-0.5)
    with pytest.raises(NotComputableError, match="loudness of the generated sound is constant"):
        envelope_correlation(rising, np.ones(3))


def test_log_mel_of_silence_and_of_a_tone() -> None:
    # Silence: log(0.01) everywhere, deviation 0. One second: 1 + (16000 - 400) // 160 = 98 frames, one patch of
    # 96.
    silent = log_mel(np.zeros(16_000))
    assert silent.shape == (98, 64)
    assert silent == pytest.approx(log(0.01))
    patches = log_mel_patches(np.zeros(16_000))
    assert patches.shape == (1, 128)
    assert patches[0, :64] == pytest.approx(log(0.01))
    assert patches[0, 64:] == pytest.approx(0.0)
    # A tone at 1 kHz is loudest in the band around it: 1127 ln(1 + 1000/700) = 999.99 mel, edges from 185.2 mel
    # (125 Hz) to 2773.3 mel (7500 Hz) in 65 steps of 39.8: band (1000 - 185.2) / 39.8 - 1 = 19.5.
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    assert int(log_mel(tone).mean(axis=0).argmax()) in (19, 20)
    with pytest.raises(NotComputableError, match="399 samples, a spectrum needs 400"):
        log_mel(np.zeros(399))


def test_log_mel_distance_of_known_sets() -> None:
    # Two sets of patches that differ by a constant c in each of 128 numbers: 128 c^2.
    rows = np.random.default_rng(0).normal(size=(300, 128))
    assert frechet_distance(rows, rows + 0.5) == pytest.approx(128 * 0.25, rel=1e-9)
    assert sqrt(frechet_distance(rows, rows + 0.5)) == pytest.approx(sqrt(32))
