"""Reads what a system outside this process has written, trusting none of it.

Files are opened once, without following links and without waiting, and are checked through the open handle. A
path never comes from the system. Sizes are bounded before anything is read.
"""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import BinaryIO

import numpy as np

from clapstick.protocols.audio import Audio, require_finite
from clapstick.protocols.problems import Problem, fail
from clapstick.systems.runner_protocol import LONGEST_LINE_BYTES, Done

_HIGHEST_RATE = 384_000
_MOST_CHANNELS = 16
_SPARE_S = 60.0
_TIMES_CLIP = 4.0
_SAMPLE_BYTES = 8


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; refuse links, devices, pipes and files that have a second name.

    Raises
    ------
    ClapstickError
        If it is missing or no plain file of this folder.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        kind = "a symbolic link" if path.is_symlink() else error.strerror
        raise fail(
            "output is missing or no plain file",
            path.name,
            found=kind,
            expected="a file that the system wrote",
            remedy="The system is at fault; see its log.",
        ) from error
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1:
        os.close(handle)
        raise fail(
            "output is no plain file",
            path.name,
            found="a hard link" if stat.S_ISREG(state.st_mode) else "a pipe, device or folder",
            expected="a file that the system wrote",
            remedy="The system is at fault; see its log.",
        )
    return os.fdopen(handle, "rb")


class ResultsTail:
    """The complete lines that were appended to the results stream since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: BinaryIO | None = None
        self._rest = b""

    def new_lines(self) -> list[bytes]:
        """Return complete new lines.

        Raises
        ------
        ClapstickError
            If the stream is no plain file or a line is longer than the protocol allows.
        """
        if self._handle is None:
            if not self._path.exists() and not self._path.is_symlink():
                return []
            self._handle = open_regular(self._path)
        self._rest += self._handle.read(LONGEST_LINE_BYTES + 1 - len(self._rest))
        lines = self._rest.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE_BYTES:
            raise fail(
                "results line is too long",
                self._path.name,
                found=f"more than {LONGEST_LINE_BYTES} bytes",
                remedy="The system is at fault; see its log.",
            )
        return [line for line in lines if line.strip()]

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            self._handle.close()


def read_output(path: Path, done: Done, duration_s: float) -> tuple[Audio, tuple[str, ...]]:
    """Read one native wav and hold it against what the runner said of it.

    Returns
    -------
    audio : Audio
    warnings : tuple of str
        Where the file is not float32, or samples lie beyond full scale.

    Raises
    ------
    ClapstickError
        If it is no plain wav, is far longer than was asked for, differs from its line, or holds NaN.
    """
    import soundfile

    longest_s = _TIMES_CLIP * duration_s + _SPARE_S
    with open_regular(path) as handle:
        size = os.fstat(handle.fileno()).st_size
        most = round(longest_s * _HIGHEST_RATE * 2 * _SAMPLE_BYTES)
        if size > most:
            raise _too_large(path, f"{size} bytes", f"at most {most} bytes")
        try:
            sound = soundfile.SoundFile(handle)
        except (soundfile.LibsndfileError, OSError) as error:
            raise fail(
                "output is no wav file", path.name, found=error, remedy="The system is at fault; see its log."
            ) from error
        with sound:
            if sound.samplerate > _HIGHEST_RATE or sound.channels > _MOST_CHANNELS:
                raise _too_large(path, f"{sound.channels} channels at {sound.samplerate} Hz", "sound")
            if sound.frames > longest_s * sound.samplerate:
                raise _too_large(path, f"{sound.frames / sound.samplerate:.1f} s", f"about {duration_s} s")
            subtype = sound.subtype
            audio = Audio(sound.read(dtype="float32", always_2d=True), int(sound.samplerate))
    if (audio.samples.shape[0], audio.sample_rate) != (done.samples, done.sample_rate):
        raise fail(
            "output is not what its results line says",
            path.name,
            found=f"{audio.samples.shape[0]} samples at {audio.sample_rate} Hz",
            expected=f"{done.samples} samples at {done.sample_rate} Hz",
            remedy="The system is at fault; see its log.",
        )
    require_finite(audio, path.name)
    warnings = []
    if subtype != "FLOAT":
        warnings.append(f"native wav is {subtype}, not float32")
    beyond = int((np.abs(audio.samples) > 1).sum())
    if beyond:
        warnings.append(f"{beyond} samples lie beyond full scale")
    return audio, tuple(warnings)


def folder_bytes(folder: Path, at_most: int) -> int:
    """Return the bytes that a folder's files take on disk; stop counting beyond `at_most`."""
    total = 0
    waiting = [folder]
    while waiting and total <= at_most:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue  # went away between two looks
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                total += entry.stat(follow_symlinks=False).st_blocks * 512
            except OSError:
                continue
    return total


def remove(path: Path) -> None:
    """Remove a file, link or folder that a system may have made, however deep; links are not followed."""
    subprocess.run(["rm", "-rf", "--", str(path)], check=False, stderr=subprocess.DEVNULL)


def as_problem(where: str, error: str, traceback: str, who: str = "system") -> Problem:
    """Turn a runner's own account of a failed clip into a problem."""
    last = traceback.strip().splitlines()[-4:]
    return Problem(
        what=f"{who} failed on the clip",
        where=where,
        found=error + (f" ({' | '.join(line.strip() for line in last)})" if last else ""),
        remedy=f"The whole trace is in the {who}'s log.",
    )


def _too_large(path: Path, found: str, expected: str) -> Exception:
    return fail(
        "output is far larger than was asked for",
        path.name,
        found=found,
        expected=expected,
        remedy="The system is at fault; see its log.",
    )
