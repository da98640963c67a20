"""What rounding an RMS curve to mu-law classes costs, in closed form, beside what was measured.

With N classes, mu = N - 1 and the lowest edge r0 = 0.01, the edges are equally spaced in ln(1 + mu r). So
``e + 1 / mu`` grows from one edge to the next by one factor::

    q = (N / (1 + mu r0)) ** (1 / mu)

A class stands for its upper edge. An amplitude r that lies a share u of its class (in mu-law space) above the
lower edge is therefore rounded up by ``(r + 1 / mu) (q ** (1 - u) - 1)``. Where u is spread evenly, whatever r
is, the mean of ``q ** (1 - u)`` is ``(q - 1) / ln q``, and the expected error is::

    E-L1 = (mean r + 1 / mu) ((q - 1) / ln q - 1)      about  ln(q) / 2 (mean r + 1 / mu)

over the frames that are not class 0; the convention e-l1:video2rms leaves the others out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import expm1, log
from typing import TYPE_CHECKING

import numpy as np

from clapstick.harness.ablate.sweep import Point
from clapstick.harness.settings import REFERENCE
from clapstick.metrics.rms import RMS_MIN, SAMPLE_RATE, low_pass, rms_curve
from clapstick.metrics.waveform import resample
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.audio import read_wav

if TYPE_CHECKING:
    import pandas as pd

SYSTEM = "disc-rms"
BINS = "disc-rms.bins"
SCORE = "e-l1:video2rms"
EXACT = "acc-at-1:tolerance"


@dataclass(frozen=True)
class QuantisationRow:
    """The discretised reference under one number of bins."""

    bins: int
    """0: not cut into bins."""
    expected: float
    """E-L1 by the closed form."""
    measured: float
    accuracy: float | None
    """acc@1 within the right class; 1 by construction. None where it is not among the metrics."""


def expected_error(mean_rms: float, bins: int, rms_min: float = RMS_MIN) -> float:
    """Return the mean absolute error of rounding amplitudes to the upper edges of mu-law classes.

    Parameters
    ----------
    mean_rms : float
        Mean amplitude of the frames that are `rms_min` or more.
    bins : int
        Number of classes, 2 or more; 0 rounds nothing.
    rms_min : float
        Lowest edge; what lies below is class 0.
    """
    if bins == 0:
        return 0.0
    mu = bins - 1
    log_q = log(bins / (1 + mu * rms_min)) / mu
    return (mean_rms + 1 / mu) * (expm1(log_q) / log_q - 1)


def quantisation_rows(table: pd.DataFrame, archives: Mapping[Point, RunArchive]) -> tuple[QuantisationRow, ...]:
    """Return one row a number of bins where a sweep varies those of the discretised reference; else none."""
    rows = []
    seen: set[int] = set()
    means: list[float] | None = None
    for point, archive in archives.items():
        bins = point.values.get(BINS)
        if type(bins) is not int or bins in seen:
            continue
        found = table[(table.system == SYSTEM) & (table.setting == point.label) & table["mean"].notna()]
        measured = found[found.score == SCORE]
        if not len(measured):
            continue
        seen.add(bins)
        means = means or sounding_means(archive)
        exact = found[found.score == EXACT]
        rows.append(
            QuantisationRow(
                bins,
                float(np.mean([expected_error(mean, bins) for mean in means])),
                float(measured["mean"].iloc[0]),
                float(exact["mean"].iloc[0]) if len(exact) else None,
            )
        )
    return tuple(rows)


def sounding_means(archive: RunArchive) -> list[float]:
    """Return the mean filtered RMS over the sounding frames of each reference in an archive."""
    means = []
    for clip in archive.read_clips():
        audio = read_wav(archive.audio_wav(REFERENCE, clip))
        samples = resample(audio.mono.astype(np.float64), audio.sample_rate, SAMPLE_RATE)
        curve = low_pass(rms_curve(samples))
        if (sounding := curve[curve >= RMS_MIN]).size:
            means.append(float(sounding.mean()))
    return means
