"""Citations of everything that a run used: protocol, data set, metrics, systems and Clapstick."""

from __future__ import annotations

import re

from clapstick.reports.exports.references import (
    first_surname,
    key_of_citation,
    keys_of_reader,
    references,
)
from clapstick.reports.leaderboard import make_leaderboard
from clapstick.reports.run_data import RunData

_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def bibtex(data: RunData) -> str:
    """Return one entry a cited work; each note says what it stands for in the run.

    Works that `references` does not hold, such as those of plug-ins, are printed as their card cites them.
    """
    known: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for work, role in _citations(data):
        key = key_of_citation(work)
        _add(others if key is None else known, key or work, role)
    for key in keys_of_reader(data.run.protocol.dataset.reader):
        _add(known, key, f"data set {data.run.protocol.dataset.reader}")
    entries = [
        _entry(references()[key].type, key, references()[key].fields(), known[key]) for key in sorted(known)
    ]
    entries += [_as_cited(key, work, others[work]) for key, work in _keys(list(others)).items()]
    version = data.run.libraries.get("clapstick", "")
    title = "Clapstick: a benchmark and evaluation harness for video-to-sound systems"
    entries.append(f"@software{{clapstick,\n  title = {{{{{title}}}}},\n  version = {{{version}}}\n}}")
    return "\n\n".join(entries) + "\n"


def _citations(data: RunData) -> list[tuple[str, str]]:
    """Return (citation, what it stands for) of protocol, metrics and systems."""
    cited = [(data.run.protocol.paper, f"protocol {data.run.protocol.name}")]
    for column in make_leaderboard(data).columns:
        if column.facts is not None:
            cited.append((column.facts.paper, f"metric {column.title}"))
    cited += [(str(system.card.get("paper") or ""), f"system {system.title}") for system in data.systems]
    works = [(" ".join(work.split()), role) for papers, role in cited for work in papers.split(";")]
    return [(work, role) for work, role in works if work and not work.startswith("none")]


def _add(used: dict[str, list[str]], name: str, role: str) -> None:
    if role not in used.setdefault(name, []):
        used[name].append(role)


def _keys(works: list[str]) -> dict[str, str]:
    """Name works by first surname and year, with a letter where two agree."""
    keys: dict[str, str] = {}
    for work in works:
        year = _YEAR.search(work)
        stem = (re.sub(r"[^a-z]", "", first_surname(work).lower()) or "work") + (year.group() if year else "")
        key = stem
        letter = ord("a")
        while key in keys:
            letter += 1
            key = f"{stem}{chr(letter)}"
        keys[key] = work
    return keys


def _as_cited(key: str, work: str, roles: list[str]) -> str:
    year = _YEAR.search(work)
    fields = {"howpublished": _escape(work)} | ({"year": year.group()} if year else {})
    return _entry("misc", key, fields, roles)


def _entry(kind: str, key: str, fields: dict[str, str], roles: list[str]) -> str:
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    lines.append(f"  note = {{Used for: {_escape(', '.join(roles))}}}")
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}"


def _escape(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", re.sub(r"[{}\\]", "", text))
