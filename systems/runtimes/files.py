"""Runtime ``files``: sound that somebody else generated, one audio or video file a clip."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import SOUND_SUFFIXES, VIDEO_SUFFIXES, read_audio
from clapstick.protocols.problems import ClapstickError, fail
from clapstick.systems.base import NativeOutput
from clapstick.systems.card import FoundProgram, SystemCard
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.results import FailedClip, Generated

SOUNDS = "sounds"
"""Where a system of files keeps them, beside its card, unless the user's systems file names another folder."""


def sounds_folder(found: FoundProgram, options: RuntimeOptions) -> Path:
    """Return the folder with a system's generated files, whether or not it is there."""
    return options.folder or found.folder / SOUNDS


def read_folder(
    card: SystemCard, folder: Path, clips: Sequence[Clip], on_result: Callable[[Generated], None]
) -> list[FailedClip]:
    """Hand over the file of each clip, found by the clip's id or file stem.

    Raises
    ------
    ClapstickError
        If the folder is not there.
    """
    if not folder.is_dir():
        raise fail(
            "folder with generated files is missing",
            card.name,
            found=folder,
            expected=f'folder = "..." in [{card.name}], with <clip id>.wav or .mp4',
            remedy=card.card_note or "Add it to the systems file, see docs/official-systems.md.",
        )
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SOUND_SUFFIXES | VIDEO_SUFFIXES:
            by_stem.setdefault(path.stem, []).append(path)
    names = {name for clip in clips for name in _names_of(clip)}
    of_no_clip = [stem for stem in by_stem if stem not in names]
    failed = []
    for clip in clips:
        try:
            path = _one_file(clip, by_stem, folder, of_no_clip)
            audio = read_audio(path)
        except ClapstickError as error:
            failed.append(FailedClip(clip, error.problems[0]))
            continue
        on_result(Generated(clip, NativeOutput(audio, _rate_warning(card, audio.sample_rate)), 0.0, None))
    return failed


def _one_file(clip: Clip, by_stem: dict[str, list[Path]], folder: Path, of_no_clip: list[str]) -> Path:
    for stem in _names_of(clip):
        paths = by_stem.get(stem, [])
        if len(paths) == 1:
            return paths[0]
        if paths:
            raise fail(
                "more than one file for the clip",
                clip.id,
                found=", ".join(path.name for path in paths),
                expected="one",
                remedy="Remove the others.",
            )
    near = [name for wanted in _names_of(clip) for name in difflib.get_close_matches(wanted, of_no_clip, n=1)]
    raise fail(
        "no file for the clip",
        clip.id,
        found=f"nothing named {clip.file_stem} in {folder}",
        expected="wav, flac, ogg or a video with sound",
        remedy=f"Is it {near[0]}, which belongs to no clip? Rename it."
        if near
        else "Add it, or the clip counts as missing.",
    )


def _names_of(clip: Clip) -> tuple[str, ...]:
    """Return the names that a clip's file may have, without suffix."""
    return tuple(dict.fromkeys((clip.file_stem, clip.id, Path(clip.id).name)))


def _rate_warning(card: SystemCard, sample_rate: int) -> tuple[str, ...]:
    if card.sample_rate is None or card.sample_rate == sample_rate:
        return ()
    return (f"file has {sample_rate} Hz, the system's native rate is {card.sample_rate} Hz",)
