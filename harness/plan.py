"""The plan: what a run would do, what is there already, what is missing and the command that provides it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clapstick.harness.generate import GenerationTask, ResolvedSystem, generation_tasks
from clapstick.harness.mounted import mounted_sha256
from clapstick.harness.provenance import generator_for
from clapstick.harness.settings import REFERENCE, RunSettings
from clapstick.harness.statistics import ScoreRequest
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import ErrorRecord, RunArchive
from clapstick.protocols.audit import flag_seen
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import ClapstickError, Problem, fail, unknown_name
from clapstick.protocols.prompts import apply_prompts
from clapstick.protocols.protocol import Protocol
from clapstick.protocols.readers.base import find_reader, require_folder
from clapstick.systems.card import FoundSystem, ParameterValue
from clapstick.systems.missing import missing_here
from clapstick.systems.registry import built_in_systems, find_entry, find_system
from clapstick.systems.runtimes.options import RuntimeOptions, read_options


@dataclass(frozen=True)
class SystemPlan:
    """What one system has still to do."""

    system: ResolvedSystem
    tasks: tuple[GenerationTask, ...]
    cached: int
    skipped: tuple[ErrorRecord, ...]
    missing: tuple[Problem, ...]
    """What it cannot run without; none of its clips is generated while there is any."""


@dataclass(frozen=True)
class Plan:
    """Everything a run will do."""

    settings: RunSettings
    clips: tuple[Clip, ...]
    clips_listed: int
    problems: tuple[Problem, ...]
    systems: tuple[SystemPlan, ...]
    requests: tuple[ScoreRequest, ...]
    subset: str = ""
    """Name of what is left of a data set whose videos vanish; else empty."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a system for tables and JSON."""
        return [
            {
                "system": plan.system.card.name,
                "role": plan.system.card.role,
                "runtime": plan.system.card.runtime,
                "clips": len(self.clips),
                "cached": plan.cached,
                "to generate": 0 if plan.missing else len(plan.tasks),
                "skipped": len(plan.skipped),
                "missing": "; ".join(str(problem) for problem in plan.missing) or None,
            }
            for plan in self.systems
        ]


def make_plan(settings: RunSettings) -> Plan:
    """List the clips, resolve the systems, and see what the archive holds already.

    Raises
    ------
    ClapstickError
        If the data folder, the protocol's reader or a metric is unknown, or there is no usable clip.
    """
    protocol = settings.protocol
    names = [found.card.name for found in with_reference(settings.systems)]
    for name in sorted(set(settings.parameters) - set(names)):
        raise fail(
            "system is not in this run", name, expected=", ".join(names), remedy="Correct --set or --systems."
        )
    requests = score_requests(protocol)
    clips, listed, problems, subset = list_clips(settings)
    cards = {found.card.name: found.card for found in (*built_in_systems().values(), *settings.systems)}
    clips = flag_seen(clips, {name: card.trained_on for name, card in cards.items()})
    archive = RunArchive(settings.out)
    plans = tuple(_plan_system(settings, found, clips, archive) for found in with_reference(settings.systems))
    return Plan(settings, clips, listed, problems, plans, requests, subset)


def with_reference(systems: Sequence[FoundSystem]) -> tuple[FoundSystem, ...]:
    """Put the reference row first: every score is taken against it, and it brackets every metric."""
    others = [found for found in systems if found.card.name != REFERENCE]
    return (find_system(REFERENCE), *others)


def score_requests(protocol: Protocol) -> tuple[ScoreRequest, ...]:
    """Resolve the protocol's metrics, ``metric`` or ``metric:convention``.

    Raises
    ------
    ClapstickError
        If one is unknown; names the nearest.
    """
    requests = []
    known = metrics()
    for text in protocol.metrics:
        name, _, convention = text.partition(":")
        if name not in known:
            raise unknown_name(
                "no such metric",
                name,
                known,
                where=f"protocol {protocol.name}",
                otherwise="List them with `clapstick metrics`.",
            )
        conventions = [one.name for one in known[name].conventions]
        if convention and convention not in conventions:
            raise unknown_name(
                f"{name} has no such convention",
                convention,
                conventions,
                where=f"protocol {protocol.name}",
                otherwise=f"See `clapstick metrics {name}`.",
            )
        requests.append(ScoreRequest(name, convention or known[name].default))
    return tuple(dict.fromkeys(requests))


def list_clips(settings: RunSettings) -> tuple[tuple[Clip, ...], int, tuple[Problem, ...], str]:
    """Read the data folder; return this run's clips, how many were listed, every problem, and `Plan.subset`."""
    require_folder(settings.data)
    protocol = settings.protocol
    listing = find_reader(protocol.dataset.reader).read(settings.data, protocol.dataset)
    twice = {clip_id for clip_id, count in Counter(clip.id for clip in listing.clips).items() if count > 1}
    problems = list(listing.problems)
    problems += [
        Problem(what="two clips have the same id", where=clip_id, remedy="Rename one; only the first is used.")
        for clip_id in sorted(twice)
    ]
    unique = tuple({clip.id: clip for clip in reversed(listing.clips)}.values())[::-1]
    if not unique:
        raise ClapstickError(
            *problems,
            Problem(
                what="no usable clip",
                where=str(settings.data),
                expected=f"the layout of {protocol.dataset.reader}",
                remedy="See `clapstick datasets`.",
            ),
        )
    # Prompts come before the limit: policies that take another clip's sound choose among all clips.
    prompted = apply_prompts(unique, protocol.prompt, generator_for(settings.seed, "prompts"))
    return prompted[: settings.limit], len(unique), tuple(problems), listing.subset


def _plan_system(
    settings: RunSettings, found: FoundSystem, clips: Sequence[Clip], archive: RunArchive
) -> SystemPlan:
    system, missing = resolve_system(settings, found)
    tasks, skipped = generation_tasks(settings, system, clips, archive)
    return SystemPlan(
        system, tuple(tasks), len(clips) - len(tasks) - len(skipped), tuple(skipped), tuple(missing)
    )


def resolve_system(settings: RunSettings, found: FoundSystem) -> tuple[ResolvedSystem, list[Problem]]:
    """Look up a system's weights and merge its parameters; return it with what is missing to run it."""
    card = found.card
    missing: list[Problem] = []
    weights: dict[str, Path] = {}
    hashes: dict[str, str] = {}
    for name in card.weights:
        from clapstick.harness.weights import find_weights, weights_sha256

        try:
            weights[name] = find_weights(name)
            hashes[name] = weights_sha256(name)
        except ClapstickError as error:
            missing.extend(error.problems)
    given = settings.parameters.get(card.name, {})
    for unknown in sorted(set(given) - set(card.parameters)):
        raise fail(
            "system has no such parameter",
            card.name,
            found=unknown,
            expected=", ".join(card.parameters) or "none",
            remedy="Correct --set.",
        )
    for name, value in given.items():
        _require_kind(card.name, name, value, card.parameters[name])
    parameters = {**card.parameters, **given}
    if card.runtime == "python":
        missing.extend(_entry_problems(found))
    else:
        options = read_options(card.name)
        missing.extend(_lacks(found, options, parameters))
        if not missing:
            hashes |= mounted_sha256(found, options)
    return ResolvedSystem(found, parameters, weights, hashes), missing


def _require_kind(system: str, name: str, value: ParameterValue, usual: ParameterValue) -> None:
    """Raise `ClapstickError` where a value is no number or switch and the card's own is one."""
    kinds = {bool: "true or false", int: "a number", float: "a number"}
    wanted, found = kinds.get(type(usual)), kinds.get(type(value))
    if wanted is not None and found != wanted:
        raise fail(
            "system parameter has a value of another kind",
            f"{system}.{name}",
            found=value,
            expected=f"{wanted}, such as {str(usual).lower()}",
            remedy="Correct --set.",
        )


def _entry_problems(found: FoundSystem) -> Sequence[Problem]:
    try:
        find_entry(found)
    except ClapstickError as error:
        return error.problems
    return ()


def _lacks(
    found: FoundSystem, options: RuntimeOptions, parameters: Mapping[str, ParameterValue]
) -> list[Problem]:
    """Return what a system outside this process needs and is not here; random weights need no checkpoints."""
    lacks = missing_here(found, options, checkpoints=not parameters.get("random_weights", False))
    name = found.card.name
    remedy = f"`clapstick systems show {name}` says more; docs/official-systems.md says how."
    return [Problem(what=f"lacks {', '.join(lacks)}", where=name, remedy=remedy)] if lacks else []
