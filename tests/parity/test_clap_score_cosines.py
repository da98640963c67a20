"""The part of Video-Foley's CLAP score that needs no network: cosines of given embeddings."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from clapstick.metrics.base import ClipInput
from clapstick.metrics.clap_score import METRIC, cosine, expected_cosine

FORM = "clap_score_videofoley"


def test_cosines_of_the_stored_embeddings(fixture: Any) -> None:
    embeddings = fixture.arrays["audio_embedding"].astype(np.float64)
    how = METRIC.convention("audio")
    (key,) = fixture.matches(r"cos_pairs_\w+_no_dropout")
    pairs = [(int(first), int(second)) for first, second in re.findall(r"(\d+)_(\d+)", key[0])]
    for (one, other), expected in zip(pairs, fixture.arrays[key[0]], strict=True):
        clip = ClipInput(
            "clip",
            np.zeros(1),
            16_000,
            reference_embeddings={"laion-clap-htsat-base": embeddings[one : one + 1]},
            generated_embeddings={"laion-clap-htsat-base": embeddings[other : other + 1]},
        )
        assert how.combiner.value([how.statistics(clip)]) == pytest.approx(float(expected), abs=1e-5)


def test_a_replaced_embedding_is_that_of_the_empty_text(fixture: Any) -> None:
    empty = fixture.arrays["unconditional_text_embedding"].astype(np.float64)
    (key,) = fixture.matches(r"released_p[\d.]+\.cos_of_replaced_to_original")
    stored = float(fixture.arrays[key[0]])
    embeddings = fixture.arrays["audio_embedding"].astype(np.float64)
    assert min(abs(cosine(one, empty) - stored) for one in embeddings) < 1e-4
    assert expected_cosine(embeddings[0], embeddings[1], empty, 1.0) == pytest.approx(1.0)
