"""Greatest Hits (Owens et al., CVPR 2016) in its published folder form; the synthetic hits have the same form.

Conventions
-----------
A recording is `<video>_denoised.mp4` with `<video>_denoised.wav` and `<video>_times.txt`. Lines of the times
file are ``time material action reaction``, time in seconds from the start of the recording, ``None`` where the
annotator did not say. `train.txt` and `test.txt` name one video a line. Clip ids are ``<video>_<k>`` for the
k-th window, as in the lists of jnwnlee/video-foley, filelists/GreatestHits, and ``<video>`` where a recording
gives one clip.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import Listing, Reader
from clapstick.protocols.readers.windows import windows

MATERIALS = (
    "carpet", "ceramic", "cloth", "dirt", "drywall", "glass", "grass", "gravel", "leaf", "metal", "paper",
    "plastic", "plastic-bag", "rock", "tile", "water", "wood",
)  # fmt: skip
ACTIONS = ("hit", "scratch")
REACTIONS = ("deform", "rigid-motion", "scatter", "splash", "static")
NOT_SAID = "None"

_LENGTH_TOLERANCE_S = 0.1
"""Picture and sound of a recording may differ by this much: the encoder's padding and the last frame."""


@dataclass(frozen=True)
class Recording:
    """One recording of the folder: its files, its length and its annotations."""

    name: str
    video: Path
    duration_s: float
    sound: Path | None
    sound_missing: str | None
    onsets: tuple[Onset, ...] | None
    warnings: tuple[str, ...] = ()


def read(folder: Path, rules: DatasetRules) -> Listing:
    """Read the clips of a split, in the order of its list, with every problem of the folder.

    A recording without a usable picture gives no clip. One without sound or annotations gives clips that say
    so, so that what needs neither is still computed.

    Raises
    ------
    ClapstickError
        If the folder or the list of the split is missing: then nothing can be read at all.
    """
    names, problems = split_names(folder, rules.split)
    clips: list[Clip] = []
    for name in names:
        recording, found = read_recording(folder, name)
        problems += found
        if recording is None:
            continue
        cut = make_clips(recording, rules)
        if not cut:
            problems.append(_too_short(recording, rules))
        clips += cut
    return Listing(tuple(clips), tuple(problems))


def split_names(folder: Path, split: str) -> tuple[list[str], list[Problem]]:
    """Return the videos of a split in the order of its list, without those whose name is not usable."""
    if not folder.is_dir():
        raise fail("data folder is missing", folder, remedy="Give the folder with --data.")
    problems: list[Problem] = []
    if split == "all":
        listed = sorted(path.name.removesuffix("_denoised.mp4") for path in folder.glob("*_denoised.mp4"))
        if not listed:
            raise fail(
                "no recording", folder, expected="files named <video>_denoised.mp4", remedy="Check --data."
            )
        where = folder
    else:
        where = folder / f"{split}.txt"
        if not where.is_file():
            raise fail(
                "list of the split is missing",
                where,
                remedy=f"Put {split}.txt with one video name a line there, or use split all.",
            )
        listed = [line.strip() for line in where.read_text(encoding="utf-8").splitlines() if line.strip()]
        problems += _split_overlap(folder, split, listed)
    names: list[str] = []
    seen: dict[str, str] = {}
    for name in listed:
        if not is_plain_name(name):
            problems.append(
                Problem(
                    what="video name leaves the folder",
                    where=str(where),
                    found=repr(name),
                    expected="a file name without path",
                    remedy="Mend the list.",
                )
            )
        elif name.casefold() in seen:
            same = seen[name.casefold()]
            problems.append(
                Problem(
                    what="video is listed twice" if same == name else "video names differ in case only",
                    where=str(where),
                    found=name if same == name else f"{same} and {name}",
                    expected="each video once",
                    remedy="Remove one from the list.",
                )
            )
        else:
            seen[name.casefold()] = name
            names.append(name)
    return names, problems


def is_plain_name(name: str) -> bool:
    """Whether a listed name is a bare file name: no separators, no drive, no `..`, no control characters."""
    return name not in {".", ".."} and not any(mark in name for mark in "/\\\0:") and name.isprintable()


def read_recording(folder: Path, name: str) -> tuple[Recording | None, list[Problem]]:
    """Look at one recording's files; None where its picture cannot be used, with every problem found."""
    problems: list[Problem] = []
    video = folder / f"{name}_denoised.mp4"
    try:
        info = probe(video)
    except ClapstickError as error:
        info = None
        problems += error.problems
    if info is not None and not info.has_video:
        problems.append(
            Problem(what="no video stream", where=str(video), remedy="Download the recording again.")
        )
        info = None
    onsets, found = read_times(folder / f"{name}_times.txt")
    problems += found
    sound = folder / f"{name}_denoised.wav"
    try:
        sound_s = _sound_duration_s(sound)
    except ClapstickError as error:
        problems += error.problems
        sound_s = None
    if info is None:
        return None, problems
    recording = Recording(
        name=name,
        video=video,
        duration_s=info.duration_s,
        sound=None if sound_s is None else sound,
        sound_missing=None if sound_s is not None else problems[-1].what,
        onsets=onsets,
    )
    if sound_s is not None and abs(sound_s - info.duration_s) > _LENGTH_TOLERANCE_S:
        problem = Problem(
            what="sound and picture differ in length",
            where=str(sound),
            found=f"{sound_s:.3f} s of sound",
            expected=f"{info.duration_s:.3f} s as {video.name}",
            remedy="Check whether the files belong together.",
        )
        problems.append(problem)
        recording = replace(recording, warnings=(f"{problem.what}: {problem.found}, {problem.expected}",))
    return recording, problems


def read_times(path: Path) -> tuple[tuple[Onset, ...] | None, list[Problem]]:
    """Read a times file: onsets in time order, and every line that is wrong.

    A line whose time cannot be read makes the whole file unusable (None): what it leaves out would be scored as
    a false alarm. A word that is not a known label leaves that label out and keeps the onset.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [_times_problem(path, "annotations cannot be read", str(error))]
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return None, [_times_problem(path, "annotation file is empty", f"{len(text)} characters")]
    onsets: list[Onset] = []
    problems: list[Problem] = []
    usable = True
    for number, words in lines:
        onset, found = _parse_line(f"{path}:{number}", words)
        problems += found
        if onset is None:
            usable = False
        else:
            onsets.append(onset)
    return (tuple(sorted(onsets, key=lambda onset: onset.time_s)) if usable else None), problems


def make_clips(recording: Recording, rules: DatasetRules) -> list[Clip]:
    """Cut a recording into clips; onset times count from the start of each clip."""
    clips = []
    for index, start_s, duration_s in windows(recording.duration_s, rules):
        onsets = onsets_within(recording.onsets, start_s, duration_s)
        clips.append(
            Clip(
                id=f"{recording.name}_{index}" if rules.clip_hop_s else recording.name,
                source=recording.name,
                video=recording.video,
                start_s=start_s,
                duration_s=duration_s,
                reference=recording.sound,
                reference_start_s=start_s,
                reference_missing=recording.sound_missing,
                onsets=onsets,
                material=label_class(onset.material for onset in onsets) if onsets is not None else None,
                action=label_class(onset.action for onset in onsets) if onsets is not None else None,
                warnings=recording.warnings,
            )
        )
    return clips


def onsets_within(
    onsets: tuple[Onset, ...] | None, start_s: float, duration_s: float
) -> tuple[Onset, ...] | None:
    """Return the onsets in [start, start + duration), with times from the start; None stays None."""
    if onsets is None:
        return None
    return tuple(
        onset.model_copy(update={"time_s": round(onset.time_s - start_s, 6)})
        for onset in onsets
        if start_s <= onset.time_s < start_s + duration_s
    )


def label_class(labels: Iterable[str | None]) -> str:
    """Return the one label that is said, ``multiple`` where several are, ``None`` where none is."""
    said = {label for label in labels if label is not None}
    if not said:
        return NOT_SAID
    return said.pop() if len(said) == 1 else "multiple"


def _parse_line(where: str, words: list[str]) -> tuple[Onset | None, list[Problem]]:
    if len(words) != 4:
        return None, [
            Problem(
                what="annotation line does not parse",
                where=where,
                found=" ".join(words),
                expected="time material action reaction",
                remedy="Mend the line.",
            )
        ]
    try:
        time_s = float(words[0])
    except ValueError:
        time_s = float("nan")
    if not isfinite(time_s) or time_s < 0:
        return None, [
            Problem(
                what="annotation time is not a time",
                where=where,
                found=words[0],
                expected="seconds from the start",
                remedy="Mend the line.",
            )
        ]
    problems: list[Problem] = []
    labels: list[str | None] = []
    for word, known, kind in zip(
        words[1:], (MATERIALS, ACTIONS, REACTIONS), ("material", "action", "reaction"), strict=True
    ):
        label = None if word == NOT_SAID else word
        if label is not None and label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            problems.append(
                Problem(
                    what=f"unknown {kind}",
                    where=where,
                    found=label,
                    expected=", ".join((*known, NOT_SAID)),
                    remedy=f"Did you mean {near[0]}?" if near else "Mend the line.",
                )
            )
            label = None
        labels.append(label)
    return Onset(time_s=time_s, material=labels[0], action=labels[1], reaction=labels[2]), problems


def _times_problem(path: Path, what: str, found: str) -> Problem:
    return Problem(
        what=what,
        where=str(path),
        found=found,
        expected="lines of time material action reaction",
        remedy="Onset metrics and text prompts are not computed for this recording.",
    )


def _sound_duration_s(path: Path) -> float:
    import soundfile

    if not path.is_file():
        raise fail("reference wav is missing", path, remedy="What needs a reference is not computed for it.")
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise fail("reference wav cannot be read", path, found=error, remedy="Download it again.") from error
    if info.frames == 0:
        raise fail("reference wav holds no sample", path, remedy="Download it again.")
    return float(info.frames / info.samplerate)


def _split_overlap(folder: Path, split: str, listed: list[str]) -> list[Problem]:
    """Name the videos that the other list holds too: train and test must not share a recording."""
    other = folder / ("train.txt" if split == "test" else "test.txt")
    if split not in {"train", "test"} or not other.is_file():
        return []
    shared = Counter(listed).keys() & {line.strip() for line in other.read_text(encoding="utf-8").splitlines()}
    return [
        Problem(
            what="video is in the train list and in the test list",
            where=name,
            found=f"{split}.txt and {other.name}",
            expected="one of them",
            remedy="Remove it from one list.",
        )
        for name in sorted(shared - {""})
    ]


def _too_short(recording: Recording, rules: DatasetRules) -> Problem:
    return Problem(
        what="recording is shorter than a clip",
        where=str(recording.video),
        found=f"{recording.duration_s:.3f} s",
        expected=f"{rules.clip_start_s + rules.clip_duration_s:g} s",
        remedy="It gives no clip.",
    )


READER = Reader(
    name="greatest-hits",
    title="Greatest Hits",
    summary="977 recordings of a drumstick that hits and scratches things; onset times, materials, actions.",
    layout="<video>_denoised.mp4, <video>_denoised.wav, <video>_times.txt (time material action reaction), "
    "train.txt and test.txt with one video a line; <video>_mic.mp4 is left alone",
    source="https://andrewowens.com/vis/ (Owens et al., Visually Indicated Sounds, CVPR 2016)",
    splits=("test", "train", "all"),
    read=read,
)
