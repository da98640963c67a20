"""Walking The Maps (FOL-AI): clips of walks in video games, named ``ID_start_end.mp4``.

ID is the YouTube id of the whole video, start and end are its seconds. Clips of one video share their source.
The published sound is meant to be separated ("footstep sounds"): separation is left to the user, who puts the
result beside the video as ``ID_start_end.wav``; it is then the reference, and every clip says so.
"""

from __future__ import annotations

import re
from pathlib import Path

from clapstick.protocols.checksums import survivors
from clapstick.protocols.clips import Clip
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import Listing, Reader, require_folder
from clapstick.protocols.readers.folder import video_files
from clapstick.protocols.readers.windows import choose, require_windows

SEPARATED = "the reference is a wav beside the video, made from its sound outside this project"
NAME = re.compile(r"^(?P<id>[A-Za-z0-9_-]{11})_(?P<start>\d+(?:\.\d+)?)_(?P<end>\d+(?:\.\d+)?)$")
LENGTH_TOLERANCE_S = 0.5
"""A file may differ from end - start by this much: cuts fall on key frames."""


def read(folder: Path, rules: DatasetRules) -> Listing:
    """Read every clip whose name follows the data set, in order of name, with every problem.

    Files that ``checksums.csv`` lists and that are gone are problems too, and the clips of the rest carry the
    name of the surviving subset.

    Raises
    ------
    ClapstickError
        If there is no such folder, or no video in it.
    """
    require_folder(folder)
    paths = video_files(folder)
    if not paths:
        raise fail("no video", folder, expected="files named ID_start_end.mp4", remedy="Check --data.")
    clips: list[Clip] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            clips += _clips_of(path, rules)
        except ClapstickError as error:
            problems += error.problems
    subset, gone = survivors(folder, READER.name)
    return Listing(choose(clips, rules), (*problems, *gone), subset)


def _clips_of(path: Path, rules: DatasetRules) -> list[Clip]:
    match = NAME.match(path.stem)
    if match is None:
        raise fail(
            "name does not follow the data set",
            path,
            found=path.name,
            expected="ID_start_end.mp4 with an ID of 11 characters and seconds",
            remedy="Rename it, or use the folder protocol.",
        )
    named_s = float(match["end"]) - float(match["start"])
    if named_s <= 0:
        raise fail(
            "clip ends before it starts",
            path,
            found=f"{match['start']} to {match['end']} s",
            remedy="Rename it after the seconds that it shows.",
        )
    info = probe(path)
    if not info.has_video:
        raise fail("no video stream", path, remedy="Cut the clip again.")
    separated = path.with_suffix(".wav")
    reference = separated if separated.is_file() else path if info.has_audio else None
    warnings = [SEPARATED] if reference == separated else []
    if abs(info.duration_s - named_s) > LENGTH_TOLERANCE_S:
        warnings.append(f"the file is {info.duration_s:.2f} s long, its name says {named_s:.2f} s")
    cut = require_windows(info.duration_s, rules, path)
    return [
        Clip(
            id=f"{path.stem}_{index}" if rules.clip_hop_s else path.stem,
            source=match["id"],
            video=path,
            start_s=start_s,
            duration_s=duration_s,
            reference=reference,
            reference_start_s=start_s,
            reference_missing=None if reference else "the video has no audio stream",
            caption="footsteps",
            warnings=tuple(warnings),
        )
        for index, start_s, duration_s in cut
    ]


READER = Reader(
    name="walking-the-maps",
    title="Walking The Maps",
    summary="893 clips of 2.04 to 72.05 s from walkthroughs of four video games, in which footsteps are heard.",
    layout="ID_start_end.mp4 (YouTube id, seconds); ID_start_end.wav where footsteps were separated; "
    "checksums.csv where `clapstick data checksums` was run",
    source="FOL-AI, section V.A.2; the clips have to be cut from YouTube videos, some of which are gone",
    splits=("all",),
    read=read,
)
