"""FAD-P: Fréchet distance of PANNs embeddings."""

from __future__ import annotations

from clapstick.metrics.base import Metric
from clapstick.metrics.embeddings import FADTK_FORK, frechet_conventions

METRIC = Metric(
    name="fad-p",
    title="FAD-P",
    summary=(
        "Fréchet distance between Gaussians fitted to PANNs Wavegram-Logmel-CNN14 embeddings (32 kHz, one "
        "vector of 2048 a clip) of the reference and the generated set."
    ),
    direction="lower",
    unit="distance squared",
    low=None,
    high=None,
    conventions=frechet_conventions("panns-wavegram-logmel", "PANNs Wavegram-Logmel-CNN14, 2048-d"),
    default="plain",
    default_reason=(
        "It is equation 6 of Video-Foley and throws no dice; the paper's script passes --inf, so its numbers "
        "are most likely inf-bootstrap, which lands near the plain distance."
    ),
    paper="J. Lee et al., Video-Foley, 2024, section 4.3; Q. Kong et al., PANNs, TASLP 2020",
    official_code=FADTK_FORK,
    evidence=("hand-derived", "library", "official-fixture"),
)
