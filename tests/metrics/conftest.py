"""Clips with everything that any metric can ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clapstick.metrics import rms
from clapstick.metrics.base import Array, ClipInput

RATE = 16_000
SECONDS = 2
DIMENSIONS = {
    "panns-wavegram-logmel": (1, 24),
    "panns-cnn14-16k": (1, 24),
    "panns-cnn14-16k-logits": (1, 527),
    "panns-cnn14-16k-unpadded": (1, 24),
    "panns-cnn14-16k-unpadded-logits": (1, 527),
    "passt": (1, 24),
    "passt-logits": (1, 527),
    "passt-segments-logits": (2, 527),
    "passt-windows-logits": (3, 527),
    "msclap-2023": (3, 24),
    "laion-clap-audio": (3, 24),
    "laion-clap-fusion": (1, 24),
    "laion-clap-music": (3, 24),
    "laion-clap-htsat-base": (1, 24),
    "laion-clap-htsat-base-empty": (1, 24),
    "vggish": (2, 12),
    "vggish-relu": (2, 12),
    "i3d": (2, 20),
    "i3d-raft": (2, 20),
    "peavs": (1, 1),
    "peavs-raft": (1, 1),
    "synchformer": (1, 21),
    "synchformer-av-benchmark": (2, 21),
    "imagebind": (2, 24),
    "imagebind-av-benchmark": (2, 24),
}


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds in which a square jumps every 0.4 s."""
    import av

    path = tmp_path_factory.mktemp("video") / "jumps.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 96
        for number in range(25 * SECONDS):
            picture = np.full((96, 96, 3), 40, dtype=np.uint8)
            left = 8 + 16 * (number // 10)
            picture[30:60, left : left + 24] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _sound(rng: np.random.Generator) -> Array:
    sound = 0.002 * rng.standard_normal(RATE * SECONDS)
    for start in rng.integers(2000, RATE * SECONDS - 6000, 3):
        sound[start : start + 4000] += 0.4 * rng.standard_normal(4000) * np.exp(-np.arange(4000) / 500)
    return np.clip(sound, -1, 1)


def _embeddings(rng: np.random.Generator) -> dict[str, Array]:
    return {name: np.abs(rng.normal(0.2, 1.0, shape)) for name, shape in DIMENSIONS.items()}


@pytest.fixture(scope="session")
def full_clip(video: Path) -> Callable[[int], ClipInput]:
    """Return a maker of clips that have a reference, annotations, predictions and all embeddings."""

    def make(number: int) -> ClipInput:
        rng = np.random.default_rng([77, number])
        reference, generated = _sound(rng), _sound(rng)
        frames = RATE * SECONDS // rms.HOP_SAMPLES
        onset_logits = rng.normal(-2, 1, 30 * SECONDS)
        onset_logits[[10, 40]] = 3.0
        return ClipInput(
            clip=f"clip {number}",
            generated=generated,
            sample_rate=RATE,
            reference=reference,
            onsets_s=np.array([0.4, 1.1]),
            video=video,
            text="a person hits metal",
            predictions={"rms_logits": rng.normal(size=(frames, 64)), "onset_logits": onset_logits},
            generated_embeddings=_embeddings(rng),
            reference_embeddings=_embeddings(rng),
            video_embeddings=_embeddings(rng),
            text_embeddings=_embeddings(rng),
            pair_embeddings=_embeddings(rng),
        )

    return make


@pytest.fixture(scope="session")
def perfect_clip(full_clip: Callable[[int], ClipInput]) -> Callable[[int], ClipInput]:
    """Return a maker of clips whose generated sound and predictions are the reference's own."""

    def make(number: int) -> ClipInput:
        clip = full_clip(number)
        assert clip.reference is not None
        classes = rms.discretise(rms.low_pass(rms.rms_curve(clip.reference)), rms.bin_edges())
        means = {name: rows.mean(axis=0, keepdims=True) for name, rows in clip.reference_embeddings.items()}
        return replace(
            clip,
            generated=clip.reference,
            generated_embeddings=clip.reference_embeddings,
            text_embeddings=means,
            video_embeddings=clip.reference_embeddings,
            pair_embeddings={
                name: np.tile(rows[:1], (len(rows), 1)) for name, rows in clip.pair_embeddings.items()
            },
            predictions={**clip.predictions, "rms_logits": np.eye(64)[classes]},
        )

    return make
