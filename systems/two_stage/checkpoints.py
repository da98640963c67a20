"""Checkpoints: safetensors whose header holds the whole configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from clapstick.protocols.archive import atomic
from clapstick.protocols.problems import fail

Config = TypeVar("Config", bound=BaseModel)


def save_checkpoint(
    path: Path, tensors: Mapping[str, Tensor], config: BaseModel, extra: Mapping[str, Any] | None = None
) -> None:
    """Write tensors and configuration; `extra` (training settings, scores) goes into the header too."""
    from safetensors.torch import save_file

    header = {"config": config.model_dump_json(), "extra": json.dumps(extra or {}, sort_keys=True)}
    with atomic(path) as temporary:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            temporary,
            metadata=header,
        )


def read_checkpoint(path: Path, kind: type[Config]) -> tuple[Config, dict[str, Tensor], dict[str, Any]]:
    """Read configuration, tensors and extra header of a checkpoint.

    Raises
    ------
    ClapstickError
        If the file is missing, is not safetensors, or holds another kind of network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as opened:
            header = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise fail(
            "checkpoint cannot be read",
            path,
            found=error,
            expected="a .safetensors file",
            remedy="Give the checkpoint that `clapstick train` wrote.",
        ) from error
    try:
        config = kind.model_validate_json(header.get("config", ""))
    except ValidationError as error:
        raise fail(
            "checkpoint belongs to another kind of network",
            path,
            found=header.get("config", "no configuration")[:200],
            expected=kind.__name__,
            remedy="Name the configuration that the checkpoint was trained with.",
        ) from error
    return config, tensors, json.loads(header.get("extra", "{}"))


def load_strictly(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors by name; raise `ClapstickError` that names the first missing, unknown or misshapen one."""
    own = network.state_dict()
    for name in [*own, *tensors]:
        found = tuple(tensors[name].shape) if name in tensors else "no such tensor"
        expected = tuple(own[name].shape) if name in own else "no such tensor"
        if found != expected:
            raise fail(
                "checkpoint belongs to another configuration",
                path,
                found=f"{name}: {found}",
                expected=str(expected),
                remedy="Name the configuration that the checkpoint was trained with.",
            )
    network.load_state_dict(dict(tensors))
