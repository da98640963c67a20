"""VGGSound by its list: `vggsound.csv` has a line ``id,start,label,split`` for each 10 s video.

Videos are named ``<id>_<start, six digits of seconds>.mp4``, or ``<id>_<start>_<end>.mp4`` in milliseconds.
Many are gone from the platform: each listed video that is not there is a problem, and the clips that are
there carry the name of the surviving subset.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from clapstick.protocols.clips import Clip
from clapstick.protocols.media import probe
from clapstick.protocols.problems import ClapstickError, Problem, fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.base import Listing, Reader, require_folder
from clapstick.protocols.readers.folder import video_files
from clapstick.protocols.readers.windows import choose, require_windows

LIST = "vggsound.csv"
_SECONDS = re.compile(r"^(?P<id>[A-Za-z0-9_-]{11})_(?P<start>\d{6})$")
_MILLISECONDS = re.compile(r"^(?P<id>[A-Za-z0-9_-]{11})_(?P<start>\d+)_(?P<end>\d+)$")


@dataclass(frozen=True)
class Entry:
    """One line of the list."""

    youtube_id: str
    start_s: int
    label: str
    split: str

    @property
    def name(self) -> str:
        """Name of the video: id and second."""
        return f"{self.youtube_id}_{self.start_s:06d}"


def read(folder: Path, rules: DatasetRules, subset_file: str | None = None) -> Listing:
    """Read the listed videos of a split, in the order of the list, with every video that is missing or broken.

    Parameters
    ----------
    folder : Path
        Holds `vggsound.csv` and the videos, which may lie in sub-folders.
    rules : DatasetRules
        Split ``test``, ``train`` or ``all``, or the name of a list file ``<split>.txt`` with a video a line.
    subset_file : str, optional
        File with a video a line to which the split is narrowed.

    Raises
    ------
    ClapstickError
        If the folder, `vggsound.csv` or a list file is missing or does not parse.
    """
    require_folder(folder)
    entries, problems = _entries(folder, rules.split, subset_file)
    by_name = _videos_by_name(folder)
    clips: list[Clip] = []
    here: list[str] = []
    for entry in entries:
        path = by_name.get(entry.name)
        if path is None:
            problems.append(_missing(folder, entry))
            continue
        try:
            clips += _clips_of(path, entry, rules)
            here.append(entry.name)
        except ClapstickError as error:
            problems += error.problems
    digest = sha256("\n".join(sorted(here)).encode()).hexdigest()[:8]
    kind = Path(subset_file).stem.replace("_", "-") if subset_file else f"vggsound-{rules.split}"
    return Listing(choose(clips, rules), tuple(problems), f"{kind}-{len(here)}-of-{len(entries)}-{digest}")


def read_list(path: Path) -> tuple[list[Entry], list[Problem]]:
    """Read `vggsound.csv`: usable entries, and every line that is wrong."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for number, row in enumerate(csv.reader(io.StringIO(_text(path))), 1):
        if not row:
            continue
        if len(row) != 4 or not row[1].strip().isdigit() or not re.fullmatch(r"[A-Za-z0-9_-]{11}", row[0]):
            problems.append(
                Problem(
                    what="list line does not parse",
                    where=f"{path}:{number}",
                    found=",".join(row),
                    expected="id of 11 characters, start second, label, split",
                    remedy="Mend the line.",
                )
            )
            continue
        entries.append(Entry(row[0], int(row[1]), row[2], row[3].strip()))
    return entries, problems


def _entries(folder: Path, split: str, subset_file: str | None) -> tuple[list[Entry], list[Problem]]:
    entries, problems = read_list(folder / LIST)
    wanted = _names(folder / subset_file) if subset_file else None
    if split not in ("test", "train", "all"):
        if not re.fullmatch(r"[A-Za-z0-9._-]+", split):
            raise fail(
                "split name leaves the folder", split, expected="test, train, all or the name of a list file"
            )
        wanted = _names(folder / f"{split}.txt")
    elif split != "all":
        entries = [entry for entry in entries if entry.split == split]
    if wanted is None:
        return entries, problems
    kept = [entry for entry in entries if entry.name in wanted or entry.youtube_id in wanted]
    known = {name for entry in kept for name in (entry.name, entry.youtube_id)}
    problems += [
        Problem(
            what="listed video is not in the data set's list",
            where=name,
            expected=f"a video of {LIST}",
            remedy="Correct the list.",
        )
        for name in sorted(wanted - known)
    ]
    return kept, problems


def _names(path: Path) -> set[str]:
    return {line.strip() for line in _text(path).splitlines() if line.strip()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(
            "list cannot be read",
            path,
            found=error,
            remedy="Put the published list there; see `clapstick datasets`.",
        ) from error


def _videos_by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in video_files(folder):
        seconds, milliseconds = _SECONDS.match(path.stem), _MILLISECONDS.match(path.stem)
        if seconds:
            found.setdefault(path.stem, path)
        elif milliseconds:
            found.setdefault(f"{milliseconds['id']}_{int(milliseconds['start']) // 1000:06d}", path)
    return found


def _clips_of(path: Path, entry: Entry, rules: DatasetRules) -> list[Clip]:
    info = probe(path)
    if not info.has_video:
        raise fail("no video stream", path, remedy="Fetch the video again.")
    cut = require_windows(info.duration_s, rules, path)
    return [
        Clip(
            id=f"{entry.name}_{index}" if rules.clip_hop_s else entry.name,
            source=entry.youtube_id,
            video=path,
            start_s=start_s,
            duration_s=duration_s,
            reference=path if info.has_audio else None,
            reference_start_s=start_s,
            reference_missing=None if info.has_audio else "the video has no audio stream",
            caption=entry.label,
        )
        for index, start_s, duration_s in cut
    ]


def _missing(folder: Path, entry: Entry) -> Problem:
    return Problem(
        what="listed video is missing",
        where=entry.name,
        expected=f"{entry.name}.mp4 in {folder}",
        remedy="Fetch it where it still exists; scores belong to the surviving subset.",
    )


READER = Reader(
    name="vggsound",
    title="VGGSound",
    summary="10 s videos from YouTube in 309 classes of sound.",
    layout="vggsound.csv (id,start,label,split) and <id>_<start, six digits>.mp4 or <id>_<ms>_<ms>.mp4; "
    "<list>.txt with a video a line for other splits",
    source="https://www.robots.ox.ac.uk/~vgg/data/vggsound/ (Chen et al., ICASSP 2020; list under CC BY 4.0)",
    splits=("test", "train", "all"),
    read=read,
)

SYNC_LIST = "vggsound_sync.txt"
SYNC_READER = Reader(
    name="vggsound-sync",
    title="VGGSound-Sync",
    summary="The videos of VGGSound in which sound and picture are clearly synchronous.",
    layout=f"as vggsound, and {SYNC_LIST} with a video a line",
    source="Chen et al., Audio-Visual Synchronisation in the Wild, BMVC 2021",
    splits=("test", "train", "all"),
    read=partial(read, subset_file=SYNC_LIST),
)
