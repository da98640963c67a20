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

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.lists import CLIP_LISTS, clip_list, listed_videos
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.annotations import label_class, onsets_within, read_times
from clapstick.protocols.readers.base import Listing, Reader, require_folder
from clapstick.protocols.readers.windows import TOLERANCE_S, choose, choose_count, windows

LENGTH_TOLERANCE_S = 0.1
"""Picture and sound of a recording may differ by this much: the encoder's padding and the last frame."""

VIDEO_LISTS = {
    "condfoleygen-train": ("condfoleygen", "train"),
    "condfoleygen-valid": ("condfoleygen", "valid"),
    "condfoleygen-test": ("condfoleygen", "test"),
    "syncfusion-train": ("syncfusion", "train"),
    "syncfusion-valid": ("syncfusion", "valid"),
    "syncfusion-test": ("syncfusion", "test"),
    "video-foley-test-videos": ("video-foley", "test"),
}
"""Splits that name videos in other projects' lists: family and list."""


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
    require_folder(folder)
    if rules.split in CLIP_LISTS:
        return _read_clip_list(folder, rules)
    names, problems = split_names(folder, rules.split)
    clips: list[Clip] = []
    for name in names:
        recording, found = read_recording(folder, name)
        problems += found
        if recording is None:
            continue
        cut = make_clips(recording, rules)
        if not cut:
            problems.append(_too_short(recording, rules.clip_start_s + rules.clip_duration_s))
        clips += cut
    return Listing(choose(clips, rules), tuple(problems))


def split_names(folder: Path, split: str) -> tuple[list[str], list[Problem]]:
    """Return the videos of a split in the order of its list, without those whose name is not usable."""
    if split == "all":
        listed = sorted(path.name.removesuffix("_denoised.mp4") for path in folder.glob("*_denoised.mp4"))
        if not listed:
            raise fail(
                "no recording", folder, expected="files named <video>_denoised.mp4", remedy="Check --data."
            )
        return _usable_names(listed, folder)
    if split in VIDEO_LISTS:
        family, part = VIDEO_LISTS[split]
        return sorted(listed_videos(family, part)), []
    where = folder / f"{split}.txt"
    if not is_plain_name(split) or not where.is_file():
        raise fail(
            "list of the split is missing",
            where,
            expected=f"the file, or one of {', '.join((*CLIP_LISTS, *VIDEO_LISTS, 'all'))}",
            remedy=f"Put {split}.txt with one video name a line there, or use split all.",
        )
    listed = _lines(where)
    names, problems = _usable_names(listed, where)
    return names, _split_overlap(folder, split, listed) + problems


def is_plain_name(name: str) -> bool:
    """Whether a listed name is a bare file name: no separators, no drive, no `..`, no control characters."""
    return name not in {".", ".."} and not any(mark in name for mark in "/\\\0:") and name.isprintable()


def read_recording(folder: Path, name: str) -> tuple[Recording | None, list[Problem]]:
    """Look at one recording's files; None where its picture cannot be used, with every problem found."""
    problems: list[Problem] = []
    video_s = sound_s = None
    video, sound = folder / f"{name}_denoised.mp4", folder / f"{name}_denoised.wav"
    try:
        video_s = _picture_duration_s(video)
    except ClapstickError as error:
        problems += error.problems
    onsets, found = read_times(folder / f"{name}_times.txt")
    problems += found
    sound_missing = None
    try:
        sound_s = sound_duration_s(sound)
    except ClapstickError as error:
        problems += error.problems
        sound_missing = error.problems[0].what
    if video_s is None:
        return None, problems
    warnings: tuple[str, ...] = ()
    if sound_s is not None and abs(sound_s - video_s) > LENGTH_TOLERANCE_S:
        problem = Problem(
            what="sound and picture differ in length",
            where=str(sound),
            found=f"{sound_s:.3f} s of sound",
            expected=f"{video_s:.3f} s as {video.name}",
            remedy="Check whether the files belong together.",
        )
        problems.append(problem)
        warnings = (f"{problem.what}: {problem.found}, {problem.expected}",)
    usable_sound = None if sound_missing else sound
    return Recording(name, video, video_s, usable_sound, sound_missing, onsets, warnings), problems


def make_clips(recording: Recording, rules: DatasetRules) -> list[Clip]:
    """Cut a recording into clips; onset times count from the start of each clip."""
    return [
        make_clip(recording, f"{recording.name}_{index}" if rules.clip_hop_s else recording.name, start, length)
        for index, start, length in windows(recording.duration_s, rules)
    ]


def make_clip(recording: Recording, clip_id: str, start_s: float, duration_s: float) -> Clip:
    """Describe one stretch of a recording; material and action are classes, as `label_class` makes them."""
    onsets = onsets_within(recording.onsets, start_s, duration_s)
    return Clip(
        id=clip_id,
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


def sound_duration_s(path: Path) -> float:
    """Return the length of a wav in seconds; raise `ClapstickError` where it is missing, damaged or empty."""
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


def _read_clip_list(folder: Path, rules: DatasetRules) -> Listing:
    """Read exactly the clips of a published list, with the material that the list gives them."""
    if (rules.clip_start_s, rules.clip_duration_s, rules.clip_hop_s) != (0.0, 10.0, 10.0):
        raise fail(
            "the split is a list of 10 s clips",
            f"split {rules.split}",
            found=f"start {rules.clip_start_s:g}, duration {rules.clip_duration_s:g}, hop {rules.clip_hop_s:g}",
            expected="start 0, duration 10, hop 10",
            remedy="Use split video-foley-test-videos to cut these videos in another way.",
        )
    wanted: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for row in clip_list(rules.split).itertuples():
        wanted[str(row.video)].append((str(row.clip_id), int(str(row.index)), str(row.material)))
    clips: list[Clip] = []
    problems: list[Problem] = []
    for name in sorted(wanted):
        recording, found = read_recording(folder, name)
        problems += found
        if recording is None:
            continue
        for clip_id, index, material in sorted(wanted[name], key=lambda entry: entry[1]):
            start_s = index * rules.clip_hop_s
            if start_s + rules.clip_duration_s > recording.duration_s + TOLERANCE_S:
                problems.append(_too_short(recording, start_s + rules.clip_duration_s))
                continue
            clip = make_clip(recording, clip_id, start_s, rules.clip_duration_s)
            clips.append(_with_listed_material(clip, material))
    return Listing(choose_count(clips, rules), tuple(problems))


def _with_listed_material(clip: Clip, material: str) -> Clip:
    warnings = clip.warnings
    if clip.material is not None and clip.material != material:
        warnings = (*warnings, f"the list says material {material}, the times file {clip.material}")
    return clip.model_copy(update={"material": material, "warnings": warnings})


def _usable_names(listed: list[str], where: Path) -> tuple[list[str], list[Problem]]:
    names: list[str] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for name in listed:
        same = seen.setdefault(name.casefold(), name)
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
        elif name in names or same != name:
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
            names.append(name)
    return names, problems


def _split_overlap(folder: Path, split: str, listed: list[str]) -> list[Problem]:
    """Name the videos that the other list holds too: train and test must not share a recording."""
    other = folder / ("train.txt" if split == "test" else "test.txt")
    if split not in {"train", "test"} or not other.is_file():
        return []
    return [
        Problem(
            what="video is in the train list and in the test list",
            where=name,
            found=f"{split}.txt and {other.name}",
            expected="one of them",
            remedy="Remove it from one list.",
        )
        for name in sorted(set(listed) & set(_lines(other)))
    ]


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail("list cannot be read", path, found=error, remedy="Save it as UTF-8 text.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _picture_duration_s(path: Path) -> float:
    info = probe(path)
    if not info.has_video:
        raise fail("no video stream", path, remedy="Download the recording again.")
    return info.duration_s


def _too_short(recording: Recording, end_s: float) -> Problem:
    return Problem(
        what="recording is shorter than a clip",
        where=str(recording.video),
        found=f"{recording.duration_s:.3f} s",
        expected=f"{end_s:g} s",
        remedy="The clip is left out.",
    )


READER = Reader(
    name="greatest-hits",
    title="Greatest Hits",
    summary="977 recordings of a drumstick that hits and scratches things; onset times, materials, actions.",
    layout="<video>_denoised.mp4, <video>_denoised.wav, <video>_times.txt (time material action reaction), "
    "train.txt and test.txt with one video a line; <video>_mic.mp4 is left alone",
    source="https://andrewowens.com/vis/ (Owens et al., Visually Indicated Sounds, CVPR 2016)",
    splits=("test", "train", "all", *CLIP_LISTS, *VIDEO_LISTS),
    read=read,
)
