"""KID: kernel distance with a polynomial kernel over random subsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from clapstick.metrics.base import Array, Convention, Metric, NotComputableError, Statistics
from clapstick.metrics.combiners import ScoreOfSet, stacked
from clapstick.metrics.embeddings import set_statistics
from clapstick.metrics.kernel import polynomial_kernel_distance

EMBEDDER = "panns-cnn14-16k"
SUBSETS, SUBSET_SIZE, SEED = 20, 100, 2020
_CODE = "hkchengrex/av-benchmark@050a5cd av_bench/metrics/kid.py"


@dataclass(frozen=True)
class SubsetDistances:
    """Mean and population standard deviation over the subsets."""

    mean: float
    deviation: float


def kernel_inception_distance(
    reference: Array,
    generated: Array,
    rng: np.random.RandomState,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
) -> SubsetDistances:
    """Return the polynomial kernel distance over random subsets of both sets.

    Parameters
    ----------
    reference, generated : array, shape (frames, dimension)
    rng : numpy RandomState
        ``RandomState(2020)`` draws the official subsets: of the generated set first, then of the reference.

    Raises
    ------
    NotComputableError
        If a set is smaller than a subset.
    """
    if min(len(reference), len(generated)) < subset_size:
        raise NotComputableError(
            f"sets of {len(reference)} and {len(generated)} frames, subsets need {subset_size}; score more "
            "clips"
        )
    values = []
    for _ in range(subsets):
        first = generated[rng.choice(len(generated), subset_size, replace=False)]
        second = reference[rng.choice(len(reference), subset_size, replace=False)]
        values.append(polynomial_kernel_distance(second, first))
    return SubsetDistances(float(np.mean(values)), float(np.std(values)))


def _whole_sets(statistics: Sequence[Statistics]) -> float:
    return polynomial_kernel_distance(stacked(statistics, "reference"), stacked(statistics, "generated"))


def _subset_mean(statistics: Sequence[Statistics]) -> float:
    rng = np.random.RandomState(SEED)
    return kernel_inception_distance(
        stacked(statistics, "reference"), stacked(statistics, "generated"), rng
    ).mean


METRIC = Metric(
    name="kid",
    title="KID",
    summary=(
        "Unbiased squared maximum mean discrepancy with the kernel (x.y/d + 1)^3 over PANNs Cnn14 "
        "embeddings. It may be negative."
    ),
    direction="lower",
    unit="squared MMD",
    low=None,
    high=None,
    conventions=(
        Convention(
            name="whole-sets",
            summary="All frames of both sets once; no dice.",
            statistics=partial(set_statistics, embedder=EMBEDDER),
            combiner=ScoreOfSet(_whole_sets, low=None),
            source="M. Binkowski et al., Demystifying MMD GANs, ICLR 2018, section 4",
            embedders=(EMBEDDER,),
            parameters={"degree": 3},
        ),
        Convention(
            name="subsets",
            summary="Mean over 20 subsets of 100 frames, drawn from RandomState(2020).",
            statistics=partial(set_statistics, embedder=EMBEDDER),
            combiner=ScoreOfSet(_subset_mean, low=None, stable_score=_whole_sets),
            source=_CODE,
            official=True,
            embedders=(EMBEDDER,),
            parameters={"degree": 3, "subsets": SUBSETS, "subset-size": SUBSET_SIZE, "draw-seed": SEED},
        ),
    ),
    default="whole-sets",
    default_reason="The same expectation as the mean over subsets, without its noise.",
    paper="M. Binkowski et al., Demystifying MMD GANs, ICLR 2018",
    official_code=_CODE,
    evidence=("library", "official-fixture"),
)
