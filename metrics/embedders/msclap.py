"""MS-CLAP 2023: audio tower (HTSAT-tiny) and GPT-2 text tower.

Elizalde et al., "Natural Language Supervision for General-Purpose Audio Representations", ICASSP 2024.
Official code: microsoft/CLAP@e8a6467, package msclap 1.3.4, models/clap.py. The official configuration states
44.1 kHz and mel bands up to 8 kHz, but the network builds its mel bands for 32 kHz and up to 14 kHz and hears
44.1 kHz samples through them; so does this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.base import AudioEmbedder, Embeddings, TextEmbedder, one_file
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.front_end import (
    Waveform,
    padded_windows,
    require_mel_bank,
    resample_kaiser_best,
    through_pcm16,
)
from clapstick.metrics.embedders.htsat import COMPUTED, TINY, Htsat

SAMPLE_RATE = 44100
_WINDOW_SAMPLES = 7 * SAMPLE_RATE
_TEXT_LENGTH = 77
_PAD = 0
_MODEL = "MS-CLAP 2023"


class Projection(nn.Module):
    """Two linear layers, the second added to the first, and layer normalisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(features, 1024, bias=False)
        self.linear2 = nn.Linear(1024, 1024, bias=False)
        self.layer_norm = nn.LayerNorm(1024)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, features) to (batch, 1024)."""
        first = self.linear1(features)
        return torch.as_tensor(self.layer_norm(first + self.linear2(functional.gelu(first))))


class MsclapAudio(nn.Module):
    """HTS-AT and its projection."""

    def __init__(self) -> None:
        super().__init__()
        htsat = Htsat(TINY, sample_rate=32000, hop=320)
        self.base = nn.ModuleDict({"htsat": htsat})
        self.mel_bank = (htsat.logmel_extractor,)  # in a tuple: not a second name in the state dict
        self.projection = Projection(htsat.features)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Map (batch, 308700) to ``embedding`` (batch, 1024), not of unit length."""
        return {"embedding": self.projection(self.base["htsat"](waveforms)["embedding"])}


class MsclapText(nn.Module):
    """GPT-2 base; the hidden state of the last token, projected."""

    def __init__(self) -> None:
        from transformers import GPT2Config, GPT2Model

        super().__init__()
        config = GPT2Config()
        self.base = GPT2Model(config)
        self.projection = Projection(config.n_embd)

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Map (batch, length) to ``embedding`` (batch, 1024), not of unit length."""
        mask = token_ids != _PAD
        hidden = self.base(input_ids=token_ids, attention_mask=mask).last_hidden_state
        last = mask.sum(dim=1) - 1
        return {"embedding": self.projection(hidden[torch.arange(len(hidden), device=hidden.device), last])}


def load_audio(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load the audio tower of ``CLAP_weights_2023.pth``: windows of 7 s every second, as fadtk cuts them."""
    path = one_file(weights)
    network = MsclapAudio()
    _fill(network, path, "audio_encoder.", drop=("caption_encoder.*", "logit_scale", *COMPUTED))
    require_mel_bank(network.mel_bank[0], path=path, model=_MODEL)
    return AudioEmbedder(fadtk_windows, network.eval().requires_grad_(False).to(device), device, batch_rows=4)


def load_text(weights: Mapping[str, Path], device: str) -> TextEmbedder:
    """Load the text tower of ``CLAP_weights_2023.pth`` with GPT-2's tokenizer files."""
    path = weights["msclap-2023"]
    network = MsclapText()
    drop = ("audio_encoder.*", "logit_scale", "*.attn.bias", "*.attn.masked_bias")
    _fill(network, path, "caption_encoder.", drop=drop)
    network = network.eval().requires_grad_(False).to(device)

    def embed(token_ids: NDArray[np.int64]) -> Embeddings:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(token_ids).to(device))
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    return TextEmbedder(embed, _tokenizer(weights["gpt2-vocab"], weights["gpt2-merges"]))


def fadtk_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Cut sound at 44.1 kHz, through 16 bits, into 7 s windows every second: (windows, 308700).

    Source: DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, ``CLAPModel``.
    """
    heard = through_pcm16(resample_kaiser_best(waveform, sample_rate, SAMPLE_RATE))
    return padded_windows(heard, _WINDOW_SAMPLES, SAMPLE_RATE)


def _fill(network: nn.Module, path: Path, prefix: str, drop: Sequence[str]) -> None:
    tensors = read_state_dict(path, model=_MODEL, key="model", drop=drop)
    parts = {name.removeprefix(prefix): value for name, value in tensors.items()}
    load_strictly(network, parts, path=path, model=_MODEL)


def _tokenizer(vocabulary: Path, merges: Path) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    """Return the official tokenizer: an end mark after each text, padded with ``!`` (id 0) to 77."""
    from transformers import GPT2TokenizerFast

    tokenizer = GPT2TokenizerFast(vocab_file=str(vocabulary), merges_file=str(merges))
    tokenizer.add_special_tokens({"pad_token": "!"})

    def tokenize(texts: Sequence[str]) -> NDArray[np.int64]:
        marked = [f"{text} <|endoftext|>" for text in texts]
        tokens = tokenizer(marked, padding="max_length", truncation=True, max_length=_TEXT_LENGTH)
        return np.array(tokens["input_ids"], dtype=np.int64)

    return tokenize
