"""Cutting a data set into clip files with ffmpeg: once, in parallel, from where it stopped.

::

    OUT/clips/<clip>.mp4, .wav   picture without sound at 30 fps and 256 lines; reference at the protocol's rate
    OUT/manifest.csv             the clips, as the reader ``manifest`` reads them
    OUT/checksums.csv            size and SHA-256 of every clip file
    OUT/lint.csv                 clip, fault and what was found
    OUT/prepared.jsonl           journal: what was made from which input
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np

from clapstick.protocols.archive import write_text
from clapstick.protocols.audio import read_wav
from clapstick.protocols.checksums import CHECKSUMS, FileRecord
from clapstick.protocols.clips import Clip
from clapstick.protocols.lint import FRAME_SIDE, FRAMES_A_SECOND, Finding, lint_media
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import Protocol
from clapstick.protocols.readers.base import find_reader, require_folder

VERSION = 1
"""Raised whenever the same input gives other files."""
FPS = 30
HEIGHT = 256
JOURNAL = "prepared.jsonl"
LINT = "lint.csv"
MANIFEST = "manifest.csv"
_INPUTS = "inputs.json"

Begin = Callable[[int], None]
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Made:
    """One prepared clip, as the journal holds it."""

    clip: str
    inputs: str
    """Digest of the input files' names, sizes and times, of the stretch and of the settings."""
    files: tuple[tuple[str, int, str], ...]
    """Name in `clips`, bytes and SHA-256 of each file."""
    findings: tuple[tuple[str, str], ...]
    """Fault and what was found."""


@dataclass(frozen=True)
class Preparation:
    """What a call of `prepare` found and did."""

    clips: int
    made: int
    kept: int
    findings: tuple[tuple[str, str, str], ...]
    """Clip, fault, what was found."""
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Progress:
    begin: Begin
    advance: Advance


def prepare(
    data: Path,
    protocol: Protocol,
    out: Path,
    *,
    workers: int | None = None,
    begin: Begin = lambda total: None,
    advance: Advance = lambda steps: None,
) -> Preparation:
    """Cut every clip of a protocol into files of its own, and look for faults on the way.

    A clip whose files are there, made from the same input with the same settings, is kept. Interrupted at any
    moment, the next call goes on from there.

    Parameters
    ----------
    data : Path
        Data folder as the protocol's reader wants it.
    protocol : Protocol
        Which clips, and rate and channels of their sound.
    out : Path
        Folder to fill.
    workers : int, optional
        ffmpeg processes at a time; one a processor where None.
    begin, advance : callable
        Told how many clips are to be made, and of each that is done.

    Raises
    ------
    ClapstickError
        If ffmpeg is missing, or the data folder cannot be read at all.
    """
    inputs = _folder_digest(data, protocol)
    journal = _read_journal(out)
    done = _unchanged(out, inputs, journal)
    if done is not None:
        return done
    if shutil.which("ffmpeg") is None:
        raise fail("ffmpeg is missing", "PATH", remedy="Install it: apt-get install ffmpeg.")
    listing = find_reader(protocol.dataset.reader).read(data, protocol.dataset)
    (out / "clips").mkdir(parents=True, exist_ok=True)
    wanted = {clip.id: _clip_digest(clip, protocol) for clip in listing.clips}
    kept = {
        clip_id: made
        for clip_id, made in journal.items()
        if wanted.get(clip_id) == made.inputs and _files_are_there(out, made)
    }
    waiting = [clip for clip in listing.clips if clip.id not in kept]
    made, failed = _make_all(waiting, wanted, out, protocol, workers, _Progress(begin, advance))
    problems = (*listing.problems, *failed)
    together = {**kept, **made}
    ready = [clip for clip in listing.clips if clip.id in together]
    _write_tables(out, ready, together)
    _write_journal(out, together.values())
    record = {"digest": inputs, "clips": len(listing.clips), "problems": [p.model_dump() for p in problems]}
    write_text(out / _INPUTS, json.dumps(record, indent=1, ensure_ascii=False))
    return Preparation(len(listing.clips), len(made), len(kept), _findings(together), problems)


def _make_all(
    clips: Sequence[Clip],
    wanted: Mapping[str, str],
    out: Path,
    protocol: Protocol,
    workers: int | None,
    progress: _Progress,
) -> tuple[dict[str, Made], list[Problem]]:
    progress.begin(len(clips))
    made: dict[str, Made] = {}
    problems: list[Problem] = []
    with (
        ThreadPoolExecutor(workers or _processors()) as pool,
        (out / JOURNAL).open("a", encoding="utf-8") as journal,
    ):
        futures = {pool.submit(_make, clip, wanted[clip.id], out / "clips", protocol): clip for clip in clips}
        try:
            for future in as_completed(futures):
                try:
                    one = future.result()
                except ClapstickError as error:
                    problems += error.problems
                else:
                    made[one.clip] = one
                    journal.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
                    journal.flush()
                progress.advance(1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return made, sorted(problems, key=lambda problem: problem.where)


def _make(clip: Clip, inputs: str, folder: Path, protocol: Protocol) -> Made:
    stem = clip.file_stem
    scratch = folder / f".{stem}.{os.getpid()}"
    scratch.mkdir(exist_ok=True)
    try:
        frames = _run_ffmpeg(clip, scratch, protocol)
        findings = _lint(clip, scratch, frames, protocol.audio.sample_rate)
        files = []
        for made in ("clip.mp4", "clip.wav"):
            path = scratch / made
            if path.is_file():
                final = folder / f"{stem}{path.suffix}"
                with path.open("rb") as stream:
                    digest = file_digest(stream, "sha256").hexdigest()
                files.append((final.name, path.stat().st_size, digest))
                path.replace(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    faults = tuple((finding.fault, finding.found) for finding in findings)
    return Made(clip.id, inputs, tuple(files), faults)


def ffmpeg_command(clip: Clip, scratch: Path, protocol: Protocol, *, lint: bool = True) -> list[str]:
    """Return the command that cuts one clip: `clip.mp4`, `clip.wav`, and what the lint looks at.

    With `lint`, 64 x 64 grey pictures go to standard output and the video's own sound to `video.wav`.
    """
    rules = protocol.audio
    sound = ["-ac", str(rules.channels), "-ar", str(rules.sample_rate), "-c:a", "pcm_s16le"]
    command = [
        "ffmpeg",
        "-nostdin",
        "-hide_banner",
        "-v",
        "error",
        "-y",
        "-threads",
        "1",
        "-filter_threads",
        "1",
    ]
    command += _input(clip.video, clip.start_s, clip.duration_s)
    if clip.reference is not None:
        command += _input(clip.reference, clip.reference_start_s, clip.duration_s)
    command += [
        "-map",
        "0:v:0",
        "-vf",
        f"fps={FPS},scale=-2:{HEIGHT}",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
    ]
    command += ["-crf", "18", "-pix_fmt", "yuv420p", "-threads", "1", "-an", f"file:{scratch / 'clip.mp4'}"]
    if clip.reference is not None:
        command += ["-map", "1:a:0", *sound, f"file:{scratch / 'clip.wav'}"]
    if lint:
        if clip.reference not in (None, clip.video) and probe(clip.video).has_audio:
            command += ["-map", "0:a:0", *sound, f"file:{scratch / 'video.wav'}"]
        small = f"fps={FRAMES_A_SECOND},scale={FRAME_SIDE}:{FRAME_SIDE}:flags=area,format=gray"
        command += ["-map", "0:v:0", "-vf", small, "-f", "rawvideo", "pipe:1"]
    return command


def _input(path: Path, start_s: float, duration_s: float) -> list[str]:
    """Name a stretch of an input; a seek to 0 would pass over the first packet that an AAC decoder needs."""
    seek = ["-ss", f"{start_s:.6f}"] if start_s > 0 else []
    return [*seek, "-t", f"{duration_s:.6f}", "-i", f"file:{path}"]


def _run_ffmpeg(clip: Clip, scratch: Path, protocol: Protocol) -> bytes:
    ran = subprocess.run(ffmpeg_command(clip, scratch, protocol), capture_output=True, check=False)
    if ran.returncode != 0:
        said = ran.stderr.decode(errors="replace").strip().splitlines()
        raise fail(
            "ffmpeg could not cut the clip",
            clip.id,
            found=said[-1] if said else f"exit code {ran.returncode}",
            remedy=f"Check {clip.video.name} and the space on the disk; run the same command again.",
        )
    return ran.stdout


def _lint(clip: Clip, scratch: Path, frames: bytes, sample_rate: int) -> tuple[Finding, ...]:
    reference, own = scratch / "clip.wav", scratch / "video.wav"
    return lint_media(
        duration_s=clip.duration_s,
        frames=np.frombuffer(frames, dtype=np.uint8).reshape(-1, FRAME_SIDE, FRAME_SIDE),
        reference=read_wav(reference).mono if reference.is_file() else None,
        video_sound=read_wav(own).mono if own.is_file() else None,
        sample_rate=sample_rate,
    )


def _unchanged(out: Path, inputs: str, journal: Mapping[str, Made]) -> Preparation | None:
    """Return the earlier outcome where neither the input nor any made file has changed, None otherwise."""
    path = out / _INPUTS
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    if record["digest"] != inputs or not all(_files_are_there(out, made) for made in journal.values()):
        return None
    problems = tuple(Problem.model_validate(problem) for problem in record["problems"])
    if any(problem.what == "ffmpeg could not cut the clip" for problem in problems):
        return None
    return Preparation(record["clips"], 0, len(journal), _findings(journal), problems)


def _read_journal(out: Path) -> dict[str, Made]:
    """Return the last entry of every clip; a line that a crash cut off is passed over, its clip made again."""
    path = out / JOURNAL
    found: dict[str, Made] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[value["clip"]] = Made(
            value["clip"],
            value["inputs"],
            tuple((str(name), int(size), str(digest)) for name, size, digest in value["files"]),
            tuple((str(fault), str(text)) for fault, text in value["findings"]),
        )
    return found


def _write_journal(out: Path, entries: Iterable[Made]) -> None:
    ordered = sorted(entries, key=lambda made: made.clip)
    write_text(out / JOURNAL, "".join(json.dumps(asdict(made), ensure_ascii=False) + "\n" for made in ordered))


def _write_tables(out: Path, clips: Sequence[Clip], made: Mapping[str, Made]) -> None:
    rows = [
        {
            "path": f"clips/{clip.file_stem}.mp4",
            "id": clip.id,
            "start": 0,
            "duration": clip.duration_s,
            "caption": clip.caption or "",
            "onsets": _onsets_text(clip),
            "reference": f"clips/{clip.file_stem}.wav" if clip.reference is not None else "",
            "reference_start": 0,
            "source": clip.source,
            "material": clip.material or "",
            "action": clip.action or "",
        }
        for clip in clips
    ]
    _write_csv(out / MANIFEST, rows, list(rows[0]) if rows else ["path"])
    records = [
        FileRecord(f"clips/{name}", size, digest)
        for clip in clips
        for name, size, digest in made[clip.id].files
    ]
    _write_csv(
        out / CHECKSUMS,
        [vars(record) for record in sorted(records, key=lambda record: record.name)],
        ["name", "bytes", "sha256"],
    )
    columns = ["clip", "fault", "found"]
    _write_csv(out / LINT, [dict(zip(columns, finding, strict=True)) for finding in _findings(made)], columns)


def _onsets_text(clip: Clip) -> str:
    if clip.onsets is None:
        return ""
    lines = [f"{onset.time_s:.6f} {onset.material} {onset.action} {onset.reaction}" for onset in clip.onsets]
    return ";".join(lines) or "-"


def _write_csv(path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _findings(made: Mapping[str, Made]) -> tuple[tuple[str, str, str], ...]:
    return tuple((clip, fault, found) for clip in sorted(made) for fault, found in made[clip].findings)


def _files_are_there(out: Path, made: Made) -> bool:
    for name, size, _ in made.files:
        path = out / "clips" / name
        if not path.is_file() or path.stat().st_size != size:
            return False
    return True


def _folder_digest(data: Path, protocol: Protocol) -> str:
    """Digest names, sizes and times of the data folder's own files, with everything that decides the clips."""
    require_folder(data)
    files = sorted(
        (entry.name, entry.stat().st_size, entry.stat().st_mtime_ns)
        for entry in os.scandir(data)
        if entry.is_file()
    )
    return _digest(files, _settings(protocol), protocol.dataset.model_dump())


def _clip_digest(clip: Clip, protocol: Protocol) -> str:
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in (clip.video, clip.reference)
        if path is not None
    ]
    return _digest(files, _settings(protocol), [clip.start_s, clip.duration_s, clip.reference_start_s])


def _settings(protocol: Protocol) -> list[object]:
    return [VERSION, FPS, HEIGHT, protocol.audio.sample_rate, protocol.audio.channels]


def _digest(*values: object) -> str:
    return sha256(json.dumps(values).encode()).hexdigest()[:16]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
