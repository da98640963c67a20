"""The feature extractor that a stage 1 configuration names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.media import frames_at
from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.block_motion import BlockMotion
from clapstick.systems.two_stage.features import Extractor
from clapstick.systems.two_stage.video2rms import Video2RMSConfig

BN_INCEPTION = "bn-inception"
RAFT = "raft-large"


def extractor_weights(config: Video2RMSConfig) -> tuple[str, ...]:
    """Return the names of the checkpoint files that a configuration's extractor reads."""
    return (BN_INCEPTION, RAFT) if config.features == "bn-inception" else ()


def make_extractor(config: Video2RMSConfig, weights: Mapping[str, Path], device: str = "cpu") -> Extractor:
    """Build the extractor of a configuration.

    Parameters
    ----------
    config : Video2RMSConfig
    weights : mapping
        Weight name -> local file; ``bn-inception`` and ``raft-large`` for BN-Inception features.
    device : str

    Raises
    ------
    ClapstickError
        If a weight file is missing, or the features cannot be computed here.
    """
    if config.features == "block-motion":
        return BlockMotion()
    if config.features == "bn-inception":
        for name in extractor_weights(config):
            if name not in weights:
                raise fail(
                    "weights are missing",
                    name,
                    expected="a local file",
                    remedy=f"Run `clapstick weights fetch {name}`.",
                )
        return BNInceptionFeatures(weights[BN_INCEPTION], weights[RAFT], device)
    raise fail(
        "no extractor for these features",
        config.features,
        expected="bn-inception or block-motion",
        remedy="Compute TC-CLIP features with its own repository, and name their folder with --features.",
    )


class BNInceptionFeatures:
    """RGB and RAFT-flow features of jnwnlee/video-foley, 2048 numbers a row.

    Row i shows frame i + 1 and the flow towards it, and the last row is zero: the released code numbers frames
    from 1 and drops the first.
    """

    _BATCH = 16
    _SIZE = (256, 344)

    def __init__(self, bn_inception: Path, raft: Path, device: str = "cpu") -> None:
        from clapstick.systems.two_stage.bn_inception import flow_network, load_bn_inception
        from clapstick.systems.two_stage.flow import load_raft

        self._rgb = load_bn_inception(bn_inception).to(device)
        self._flow = flow_network(self._rgb).to(device)
        self._raft = load_raft(raft).to(device)
        self._device = device
        self.key = f"bn-inception-1 {_digest(bn_inception)} {_digest(raft)}"

    def rows(self, video: Path, start_s: float, frames: int, fps: float) -> Iterator[NDArray[np.float32]]:
        """Yield rows of up to 16 frames; so many frames and their flow are in memory."""
        import torch

        from clapstick.systems.two_stage.bn_inception import preprocess
        from clapstick.systems.two_stage.flow import frame_pairs, raft_flow_bytes

        height, width = self._SIZE
        pictures = frames_at(video, start_s + np.arange(frames) / fps, height=height, width=width)
        for previous, following in frame_pairs(pictures, self._BATCH):
            flow = raft_flow_bytes(self._raft, previous, following)
            with torch.no_grad():
                rgb_rows = self._rgb(preprocess(following, "rgb").to(self._device))
                flow_rows = self._flow(preprocess(flow, "flow").to(self._device))
            yield torch.cat([rgb_rows, flow_rows], dim=1).cpu().numpy()
        yield np.zeros((1, 2048), dtype=np.float32)


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]
