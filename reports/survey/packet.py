"""Making a packet: the folder that raters open, and the key that stays with the experimenter."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapstick.protocols.archive import RunArchive, write_text
from clapstick.protocols.audio import Audio, read_wav
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.reports.survey.design import POINTS, Criterion, Design
from clapstick.reports.survey.plan import (
    Casting,
    Example,
    Key,
    Plan,
    Sound,
    canonical,
    make_sessions,
    sha256_of,
)
from clapstick.reports.survey.rater_page import CHECK_BEEPS, LATENCY_CHECK, render_rater_page
from clapstick.reports.survey.selection import REFERENCE, eligible_clips, select_clips
from clapstick.reports.survey.stimuli import (
    beeps,
    encode_picture,
    flash_and_click,
    mux,
    pad_mp4,
    prepare_sound,
    read_picture,
)

CHECK_RATE = 48_000


@dataclass(frozen=True)
class _Take:
    """One media file to be written."""

    number: str
    clip: Clip
    """Whose picture is shown."""
    system: str
    role: str
    sound_of: Clip
    """Whose sound is heard."""
    beeps: int = 0
    spoil: str = "none"
    """``late`` or ``noisy``: what is done to the sound of a low example."""


@dataclass(frozen=True)
class MadePacket:
    """Where a packet and its key are."""

    packet: Path
    key: Path
    plan: Plan
    plan_sha256: str


def make_packet(
    run: Path,
    design: Design,
    *,
    raters: int,
    seed: int,
    out: Path,
    key_path: Path,
    systems: Sequence[str] = (),
    overrides: Sequence[str] = (),
) -> MadePacket:
    """Make a blinded packet from a run archive; the same arguments give the same bytes.

    Parameters
    ----------
    run : Path
        Run archive.
    raters : int
        Sessions to lay out.
    seed : int
        Settles every choice; whoever has the run and the seed can tell the systems apart, so keep it as the
        key.
    out : Path
        New folder for the packet.
    key_path : Path
        File for the key, outside of `out`.
    systems : sequence of str
        Systems to compare; those of the run that are no controls where empty.
    overrides : sequence of str
        Values of the named design that were changed, for the record.

    Raises
    ------
    ClapstickError
        If `out` exists, the key would lie in the packet, or the design cannot be met by the run.
    """
    _require_places(out, key_path, raters)
    archive = RunArchive(run)
    record = archive.read_run()
    compared = _compared_systems(record.systems, design, systems)
    rng_clips, rng_numbers, rng_sessions = np.random.default_rng(seed).spawn(3)
    eligible, not_eligible = eligible_clips(archive, compared)
    chosen = select_clips(eligible, design.questions, design.stimuli.duration_s, rng_clips)
    spare = [clip for clip in eligible if clip.id not in {clip.id for clip in chosen}]
    takes, notes = _cast(archive, design, compared, chosen, spare, rng_numbers)
    casting = _casting(takes, chosen, compared)
    sessions, repeats = make_sessions(design, casting, raters, rng_sessions)
    staging = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        sounds, hashes = _write_media(archive, design, takes, staging / "media")
        key = Key(
            seed=seed,
            salt=rng_numbers.bytes(16).hex(),
            systems=tuple(compared),
            clips=tuple(clip.id for clip in chosen),
            sounds=sounds,
            beeps={take.number: take.beeps for take in takes if take.role == "attention"},
            repeats=repeats,
            not_eligible=not_eligible,
        )
        plan = Plan(
            design=design,
            overrides=tuple(overrides),
            protocol=record.protocol.name,
            sounds_sha256=hashes,
            examples=_examples(design, takes),
            sessions=tuple(sessions),
            notes=tuple(notes),
            key_sha256=sha256_of(key),
        )
        _write_packet(staging, plan)
        write_text(key_path, canonical(key).decode() + "\n")
        key_path.chmod(0o600)
        staging.replace(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return MadePacket(out, key_path, plan, sha256_of(plan))


def _require_places(out: Path, key_path: Path, raters: int) -> None:
    if raters < 1:
        raise fail("a test needs raters", "--raters", found=raters, expected="1 or more")
    if out.exists():
        raise fail("packet folder exists", out, remedy="Name a new folder, or remove this one.")
    if key_path.exists():
        raise fail(
            "key file exists", key_path, remedy="Name another file with --key; a key is never overwritten."
        )
    if key_path.resolve().is_relative_to(out.resolve()):
        raise fail(
            "key would lie in the packet", key_path, expected=f"a place outside {out}", remedy="Move it."
        )


def _compared_systems(
    cards: Mapping[str, Mapping[str, object]], design: Design, wanted: Sequence[str]
) -> list[str]:
    compared = list(wanted) or [name for name, card in cards.items() if card.get("role") == "system"]
    unknown = [name for name in compared if name not in cards]
    if unknown:
        raise fail(
            "system is not in the run", ", ".join(unknown), expected=", ".join(cards), remedy="Check --systems."
        )
    compared = [name for name in compared if name != REFERENCE]
    if design.presentation.reference != "none":
        compared.append(REFERENCE)
    shown = len(compared) - (design.presentation.reference == "extra")
    if shown < (2 if design.kind == "forced-choice" else 1):
        raise fail(
            "too few systems to compare",
            "--systems",
            found=", ".join(compared) or "none",
            expected="two for a forced choice, one for ratings",
            remedy=f"Name rows of the run, also controls: {', '.join(cards)}.",
        )
    return compared


def _cast(
    archive: RunArchive,
    design: Design,
    compared: Sequence[str],
    chosen: Sequence[Clip],
    spare: Sequence[Clip],
    rng: np.random.Generator,
) -> tuple[list[_Take], list[str]]:
    """List every media file of the packet under a random number."""
    show = design.presentation
    notes = []
    takes = [_Take("", clip, system, "test", clip) for clip in chosen for system in compared]
    if show.attention_pages:
        takes += [_Take("", chosen[0], "beeps", "attention", chosen[0], beeps=n + 1) for n in range(POINTS)]
    training = spare[: show.training_pages]
    if len(training) < show.training_pages:
        notes.append(f"{len(training)} of {show.training_pages} training pages: no more clips outside the test")
    shown = [name for name in compared if not (show.reference == "extra" and name == REFERENCE)]
    for index, clip in enumerate(training):
        size = {"together": len(shown), "single": 1, "pair": 2}[show.page]
        names = [shown[(index + step) % len(shown)] for step in range(size)]
        takes += [_Take("", clip, name, "training", clip) for name in names]
    examples, why_not = _cast_examples(archive, design, spare)
    takes += examples
    notes += why_not
    digits = max(3, len(str(len(takes))))
    numbers = rng.permutation(len(takes)) + 1
    numbered = [
        _Take(f"{number:0{digits}d}", t.clip, t.system, t.role, t.sound_of, t.beeps, t.spoil)
        for number, t in zip(numbers, takes, strict=True)
    ]
    return numbered, notes


def _cast_examples(archive: RunArchive, design: Design, spare: Sequence[Clip]) -> tuple[list[_Take], list[str]]:
    """For each criterion a lowest and a highest example, made of ground truth of clips outside the test."""
    with_truth = [clip for clip in spare if archive.audio_wav(REFERENCE, clip).is_file()]
    takes = []
    notes = []
    for criterion in design.criteria:
        pair = _example_clips(criterion, with_truth)
        if pair is None:
            notes.append(
                f"no examples for {criterion.name}: no clips outside the test with ground truth that serve"
            )
            continue
        clip, other = pair
        spoil = criterion.low_example if criterion.low_example in ("late", "noisy") else "none"
        takes.append(_Take("", clip, f"{criterion.name}:1", "example", other, spoil=spoil))
        takes.append(_Take("", clip, f"{criterion.name}:{POINTS}", "example", clip))
    return takes, notes


def _example_clips(criterion: Criterion, clips: Sequence[Clip]) -> tuple[Clip, Clip] | None:
    for clip in clips:
        for other in clips:
            fits = {
                "late": other is clip,
                "noisy": other is clip,
                "other-clip": other.source != clip.source,
                "other-material": bool(clip.material and other.material) and other.material != clip.material,
                "other-action": bool(clip.action and other.action) and other.action != clip.action,
            }
            if fits[criterion.low_example]:
                return clip, other
    return None


def _casting(takes: Sequence[_Take], chosen: Sequence[Clip], compared: Sequence[str]) -> Casting:
    training: dict[str, list[str]] = {}
    for take in takes:
        if take.role == "training":
            training.setdefault(take.clip.id, []).append(take.number)
    return Casting(
        clips=tuple(clip.id for clip in chosen),
        systems=tuple(compared),
        test={(take.clip.id, take.system): take.number for take in takes if take.role == "test"},
        attention=[take.number for take in takes if take.role == "attention"],
        training=[tuple(numbers) for numbers in training.values()],
    )


def _examples(design: Design, takes: Sequence[_Take]) -> tuple[Example, ...]:
    made = {take.system: take.number for take in takes if take.role == "example"}
    return tuple(
        Example(criterion=criterion.name, score=score, sound=made[f"{criterion.name}:{score}"])
        for criterion in design.criteria
        for score in (1, POINTS)
        if f"{criterion.name}:{score}" in made
    )


def _write_media(
    archive: RunArchive, design: Design, takes: Sequence[_Take], folder: Path
) -> tuple[dict[str, Sound], dict[str, str]]:
    """Write the media clip by clip; all files of a clip share one picture and have one size and one date."""
    folder.mkdir(parents=True)
    sounds: dict[str, Sound] = {}
    hashes: dict[str, str] = {}
    by_clip: dict[str, list[_Take]] = {}
    for take in takes:
        by_clip.setdefault(take.clip.id, []).append(take)
    for own in by_clip.values():
        clip = own[0].clip
        duration_s = min(design.stimuli.duration_s, clip.duration_s)
        picture = encode_picture(read_picture(clip, design.stimuli, duration_s))
        files = {}
        for take in own:
            prepared = prepare_sound(_sound_of(archive, take, duration_s), design.stimuli, duration_s)
            files[take.number] = mux(picture, prepared.audio)
            sounds[take.number] = Sound.model_validate(
                {
                    "clip": clip.id,
                    "system": take.system,
                    "role": take.role,
                    "gain_db": prepared.gain_db,
                    "clipped_samples": prepared.clipped_samples,
                }
            )
        size = max(len(data) for data in files.values()) + 8
        for number, data in files.items():
            padded = pad_mp4(data, size)
            hashes[number] = hashlib.sha256(padded).hexdigest()
            _write_undated(folder / f"{number}.mp4", padded)
    return sounds, hashes


def _sound_of(archive: RunArchive, take: _Take, duration_s: float) -> Audio:
    if take.role == "attention":
        return beeps(take.beeps, duration_s, CHECK_RATE)
    system = REFERENCE if take.role == "example" else take.system
    audio = read_wav(archive.audio_wav(system, take.sound_of))
    if take.spoil == "late":
        shift = round(0.5 * duration_s * audio.sample_rate)
        return Audio(np.roll(audio.samples[: 2 * shift], shift, axis=0), audio.sample_rate)
    if take.spoil == "noisy":
        rng = np.random.default_rng(0)
        level = max(float(np.sqrt(np.mean(np.square(audio.samples)))), 1e-3)
        noise = rng.standard_normal(audio.samples.shape).astype(np.float32) * 1.5 * level
        return Audio(np.clip(audio.samples + noise, -1, 1), audio.sample_rate)
    return audio


def _write_packet(folder: Path, plan: Plan) -> None:
    checks = folder / "check"
    checks.mkdir()
    for name, late_s in LATENCY_CHECK:
        _write_undated(checks / f"{name}.mp4", flash_and_click(late_s))
    _write_undated(checks / "beeps.mp4", _check_beeps())
    (folder / "plan.json").write_bytes(canonical(plan) + b"\n")
    (folder / "plan.sha256").write_text(f"{sha256_of(plan)}  plan.json\n", encoding="ascii")
    (folder / "index.html").write_text(render_rater_page(plan, plan.sessions), encoding="utf-8")
    (folder / "README.txt").write_text(_readme(plan), encoding="utf-8")
    for path in _walk(folder):
        os.utime(path, (0, 0))


def _check_beeps() -> bytes:
    from fractions import Fraction

    from clapstick.reports.survey.stimuli import Picture

    dark = np.full((180, 320, 3), 40, dtype=np.uint8)
    return mux(encode_picture(Picture([dark] * 75, Fraction(25))), beeps(CHECK_BEEPS, 3.0, CHECK_RATE))


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _write_undated(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, (0, 0))


def _readme(plan: Plan) -> str:
    design = plan.design
    loudness = {
        "none": "the standardised sound of the run, no gain",
        "peak": f"peak at {design.stimuli.loudness_target_db:g} dBFS",
        "lufs": f"{design.stimuli.loudness_target_db:g} LUFS (BS.1770), peak below -1 dBFS",
    }[design.stimuli.loudness]
    return (
        f"{design.title}\n\n"
        "Open index.html in a browser and type a rater's code, or open index.html#CODE.\n"
        "Answers stay in the browser and are saved as a file at the end; send that file back.\n\n"
        f"Clips: the first {design.stimuli.duration_s:g} s. Loudness: {loudness}.\n"
        "Sound: FLAC in mp4, 16 bit. Media numbers are random; files of one clip have one size.\n"
        f"Raters: {len(plan.sessions)}. Plan: SHA-256 {sha256_of(plan)}\n"
    )
