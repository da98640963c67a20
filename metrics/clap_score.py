"""CLAP score: how close generated sound is to its reference or its text in a joint embedding space."""

from __future__ import annotations

from functools import partial

import numpy as np

from clapstick.metrics.base import Array, ClipInput, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.combiners import MeanOfClips, clip_score
from clapstick.metrics.embeddings import embedding_of, embedding_pair

LAION = "laion-clap-htsat-base"
LAION_EMPTY_TEXT = "laion-clap-htsat-base-empty"
"""Text embedding of the empty prompt, which the released evaluation puts in by chance."""
LAION_FUSION = "laion-clap-fusion"
MSCLAP = "msclap-2023"
REPLACEMENT = 0.1
_CODE = "jnwnlee/video-foley@0afd45a evaluate_v2s.py (get_clap_score)"


def cosine(reference: Array, generated: Array) -> float:
    """Return the cosine similarity of two vectors, shape (dimension,), of any length above 0.

    Raises
    ------
    NotComputableError
        If a vector is all zeros.
    """
    lengths = float(np.linalg.norm(reference)) * float(np.linalg.norm(generated))
    if lengths == 0.0:
        raise NotComputableError("an embedding is all zeros, its direction is not defined")
    return float(reference @ generated) / lengths


def expected_cosine(reference: Array, generated: Array, empty: Array, probability: float) -> float:
    """Return the expected cosine where each vector is replaced by `empty` with `probability`, independently.

    (1 - p)^2 cos(r, g) + p (1 - p) (cos(r, e) + cos(e, g)) + p^2.
    """
    kept = 1 - probability
    mixed = cosine(reference, empty) + cosine(empty, generated)
    return kept**2 * cosine(reference, generated) + probability * kept * mixed + probability**2


def drawn_cosines(
    reference: Array, generated: Array, empty: Array, probability: float, rng: np.random.Generator
) -> Array:
    """Return one cosine a row with vectors replaced by chance, as the released evaluation draws them.

    Parameters
    ----------
    reference, generated : array, shape (clips, dimension)
    empty : array, shape (dimension,)
    """
    replaced = rng.random((2, len(reference))) < probability
    rows = (np.where(hit[:, None], empty, of) for hit, of in zip(replaced, (reference, generated), strict=True))
    return np.array([cosine(first, second) for first, second in zip(*rows, strict=True)])


def _audio(clip: ClipInput, *, embedder: str) -> Statistics:
    reference, generated = (rows.mean(axis=0) for rows in embedding_pair(clip, embedder))
    return clip_score(cosine(reference, generated))


def _text(clip: ClipInput, *, embedder: str) -> Statistics:
    return clip_score(cosine(*_text_pair(clip, embedder)))


def _released(clip: ClipInput, *, with_text: bool) -> Statistics:
    if with_text:
        reference, generated = _text_pair(clip, LAION)
    else:
        reference, generated = (rows.mean(axis=0) for rows in embedding_pair(clip, LAION))
    empty = embedding_of(clip.text_embeddings, LAION_EMPTY_TEXT, "empty text")[0]
    return clip_score(expected_cosine(reference, generated, empty, REPLACEMENT))


def _text_pair(clip: ClipInput, embedder: str) -> tuple[Array, Array]:
    if clip.text is None and embedder not in clip.text_embeddings:
        raise NotComputableError("the clip has no text to compare the sound with")
    text = embedding_of(clip.text_embeddings, embedder, "text")[0]
    sound = embedding_of(clip.generated_embeddings, embedder, "generated sound", clip.embedding_reasons)
    return text, sound.mean(axis=0)


METRIC = Metric(
    name="clap-score",
    title="CLAP score",
    summary=(
        "Cosine similarity between the CLAP embedding of the generated sound and that of the reference sound "
        "or of the text, averaged over clips."
    ),
    direction="higher",
    unit="",
    low=-1.0,
    high=1.0,
    conventions=(
        Convention(
            name="audio",
            summary=(
                "Generated against reference sound; LAION-CLAP music_speech_audioset 89.98, first 10 s at 48 "
                "kHz."
            ),
            statistics=partial(_audio, embedder=LAION),
            combiner=MeanOfClips(),
            source=f"{_CODE} with its random replacement switched off",
            embedders=(LAION,),
            parameters={"against": "audio", "replacement": 0.0},
        ),
        Convention(
            name="audio-released",
            summary=(
                "As audio, each embedding replaced by that of the empty text with probability 0.1: the "
                "expected value of the released evaluation, which draws without a seed."
            ),
            statistics=partial(_released, with_text=False),
            combiner=MeanOfClips(),
            source=f"{_CODE} with unconditional_prob left at 0.1",
            official=True,
            embedders=(LAION,),
            text_embedders=(LAION_EMPTY_TEXT,),
            parameters={"against": "audio", "replacement": REPLACEMENT},
            caveat="Identical sounds score about 0.83, not 1; published values were most likely made this way.",
        ),
        Convention(
            name="text",
            summary="Generated sound against the text prompt; same checkpoint.",
            statistics=partial(_text, embedder=LAION),
            combiner=MeanOfClips(),
            source=f"{_CODE} --text with its random replacement switched off; hkchengrex/av-benchmark@050a5cd",
            needs=("text-prompt",),
            embedders=(LAION,),
            text_embedders=(LAION,),
            parameters={"against": "text", "replacement": 0.0},
        ),
        Convention(
            name="text-released",
            summary=(
                "As text, each embedding replaced by that of the empty text with probability 0.1 (expected "
                "value)."
            ),
            statistics=partial(_released, with_text=True),
            combiner=MeanOfClips(),
            source=f"{_CODE} --text with unconditional_prob left at 0.1",
            official=True,
            needs=("text-prompt",),
            embedders=(LAION,),
            text_embedders=(LAION, LAION_EMPTY_TEXT),
            parameters={"against": "text", "replacement": REPLACEMENT},
        ),
        Convention(
            name="stable-audio-metrics",
            summary=(
                "Generated sound against the text prompt; LAION-CLAP 630k-audioset-fusion-best, which takes "
                "sounds of any length, each at a peak of -1 dB."
            ),
            statistics=partial(_text, embedder=LAION_FUSION),
            combiner=MeanOfClips(),
            source="Stability-AI/stable-audio-metrics@fd55536 src/clap_score.py",
            official=True,
            needs=("text-prompt",),
            embedders=(LAION_FUSION,),
            text_embedders=(LAION_FUSION,),
            parameters={"against": "text", "peak-db": -1.0, "fusion-pieces": "middle of each third"},
            caveat=(
                "Of a sound of more than 10 s the released code hears three random pieces; here each piece is "
                "the middle one of its third, so that a sound has one score."
            ),
        ),
        Convention(
            name="msclap-text",
            summary=(
                "Generated sound against the text, MS-CLAP 2023, mean over its windows instead of a random "
                "crop."
            ),
            statistics=partial(_text, embedder=MSCLAP),
            combiner=MeanOfClips(),
            source="hkchengrex/av-benchmark@050a5cd, without its random 7 s crop",
            needs=("text-prompt",),
            embedders=(MSCLAP,),
            text_embedders=(MSCLAP,),
            parameters={"against": "text", "windows": "mean"},
        ),
    ),
    default="audio",
    default_reason=(
        "What Video-Foley's tables mean (it prints GT = 1), without the dice of its released script."
    ),
    paper="J. Lee et al., Video-Foley, 2024, section 4.3; Y. Wu et al., Large-Scale CLAP, ICASSP 2023",
    official_code=_CODE,
    evidence=("hand-derived", "official-fixture"),
)
