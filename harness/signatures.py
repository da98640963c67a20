"""The signature of a score in a run: the convention's parameters and what the protocol adds to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clapstick import __version__
from clapstick.harness.provenance import text_sha256
from clapstick.harness.statistics import ScoreRequest
from clapstick.metrics.base import Setting
from clapstick.metrics.signature import Signature
from clapstick.protocols.archive import RunRecord
from clapstick.protocols.clips import Clip

_LIBRARIES = ("librosa", "numpy", "scipy", "soxr", "torch", "torchaudio")


def signature_of(
    run: RunRecord, request: ScoreRequest, clips: Sequence[Clip], weights: Mapping[str, str]
) -> str:
    """Return the signature of one score.

    Parameters
    ----------
    clips : sequence of Clip
        The clips behind the score; a hash of their ids goes in.
    weights : mapping
        Checkpoint -> SHA-256, for every checkpoint behind the score.
    """
    _, convention = request.resolve()
    audio = run.protocol.audio
    protocol: dict[str, Setting] = {
        "clips": clip_set(clips),
        "channels": audio.channels,
        "too-long": audio.too_long,
        "too-short": audio.too_short,
        "gain": audio.gain,
    }
    if audio.gain != "none":
        protocol["gain-target-db"] = audio.gain_target_db
    return str(
        Signature(
            metric=request.metric,
            convention=request.convention,
            n=len(clips),
            rate=audio.sample_rate,
            resampler=audio.resampler,
            seed=run.protocol.statistics.seed,
            version=__version__,
            param={**protocol, **convention.parameters},
            weights={name: sha256[:16] for name, sha256 in weights.items()},
            library={name: run.libraries[name] for name in _LIBRARIES if name in run.libraries},
        )
    )


def clip_set(clips: Sequence[Clip]) -> str:
    """Return what names a set of clips, whatever their order."""
    return text_sha256(*sorted(clip.id for clip in clips))[:12]
