"""Any videos by a CSV manifest: one line a clip.

Columns: ``path`` is asked for; ``id``, ``start`` and ``duration`` (seconds), ``caption``, ``onsets``,
``reference`` (a sound or video file), ``reference_start``, ``source``, ``material`` and ``action`` may be
there or empty. Paths are relative to the manifest and stay in its folder. ``onsets`` are parted by ``;``,
each a time or ``time material action reaction``; empty says that nothing is annotated, ``-`` that nothing
happens.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.media import SOUND_SUFFIXES, MediaInfo, probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.annotations import NOT_SAID, onsets_within, parse_time
from clapstick.protocols.readers.base import Listing, Reader
from clapstick.protocols.readers.windows import TOLERANCE_S, choose, require_windows

NAME = "manifest.csv"
COLUMNS = (
    "path", "id", "start", "duration", "caption", "onsets", "reference", "reference_start", "source",
    "material", "action",
)  # fmt: skip
NOTHING_HAPPENS = "-"

Row = dict[str, str]


def read(folder: Path, rules: DatasetRules) -> Listing:
    """Read the clips of `manifest.csv` in its order, with every line that is wrong.

    The rules' windows cut each line's stretch further; with clip duration 0 a line is a clip.

    Raises
    ------
    ClapstickError
        If the manifest is missing, is not UTF-8 CSV, lacks the column ``path`` or has an unknown one.
    """
    path = folder / NAME
    rows = _rows(path)
    clips: list[Clip] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        where = f"{path}:{number}"
        try:
            made = _clips_of(folder, row, where, rules)
        except ClapstickError as error:
            problems += error.problems
            continue
        for clip in made:
            first = seen.setdefault(clip.id, number)
            if first != number:
                problems.append(_twice(where, clip.id, first))
            else:
                clips.append(clip)
    return Listing(choose(clips, rules), tuple(problems))


def _rows(path: Path) -> list[tuple[int, Row]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(
            "manifest cannot be read", path, found=error, remedy=f"Save {NAME} there as UTF-8."
        ) from error
    reader = csv.DictReader(io.StringIO(text), restkey="", restval="")
    columns = reader.fieldnames or ()
    unknown = [name for name in columns if name not in COLUMNS]
    if "path" not in columns or unknown:
        raise fail(
            "manifest has unknown columns" if unknown else "manifest has no column path",
            path,
            found=", ".join(columns) or "nothing",
            expected=", ".join(COLUMNS),
            remedy="Name the columns in the first line.",
        )
    return [(number, {key: str(value) for key, value in row.items()}) for number, row in enumerate(reader, 2)]


def _clips_of(folder: Path, row: Row, where: str, rules: DatasetRules) -> list[Clip]:
    if row.get(""):
        raise fail(
            "line has more fields than columns", where, found=row[""], remedy="Quote fields with commas."
        )
    video = _inside(folder, row["path"], where)
    info = probe(video)
    if not info.has_video:
        raise fail("no video stream", where, found=video.name, remedy="Give a file with pictures.")
    start_s = _seconds(row, "start", where) or 0.0
    left_s = info.duration_s - start_s
    duration_s = _seconds(row, "duration", where) or left_s
    if duration_s <= 0 or duration_s > left_s + TOLERANCE_S:
        raise fail(
            "clip reaches past the end of its video",
            where,
            found=f"{start_s:g} to {start_s + duration_s:g} s",
            expected=f"at most {info.duration_s:.3f} s",
            remedy="Correct start and duration.",
        )
    reference, missing, offset_s = _reference(folder, row, where, video, info, start_s)
    whole = Clip(
        id=row.get("id") or Path(row["path"]).with_suffix("").as_posix(),
        source=row.get("source") or Path(row["path"]).with_suffix("").as_posix(),
        video=video,
        start_s=start_s,
        duration_s=duration_s,
        reference=reference,
        reference_start_s=offset_s,
        reference_missing=missing,
        onsets=_onsets(row.get("onsets", ""), where),
        material=row.get("material") or None,
        action=row.get("action") or None,
        caption=row.get("caption") or None,
    )
    return [whole] if rules.clip_duration_s == 0 and rules.clip_start_s == 0 else _cut(whole, where, rules)


def _cut(whole: Clip, where: str, rules: DatasetRules) -> list[Clip]:
    cut = require_windows(whole.duration_s, rules, where)
    return [
        whole.model_copy(
            update={
                "id": f"{whole.id}_{index}" if rules.clip_hop_s else whole.id,
                "start_s": whole.start_s + start_s,
                "duration_s": duration_s,
                "reference_start_s": whole.reference_start_s + start_s,
                "onsets": onsets_within(whole.onsets, start_s, duration_s),
            }
        )
        for index, start_s, duration_s in cut
    ]


def _reference(
    folder: Path, row: Row, where: str, video: Path, info: MediaInfo, start_s: float
) -> tuple[Path | None, str | None, float]:
    """Return the reference file, why there is none, and the second at which it starts."""
    if not row.get("reference"):
        found = (video, None) if info.has_audio else (None, "the video has no audio stream")
        return *found, start_s
    reference = _inside(folder, row["reference"], where)
    if reference.suffix.lower() not in SOUND_SUFFIXES and not probe(reference).has_audio:
        raise fail(
            "reference has no sound", where, found=reference.name, remedy="Correct the column reference."
        )
    if not reference.is_file():
        raise fail(
            "reference is missing", where, found=row["reference"], remedy="Correct the column reference."
        )
    offset_s = _seconds(row, "reference_start", where)
    return reference, None, start_s if offset_s is None else offset_s


def _inside(folder: Path, text: str, where: str) -> Path:
    given = Path(text)
    if not text or given.is_absolute() or ".." in given.parts or "\0" in text:
        raise fail(
            "path leaves the folder" if text else "path is empty",
            where,
            found=repr(text),
            expected=f"a path inside {folder}",
            remedy="Put the manifest in a folder above the files.",
        )
    return folder / given


def _seconds(row: Row, column: str, where: str) -> float | None:
    text = row.get(column, "").strip()
    if not text:
        return None
    value = parse_time(text)
    if value is None:
        raise fail(
            f"{column} is not a time", where, found=text, expected="seconds, 0 or more", remedy="Mend it."
        )
    return value


def _onsets(text: str, where: str) -> tuple[Onset, ...] | None:
    if not text.strip():
        return None
    if text.strip() == NOTHING_HAPPENS:
        return ()
    onsets = []
    for item in text.split(";"):
        words = item.split()
        time_s = parse_time(words[0]) if words else None
        if time_s is None or len(words) not in (1, 4):
            raise fail(
                "onset does not parse",
                where,
                found=repr(item.strip()),
                expected="time, or time material action reaction",
                remedy="Part onsets by semicolons.",
            )
        labels = [None if word == NOT_SAID else word for word in words[1:]] or [None, None, None]
        onsets.append(Onset(time_s=time_s, material=labels[0], action=labels[1], reaction=labels[2]))
    return tuple(sorted(onsets, key=lambda onset: onset.time_s))


def _twice(where: str, clip_id: str, first: int) -> Problem:
    return Problem(
        what="two clips have the same id",
        where=where,
        found=f"{clip_id}, as in line {first}",
        expected="different ids",
        remedy="Give the lines different ids; this one was left out.",
    )


READER = Reader(
    name="manifest",
    title="Any CSV manifest",
    summary="Clips of your own videos by a list, with captions, onsets and references where you have them.",
    layout=f"{NAME} with columns {', '.join(COLUMNS)} (only path is asked for), beside or above the files",
    source="your own",
    splits=("all",),
    read=read,
)
