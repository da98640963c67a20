"""Metric cards: what each metric is, as data, as text for people, and as the page docs/metrics.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clapstick.harness.adapters import adapters
from clapstick.metrics.base import Convention, Metric

_DIRECTION = {"lower": "lower is better", "higher": "higher is better", "none": "neither is better"}
_EVIDENCE = {
    "hand-derived": "values worked out by hand",
    "library": "a third-party library",
    "official-fixture": "outputs of the official code",
    "golden": "a stored value of its own",
}


def card(metric: Metric) -> dict[str, Any]:
    """Return everything that a metric says about itself, ready for JSON."""
    return {
        "name": metric.name,
        "title": metric.title,
        "summary": metric.summary,
        "direction": metric.direction,
        "unit": metric.unit,
        "low": metric.low,
        "high": metric.high,
        "published": metric.published,
        "default": metric.default,
        "default_reason": metric.default_reason,
        "paper": metric.paper,
        "official_code": metric.official_code,
        "evidence": list(metric.evidence),
        "conventions": [_convention(metric, convention) for convention in metric.conventions],
    }


def _convention(metric: Metric, convention: Convention) -> dict[str, Any]:
    return {
        "name": convention.name,
        "summary": convention.summary,
        "source": convention.source,
        "official": convention.official,
        "direction": convention.direction or metric.direction,
        "unit": convention.unit or metric.unit,
        "needs": list(convention.needs),
        "embedders": [
            *convention.embedders,
            *(f"{name} (video)" for name in convention.video_embedders),
            *(f"{name} (text)" for name in convention.text_embedders),
            *(f"{name} (sound with picture)" for name in convention.pair_embedders),
        ],
        "set_up": _set_up(convention),
        "parameters": dict(convention.parameters),
        "caveat": convention.caveat,
    }


def _set_up(convention: Convention) -> str:
    """Return what a convention needs besides checkpoints: the metric adapters it runs through."""
    known = adapters()
    return "; ".join(
        f"the adapter {name} runs {known[name].card.repository.rpartition('github.com/')[2]}: "
        f"`clapstick adapters show {name}`"
        for name in convention.pair_embedders
        if name in known
    )


def scale(values: dict[str, Any]) -> str:
    """Return direction, range and unit of a card in one phrase."""
    low = "-inf" if values["low"] is None else f"{values['low']:g}"
    high = "inf" if values["high"] is None else f"{values['high']:g}"
    unit = f", {values['unit']}" if values["unit"] else ""
    return f"{_DIRECTION[values['direction']]}, {low} to {high}{unit}"


def names(values: dict[str, Any]) -> list[str]:
    """Return the names of a card's conventions, the default first."""
    default = values["default"]
    return [default, *(one["name"] for one in values["conventions"] if one["name"] != default)]


def facts(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a card's facts about the whole metric as pairs of a label and a text."""
    return [
        ("Scale", scale(values)),
        ("Default", f"{values['default']}. {values['default_reason']}"),
        ("Paper", values["paper"]),
        ("Official code", values["official_code"] or "none released"),
        ("Checked against", "; ".join(_EVIDENCE[tier] for tier in values["evidence"])),
    ]


def convention_facts(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts of one convention as pairs of a label and a text; empty ones are left out."""
    parameters = ", ".join(f"{name} {_plain(value)}" for name, value in values["parameters"].items())
    pairs = [
        ("Source", values["source"]),
        ("Needs", ", ".join(values["needs"]) or "the generated sound alone"),
        ("Embeddings", ", ".join(values["embedders"])),
        ("Set up", values["set_up"]),
        ("Parameters", parameters),
        ("Beware", values["caveat"]),
    ]
    return [(label, text) for label, text in pairs if text]


def card_text(metric: Metric) -> str:
    """Return a card as plain text for a terminal."""
    values = card(metric)
    lines = [f"{values['title']} ({values['name']})", values["summary"], ""]
    lines += [f"{label}: {text}" for label, text in facts(values)]
    for convention in values["conventions"]:
        lines += ["", _heading(convention), f"  {convention['summary']}"]
        lines += [f"  {label}: {text}" for label, text in convention_facts(convention)]
    return "\n".join(lines) + "\n"


def metrics_page(metrics: Iterable[Metric]) -> str:
    """Return docs/metrics.md: an overview, then one section a metric."""
    cards = [card(metric) for metric in metrics]
    lines = [
        "# Metrics",
        "",
        "Generated from the code by `clapstick metrics --markdown`; a test keeps it true.",
        "`clapstick metrics NAME` prints one card. A convention is one of several published ways to compute a",
        "metric; those marked official reproduce released code, quirks included.",
        "",
        "| Metric | Name | Scale | Conventions (default first) |",
        "| --- | --- | --- | --- |",
    ]
    for values in cards:
        row = (
            values["title"],
            f"[{values['name']}](#{values['name']})",
            scale(values),
            ", ".join(names(values)),
        )
        lines.append("| " + " | ".join(_cell(text) for text in row) + " |")
    for values in cards:
        lines += ["", f"## {values['name']}", "", f"**{values['title']}.** {values['summary']}", ""]
        lines += [f"- {label}: {text}" for label, text in facts(values)]
        for convention in values["conventions"]:
            lines += ["", f"### {_heading(convention)}", "", convention["summary"], ""]
            lines += [f"- {label}: {text}" for label, text in convention_facts(convention)]
    return "\n".join(lines) + "\n"


def _heading(convention: dict[str, Any]) -> str:
    return f"{convention['name']}{' (official)' if convention['official'] else ''}"


def _plain(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
