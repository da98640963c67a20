"""FAD-C: Fréchet distance of MS-CLAP embeddings."""

from __future__ import annotations

from clapstick.metrics.base import Metric
from clapstick.metrics.embeddings import FADTK_FORK, frechet_conventions

METRIC = Metric(
    name="fad-c",
    title="FAD-C",
    summary=(
        "Fréchet distance between Gaussians fitted to MS-CLAP 2023 audio embeddings (44.1 kHz, 7 s windows "
        "every second, 1024-d, not normalised) of the reference and the generated set."
    ),
    direction="lower",
    unit="distance squared",
    low=None,
    high=None,
    conventions=frechet_conventions("msclap-2023", "MS-CLAP 2023, 1024-d"),
    default="plain",
    default_reason="As for FAD-P: the paper's formula, without dice.",
    paper="J. Lee et al., Video-Foley, 2024, section 4.3; B. Elizalde et al., CLAP, ICASSP 2024",
    official_code=FADTK_FORK,
    evidence=("hand-derived", "library", "official-fixture"),
)
