"""Values that are typed on a command line."""

from __future__ import annotations

import tomllib
from typing import Any


def value_of(text: str) -> Any:
    """Return a value as TOML reads it, and the text itself where it is no TOML: shells take quotes away."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
