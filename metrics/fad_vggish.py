"""FAD: the classic Fréchet audio distance on VGGish embeddings."""

from __future__ import annotations

from clapstick.metrics.base import Metric
from clapstick.metrics.embeddings import FADTK, frechet_conventions

METRIC = Metric(
    name="fad",
    title="FAD (VGGish)",
    summary=(
        "Fréchet distance between Gaussians fitted to VGGish embeddings (16 kHz, 128-d every 0.96 s, without "
        "PCA and without the last ReLU) of the reference and the generated set. Also printed as FD-VGG and "
        "FAD@VGG."
    ),
    direction="lower",
    unit="distance squared",
    low=None,
    high=None,
    conventions=frechet_conventions("vggish", "VGGish, 128-d, last ReLU removed", official=FADTK),
    default="plain",
    default_reason="What the paper defines and what audioldm_eval, av-benchmark and fadtk report.",
    paper="K. Kilgour et al., Fréchet Audio Distance, Interspeech 2019",
    official_code=FADTK,
    evidence=("hand-derived", "library", "official-fixture"),
)
