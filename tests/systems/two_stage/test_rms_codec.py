"""RMS classes of the three codecs, and the smoothed target curve."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapstick.systems.two_stage.rms_codec import decode, encode, moving_average, target_curve
from clapstick.systems.two_stage.video2rms import CONFIGS, Codec

VIDEO_FOLEY = CONFIGS["video-foley"]
FOL_AI = CONFIGS["fol-ai"]


def test_floored_classes_by_hand() -> None:
    # Edges run from 0.01 to 1: silence below, the topmost class from 0.9425, and nothing above it.
    curve = np.array([-0.2, 0.0, 0.0099, 0.0100001, 0.0116, 0.95, 1.3])
    assert encode(curve, VIDEO_FOLEY).tolist() == [0, 0, 0, 1, 2, 63, 63]
    assert decode(np.array([0, 1, 63]), VIDEO_FOLEY) == pytest.approx([0.0, 0.011552, 1.0], abs=1e-6)


@pytest.mark.filterwarnings("ignore:path is deprecated:DeprecationWarning")
def test_fol_ai_classes_are_librosas() -> None:
    curve = np.random.default_rng(3).uniform(0, 1, 2000) ** 3
    assert np.array_equal(encode(curve, FOL_AI), librosa.mu_compress(curve, mu=127))


@given(
    rms=st.floats(0, 0.999),
    codec=st.sampled_from(["floored-mu-law", "mu-law", "librosa-mu-law"]),
    classes=st.sampled_from([16, 32, 64, 128]),
)
def test_decoding_stays_within_one_class(rms: float, codec: Codec, classes: int) -> None:
    if codec == "librosa-mu-law":
        classes = 64
    config = VIDEO_FOLEY.model_copy(update={"codec": codec, "classes": classes})
    every = np.append(decode(np.arange(classes), config), 1.0)
    assert (np.diff(every) >= 0).all()
    code = int(encode(np.array([rms]), config)[0])
    assert 0 <= code < classes
    assert every[max(0, code - 1)] - 1e-9 <= rms <= every[code + 1] + 1e-9


def test_moving_average_by_hand() -> None:
    # Mirrored at the ends: (2+1+2)/3, (1+2+6)/3, (2+6+2)/3.
    assert moving_average(np.array([1.0, 2.0, 6.0]), 3) == pytest.approx([5 / 3, 3.0, 10 / 3])


@pytest.mark.parametrize("name", ["video-foley", "fol-ai"])
def test_ten_seconds_give_1250_frames(name: str) -> None:
    samples = 0.3 * np.sin(np.arange(160_000) * 0.3)
    curve = target_curve(samples, CONFIGS[name])
    assert curve.shape == (1250,)
    assert curve[300:900] == pytest.approx(0.3 / np.sqrt(2), rel=0.01)
