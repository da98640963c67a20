"""The signature of a score: everything that changes the number, as one line that can be read back.

``metric:e-l1|convention:v2s|n:732|rate:16000|resampler:soxr%20HQ|param.hop:128|weights.vggish:10086976|...``
After sacreBLEU's (M. Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018), with escapes, so that
different scores never share a signature.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import quote, unquote

from clapstick.metrics.base import Setting

_FIXED = ("metric", "convention", "n", "rate", "resampler", "seed", "version")
_GROUPS = ("param", "weights", "library")
_BARE = " !#$&'()*+,-./;<=>?@[]^_`{}~\""


@dataclass(frozen=True)
class Signature:
    """What a score was computed with."""

    metric: str
    convention: str
    n: int
    """Clips behind the score."""
    rate: int
    """Sample rate of the standardised sound in Hz."""
    resampler: str
    seed: int
    version: str
    """Version of Clapstick."""
    param: Mapping[str, Setting] = field(default_factory=dict)
    """The convention's parameters."""
    weights: Mapping[str, Setting] = field(default_factory=dict)
    """Checkpoint name -> SHA-256."""
    library: Mapping[str, Setting] = field(default_factory=dict)
    """Library -> version, for those that can move the number."""

    def __str__(self) -> str:
        parts = [f"{name}:{_write(getattr(self, name))}" for name in _FIXED]
        for group in _GROUPS:
            settings: Mapping[str, Setting] = getattr(self, group)
            parts += [f"{group}.{_escape(key)}:{_write(settings[key])}" for key in sorted(settings)]
        return "|".join(parts)

    def differences(self, other: Signature) -> dict[str, tuple[str, str]]:
        """Return the settings in which two signatures differ; empty where the scores may share a column."""
        ours, theirs = _flat(str(self)), _flat(str(other))
        return {
            key: (ours.get(key, ""), theirs.get(key, ""))
            for key in sorted(ours.keys() | theirs.keys())
            if ours.get(key) != theirs.get(key)
        }


def parse_signature(text: str) -> Signature:
    """Read a signature back.

    Raises
    ------
    ValueError
        If the text is no signature; the message names the part.
    """
    fixed: dict[str, Setting] = {}
    groups: dict[str, dict[str, Setting]] = {group: {} for group in _GROUPS}
    for key, value in _flat(text).items():
        group, dot, name = key.partition(".")
        if dot and group in groups:
            groups[group][unquote(name, errors="strict")] = _read(value)
        elif key in _FIXED:
            fixed[key] = _read(value)
        else:
            raise ValueError(f"signature has an unknown part {key!r}: {text!r}")
    return Signature(
        metric=_text(fixed, "metric", text),
        convention=_text(fixed, "convention", text),
        n=_integer(fixed, "n", text),
        rate=_integer(fixed, "rate", text),
        resampler=_text(fixed, "resampler", text),
        seed=_integer(fixed, "seed", text),
        version=_text(fixed, "version", text),
        **groups,
    )


def _flat(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.split("|"):
        key, colon, value = part.partition(":")
        if not colon or key in parts:
            raise ValueError(f"signature part {part!r} is not key:value or comes twice: {text!r}")
        parts[key] = value
    return parts


def _escape(text: str) -> str:
    """Percent-encode the separators ``:``, ``|`` and ``%`` and everything that is not printable ASCII."""
    return quote(text, safe=_BARE)


def _write(value: Setting) -> str:
    """Write numbers and truth values as JSON, text as it is, and text that looks like JSON in quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a signature cannot hold {value}; give a finite number")
    if isinstance(value, str) and not _is_json(value):
        return _escape(value)
    return _escape(json.dumps(value))


def _read(written: str) -> Setting:
    text = unquote(written, errors="strict")
    if not _is_json(text):
        return text
    value = json.loads(text)
    if not isinstance(value, str | int | float | bool):
        raise ValueError(f"a signature holds text, numbers and truth values, found {text!r}")
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _text(fixed: Mapping[str, Setting], key: str, text: str) -> str:
    value = fixed.get(key)
    return value if isinstance(value, str) else _refuse(key, value, "text", text)


def _integer(fixed: Mapping[str, Setting], key: str, text: str) -> int:
    value = fixed.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return _refuse(key, value, "a whole number", text)


def _refuse(key: str, value: object, expected: str, text: str) -> NoReturn:
    raise ValueError(f"signature part {key} is {value!r}, expected {expected}: {text!r}")
