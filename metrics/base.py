"""The metric interface: conventions, per-clip statistics, combiners.

A metric is a module of this package with a constant ``METRIC``. Every convention of it is two pure steps:
`Convention.statistics` turns one clip into a few arrays, and `Convention.combiner` turns the arrays of many
clips into a value and an interval. Whatever needs a network gets its embeddings handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistics = Mapping[str, NDArray[np.generic]]
"""What one clip contributes to a score: named numeric arrays, small enough to keep."""

Setting = str | int | float | bool
"""A parameter of a convention."""
Direction = Literal["lower", "higher", "none"]
Need = Literal["reference", "onsets", "video", "text-prompt", "rms-logits", "onset-logits", "envelope"]
"""What a convention needs of a clip besides the generated sound."""
EvidenceTier = Literal["hand-derived", "library", "official-fixture", "golden"]


class NotComputableError(ValueError):
    """The metric is not defined for this input; the message is the reason that the report shows."""


@dataclass(frozen=True)
class ClipInput:
    """One clip as a metric sees it.

    Waveforms are mono float64 in [-1, 1] at `sample_rate` Hz, of the protocol's exact length. They are held as
    read-only views, so that what several metrics derive from them is derived once.
    """

    clip: str
    generated: Array
    """Standardised generated sound, shape (samples,)."""
    sample_rate: int
    reference: Array | None = None
    """Standardised reference sound, shape (samples,); None where the clip has none."""
    reference_missing: str = "the clip has no reference sound"
    onsets_s: Array | None = None
    """Annotated onset times in seconds, shape (onsets,); None where the clip is not annotated."""
    video: Path | None = None
    video_start_s: float = 0.0
    text: str | None = None
    predictions: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    """What the system predicted besides sound: ``rms_logits`` (frames, classes), ``onset_logits`` (frames,),
    ``envelope`` (frames,)."""
    generated_embeddings: Mapping[str, Array] = field(default_factory=dict)
    """Embedder name -> (frames, dimension) of the generated sound."""
    reference_embeddings: Mapping[str, Array] = field(default_factory=dict)
    video_embeddings: Mapping[str, Array] = field(default_factory=dict)
    text_embeddings: Mapping[str, Array] = field(default_factory=dict)
    pair_embeddings: Mapping[str, Array] = field(default_factory=dict)
    """What networks make of the generated sound together with the picture."""
    embedding_reasons: Mapping[str, str] = field(default_factory=dict)
    """Embedder name -> why this clip lacks its output."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "generated", _read_only(self.generated))
        if self.reference is not None:
            object.__setattr__(self, "reference", _read_only(self.reference))


def _read_only(waveform: Array) -> Array:
    view = waveform.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True)
class Interval:
    """A confidence interval and how it was made."""

    low: float
    high: float
    method: str


class Combiner(Protocol):
    """Turns the statistics of many clips into one value with an interval."""

    def value(self, statistics: Sequence[Statistics]) -> float:
        """Return the score of a set of clips; raise `NotComputableError` where it is not defined."""

    def clip_value(self, statistics: Statistics) -> float | None:
        """Return the score of one clip; None where a single clip has none (distances between sets)."""

    def interval(
        self,
        statistics: Sequence[Statistics],
        clusters: Sequence[str],
        rng: np.random.Generator,
        *,
        level: float = 0.95,
        resamples: int = 1000,
    ) -> Interval:
        """Return the confidence interval of `value`, resampling whole clusters (source videos)."""

    def warnings(self, statistics: Sequence[Statistics]) -> tuple[str, ...]:
        """Say what a reader must know about this value, such as a set too small for its dimension."""


@dataclass(frozen=True)
class Convention:
    """One of several published ways to compute a metric."""

    name: str
    summary: str
    """What is computed, in one or two sentences with the parameters that matter."""
    statistics: Callable[[ClipInput], Statistics]
    combiner: Combiner
    source: str
    """Paper and section, or official repository@commit and file."""
    official: bool = False
    """Whether it reproduces released code, quirks included."""
    needs: tuple[Need, ...] = ("reference",)
    embedders: tuple[str, ...] = ()
    """Names of the audio embedders whose output it reads."""
    video_embedders: tuple[str, ...] = ()
    text_embedders: tuple[str, ...] = ()
    pair_embedders: tuple[str, ...] = ()
    """Networks that take sound and picture together: embedders of kind ``pair``, and metric adapters."""
    parameters: Mapping[str, Setting] = field(default_factory=dict)
    """Everything that changes the number; part of the signature."""
    direction: Direction | None = None
    """Overrides the metric's direction where a convention reverses it."""
    unit: str | None = None
    caveat: str = ""
    """A known defect or trap of this convention, shown wherever its numbers are."""


@dataclass(frozen=True)
class Metric:
    """What a score is called and what it means."""

    name: str
    """Slug: ``e-l1``, ``acc-at-5``, ``fad-p``."""
    title: str
    """As papers print it: ``E-L1``, ``acc@5``, ``FAD-P``."""
    summary: str
    direction: Direction
    unit: str
    """``amplitude``, ``fraction``, ``distance squared``; empty for a pure number."""
    low: float | None
    """Smallest possible value; None where unbounded."""
    high: float | None
    conventions: tuple[Convention, ...]
    default: str
    """Name of the default convention."""
    default_reason: str
    paper: str
    """Who introduced it, in citable form."""
    official_code: str
    """owner/repository@commit and file; empty where none was released."""
    evidence: tuple[EvidenceTier, ...]
    """Kinds of test that pin its value."""
    published: bool = True
    """False for quantities that no paper reports; the report says so."""

    def in_range(self, value: float) -> float:
        """Return `value`, cut at the metric's range: an interval's end that lies outside says nothing."""
        return min(
            max(value, -np.inf if self.low is None else self.low), np.inf if self.high is None else self.high
        )

    def convention(self, name: str | None = None) -> Convention:
        """Return the named convention, the default where `name` is None.

        Raises
        ------
        KeyError
            If the metric has no such convention; the message lists those it has.
        """
        wanted = name or self.default
        for convention in self.conventions:
            if convention.name == wanted:
                return convention
        known = ", ".join(convention.name for convention in self.conventions)
        raise KeyError(f"metric {self.name} has no convention {wanted!r}; it has {known}")
