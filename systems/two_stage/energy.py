"""Stage 1 of ReWaS: Synchformer features of 5 s become the energy curve at 112 points."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor, nn

from clapstick.systems.two_stage.checkpoints import load_strictly

POINTS = 112
"""14 segments of 8 tokens."""
FEATURE_DIM = 768


class EnergyRegressor(nn.Module):
    """ReWaS's phi: a linear map, transformer blocks and a small perceptron.

    Parameters
    ----------
    width : int
        Feature dimension.
    blocks : int
        Three in the code, two in the paper.
    across : "batch" or "time"
        What attention runs over. The released code takes the batch axis for time, so that a single clip has no
        attention over time at all; its weights were trained so.

    Notes
    -----
    Sources: ReWaS (Jeong et al., 2024), section 3.2; naver-ai/rewas@4e09954, encoder/phi.py. 21,966,561
    parameters as released.
    """

    def __init__(
        self, width: int = FEATURE_DIM, blocks: int = 3, heads: int = 8, *, across: str = "batch"
    ) -> None:
        super().__init__()
        if across not in ("batch", "time"):
            raise ValueError(f"across must be batch or time, found {across!r}")
        self.projection1 = nn.Sequential(nn.Linear(width, width))
        self.hint_blocks = nn.ModuleDict(
            {"blocks": nn.Sequential(*(_Block(width, heads, across == "time") for _ in range(blocks)))}
        )
        sizes = (width, 128, 64, 16)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.projection2 = nn.Sequential(*layers, nn.Linear(sizes[-1], 1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, 112, 768) to (batch, 112)."""
        hidden = self.hint_blocks["blocks"](self.projection1(features))
        energy: Tensor = self.projection2(hidden)
        return energy[..., 0]


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return y


class _Block(nn.Module):
    """Attention and perceptron, each normalised before and added after."""

    def __init__(self, width: int, heads: int, over_time: bool) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, add_bias_kv=True, batch_first=over_time)
        self.norm_1 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _Perceptron(width)
        self.norm_2 = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        y: Tensor = x + self.mlp(self.norm_2(x))
        return y


def load_official_energy(path: Path) -> EnergyRegressor:
    """Load ``phi_vggsound.ckpt``.

    Raises
    ------
    ClapstickError
        If the file belongs to another network; names the first difference.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = EnergyRegressor()
    load_strictly(network, {name.removeprefix("module."): tensor for name, tensor in state.items()}, path)
    return network.eval()
