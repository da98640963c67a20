"""What a report says of the prompts: by which rule they were chosen, and when they give the answer away."""

from __future__ import annotations

from clapstick.protocols.clips import Prompt
from clapstick.protocols.prompts import AUDIO_POLICIES, TEXT_TEMPLATES
from clapstick.protocols.protocol import PromptRules

_GIVES_AWAY = "ground-truth"


def prompt_rows(rules: PromptRules) -> list[tuple[str, str]]:
    """Return what the rules of a protocol's prompts mean, as name and sentence; none for unknown rules."""
    known = (("Text prompt", TEXT_TEMPLATES.get(rules.text)), ("Audio prompt", AUDIO_POLICIES.get(rules.audio)))
    return [(title, f"{rule.name}: {rule.summary}") for title, rule in known if rule is not None]


def caution_of(policy: str) -> str:
    """Return what to know of an audio policy that lets systems hear the reference; empty for others."""
    return AUDIO_POLICIES[policy].summary if policy == _GIVES_AWAY else ""


def prompt_entry(prompt: Prompt) -> dict[str, str | None]:
    """Return what the clip browser shows of a clip's prompt: sound and text apart, as a clip can have both."""
    policy = next((name for name in prompt.policy.split(" + ") if name in AUDIO_POLICIES), "")
    sound = prompt.kind if prompt.kind in ("audio", "audio-visual") else ""
    return {"sound": sound, "policy": policy, "caution": caution_of(policy), "text": prompt.text}
