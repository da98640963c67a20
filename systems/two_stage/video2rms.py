"""Stage 1: video features of a window become the classes of its RMS curve (Video2RMS)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from clapstick.protocols.problems import fail
from clapstick.systems.two_stage.checkpoints import load_strictly, read_checkpoint
from clapstick.systems.two_stage.shared_batch_norm import SharedBatchNorm1d

Codec = Literal["floored-mu-law", "mu-law", "librosa-mu-law"]
Inputs = Literal["rgb-and-flow", "rgb", "flow"]
RGB_DIMS = {"bn-inception": 1024, "tc-clip": 512, "block-motion": 88}
"""How many numbers of a feature row, the first ones, tell what a picture shows; the others tell motion."""


class Video2RMSConfig(BaseModel):
    """Everything that shapes the network and the meaning of what it predicts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    features: Literal["bn-inception", "tc-clip", "block-motion"]
    """Which extractor makes the rows."""
    inputs: Inputs = "rgb-and-flow"
    """Which part of the rows the network is told: appearance, motion, or both."""
    fps: float = 30.0
    window_frames: int = Field(ge=2)
    """Feature rows of a window."""
    window_hop_frames: int = Field(ge=1)
    """Feature rows from one window to the next where a clip is longer than a window."""
    rms_frames: int = Field(ge=2)
    """RMS values of a window."""
    rms_window_samples: int = 512
    rms_hop_samples: int = 128
    sample_rate: int = 16_000
    """Rate in Hz of the sound that the RMS curve describes."""
    feature_dim: int
    """Numbers of a whole row, whatever part of it is used."""
    channels: int
    """Width of the convolutions."""
    convolutions: int = 3
    kernel_size: int = 5
    lstm_hidden: int
    """Per direction."""
    lstm_layers: int = 2
    upsampling: tuple[int, ...] = ()
    """Frames after each convolution, by nearest neighbour; empty: one linear map over time after the LSTM."""
    classes: int = Field(default=64, ge=0)
    """RMS bins; 0 predicts the curve itself."""
    codec: Codec = "floored-mu-law"
    """Bin edges: with the floor of 0.01 (Video-Foley's code), without (its text), librosa's (FOL-AI)."""
    smoothing: Literal["elliptic", "moving-average-15", "none"] = "elliptic"
    """What the training curve goes through."""
    rectified_output: bool = True
    """ReLU on the logits, as the official code has it."""
    initialisation: Literal["normal-0.02", "default", "interpolation"] = "normal-0.02"
    """``interpolation``: the map over time starts as linear interpolation of the video frames."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    reading: Literal["argmax", "median"] = "argmax"
    """Which class the envelope is made of: the likeliest, or the median, which has the least expected error."""
    onset_head: bool = False
    """Whether an onset logit a video frame is predicted too."""

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.window_frames / self.fps

    @property
    def input_columns(self) -> slice:
        """Which numbers of a feature row the network is told."""
        rgb = RGB_DIMS[self.features]
        columns = {"rgb": slice(0, rgb), "flow": slice(rgb, self.feature_dim)}
        return columns.get(self.inputs, slice(0, self.feature_dim))

    @property
    def rms_rate(self) -> float:
        """RMS values a second."""
        return self.sample_rate / self.rms_hop_samples


CONFIGS: Mapping[str, Video2RMSConfig] = {
    config.name: config
    for config in (
        Video2RMSConfig(
            name="video-foley",
            features="bn-inception",
            window_frames=300,
            window_hop_frames=300,
            rms_frames=1250,
            feature_dim=2048,
            channels=2048,
            lstm_hidden=512,
        ),
        Video2RMSConfig(
            name="fol-ai",
            features="tc-clip",
            window_frames=300,
            window_hop_frames=300,
            rms_frames=1250,
            feature_dim=1024,
            channels=1024,
            lstm_hidden=256,
            upsampling=(600, 1200, 1250),
            codec="librosa-mu-law",
            smoothing="moving-average-15",
            rectified_output=False,
            initialisation="default",
            dropout=0.0,
        ),
        Video2RMSConfig(
            name="fol-ai-tiny",
            features="block-motion",
            window_frames=96,
            window_hop_frames=96,
            rms_frames=400,
            feature_dim=448,
            channels=64,
            lstm_hidden=16,
            upsampling=(192, 384, 400),
            codec="librosa-mu-law",
            smoothing="moving-average-15",
            rectified_output=False,
            initialisation="default",
            dropout=0.0,
        ),
        Video2RMSConfig(
            name="tiny",
            features="block-motion",
            window_frames=96,
            window_hop_frames=48,
            rms_frames=400,
            feature_dim=448,
            channels=96,
            lstm_hidden=32,
            rectified_output=False,
            initialisation="interpolation",
            dropout=0.3,
            reading="median",
            onset_head=True,
        ),
    )
}


@dataclass(frozen=True)
class Video2RMSOutput:
    """What the network says of a batch of windows."""

    rms: Tensor
    """Class logits, shape (batch, classes, rms_frames); without classes the curve, (batch, rms_frames)."""
    onsets: Tensor | None
    """Logits of shape (batch, window_frames, 1) of an onset in each video frame, where there is a head."""


class Video2RMS(nn.Module):
    """Convolutions, a bidirectional LSTM and a projection to RMS classes.

    Parameters
    ----------
    config : Video2RMSConfig

    Notes
    -----
    Sources: Video-Foley (Lee et al., 2024), section III-B, and jnwnlee/video-foley@0afd45a, model.py, whose
    tensor names are kept; FOL-AI (Gramaccioni et al., 2024), section IV-C, for the upsampling variant.
    """

    def __init__(self, config: Video2RMSConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config)

    def forward(self, features: Tensor) -> Video2RMSOutput:
        """Predict the RMS of windows.

        Parameters
        ----------
        features : Tensor of float32, shape (batch, window_frames, feature_dim)

        Raises
        ------
        ValueError
            If the windows have another length or width than the configuration's.
        """
        expected = (self.config.window_frames, self.config.feature_dim)
        if tuple(features.shape[1:]) != expected:
            raise ValueError(
                f"features must have shape (batch, {expected[0]}, {expected[1]}), found {tuple(features.shape)}"
            )
        output: Video2RMSOutput = self.encoder(features[..., self.config.input_columns])
        return output


class _ConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class _Encoder(nn.Module):
    def __init__(self, config: Video2RMSConfig) -> None:
        super().__init__()
        self.config = config
        blocks = []
        columns = config.input_columns
        for index in range(config.convolutions):
            width = columns.stop - columns.start if index == 0 else config.channels
            layers: list[nn.Module] = [
                _ConvNorm(width, config.channels, config.kernel_size),
                SharedBatchNorm1d(config.channels),
                nn.ReLU(),
            ]
            if config.upsampling:
                layers.append(nn.Upsample(size=config.upsampling[index], mode="nearest"))
            layers.append(nn.Dropout(config.dropout))
            blocks.append(nn.Sequential(*layers))
        self.convolutions = nn.ModuleList(blocks)
        self.BiLSTM = nn.LSTM(
            config.channels, config.lstm_hidden, config.lstm_layers, batch_first=True, bidirectional=True
        )
        width = 2 * config.lstm_hidden
        frames = config.upsampling[-1] if config.upsampling else config.window_frames
        projections = [] if config.upsampling else [nn.Linear(frames, config.rms_frames)]
        projections.append(nn.Linear(width, max(1, config.classes)))
        self.BiLSTM_projs = nn.ModuleList(projections)
        if config.onset_head:
            self.onset_head = nn.ModuleList([nn.Linear(frames, config.window_frames), nn.Linear(width, 1)])
        if config.initialisation == "normal-0.02":
            self.apply(_initialise)
        if config.initialisation == "interpolation":
            _start_as_interpolation(self.BiLSTM_projs[0])
            if config.onset_head:
                _start_as_interpolation(self.onset_head[0])

    def forward(self, features: Tensor) -> Video2RMSOutput:
        x = features.transpose(1, 2)
        for block in self.convolutions:
            x = block(x)
        # Each projection swaps the axes first, so the first one acts over time.
        hidden = self.BiLSTM(x.transpose(1, 2))[0]
        onsets = _project(hidden, self.onset_head) if self.config.onset_head else None
        projections = self.BiLSTM_projs
        logits = projections[0](hidden) if self.config.upsampling else _project(hidden, projections)
        if self.config.rectified_output:
            logits = torch.relu(logits)
        rms = logits.transpose(1, 2) if self.config.classes else logits.squeeze(-1)
        return Video2RMSOutput(rms, onsets)


def _project(hidden: Tensor, projections: nn.ModuleList) -> Tensor:
    over_time, over_features = projections
    projected: Tensor = over_features(over_time(hidden.transpose(1, 2)).transpose(1, 2))
    return projected


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _start_as_interpolation(over_time: nn.Module) -> None:
    if not isinstance(over_time, nn.Linear):
        raise ValueError("only a map over time can start as interpolation")
    frames, steps = over_time.in_features, over_time.out_features
    with torch.no_grad():
        identity = torch.eye(frames)[None]
        over_time.weight.copy_(nn.functional.interpolate(identity, steps, mode="linear")[0].T)
        over_time.bias.zero_()


def load_video2rms(path: Path) -> Video2RMS:
    """Load a checkpoint that `clapstick train video2rms` wrote.

    Raises
    ------
    ClapstickError
        If the file cannot be read or belongs to another network.
    """
    config, tensors, _ = read_checkpoint(path, Video2RMSConfig)
    network = Video2RMS(config)
    load_strictly(network, tensors, path)
    return network.eval()


def load_official_video2rms(path: Path) -> Video2RMS:
    """Load ``checkpoint_000500_Video2RMS.pt``; an onset head is built where the file has one.

    The file keeps the weights under the key ``optimizer_Video2RMS``.

    Raises
    ------
    ClapstickError
        If the file is not such a checkpoint, or belongs to another configuration; names the first difference.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    state = checkpoint.get("optimizer_Video2RMS") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        raise fail(
            "not a Video2RMS checkpoint",
            path,
            found="no key optimizer_Video2RMS",
            expected="checkpoint_000500_Video2RMS.pt of jnwnlee/video-foley",
            remedy="Download it again.",
        )
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    classes = (
        state["encoder.BiLSTM_projs.1.weight"].shape[0] if "encoder.BiLSTM_projs.1.weight" in state else 64
    )
    config = CONFIGS["video-foley"].model_copy(
        update={
            "onset_head": "encoder.onset_head.0.weight" in state,
            "classes": 0 if classes == 1 else classes,
        }
    )
    network = Video2RMS(config)
    load_strictly(network, state, path)
    return network.eval()
