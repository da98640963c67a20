"""FAD-LC: Fréchet distance of LAION-CLAP embeddings."""

from __future__ import annotations

from clapstick.metrics.base import Metric
from clapstick.metrics.embeddings import FADTK_FORK, frechet_conventions

METRIC = Metric(
    name="fad-lc",
    title="FAD-LC",
    summary=(
        "Fréchet distance between Gaussians fitted to LAION-CLAP audio embeddings (48 kHz, 10 s windows "
        "every second, 512-d, unit length) of the reference and the generated set."
    ),
    direction="lower",
    unit="distance squared",
    low=None,
    high=None,
    conventions=(
        *frechet_conventions("laion-clap-audio", "LAION-CLAP 630k-audioset-best (HTSAT-tiny)", prefix="audio-"),
        *frechet_conventions("laion-clap-music", "LAION-CLAP music_audioset (HTSAT-base)", prefix="music-"),
    ),
    default="audio-plain",
    default_reason=(
        "The FOL-AI paper does not say which checkpoint it used; audio is the toolkit's one for sounds, "
        "music the one for music."
    ),
    paper="R. F. Gramaccioni et al., FOL-AI (Stable-V2A), 2024; Y. Wu et al., Large-Scale CLAP, ICASSP 2023",
    official_code=FADTK_FORK,
    evidence=("hand-derived", "library", "official-fixture"),
)
