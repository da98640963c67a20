"""Training sounds with drawn envelopes: within their range, following what was drawn, the same for one seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapstick.metrics.rms import rms_curve
from clapstick.systems.two_stage.drawn_envelopes import draw_envelope, with_drawn_envelope


@given(seed=st.integers(0, 2**32), values=st.integers(2, 2000))
def test_envelopes_stay_in_their_range(seed: int, values: int) -> None:
    drawn = draw_envelope(np.random.default_rng(seed), values, 125.0)
    assert drawn.shape == (values,)
    assert drawn.min() >= 0
    assert drawn.max() <= 0.4 + 1e-12


def test_the_sound_has_the_envelope_that_was_drawn() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 160_000).astype(np.float32)
    drawn = draw_envelope(np.random.default_rng(5), 1250, 125.0)
    made = with_drawn_envelope(noise, np.random.default_rng(5))
    assert made.dtype == np.float32
    assert np.corrcoef(rms_curve(made.astype(np.float64)), drawn)[0, 1] > 0.98


def test_same_seed_same_samples() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 32_000).astype(np.float32)
    first, second, other = (with_drawn_envelope(noise, np.random.default_rng(seed)) for seed in (2, 2, 3))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_silence_has_no_timbre_to_give() -> None:
    with pytest.raises(ValueError, match="silent throughout"):
        with_drawn_envelope(np.zeros(32_000, dtype=np.float32), np.random.default_rng(0))
