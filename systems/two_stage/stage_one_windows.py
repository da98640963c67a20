"""Stage 1 on videos of any length: windows of features, predictions joined where the windows meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.rms_codec import decode
from clapstick.systems.two_stage.video2rms import Video2RMS, Video2RMSConfig


@dataclass(frozen=True)
class StageOnePrediction:
    """What stage 1 says of a clip."""

    envelope: NDArray[np.float64]
    """RMS amplitude, shape (frames,), `Video2RMSConfig.rms_rate` frames a second."""
    rms_logits: NDArray[np.float32] | None
    """Shape (frames, classes); None from a network without classes."""
    onset_logits: NDArray[np.float32] | None
    """Shape (video frames,); None from a network without onset head."""
    warnings: tuple[str, ...] = ()

    def as_predictions(self) -> dict[str, NDArray[np.generic]]:
        """Return what there is under the names of `NativeOutput.predictions`."""
        named = {
            "envelope": self.envelope,
            "rms_logits": self.rms_logits,
            "onset_logits": self.onset_logits,
        }
        return {name: values for name, values in named.items() if values is not None}


def window_starts(rows: int, window: int, hop: int) -> list[int]:
    """Return where windows start: every `hop` rows, the last one aligned to the end.

    Parameters
    ----------
    rows : int
        Length of the whole; at least `window`.
    window, hop : int
        Length of a window and step to the next, in rows.
    """
    last = rows - window
    starts = list(range(0, last + 1, hop))
    return starts if starts[-1] == last else [*starts, last]


@torch.no_grad()
def predict(
    network: Video2RMS, features: NDArray[np.float32], duration_s: float, *, where: str, batch: int = 16
) -> StageOnePrediction:
    """Predict the RMS envelope of a clip.

    A clip shorter than a window is looped to fill it, and what is predicted for the loops is dropped. Where
    windows overlap, their logits are averaged with weights that fall towards the window's edges.

    Parameters
    ----------
    network : Video2RMS
    features : ndarray of float32, shape (rows, feature_dim)
        One row a video frame.
    duration_s : float
        Length of the clip in seconds.
    where : str
        Name of the clip for errors.
    batch : int
        Windows at once; halved, with a warning, where the GPU's memory does not suffice.

    Raises
    ------
    ClapstickError
        If there are fewer than two rows (one picture shows no motion), or not even one window fits into the
        GPU's memory.
    """
    config = network.config
    rows = features.shape[0]
    if rows < 2:
        raise fail(
            "video is too short to see motion",
            where,
            found=f"{rows} frame",
            expected=f"2 frames or more at {config.fps:g} fps",
            remedy="Give a longer clip.",
        )
    warnings = []
    if rows < config.window_frames:
        features = np.resize(features, (config.window_frames, features.shape[1]))
        warnings.append(
            f"the clip has {rows} frames and was looped to the window of {config.window_frames} frames"
        )
    starts = window_starts(features.shape[0], config.window_frames, config.window_hop_frames)
    rms_windows, onset_windows = [], []
    device = next(network.parameters()).device
    first = 0
    while first < len(starts):
        some = [features[start : start + config.window_frames] for start in starts[first : first + batch]]
        try:
            output = network.eval()(torch.from_numpy(np.stack(some)).to(device))
        except torch.OutOfMemoryError as error:
            batch = smaller_batch(batch, where, error)
            warnings.append(f"stage 1 is out of GPU memory: went on with {batch} windows at once")
            continue
        first += len(some)
        rms = output.rms.float().cpu().numpy()
        rms_windows += list(np.moveaxis(rms, 1, -1) if config.classes else rms[..., None])
        if output.onsets is not None:
            onset_windows += list(output.onsets.float().cpu().numpy())
    frames = rms_frames(duration_s, config)
    rms_starts = [round(start / config.fps * config.rms_rate) for start in starts]
    joined = join_windows(rms_windows, rms_starts, frames)
    envelope = read_classes(joined, config) if config.classes else joined[:, 0].astype(np.float64)
    onsets = join_windows(onset_windows, starts, rows)[:, 0] if onset_windows else None
    return StageOnePrediction(envelope, joined if config.classes else None, onsets, tuple(warnings))


def smaller_batch(batch: int, where: str, error: Exception) -> int:
    """Return half a batch for a GPU whose memory does not suffice; raise `ClapstickError` below one window."""
    torch.cuda.empty_cache()
    if batch > 1:
        return batch // 2
    raise fail(
        "one window alone does not fit into the GPU's memory",
        where,
        found=error,
        remedy="Use --device cpu, or a GPU with more memory.",
    ) from error


def read_classes(logits: NDArray[np.float32], config: Video2RMSConfig) -> NDArray[np.float64]:
    """Return the RMS curve that class logits of shape (frames, classes) stand for."""
    if config.reading == "argmax":
        return decode(logits.argmax(axis=1), config)
    chances = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares = np.cumsum(chances, axis=1) / chances.sum(axis=1, keepdims=True)
    return decode((shares < 0.5).sum(axis=1).clip(max=config.classes - 1), config)


def rms_frames(duration_s: float, config: Video2RMSConfig) -> int:
    """Return how many RMS frames a sound of this length has."""
    return max(1, round(duration_s * config.sample_rate) // config.rms_hop_samples)


def join_windows(
    windows: Sequence[NDArray[np.float32]], starts: Sequence[int], frames: int
) -> NDArray[np.float32]:
    """Average overlapping windows with triangular weights.

    Parameters
    ----------
    windows : sequence of ndarray, shape (window, channels)
    starts : sequence of int
        Rising first frames.
    frames : int
        Length of the result; frames past the last window repeat its end.

    Returns
    -------
    ndarray of float32, shape (frames, channels)
    """
    length, channels = windows[0].shape
    weight = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float64)[:, None]
    total = np.zeros((max(frames, starts[-1] + length), channels))
    weights = np.zeros((total.shape[0], 1))
    for start, window in zip(starts, windows, strict=True):
        total[start : start + length] += weight * window
        weights[start : start + length] += weight
    covered = starts[-1] + length
    total[:covered] /= weights[:covered]
    total[covered:] = total[covered - 1]
    return total[:frames].astype(np.float32)
