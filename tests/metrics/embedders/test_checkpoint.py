"""Checkpoint files that are wrong: each says which file, what is wrong with it, and what to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from clapstick.metrics.base import NotComputableError
from clapstick.metrics.embedders.checkpoint import WrongWeightsError, load_strictly, read_state_dict
from clapstick.metrics.embedders.registry import embedder, embedders, load_embedder


def _layer(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


def _save(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def _load(path: Path, **how: Any) -> nn.Linear:
    network = _layer(1)
    load_strictly(network, read_state_dict(path, model="toy", **how), path=path, model="toy")
    return network


class Bomb:
    """Pickles to a call."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('the code in the file was run')",)


@pytest.mark.parametrize(
    ("wrap", "how"),
    [
        (lambda state: state, {}),
        (lambda state: {"model": state, "iteration": 3}, {"key": "model"}),
        (lambda state: state, {"key": "model"}),
        (
            lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
            {"key": "state_dict", "prefix": "module."},
        ),
        (lambda state: {**state, "embeddings.position_ids": torch.arange(4)}, {"drop": ["*.position_ids"]}),
        (lambda state: {"model": state, "best": np.float64(0.439), "seen": np.arange(3)}, {"key": "model"}),
    ],
    ids=["flat", "wrapped", "unwrapped", "prefixed", "stray", "with numpy values"],
)
def test_official_layouts(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object], how: dict[str, Any]
) -> None:
    path = _save(tmp_path / "official.pt", wrap(dict(_layer().state_dict())))
    assert torch.equal(_load(path, **how).weight, _layer().weight)


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "official.safetensors"
    save_file(dict(_layer().state_dict()), path)
    assert torch.equal(_load(path).weight, _layer().weight)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WrongWeightsError, match="truncated or no safetensors file"):
        _load(path)


def test_file_with_code_is_never_run(tmp_path: Path) -> None:
    path = _save(tmp_path / "evil.pt", {"model": dict(_layer().state_dict()), "hook": Bomb()})
    with pytest.raises(WrongWeightsError, match=r"evil\.pt holds code \(.*exec\).*was not opened"):
        _load(path, key="model")


def test_bare_pickle_with_code_is_never_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WrongWeightsError, match=r"evil\.pth"):
        _load(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_file(tmp_path: Path, share: float, zipped: bool) -> None:
    path = tmp_path / "cut.pt"
    torch.save({"model": dict(_layer().state_dict())}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WrongWeightsError, match=r"cut\.pt is truncated or no checkpoint.*fetch it again"):
        _load(path, key="model")


def test_web_page_saved_as_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "page.pth"
    path.write_text("<!DOCTYPE html><html><body>404</body></html>")
    with pytest.raises(WrongWeightsError, match=r"page\.pth is truncated or no checkpoint"):
        _load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WrongWeightsError, match="does not exist; expected the weights of toy"):
        _load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"weight": torch.zeros(2, 3)}, r"of 2 tensors, 1 missing \(bias\)"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)}, r"1 unknown \(more\)"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"1 of another shape \(weight\)"),
        ({"features.0.weight": torch.zeros(1)}, "It seems to be for VGGish"),
        ({"pre_conv0.weight": torch.zeros(1)}, "It seems to be for PANNs Wavegram-Logmel-CNN14"),
        (
            {"weight": torch.full((2, 3), torch.nan), "bias": torch.zeros(2)},
            "NaN or infinite weights in weight",
        ),
        ({"epoch": 3}, "holds no tensors"),
        ([1, 2], "holds a list"),
    ],
)
def test_file_for_another_model(tmp_path: Path, content: object, named: str) -> None:
    with pytest.raises(WrongWeightsError, match=named):
        _load(_save(tmp_path / "other.pt", content))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vggish", "audio"), ("laion-clap-audio", "audio"), ("i3d-rgb", "video"), ("peavs", "pair")],
)
def test_embedders_refuse_another_models_file(tmp_path: Path, name: str, kind: Any) -> None:
    path = _save(tmp_path / "other.pt", {"somebody.elses.weight": torch.zeros(3)})
    with pytest.raises(NotComputableError, match=r"other\.pt is not a checkpoint of"):
        load_embedder(name, dict.fromkeys(embedder(name, kind).weights, path), kind=kind)


@pytest.mark.parametrize("kind", ["audio", "video", "text", "pair"])
def test_every_embedder_names_the_command_that_fetches_its_weights(kind: Any) -> None:
    for name, card in embedders(kind).items():
        with pytest.raises(NotComputableError, match=f"clapstick weights fetch {card.weights[0]}"):
            load_embedder(name, {}, kind=kind)


def test_unknown_embedder_lists_the_known_ones() -> None:
    with pytest.raises(NotComputableError, match=r"no audio embedder is called 'vgish'.*vggish"):
        embedder("vgish")
