"""PEAVS' network: VGGish and I3D rows of one clip become one number that says how well they are in step.

Goncalves et al., "PEAVS: Perceptual Evaluation of Audio-Visual Synchrony", 2024. Official code and weights:
amazon-science/avgen-eval-toolkit@9cf014b, PEAVS/net/av_sync_Model.py and PEAVS/modules, whose tensor names are
used here. One clip at a time: in a batch the official code pads shorter clips with rows that change the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.base import Embeddings, one_file
from clapstick.metrics.embedders.checkpoint import load_strictly, read_state_dict

Rows = NDArray[np.float32]

SOUND_DIMENSION = 128
PICTURE_DIMENSION = 1024
_WIDTH = 128
_HEADS = 8
_LAYERS = 3


class Layer(nn.Module):
    """Attention and a feed-forward network, each after layer normalisation and beside a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(_WIDTH, _HEADS, batch_first=True)
        self.fc1 = nn.Linear(_WIDTH, 4 * _WIDTH)
        self.fc2 = nn.Linear(4 * _WIDTH, _WIDTH)
        self.layer_norms = nn.ModuleList([nn.LayerNorm(_WIDTH) for _ in range(2)])

    def forward(self, x: Tensor, attended: Tensor | None) -> Tensor:
        """Map (1, rows, 128) and what it attends to, itself where None, to (1, rows, 128)."""
        query = self.layer_norms[0](x)
        keys = query if attended is None else self.layer_norms[0](attended)
        x = x + self.self_attn(query, keys, keys, need_weights=False)[0]
        return torch.as_tensor(x + self.fc2(functional.relu(self.fc1(self.layer_norms[1](x)))))


class Encoder(nn.Module):
    """Three layers over rows with positions."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("version", torch.tensor([2.0]))
        self.embed_positions = nn.Module()
        self.embed_positions.register_buffer("_float_tensor", torch.zeros(1))
        self.layers = nn.ModuleList([Layer() for _ in range(_LAYERS)])
        self.layer_norm = nn.LayerNorm(_WIDTH)

    def forward(self, x: Tensor, attended: Tensor | None = None) -> Tensor:
        """Map (1, rows, 128) and what it attends to (1, other rows, 128) to (1, rows, 128)."""
        placed = None if attended is None else _with_positions(attended)
        x = _with_positions(x)
        for layer in self.layers:
            x = layer(x, placed)
        return torch.as_tensor(self.layer_norm(x))


class Peavs(nn.Module):
    """Sound attends to picture and picture to sound, both to themselves; means of both give one number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1d_v = nn.Conv1d(PICTURE_DIMENSION, _WIDTH, 1, bias=False)
        self.trans_a_mem, self.trans_v_mem = Encoder(), Encoder()
        self.trans_v_with_a, self.trans_a_with_v = Encoder(), Encoder()
        self.proj1 = nn.Linear(2 * _WIDTH, _WIDTH)
        self.proj2 = nn.Linear(_WIDTH, _WIDTH // 2)
        self.proj3 = nn.Linear(_WIDTH // 2, _WIDTH // 2)
        self.out_layer = nn.Linear(_WIDTH // 2, 1)

    def forward(self, sound: Tensor, picture: Tensor) -> Tensor:
        """Map (sound rows, 128) and (picture rows, 1024) to the raw output, shape (1, 1)."""
        shown = self.conv_1d_v(picture.T[None]).transpose(1, 2)
        heard = sound[None]
        by_sound = self.trans_a_mem(self.trans_a_with_v(heard, shown))
        by_picture = self.trans_v_mem(self.trans_v_with_a(shown, heard))
        # Both sums are divided by the number of sound rows: the official masks are made of it.
        both = torch.cat([by_sound.sum(dim=1), by_picture.sum(dim=1)], dim=1) / len(sound)
        for layer in (self.proj1, self.proj2, self.proj3):
            both = functional.relu(layer(both))
        return torch.as_tensor(self.out_layer(both))


@dataclass(frozen=True)
class PeavsEmbedder:
    """PEAVS' network on the rows of one clip."""

    network: Peavs
    device: str

    def embed(self, sound: Rows, picture: Rows) -> Embeddings:
        """Return ``output``, the raw number y of shape (1, 1).

        Parameters
        ----------
        sound : array, shape (sound rows, 128)
            VGGish with its last ReLU, a row every 0.96 s.
        picture : array, shape (picture rows, 1024)
            I3D, RGB and flow features added, a row every 0.96 s.

        Raises
        ------
        NotComputableError
            If the picture has more rows than the sound: the official code has no mask for them and stops.
        """
        if sound.shape[1:] != (SOUND_DIMENSION,) or picture.shape[1:] != (PICTURE_DIMENSION,):
            raise ValueError(
                f"PEAVS takes rows of {SOUND_DIMENSION} (sound) and {PICTURE_DIMENSION} (picture), "
                f"found {sound.shape} and {picture.shape}"
            )
        if len(picture) > len(sound):
            raise NotComputableError(
                f"PEAVS is not defined for a sound shorter than its picture: {len(sound)} rows of sound, "
                f"{len(picture)} of picture, 0.96 s each"
            )
        with torch.inference_mode():
            heard, shown = (torch.as_tensor(rows, dtype=torch.float32) for rows in (sound, picture))
            return {"output": self.network(heard.to(self.device), shown.to(self.device)).cpu().numpy()}


def load_peavs(weights: Mapping[str, Path], device: str) -> PeavsEmbedder:
    """Load ``PEAVS/metric_weights/final_model.pt``."""
    path = one_file(weights)
    network = Peavs()
    load_strictly(network, read_state_dict(path, model="PEAVS"), path=path, model="PEAVS")
    return PeavsEmbedder(network.eval().requires_grad_(False).to(device), device)


def _with_positions(rows: Tensor) -> Tensor:
    """Scale rows (1, n, 128) and add sinusoids of their position, counted from 1.

    A row whose first number is 0 counts as padding and gets no sinusoid, as in the official code: VGGish after
    its ReLU has many of them.
    """
    numbers = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    half = _WIDTH // 2
    rates = torch.exp(torch.arange(half, device=rows.device) * -(math.log(10000) / (half - 1)))
    angles = numbers[:, None] * rates
    sinusoids = torch.cat([angles.sin(), angles.cos()], dim=1)
    return math.sqrt(_WIDTH) * rows + sinusoids * (rows[0, :, :1] != 0)
