"""Codec, vocoder and prompt encoder of the tiny stage 2: closed forms that are fitted in seconds."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from clapstick.systems.two_stage.mel import BINS, FFT, HOP, log_mel, mel_filters

PATCH_FRAMES, PATCH_BINS = 4, 16
CHANNELS = 16
LATENT_BINS = BINS // PATCH_BINS
PROMPT_DIM = 16
_GRIFFIN_LIM_ITERATIONS = 16
_LEVEL_RANGE_DB = 50.0


class PatchCodec(nn.Module):
    """Principal components of log-mel patches of 4 frames x 16 bins, in place of a VAE.

    Latents have 16 channels, a quarter of the frames and 4 columns.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        size = PATCH_FRAMES * PATCH_BINS
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.eye(CHANNELS, size))
        self.register_buffer("scale", torch.ones(CHANNELS))

    def fit(self, mels: Tensor, generator: torch.Generator, patches: int = 60_000) -> None:
        """Find the components of log-mels of shape (n, frames, 64); frames a multiple of 4."""
        every = _patches(mels).reshape(-1, PATCH_FRAMES * PATCH_BINS)
        chosen = every[torch.randperm(every.shape[0], generator=generator)[:patches]]
        self.mean.copy_(chosen.mean(dim=0))
        centred = chosen - self.mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        self.basis.copy_(vectors.flip(1).T[:CHANNELS])
        # The square root of the spread keeps loud components ahead of quiet ones without drowning these.
        self.scale.copy_((centred @ self.basis.T).std(dim=0).sqrt())

    def encode(self, mel: Tensor) -> Tensor:
        """Map (batch, frames, 64) to (batch, 16, frames / 4, 4)."""
        values = (_patches(mel) - self.mean) @ self.basis.T / self.scale
        return values.permute(0, 3, 1, 2)

    def decode(self, latent: Tensor) -> Tensor:
        """Map (batch, 16, frames, 4) to (batch, 4 * frames, 64)."""
        patches = (latent.permute(0, 2, 3, 1) * self.scale) @ self.basis + self.mean
        batch, frames, columns, _ = patches.shape
        grid = patches.reshape(batch, frames, columns, PATCH_FRAMES, PATCH_BINS).permute(0, 1, 3, 2, 4)
        return grid.reshape(batch, frames * PATCH_FRAMES, BINS)


def _patches(mel: Tensor) -> Tensor:
    batch, frames, bins = mel.shape
    grid = mel.reshape(batch, frames // PATCH_FRAMES, PATCH_FRAMES, bins // PATCH_BINS, PATCH_BINS)
    return grid.permute(0, 1, 3, 2, 4).reshape(batch, frames // PATCH_FRAMES, bins // PATCH_BINS, -1)


class GriffinLim(nn.Module):
    """Log-mel to sound: mel filters inverted, phases found by the fast Griffin-Lim iteration."""

    def forward(self, mel: Tensor) -> Tensor:
        """Map (batch, frames, 64) to (batch, 160 * frames) samples at 16 kHz; the same samples every time."""
        from torchaudio.functional import griffinlim

        inverse = torch.linalg.pinv(mel_filters())
        magnitude = (inverse @ mel.transpose(1, 2).exp()).clamp_min(0)
        magnitude = nn.functional.pad(magnitude, (0, 1), mode="replicate")
        frames = mel.shape[1]
        samples: Tensor = griffinlim(
            magnitude,
            window=torch.hann_window(FFT),
            n_fft=FFT,
            hop_length=HOP,
            win_length=FFT,
            power=1.0,
            n_iter=_GRIFFIN_LIM_ITERATIONS,
            momentum=0.99,
            length=frames * HOP,
            rand_init=False,
        )
        # A mel frame's middle lies half a hop later than that of a centred frame.
        return nn.functional.pad(samples, (HOP // 2, 0))[:, : frames * HOP]


class TimbreEncoder(nn.Module):
    """Audio and text prompts as points on one sphere: energy-weighted mean log-mels, in place of CLAP."""

    mean: Tensor
    basis: Tensor
    words: Tensor

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self.vocabulary = tuple(vocabulary)
        self.register_buffer("mean", torch.zeros(BINS))
        self.register_buffer("basis", torch.eye(PROMPT_DIM, BINS))
        self.register_buffer("words", torch.zeros(len(self.vocabulary), PROMPT_DIM))

    def fit(self, mels: Tensor, labels: Sequence[Sequence[str]]) -> None:
        """Find the components of windows of shape (n, frames, 64), and the mean point of every label.

        Parameters
        ----------
        mels : Tensor
        labels : sequence
            The words of the vocabulary that describe each window.
        """
        timbres = _timbre(mels)
        self.mean.copy_(timbres.mean(dim=0))
        _, vectors = torch.linalg.eigh((timbres - self.mean).T @ (timbres - self.mean))
        self.basis.copy_(vectors.flip(1).T[:PROMPT_DIM])
        points = self.of_mel(mels)
        for index, word in enumerate(self.vocabulary):
            chosen = [row for row, described in enumerate(labels) if word in described]
            if chosen:
                self.words[index] = nn.functional.normalize(points[chosen].mean(dim=0), dim=0)

    def of_mel(self, mels: Tensor) -> Tensor:
        """Map log-mels of shape (batch, frames, 64) to points of shape (batch, 16)."""
        return nn.functional.normalize((_timbre(mels) - self.mean) @ self.basis.T, dim=1)

    def of_audio(self, samples: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Tensor:
        """Return the point of a mono sound at 16 kHz, shape (16,)."""
        padded = np.pad(samples, (0, max(0, FFT - samples.size))).astype(np.float32)
        return self.of_mel(log_mel(torch.from_numpy(padded)[None]))[0]

    def of_text(self, text: str) -> Tensor | None:
        """Return the point of the words that are known, shape (16,); None where none is."""
        said = set(re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower()))
        known = [self.words[index] for index, word in enumerate(self.vocabulary) if word in said]
        return nn.functional.normalize(torch.stack(known).mean(dim=0), dim=0) if known else None


def _timbre(mels: Tensor) -> Tensor:
    """Return the mean log-mel, each frame weighted by its energy; the level is taken out."""
    energy = mels.exp().pow(2).sum(dim=2, keepdim=True)
    mean = (mels * energy).sum(dim=1) / energy.sum(dim=1).clamp_min(1e-12)
    return mean - mean.mean(dim=1, keepdim=True)


def level_control(curve: Tensor) -> Tensor:
    """Turn RMS amplitudes into levels for the hint: 0 at -50 dB and below, 1 at full scale.

    Log-mels rise in a line with the level, so a small network finds the way from one to the other sooner than
    from amplitudes.
    """
    return (1 + 20 * torch.log10(curve.clamp_min(1e-5)) / _LEVEL_RANGE_DB).clamp(0, 1)
