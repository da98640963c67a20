"""A protocol in prose: what is compared, on which clips, and where every choice comes from."""

from __future__ import annotations

from collections.abc import Iterator

from clapstick.protocols.prompts import find_policy, find_template
from clapstick.protocols.protocol import Protocol


def explain(protocol: Protocol) -> str:
    """Tell a protocol to a reader, paragraph by paragraph.

    Raises
    ------
    ClapstickError
        If it names an unknown text template or audio policy.
    """
    return "\n\n".join(_paragraphs(protocol)) + "\n"


def _paragraphs(protocol: Protocol) -> Iterator[str]:
    yield f"{protocol.title} ({protocol.name}, version {protocol.version})"
    yield protocol.summary
    if protocol.paper:
        yield f"It stands for {protocol.table} of {protocol.paper}."
    yield f"Clips. {_clips(protocol)}"
    yield f"Sound. {_sound(protocol)}"
    yield f"Prompts. {_prompts(protocol)}"
    yield f"Metrics. {_listed(protocol.metrics)}."
    yield f"Systems. {_listed(protocol.systems)}."
    rules = protocol.statistics
    yield (
        f"Uncertainty. {rules.level:.0%} intervals from {rules.resamples:,} resamples of whole source videos, "
        f"seed {rules.seed}."
    )
    if protocol.sources:
        yield "Where the values come from.\n" + "\n".join(
            f"- {source.key}: {source.says} [{source.where}]" for source in protocol.sources
        )
    if protocol.open_questions:
        yield "What is left open.\n" + "\n".join(f"- {question}" for question in protocol.open_questions)


def _clips(protocol: Protocol) -> str:
    rules = protocol.dataset
    if rules.clip_duration_s == 0:
        cut = "each recording whole"
        if rules.clip_start_s:
            cut = f"each recording from {rules.clip_start_s:g} s on"
    elif rules.clip_hop_s == 0:
        end_s = rules.clip_start_s + rules.clip_duration_s
        cut = f"the stretch from {rules.clip_start_s:g} to {end_s:g} s of each"
    elif rules.clip_hop_s == rules.clip_duration_s:
        cut = f"{rules.clip_duration_s:g} s clips without overlap from {rules.clip_start_s:g} s on"
    else:
        cut = f"{rules.clip_duration_s:g} s clips every {rules.clip_hop_s:g} s from {rules.clip_start_s:g} s on"
    limits = ""
    if rules.annotated_only:
        limits += " Clips without an annotated onset are left out."
    if rules.clip_count:
        limits += f" Of these, the {rules.clip_count:,} whose ids have the smallest SHA-256 are taken."
    return f"Read as {rules.reader}, split {rules.split}: {cut}.{limits}"


def _sound(protocol: Protocol) -> str:
    rules = protocol.audio
    channels = "mono" if rules.channels == 1 else "stereo"
    ends = {"cut-end": "what is too long loses its end", "cut-centre": "of what is too long the middle is kept"}
    fills = {"pad-end": "what is too short gets silence at its end", "loop": "what is too short is repeated"}
    gain = "levels stay as emitted"
    if rules.gain != "none":
        unit = "LUFS" if rules.gain == "lufs" else "dBFS"
        gain = f"every sound is brought to {rules.gain_target_db:g} {unit} ({rules.gain})"
    return (
        f"Every sound is made {channels} at {rules.sample_rate:,} Hz with {rules.resampler}; "
        f"{ends[rules.too_long]}, {fills[rules.too_short]}; {gain}."
    )


def _prompts(protocol: Protocol) -> str:
    template, policy = find_template(protocol.prompt.text), find_policy(protocol.prompt.audio)
    text = f"Text ({template.name}): {template.summary}" if template else "No text prompt."
    audio = f"Audio ({policy.name}): {policy.summary}" if policy else "No audio prompt."
    return f"{text} {audio}"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names)
