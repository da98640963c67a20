"""Any folder of videos: each file a recording, its own sound the reference, nothing annotated."""

from __future__ import annotations

from pathlib import Path

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import VIDEO_SUFFIXES, MediaInfo, probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import Listing, Reader, require_folder
from clapstick.protocols.readers.windows import choose, require_windows


def read(folder: Path, rules: DatasetRules) -> Listing:
    """Read every video of a folder and its sub-folders, in order of path, with every problem.

    A file that cannot be used gives no clip and a problem; a video without sound gives clips without reference.

    Raises
    ------
    ClapstickError
        If there is no such folder or no video in it.
    """
    require_folder(folder)
    paths = video_files(folder)
    if not paths:
        raise fail(
            "no video",
            folder,
            expected=f"files ending in {', '.join(sorted(VIDEO_SUFFIXES))}",
            remedy="Check --data.",
        )
    clips: list[Clip] = []
    problems: list[Problem] = []
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.relative_to(folder).with_suffix("").as_posix()
        first = seen.setdefault(name.casefold(), path)
        if first != path:
            problems.append(
                Problem(
                    what="two files give the same clip id",
                    where=str(path),
                    found=f"{name}, as {first.name}",
                    expected="different names",
                    remedy="Rename one; this one was left out.",
                )
            )
            continue
        try:
            clips += _clips_of(path, name, rules)
        except ClapstickError as error:
            problems += error.problems
    return Listing(choose(clips, rules), tuple(problems))


def video_files(folder: Path) -> list[Path]:
    """Return the video files of a folder and its sub-folders in order of path, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _clips_of(path: Path, name: str, rules: DatasetRules) -> list[Clip]:
    info = probe(path)
    if not info.has_video:
        raise fail("no video stream", path, remedy="Give a file with pictures.")
    cut = require_windows(info.duration_s, rules, path)
    missing, warnings = _sound_faults(info)
    return [
        Clip(
            id=f"{name}_{index}" if rules.clip_hop_s else name,
            source=name,
            video=path,
            start_s=start_s,
            duration_s=duration_s,
            reference=None if missing else path,
            reference_start_s=start_s,
            reference_missing=missing,
            warnings=warnings,
        )
        for index, start_s, duration_s in cut
    ]


def _sound_faults(info: MediaInfo) -> tuple[str | None, tuple[str, ...]]:
    """Return why there is no reference (None where there is one), and what is odd about the sound."""
    if not info.has_audio:
        return "the video has no audio stream", ()
    if info.audio_duration_s is not None and abs(info.audio_duration_s - info.duration_s) > 0.1:
        return None, (f"sound is {info.audio_duration_s:.3f} s long, picture {info.duration_s:.3f} s",)
    return None, ()


READER = Reader(
    name="folder",
    title="Any folder of videos",
    summary="Each video is a recording; its own sound, where it has one, is the reference.",
    layout="mp4, mkv, mov, avi or webm files, also in sub-folders; any size, frame rate and sample rate",
    source="your own",
    splits=("all",),
    read=read,
)
