"""Citations of everything that a run used: the protocol, the metrics, the systems and Clapstick."""

from __future__ import annotations

import re
import unicodedata

from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.run_data import RunData

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def bibtex(data: RunData) -> str:
    """Return one entry a cited work; each note says what it stands for in the run."""
    used: dict[str, list[str]] = {}
    protocol = data.run.protocol
    _cite(used, protocol.paper, f"protocol {protocol.name}")
    for column in make_leaderboard(data).columns:
        if column.facts is not None:
            _cite(used, column.facts.paper, f"metric {column.title}")
    for system in data.systems:
        _cite(used, str(system.card.get("paper") or ""), f"system {system.title}")
    entries = [_entry(key, work, used[work]) for key, work in _keys(list(used)).items()]
    version = data.run.libraries.get("clapstick", "")
    title = "Clapstick: a benchmark and evaluation harness for video-to-sound systems"
    entries.append(f"@software{{clapstick,\n  title = {{{{{title}}}}},\n  version = {{{version}}}\n}}")
    return "\n\n".join(entries) + "\n"


def _cite(used: dict[str, list[str]], papers: str, role: str) -> None:
    for work in papers.split(";"):
        work = " ".join(work.split())
        if work and not work.startswith("none") and role not in used.setdefault(work, []):
            used[work].append(role)


def _keys(works: list[str]) -> dict[str, str]:
    """Name works by first surname and year, with a letter where two agree."""
    keys: dict[str, str] = {}
    for work in works:
        author = work.split(",")[0].split(" and ")[0].split(" et al")[0].split()
        plain = (
            unicodedata.normalize("NFKD", author[-1] if author else "work").encode("ascii", "ignore").decode()
        )
        year = _YEAR.search(work)
        stem = re.sub(r"[^a-z]", "", plain.lower()) or "work"
        key = f"{stem}{year.group() if year else ''}"
        letter = ord("a")
        while key in keys:
            letter += 1
            key = f"{stem}{year.group() if year else ''}{chr(letter)}"
        keys[key] = work
    return keys


def _entry(key: str, work: str, roles: list[str]) -> str:
    year = _YEAR.search(work)
    lines = [f"@misc{{{key},", f"  howpublished = {{{_escape(work)}}},"]
    if year:
        lines.append(f"  year = {{{year.group()}}},")
    lines.append(f"  note = {{Used for: {_escape(', '.join(roles))}}}")
    return "\n".join([*lines, "}"])


def _escape(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", text))
