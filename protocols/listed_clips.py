"""The clips of a Greatest Hits comparison from the published lists alone, without media."""

from __future__ import annotations

from pathlib import Path

from clapstick.protocols.clips import Clip, Onset
from clapstick.protocols.lists import CLIP_LISTS, annotations_15fps, clip_list, listed_videos, videos
from clapstick.protocols.problems import fail
from clapstick.protocols.protocol import DatasetRules
from clapstick.protocols.readers.greatest_hits import VIDEO_LISTS, Recording, make_clip, make_clips
from clapstick.protocols.readers.windows import choose, choose_count

NO_MEDIA = "listed without media"


def listed_clips(rules: DatasetRules) -> tuple[Clip, ...]:
    """Return the clips that a split would give, from the shipped lists, lengths and 15 fps annotations.

    The official test and train videos are those of Video-Foley's lists. Windows at the very end of a video may
    differ from those of the real files: the lengths on hand are rounded to 1/15 s.

    Raises
    ------
    ClapstickError
        If the data set is not Greatest Hits.
    """
    if rules.reader != "greatest-hits":
        raise fail(
            "no published list of this data set is on hand",
            rules.reader,
            expected="greatest-hits",
            remedy="Give the data with --data.",
        )
    if rules.split in CLIP_LISTS:
        return choose_count(_of_clip_list(rules), rules)
    recordings = listed_recordings()
    names = sorted(_split_videos(rules.split) & recordings.keys())
    return choose([clip for name in names for clip in make_clips(recordings[name], rules)], rules)


def listed_recordings() -> dict[str, Recording]:
    """Return the 977 recordings by name, with length and annotations and without files."""
    onsets: dict[str, list[Onset]] = {}
    for row in annotations_15fps().itertuples():
        onsets.setdefault(str(row.video), []).append(
            Onset(
                time_s=float(str(row.time_s)), material=_said(str(row.material)), action=_said(str(row.action))
            )
        )
    return {
        str(row.video): Recording(
            name=str(row.video),
            video=Path(f"{row.video}_denoised.mp4"),
            duration_s=float(str(row.duration_s)),
            sound=None,
            sound_missing=NO_MEDIA,
            onsets=tuple(onsets.get(str(row.video), ())),
        )
        for row in videos().itertuples()
    }


def _of_clip_list(rules: DatasetRules) -> list[Clip]:
    recordings = listed_recordings()
    return [
        make_clip(recordings[str(row.video)], str(row.clip_id), int(str(row.index)) * 10.0, 10.0).model_copy(
            update={"material": str(row.material)}
        )
        for row in clip_list(rules.split).itertuples()
    ]


def _split_videos(split: str) -> frozenset[str]:
    if split == "all":
        return frozenset(videos()["video"])
    if split in ("train", "test"):
        return listed_videos("video-foley", split)
    family, part = VIDEO_LISTS[split]
    return listed_videos(family, part)


def _said(label: str) -> str | None:
    return None if label == "None" else label
