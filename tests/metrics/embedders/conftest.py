"""The rule weights that official classes and ours are filled with."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

RULES = Path(__file__).parents[2] / "parity" / "fixtures" / "rule_weights.py"


@pytest.fixture(scope="session")
def rules() -> ModuleType:
    """The module of rule weights and test signals."""
    spec = importlib.util.spec_from_file_location("rule_weights", RULES)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
