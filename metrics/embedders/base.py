"""The embedder interface: what a network needs, what it gives, and the batching that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Embeddings = dict[str, NDArray[np.float32]]
"""Output name -> (rows, dimension): all that one pass of a network gives for one clip."""
Setting = str | int | float | bool
Kind = Literal["audio", "video", "text", "pair"]


@dataclass(frozen=True)
class EmbedderCard:
    """What is known of an embedder without loading its network."""

    name: str
    """As conventions name it: ``panns-wavegram-logmel``."""
    title: str
    kind: Kind
    network: str
    """Embedders of one network share its passes and its cache: ``vggish`` and ``vggish-relu`` do."""
    output: str
    """Which of the network's outputs it is."""
    dimension: int
    weights: tuple[str, ...]
    """Names of the files that `load` needs, as ``clapstick weights list`` has them."""
    entry: str
    """``package.module:function``, called with (weights, device)."""
    front_end: Mapping[str, Setting]
    """Everything between the wav file and the network that changes the numbers."""
    source: str
    """Official repository@commit and file."""
    frame_rate: float | None = None
    """Frames a second that a video embedder takes."""
    takes: tuple[str, str] | None = None
    """The audio and the video embedder whose rows a pair embedder takes."""
    official: bool = True
    """False where it stands in for a network that cannot run here."""
    note: str = ""


@dataclass(frozen=True)
class AudioEmbedder:
    """A loaded network with its front end."""

    windows: Callable[[NDArray[np.float32], int], NDArray[np.float32]]
    """Front end: one waveform (samples,) and its rate in Hz -> what the network takes, (rows, ...)."""
    forward: Callable[[Tensor], Mapping[str, Tensor]]
    """Network: (batch, ...) -> outputs, each (batch, dimension)."""
    device: str = "cpu"
    batch_rows: int = 64
    """Most rows that go through the network together."""

    def embed(self, waveforms: Sequence[NDArray[np.float32]], *, sample_rate: int) -> list[Embeddings]:
        """Embed mono waveforms of any lengths, each of shape (samples,), full scale 1.0.

        Returns
        -------
        list
            For each waveform, output name -> float32 array (rows, dimension).

        Raises
        ------
        NotComputableError
            If a waveform is empty, too short for the network, or holds NaN or infinite samples.
        """
        return self.embed_prepared([self.prepare(waveform, sample_rate=sample_rate) for waveform in waveforms])

    def prepare(self, waveform: NDArray[np.float32], *, sample_rate: int) -> NDArray[np.float32]:
        """Run one waveform through the front end; raises as `embed`."""
        return self.windows(checked_waveform(waveform), sample_rate)

    def embed_prepared(self, prepared: Sequence[NDArray[np.float32]]) -> list[Embeddings]:
        """Run what `prepare` gave for some waveforms through the network."""
        return embed_rows(prepared, self.forward, device=self.device, batch_rows=self.batch_rows)


class PairEmbedder(Protocol):
    """A network on what an audio and a video embedder made of one clip."""

    def embed(self, sound: NDArray[np.float32], picture: NDArray[np.float32]) -> Embeddings:
        """Embed rows of the sound and of the picture, each (rows, dimension); outputs are (rows, dimension)."""


@dataclass(frozen=True)
class TextEmbedder:
    """A text tower, with its tokenizer where the user has the files."""

    embed_tokens: Callable[[NDArray[np.int64]], Embeddings]
    """Token ids (texts, length) -> outputs, each (texts, dimension)."""
    tokenize: Callable[[Sequence[str]], NDArray[np.int64]]
    """Texts -> token ids (texts, length), padded."""

    def embed(self, texts: Sequence[str]) -> list[Embeddings]:
        """Embed texts; each gives arrays of shape (1, dimension)."""
        if not texts:
            return []
        outputs = self.embed_tokens(self.tokenize(texts))
        return [
            {name: rows[index : index + 1] for name, rows in outputs.items()} for index in range(len(texts))
        ]


def checked_waveform(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `waveform` as contiguous float32; raise `NotComputableError` where no network can take it."""
    from clapstick.metrics.base import NotComputableError

    if waveform.ndim != 1:
        raise ValueError(f"embedders take mono sound of shape (samples,), found shape {waveform.shape}")
    if waveform.size == 0:
        raise NotComputableError("the sound is empty: 0 samples")
    if not np.isfinite(waveform).all():
        bad = int(np.flatnonzero(~np.isfinite(waveform))[0])
        raise NotComputableError(f"the sound holds NaN or infinite samples, the first at sample {bad}")
    return np.ascontiguousarray(waveform, dtype=np.float32)


def require_samples(waveform: NDArray[np.float32], needed: int, sample_rate: int, network: str) -> None:
    """Raise `NotComputableError` where a waveform is shorter than the network can take."""
    from clapstick.metrics.base import NotComputableError

    if len(waveform) < needed:
        raise NotComputableError(
            f"the sound is too short for {network}: {len(waveform)} samples at {sample_rate} Hz, "
            f"needs {needed} ({needed / sample_rate:.2f} s)"
        )


def embed_rows(
    clips: Sequence[NDArray[np.float32]],
    forward: Callable[[Tensor], Mapping[str, Tensor]],
    *,
    device: str,
    batch_rows: int,
) -> list[Embeddings]:
    """Run the rows of all clips through a network, rows of equal shape together, and hand each clip its own.

    Rows of different shapes are never padded to one another, so a clip's embedding does not depend on its
    neighbours beyond float32 rounding.
    """
    groups: dict[tuple[int, ...], _Group] = {}
    for index, rows in enumerate(clips):
        group = groups.setdefault(rows.shape[1:], _Group())
        group.clips.append(index)
        group.rows.append(rows)
    found: list[Embeddings] = [{} for _ in clips]
    for group in groups.values():
        outputs = _run(np.concatenate(group.rows), forward, device, batch_rows)
        ends = np.cumsum([len(rows) for rows in group.rows])[:-1]
        for name, values in outputs.items():
            for index, part in zip(group.clips, np.split(values, ends), strict=True):
                found[index][name] = np.ascontiguousarray(part)
    return found


@dataclass
class _Group:
    clips: list[int] = field(default_factory=list)
    rows: list[NDArray[np.float32]] = field(default_factory=list)


def _run(
    rows: NDArray[np.float32], forward: Callable[[Tensor], Mapping[str, Tensor]], device: str, batch_rows: int
) -> Embeddings:
    import torch

    parts: dict[str, list[NDArray[np.float32]]] = {}
    with torch.inference_mode():
        for start in range(0, len(rows), batch_rows):
            batch = torch.from_numpy(rows[start : start + batch_rows]).to(device)
            for name, values in forward(batch).items():
                parts.setdefault(name, []).append(values.float().cpu().numpy())
    return {name: np.concatenate(pieces) for name, pieces in parts.items()}


def one_file(weights: Mapping[str, Path]) -> Path:
    """Return the only weight file; raise `ValueError` where there is not exactly one."""
    if len(weights) != 1:
        raise ValueError(f"needs exactly one weight file, found {sorted(weights)}")
    return next(iter(weights.values()))
