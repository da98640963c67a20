"""What systems are told besides the picture: text from named templates, sound by named policies.

A prompt may hold both; a system uses the kinds that its card names. What cannot be made for a clip is left out
and said in the clip's warnings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from clapstick.protocols.clips import Clip, Onset, Prompt, PromptKind
from clapstick.protocols.problems import unknown_name
from clapstick.protocols.protocol import PromptRules

NONE = "none"

_Named = TypeVar("_Named")
TextMaker = Callable[[Clip, np.random.Generator], str | None]


@dataclass(frozen=True)
class TextTemplate:
    """A named way to make a text from a clip's annotations; None where the clip gives none."""

    name: str
    summary: str
    source: str
    make: TextMaker


@dataclass(frozen=True)
class Excerpt:
    """A stretch of sound, with the picture that belongs to it."""

    path: Path
    start_s: float
    duration_s: float
    video: Path | None = None
    video_start_s: float = 0.0


SoundFinder = Callable[[Clip, Sequence[Clip], np.random.Generator], Excerpt | None]


@dataclass(frozen=True)
class AudioPolicy:
    """A named way to choose a stretch of sound for a clip; None where there is none to choose."""

    name: str
    summary: str
    source: str
    find: SoundFinder


def apply_prompts(clips: Sequence[Clip], rules: PromptRules, rng: np.random.Generator) -> tuple[Clip, ...]:
    """Give every clip its prompt.

    One number is drawn from `rng`; the draws for a clip depend on it and the clip's id alone, so that neither
    the order nor the number of clips changes them. Policies that take another clip's sound choose from `clips`.

    Raises
    ------
    ClapstickError
        If the template or the policy is unknown; names the nearest one.
    """
    template = find_template(rules.text)
    policy = find_policy(rules.audio)
    base = int(rng.integers(2**63))
    return tuple(_with_prompt(clip, clips, template, policy, base) for clip in clips)


def find_template(name: str) -> TextTemplate | None:
    """Return the named text template, None for ``none``; raise `ClapstickError` where there is no such."""
    return None if name == NONE else _find("text template", name, TEXT_TEMPLATES)


def find_policy(name: str) -> AudioPolicy | None:
    """Return the named audio policy, None for ``none``; raise `ClapstickError` where there is no such."""
    return None if name == NONE else _find("audio policy", name, AUDIO_POLICIES)


def _find(kind: str, name: str, known: Mapping[str, _Named]) -> _Named:
    if name in known:
        return known[name]
    raise unknown_name(
        f"no such {kind}", name, [*known, NONE], where="prompt", otherwise="Choose one of these."
    )


def _with_prompt(
    clip: Clip, clips: Sequence[Clip], template: TextTemplate | None, policy: AudioPolicy | None, base: int
) -> Clip:
    digest = int.from_bytes(sha256(clip.id.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    text_rng, sound_rng = np.random.default_rng([base, digest]).spawn(2)
    text = template.make(clip, text_rng) if template else None
    excerpt = policy.find(clip, clips, sound_rng) if policy else None
    missing = []
    if template and text is None:
        missing.append(f"no text prompt: the clip gives nothing for template {template.name}")
    if policy and excerpt is None:
        missing.append(f"no audio prompt: the clips give nothing for policy {policy.name}")
    kind: PromptKind = "audio" if excerpt else "text" if text is not None else "none"
    names = [
        made.name for made in (template if text is not None else None, policy if excerpt else None) if made
    ]
    prompt = Prompt(
        kind=kind,
        policy=" + ".join(names) or NONE,
        text=text,
        path=excerpt.path if excerpt else None,
        start_s=excerpt.start_s if excerpt else 0.0,
        duration_s=excerpt.duration_s if excerpt else None,
        video=excerpt.video if excerpt else None,
        video_start_s=excerpt.video_start_s if excerpt else 0.0,
    )
    return clip.model_copy(update={"prompt": prompt, "warnings": (*clip.warnings, *missing)})


def _sentences(texts: Sequence[str]) -> str:
    """Join sentences as Video-Foley does: the later ones follow ``After that,``."""
    joined = " After that, ".join(texts)
    return joined[0].upper() + joined[1:]


def _labelled(clip: Clip) -> list[Onset]:
    return [onset for onset in clip.onsets or () if onset.material is not None and onset.action is not None]


def _stick(action: str | None, material: str | None) -> str:
    return f"a person {action} {material} with a wooden stick."


def _video_foley(clip: Clip, rng: np.random.Generator) -> str | None:
    pairs = dict.fromkeys((onset.action, onset.material) for onset in _labelled(clip))
    return _sentences([_stick(*pair) for pair in pairs] or [_stick("hit", "something")])


def _video_foley_code(clip: Clip, rng: np.random.Generator) -> str | None:
    lines = [_stick(onset.action, onset.material) for onset in clip.onsets or ()]
    return _sentences(lines or [_stick("hit", "something")])


def _fol_ai(clip: Clip, rng: np.random.Generator) -> str | None:
    counts = Counter((onset.action, onset.material) for onset in _labelled(clip))
    if not counts:
        return None
    return _sentences(
        [
            f"a person {action} {'once' if count == 1 else 'multiple times'} on {material} with a wooden stick."
            for (action, material), count in counts.items()
        ]
    )


def _material(clip: Clip, rng: np.random.Generator) -> str | None:
    said = dict.fromkeys(onset.material for onset in clip.onsets or () if onset.material is not None)
    return ", ".join(said) or None


def _annotation_line(clip: Clip, rng: np.random.Generator) -> str | None:
    return _random_line(_labelled(clip), rng)


def _annotation_line_code(clip: Clip, rng: np.random.Generator) -> str | None:
    return _random_line(list(clip.onsets or ()), rng)


def _random_line(onsets: Sequence[Onset], rng: np.random.Generator) -> str | None:
    if not onsets:
        return None
    onset = onsets[int(rng.integers(len(onsets)))]
    return f"{onset.material} {onset.action} {onset.reaction}"


def _caption(clip: Clip, rng: np.random.Generator) -> str | None:
    return clip.caption


def _caption_low_quality(clip: Clip, rng: np.random.Generator) -> str | None:
    return None if clip.caption is None else f"{clip.caption}, low quality"


def _ground_truth(clip: Clip, clips: Sequence[Clip], rng: np.random.Generator) -> Excerpt | None:
    return _excerpt(clip, 0.0, clip.duration_s)


def _random_hit(clip: Clip, clips: Sequence[Clip], rng: np.random.Generator) -> Excerpt | None:
    if not clip.onsets:
        return None
    times = [*(onset.time_s for onset in clip.onsets), clip.duration_s]
    stretches = [(start, end) for start, end in pairwise(times) if end > start]
    if not stretches:
        return None
    start_s, end_s = stretches[int(rng.integers(len(stretches)))]
    return _excerpt(clip, start_s, end_s - start_s)


def _same_material(clip: Clip, clips: Sequence[Clip], rng: np.random.Generator) -> Excerpt | None:
    return _one_of([other for other in clips if other.material == clip.material], clip, rng)


def _other_material(clip: Clip, clips: Sequence[Clip], rng: np.random.Generator) -> Excerpt | None:
    return _one_of([other for other in clips if other.material not in (None, clip.material)], clip, rng)


def _one_of(others: Sequence[Clip], clip: Clip, rng: np.random.Generator) -> Excerpt | None:
    """Draw the whole reference of a clip of another recording; None where the clip itself has no material."""
    usable = sorted(
        (other for other in others if other.source != clip.source and other.reference is not None),
        key=lambda other: other.id,
    )
    if clip.material is None or not usable:
        return None
    other = usable[int(rng.integers(len(usable)))]
    return _excerpt(other, 0.0, other.duration_s)


def _preceding_3s(clip: Clip, clips: Sequence[Clip], rng: np.random.Generator) -> Excerpt | None:
    if min(clip.start_s, clip.reference_start_s) < 3.0:
        return None
    return _excerpt(clip, -3.0, 3.0)


def _excerpt(clip: Clip, offset_s: float, duration_s: float) -> Excerpt | None:
    if clip.reference is None:
        return None
    return Excerpt(
        clip.reference, clip.reference_start_s + offset_s, duration_s, clip.video, clip.start_s + offset_s
    )


TEXT_TEMPLATES: dict[str, TextTemplate] = {
    template.name: template
    for template in (
        TextTemplate(
            "video-foley",
            "One sentence for each pair of action and material, in order of their first onset, joined by "
            "'After that,'; onsets without labels are passed over; where none is left, 'A person hit something "
            "with a wooden stick.'",
            "Video-Foley, section 3.2",
            _video_foley,
        ),
        TextTemplate(
            "video-foley-code",
            "One sentence for each onset, repeated as it is struck, with the word None for missing labels.",
            "jnwnlee/video-foley@0afd45a, data_utils.py",
            _video_foley_code,
        ),
        TextTemplate(
            "fol-ai",
            "One sentence with 'once' or 'multiple times' for each pair of action and material. The paper does "
            "not say how several pairs are put together; here as Video-Foley does.",
            "FOL-AI, section V.A.1",
            _fol_ai,
        ),
        TextTemplate("material", "The materials that are struck, in order.", "ReWaS, Table 3", _material),
        TextTemplate(
            "syncfusion",
            "Material, action and reaction of one onset, drawn among the labelled ones.",
            "mcomunita/syncfusion@e67ad83, without its unlabelled lines",
            _annotation_line,
        ),
        TextTemplate(
            "syncfusion-code",
            "Material, action and reaction of one onset, drawn among all, None where a label is missing.",
            "mcomunita/syncfusion@e67ad83",
            _annotation_line_code,
        ),
        TextTemplate(
            "caption", "The clip's caption or category.", "MultiFoley, section 4.1; ReWaS, 5.2", _caption
        ),
        TextTemplate(
            "caption-low-quality",
            "The clip's category with the tag 'low quality'.",
            "MultiFoley, sections 3.2 and 4.1",
            _caption_low_quality,
        ),
    )
}

AUDIO_POLICIES: dict[str, AudioPolicy] = {
    policy.name: policy
    for policy in (
        AudioPolicy(
            "ground-truth",
            "The clip's own reference. It gives the answer away; only the timbre should be taken from it.",
            "Video-Foley, section 3.2",
            _ground_truth,
        ),
        AudioPolicy(
            "random-hit",
            "The stretch of the reference from one onset, drawn at random, to the next.",
            "mcomunita/syncfusion@e67ad83",
            _random_hit,
        ),
        AudioPolicy(
            "same-material",
            "The whole reference of another clip of the same material from another recording, drawn at random.",
            "Clapstick",
            _same_material,
        ),
        AudioPolicy(
            "other-material",
            "The whole reference of a clip of another material, drawn at random: a wrong prompt.",
            "Clapstick",
            _other_material,
        ),
        AudioPolicy(
            "preceding-3s",
            "The three seconds of the recording before the clip, sound and picture.",
            "MultiFoley, section 4.3",
            _preceding_3s,
        ),
    )
}
