"""Parity with the official implementations: every fixture file is run through the tests of its form.

A fixture is ``NAME.json`` with ``NAME.npz`` beside it; the JSON's ``fixture`` key is its form, with or without
a suffix such as ``_b``. Each form has one or more test modules here with a constant ``FORM``; their tests take
the argument ``fixture`` and run once for every file of that form. What may differ between two fixtures of one
form (seeds, lengths, rates, bins, tolerances, names of arrays) is read from the fixture. The environment
variable CLAPSTICK_PARITY_DIR names another folder than ``fixtures`` beside this file.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("CLAPSTICK_PARITY_DIR") or HERE / "fixtures")


@dataclass(frozen=True)
class Fixture:
    """One fixture file."""

    name: str
    facts: Mapping[str, Any]
    """The JSON: upstream, inputs, tolerance, upstream_results."""
    arrays: Mapping[str, np.ndarray]

    @property
    def form(self) -> str:
        """Which official functions it was made with."""
        return str(self.facts.get("fixture", self.name))

    def matches(self, pattern: str) -> list[re.Match[str]]:
        """Return the match of every array key that the pattern fits whole; at least one must."""
        found = [match for key in self.arrays if (match := re.fullmatch(pattern, key))]
        assert found, f"{self.name} has no array like {pattern}"
        return found


def load_fixture(json_path: Path) -> Fixture:
    """Read one fixture; the arrays are never pickled ones."""
    facts = json.loads(json_path.read_text(encoding="utf-8"))
    with np.load(json_path.with_suffix(".npz"), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Fixture(json_path.stem, facts, arrays)


def fixture_paths() -> list[Path]:
    """Every fixture of the folder, in order of name."""
    return sorted(FOLDER.glob("*.json"))


def form_of(json_path: Path) -> str:
    """Return the form of a fixture without loading its arrays."""
    return str(json.loads(json_path.read_text(encoding="utf-8")).get("fixture", json_path.stem))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes ``fixture`` every fixture file of its module's FORM."""
    if "fixture" in metafunc.fixturenames:
        form = metafunc.module.FORM
        paths = [path for path in fixture_paths() if f"{form_of(path)}_".startswith(f"{form}_")]
        metafunc.parametrize("fixture", paths, ids=[path.stem for path in paths], indirect=True)


@pytest.fixture(scope="module")
def fixture(request: pytest.FixtureRequest) -> Fixture:
    """One fixture file of this module's form."""
    return load_fixture(request.param)


@pytest.fixture(scope="session")
def rules() -> ModuleType:
    """The rule weights and test signals that the fixtures were made with."""
    path = FOLDER / "rule_weights.py"
    path = path if path.is_file() else HERE / "fixtures" / "rule_weights.py"
    spec = importlib.util.spec_from_file_location("rule_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class OfficialCheckpoints:
    """Writes files laid out as the official ones, filled by the rule."""

    rules: ModuleType
    folder: Path

    def write(
        self,
        name: str,
        shapes: Mapping[str, list[int]],
        fill: Mapping[str, Any],
        *,
        key: str | None = None,
        prefix: str = "",
        computed: Mapping[str, Any] | None = None,
        stray: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write ``{key: {prefix + tensor name: tensor}}``, bare where `key` is None, and return its path.

        `computed` holds the tensors that the rule leaves alone; those of no dimension or not in it are zero.
        `stray` is stored as it is.
        """
        import torch

        given = computed or {}
        zeros = {tensor: torch.zeros(shape) for tensor, shape in shapes.items() if tensor not in given}
        filled = self.rules.fill(zeros, seed=fill["seed"], gain=fill["gain"], prefix=fill.get("prefix", ""))
        left = {tensor for tensor in filled["excluded"] if tensor in zeros and shapes[tensor]}
        assert not left, f"no value for {sorted(left)[:3]}"
        tensors = {prefix + tensor: value for tensor, value in {**zeros, **given, **(stray or {})}.items()}
        path = self.folder / name
        torch.save(tensors if key is None else {key: tensors, "epoch": 15}, path)
        return path


def computed_tables(shapes: Mapping[str, list[int]], **front_end: float) -> dict[str, Any]:
    """Make what official files hold besides learned tensors: DFT kernels and mel bank by torchlibrosa, zeros.

    `front_end` holds sample_rate, window, hop, low_hz, high_hz.
    """
    import torch
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    window, hop = int(front_end["window"]), int(front_end["hop"])
    stft = Spectrogram(n_fft=window, hop_length=hop, win_length=window, window="hann", center=True)
    mel = LogmelFilterBank(
        sr=int(front_end["sample_rate"]),
        n_fft=window,
        n_mels=64,
        fmin=front_end["low_hz"],
        fmax=front_end["high_hz"],
    )
    tables = {f"spectrogram_extractor.{name}": value for name, value in stft.state_dict().items()}
    tables |= {f"logmel_extractor.{name}": value for name, value in mel.state_dict().items()}
    found: dict[str, Any] = {}
    for name, shape in shapes.items():
        ending = next((table for table in tables if name.endswith(table)), None)
        if ending is not None:
            found[name] = tables[ending]
        elif name.endswith(("relative_position_index", "attn_mask")):
            found[name] = torch.zeros(shape)
    return found


@pytest.fixture(scope="session")
def clap_text(rules: ModuleType) -> Callable[[Mapping[str, Any]], Any]:
    """Make LAION CLAP's text tower, filled by the rule; two forms need it and it is large."""

    @functools.cache
    def filled(seed: int, gain: float) -> Any:
        from clapstick.metrics.embedders.laion_clap import ClapText

        network = ClapText().eval()
        rules.fill(network, seed=seed, gain=gain)
        return network

    return lambda fill: filled(fill["seed"], fill["gain"])


@pytest.fixture(scope="session")
def tables() -> Callable[..., dict[str, Any]]:
    """Make the computed tensors of a checkpoint."""
    return computed_tables


@pytest.fixture(scope="module")
def checkpoints(rules: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> OfficialCheckpoints:
    """Checkpoint files for the embedders."""
    return OfficialCheckpoints(rules, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def rate_of() -> Callable[[str], int]:
    """Read the sample rate of a recipe such as ``waveform(10,16000,61) as ...``."""

    def read(recipe: str) -> int:
        match = re.match(r"waveform\([^,]+,\s*(\d+)", recipe)
        assert match, recipe
        return int(match[1])

    return read


@pytest.fixture(scope="session")
def waveform_of(rules: ModuleType) -> Callable[[str], np.ndarray]:
    """Make the signal that a recipe such as ``waveform(10,16000,61) as ...`` describes."""

    def make(recipe: str) -> np.ndarray:
        match = re.match(r"waveform\(([\d.]+),\s*(\d+),\s*(\d+)\)", recipe)
        assert match, recipe
        return np.asarray(rules.waveform(float(match[1]), int(match[2]), int(match[3])))

    return make
