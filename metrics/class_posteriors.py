"""Divergences and scores over the class posteriors of an audio tagger (527 AudioSet classes)."""

from __future__ import annotations

import numpy as np

from clapstick.metrics.base import Array

EPSILON = 1e-6
"""What audioldm_eval and audiocraft add to a probability inside the logarithm."""


def log_softmax(logits: Array) -> Array:
    """Return log probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_probabilities


def divergence(reference: Array, generated: Array, *, epsilon: float = 0.0) -> Array:
    """Return KL(reference || generated) of softmax posteriors.

    Parameters
    ----------
    reference, generated : array, shape (..., classes)
        Logits.
    epsilon : float
        Added to the generated probability inside the logarithm; 0 stays in log space and never saturates.

    Returns
    -------
    array, shape (...,)
        In nats.
    """
    log_p, log_q = log_softmax(reference), log_softmax(generated)
    if epsilon:
        log_q = np.log(np.exp(log_q) + epsilon)
    nats: Array = (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)
    return nats


def sigmoid_divergence(reference: Array, generated: Array, *, epsilon: float = 0.0) -> Array:
    """Return sum p log(p / q) over independent class probabilities, without the (1 - p) terms.

    It is no divergence and may be negative. `epsilon` as in `divergence`.
    """
    p, q = 1 / (1 + np.exp(-reference)), 1 / (1 + np.exp(-generated))
    nats: Array = (p * (np.log(p) - np.log(q + epsilon))).sum(axis=-1)
    return nats


def inception_scores(logits: Array, splits: int) -> Array:
    """Return exp of the mean KL of each clip's posterior to its split's mean posterior; shape (splits,).

    Parameters
    ----------
    logits : array, shape (clips, classes)
    """
    log_p = log_softmax(np.asarray(logits, dtype=np.float64))
    scores = []
    for split in range(splits):
        part = log_p[split * len(log_p) // splits : (split + 1) * len(log_p) // splits]
        posterior = np.exp(part)
        log_mean = np.log(posterior.mean(axis=0))
        scores.append(np.exp((posterior * (part - log_mean)).sum(axis=1).mean()))
    return np.array(scores)
