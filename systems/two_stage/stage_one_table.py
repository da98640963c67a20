"""What stage 1 is worth: its scores between predictors that see nothing and the reference itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapstick.metrics.acc import expected_top_k_hits
from clapstick.systems.two_stage.rms_codec import decode, encode
from clapstick.systems.two_stage.stage_one_data import Example
from clapstick.systems.two_stage.stage_one_windows import predict
from clapstick.systems.two_stage.video2rms import Video2RMS, Video2RMSConfig


@dataclass(frozen=True)
class Row:
    """Mean scores of one predictor over clips."""

    predictor: str
    e_l1: float
    """Mean absolute difference of predicted and target curve, in amplitude, over all frames."""
    acc_at_5: float
    """Share of frames whose class is among the five likeliest; frames silent in both are left out."""
    correlation: float
    """Mean Pearson correlation of the curves; 0 for a clip whose prediction is constant."""
    clips: int


def stage_one_table(network: Video2RMS, examples: Sequence[Example], rng: np.random.Generator) -> list[Row]:
    """Score the network beside its bounds on the same clips.

    Parameters
    ----------
    network : Video2RMS
        With RMS classes.
    examples : sequence of Example
        Two clips or more, all of one length.
    rng : numpy.random.Generator
        For the random classes.

    Returns
    -------
    list of Row
        ``discretised reference``, ``video2rms``, ``shuffled videos`` (every clip is told the next clip's
        picture), ``constant mean envelope`` and ``random classes``.
    """
    config = network.config
    curves = [example.curve for example in examples]
    frames = curves[0].size
    told = [*examples[1:], examples[0]]
    right = [_predicted(network, example) for example in examples]
    wrong = [_predicted(network, example) for example in told]
    mean = float(np.mean([curve.mean() for curve in curves]))
    constant = (np.full(frames, mean), _certain(encode(np.full(frames, mean), config), config))
    chance = [rng.random((frames, config.classes)) for _ in examples]
    perfect = [encode(curve, config) for curve in curves]
    return [
        _row(
            "discretised reference",
            [(decode(classes, config), _certain(classes, config)) for classes in perfect],
            curves,
            config,
        ),
        _row("video2rms", right, curves, config),
        _row("shuffled videos", wrong, curves, config),
        _row("constant mean envelope", [constant] * len(curves), curves, config),
        _row(
            "random classes",
            [(decode(scores.argmax(axis=1), config), scores) for scores in chance],
            curves,
            config,
        ),
    ]


Prediction = tuple[NDArray[np.float64], NDArray[Any]]


def _predicted(network: Video2RMS, example: Example) -> Prediction:
    prediction = predict(network, example.features, example.clip.duration_s, where=example.clip.id)
    if prediction.rms_logits is None:
        raise ValueError(f"configuration {network.config.name} has no RMS classes")
    return prediction.envelope, prediction.rms_logits


def _certain(classes: NDArray[np.int64], config: Video2RMSConfig) -> NDArray[Any]:
    return -np.abs(np.arange(config.classes)[None, :] - classes[:, None]).astype(np.float64)


def _row(
    name: str,
    predictions: Sequence[Prediction],
    curves: Sequence[NDArray[np.float64]],
    config: Video2RMSConfig,
) -> Row:
    errors, hits, correlations = [], [], []
    for (envelope, logits), curve in zip(predictions, curves, strict=True):
        classes = encode(curve, config)
        counted = (classes > 0) | (logits.argmax(axis=1) > 0)
        errors.append(np.abs(envelope - curve).mean())
        if counted.any():
            hits.append(expected_top_k_hits(classes[counted], logits[counted], 5).mean())
        spread = envelope.std() > 0 and curve.std() > 0
        correlations.append(np.corrcoef(envelope, curve)[0, 1] if spread else 0.0)
    return Row(name, float(np.mean(errors)), float(np.mean(hits)), float(np.mean(correlations)), len(curves))
