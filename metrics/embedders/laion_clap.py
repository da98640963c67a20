"""LAION CLAP: audio towers (HTSAT-tiny, HTSAT-base) and the RoBERTa text tower.

Wu et al., "Large-Scale Contrastive Language-Audio Pretraining with Feature Fusion and Keyword-to-Caption
Augmentation", ICASSP 2023. Official code: LAION-AI/CLAP, package laion-clap 1.1.7. That package fetches
tokenizers when it is imported and crops at random; neither happens here. A file with feature fusion loads as
``laion-clap-fusion`` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.embedders.base import AudioEmbedder, Embeddings, TextEmbedder
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict
from clapstick.metrics.embedders.front_end import (
    MINUS_1_DB,
    Waveform,
    padded_windows,
    require_mel_bank,
    resample_hann,
    resample_kaiser_best,
    resample_soxr,
    through_pcm16,
    truncate_to_int16,
)
from clapstick.metrics.embedders.htsat import BASE, COMPUTED, TINY, Htsat, HtsatSize
from clapstick.metrics.embedders.htsat_fusion import fusion_spectrograms
from clapstick.metrics.waveform import peak_normalised

SAMPLE_RATE = 48000
_WINDOW_SAMPLES = 10 * SAMPLE_RATE
_VIDEO_FOLEY_SAMPLES = 163840
"""10.24 s at 16 kHz."""
_TEXT_LENGTH = 77
_EMPTY_TEXT = (0, 2)
"""RoBERTa's token ids of the empty text: begin, end."""
_PAD = 1
_MUSIC_SPEECH_MODEL = "LAION CLAP music_speech_audioset"
_FUSION_MODEL = "LAION CLAP 630k-audioset-fusion-best"
_AUDIO_PARTS = ("audio_branch.*", "audio_projection.*", "audio_transform.*")
_TEXT_PARTS = ("text_branch.*", "text_projection.*", "text_transform.*")
_UNREAD = ("*.position_ids", "logit_scale_?", "*_transform.*", *COMPUTED)


class ClapAudio(nn.Module):
    """HTS-AT and its projection."""

    def __init__(self, size: HtsatSize) -> None:
        super().__init__()
        self.audio_branch = Htsat(size, sample_rate=SAMPLE_RATE, hop=480)
        self.audio_projection = _projection(self.audio_branch.features)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Map (batch, 480000) to ``embedding`` (batch, 512) of unit length."""
        features = self.audio_branch(waveforms)["embedding"]
        return {"embedding": functional.normalize(self.audio_projection(features), dim=-1)}


class FusedClapAudio(nn.Module):
    """HTS-AT with feature fusion, and its projection."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_branch = Htsat(TINY, sample_rate=SAMPLE_RATE, hop=480, fusion=True)
        self.audio_projection = _projection(self.audio_branch.features)

    def forward(self, spectrograms: Tensor) -> dict[str, Tensor]:
        """Map (batch, 1 or 4, 1001, 64) to ``embedding`` (batch, 512) of unit length."""
        features = self.audio_branch.of_log_mel(spectrograms)["embedding"]
        return {"embedding": functional.normalize(self.audio_projection(features), dim=-1)}


class ClapText(nn.Module):
    """RoBERTa base and its projection."""

    def __init__(self) -> None:
        from transformers import RobertaConfig, RobertaModel

        super().__init__()
        config = RobertaConfig(
            vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5
        )
        self.text_branch = RobertaModel(config)
        self.text_projection = _projection(config.hidden_size)

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Map (batch, length) to ``embedding`` (batch, 512) of unit length."""
        pooled = self.text_branch(input_ids=token_ids, attention_mask=token_ids != _PAD).pooler_output
        return {"embedding": functional.normalize(self.text_projection(pooled), dim=-1)}


def load_audio(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``630k-audioset-best.pt`` (HTSAT-tiny): windows of 10 s every second, as fadtk cuts them."""
    return _load_audio(weights["laion-clap-630k"], device, TINY, "LAION CLAP 630k-audioset-best", fadtk_windows)


def load_music(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``music_audioset_epoch_15_esc_90.14.pt`` (HTSAT-base): windows of 10 s every second."""
    return _load_audio(weights["laion-clap-music"], device, BASE, "LAION CLAP music_audioset", fadtk_windows)


def load_htsat_base(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``music_speech_audioset_epoch_15_esc_89.98.pt`` (HTSAT-base): one vector of the first 10 s."""
    path = weights["laion-clap-music-speech"]
    return _load_audio(path, device, BASE, _MUSIC_SPEECH_MODEL, video_foley_window)


def load_fusion(weights: Mapping[str, Path], device: str) -> AudioEmbedder:
    """Load ``630k-audioset-fusion-best.pt`` (HTSAT-tiny with fusion): one vector a clip of any length."""
    path = weights["laion-clap-630k-fusion"]
    network = FusedClapAudio()
    _fill(network, path, _FUSION_MODEL, drop=(*_TEXT_PARTS, *_UNREAD))
    require_mel_bank(network.audio_branch.logmel_extractor, path=path, model=_FUSION_MODEL)
    return AudioEmbedder(
        stable_audio_spectrograms, network.eval().requires_grad_(False).to(device), device, batch_rows=4
    )


def load_text(weights: Mapping[str, Path], device: str) -> TextEmbedder:
    """Load the text tower of ``music_speech_audioset_epoch_15_esc_89.98.pt`` with RoBERTa's tokenizer files."""
    return _load_text(weights, "laion-clap-music-speech", _MUSIC_SPEECH_MODEL, device)


def load_fusion_text(weights: Mapping[str, Path], device: str) -> TextEmbedder:
    """Load the text tower of ``630k-audioset-fusion-best.pt`` with RoBERTa's tokenizer files."""
    return _load_text(weights, "laion-clap-630k-fusion", _FUSION_MODEL, device)


def load_empty_text(weights: Mapping[str, Path], device: str) -> TextEmbedder:
    """Load the same tower; whatever the text, it gives the embedding of the empty one. Needs no tokenizer."""

    def tokenize(texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([_EMPTY_TEXT] * len(texts), dtype=np.int64)

    embed = _embed_tokens(weights["laion-clap-music-speech"], _MUSIC_SPEECH_MODEL, device)
    return TextEmbedder(embed, tokenize)


def fadtk_windows(waveform: Waveform, sample_rate: int) -> Waveform:
    """Cut sound at 48 kHz, twice through 16 bits, into 10 s windows every second: (windows, 480000).

    Source: DCASE2024-Task7-Sound-Scene-Synthesis/fadtk@9c989db, fadtk/model_loader.py, ``CLAPLaionModel``.
    """
    heard = through_pcm16(resample_kaiser_best(waveform, sample_rate, SAMPLE_RATE))
    return padded_windows(truncate_to_int16(heard), _WINDOW_SAMPLES, SAMPLE_RATE)


def video_foley_window(waveform: Waveform, sample_rate: int) -> Waveform:
    """Pad or cut sound at 16 kHz to 10.24 s and take the first 10 s at 48 kHz: (1, 480000).

    Source: jnwnlee/video-foley@0afd45a, evaluate_v2s.py, and jakeoneijk/RMS_ControlNet_Inference@aa200a6,
    audioldm_train/conditional_models.py, ``CLAPAudioEmbeddingClassifierFreev2``.
    """
    heard = resample_soxr(waveform, sample_rate, 16000)[:_VIDEO_FOLEY_SAMPLES]
    padded = np.pad(heard, (0, _VIDEO_FOLEY_SAMPLES - len(heard)))
    return resample_hann(padded, 16000, SAMPLE_RATE)[None, :_WINDOW_SAMPLES]


def stable_audio_spectrograms(waveform: Waveform, sample_rate: int) -> NDArray[np.float32]:
    """Scale sound at 48 kHz to a peak of -1 dB, through 16 bits, as spectrograms for the fusing network.

    Source: Stability-AI/stable-audio-metrics@fd55536, src/clap_score.py.
    """
    heard = resample_soxr(waveform, sample_rate, SAMPLE_RATE)
    return fusion_spectrograms(truncate_to_int16(peak_normalised(heard, MINUS_1_DB)))


def _load_audio(
    path: Path, device: str, size: HtsatSize, model: str, windows: Callable[[Waveform, int], Waveform]
) -> AudioEmbedder:
    network = ClapAudio(size)
    _fill(network, path, model, drop=(*_TEXT_PARTS, *_UNREAD))
    require_mel_bank(network.audio_branch.logmel_extractor, path=path, model=model)
    return AudioEmbedder(windows, network.eval().requires_grad_(False).to(device), device, batch_rows=4)


def _load_text(weights: Mapping[str, Path], checkpoint: str, model: str, device: str) -> TextEmbedder:
    tokenize = _tokenizer(weights["roberta-base-vocab"], weights["roberta-base-merges"])
    return TextEmbedder(_embed_tokens(weights[checkpoint], model, device), tokenize)


def _embed_tokens(path: Path, model: str, device: str) -> Callable[[NDArray[np.int64]], Embeddings]:
    network = ClapText()
    _fill(network, path, model, drop=(*_AUDIO_PARTS, *_UNREAD))
    network = network.eval().requires_grad_(False).to(device)

    def embed(token_ids: NDArray[np.int64]) -> Embeddings:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(token_ids).to(device))
        return {name: values.cpu().numpy() for name, values in outputs.items()}

    return embed


def _fill(network: nn.Module, path: Path, model: str, drop: Sequence[str]) -> None:
    tensors = read_state_dict(path, model=model, key="state_dict", prefix="module.", drop=drop)
    load_strictly(network, tensors, path=path, model=model)


def _tokenizer(vocabulary: Path, merges: Path) -> Callable[[Sequence[str]], NDArray[np.int64]]:
    from transformers import RobertaTokenizerFast

    tokenizer = RobertaTokenizerFast(vocab_file=str(vocabulary), merges_file=str(merges))

    def tokenize(texts: Sequence[str]) -> NDArray[np.int64]:
        tokens = tokenizer(list(texts), padding="max_length", truncation=True, max_length=_TEXT_LENGTH)
        return np.array(tokens["input_ids"], dtype=np.int64)

    return tokenize


def _projection(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, 512))
