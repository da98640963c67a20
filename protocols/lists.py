"""Lists of Greatest Hits that other projects published: clips, training and test videos, annotations.

They are facts about the data set and about what released systems were trained on; reading them needs no media.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DATA = Path(__file__).parent / "data"

SPLIT_SOURCES = {
    "video-foley": "jnwnlee/video-foley@0afd45a, filelists/GreatestHits: clips of the official videos",
    "condfoleygen": "XYPB/CondFoleyGen@c565db7, data/greatesthit_{train,valid,test}.json, as configured",
    "condfoleygen-video-list": "XYPB/CondFoleyGen@c565db7, data/greatesthit_video_{train,valid,test}.json",
    "syncfusion": "mcomunita/syncfusion@e67ad83, data/greatest-hits/{train,val,test}.txt; val is called valid",
}
"""Where each family of split lists comes from."""


def video_foley_clips() -> pd.DataFrame:
    """Return the 2,944 clips of Video-Foley: clip_id, video, index, split (train, test), material.

    Clip k of a video is the stretch from 10 k to 10 k + 10 seconds. `material` is ``multiple`` where several
    were struck and ``None`` where no onset is labelled.
    """
    frame = _table("greatest_hits_clips")
    parts = frame["clip_id"].str.rsplit("_", n=1)
    return frame.assign(video=parts.str[0], index=parts.str[1].astype(int))[
        ["clip_id", "video", "index", "split", "material"]
    ]


CLIP_LISTS = ("video-foley-train", "video-foley-test", "common-unseen")
"""Lists that name clips, not videos: 10 s windows, number k from 10 k s."""


def clip_list(name: str) -> pd.DataFrame:
    """Return one of `CLIP_LISTS`, with the columns of `video_foley_clips`.

    ``common-unseen`` holds Video-Foley's test clips whose video is in the training list of neither SyncFusion
    nor CondFoleyGen: 20 clips of 6 videos.

    Raises
    ------
    KeyError
        If there is no such list; the message holds those there are.
    """
    if name not in CLIP_LISTS:
        raise KeyError(f"no clip list {name!r}; there are {', '.join(CLIP_LISTS)}")
    clips = video_foley_clips()
    if name == "video-foley-train":
        return clips[clips["split"] == "train"]
    test = clips[clips["split"] == "test"]
    if name == "video-foley-test":
        return test
    trained_on = listed_videos("syncfusion", "train") | listed_videos("condfoleygen", "train")
    return test[~test["video"].isin(trained_on)]


def video_splits() -> pd.DataFrame:
    """Return which videos stand in whose lists: video, split_of (see `SPLIT_SOURCES`), split."""
    import pandas as pd

    own = video_foley_clips()[["video", "split"]].drop_duplicates().assign(split_of="video-foley")
    others = _table("greatest_hits_splits")
    return pd.concat([own[["video", "split_of", "split"]], others], ignore_index=True)


def listed_videos(split_of: str, *splits: str) -> frozenset[str]:
    """Return the videos in the named lists of one family, of all its lists where none is named.

    Raises
    ------
    KeyError
        If the family or one of its lists is unknown; the message holds those there are.
    """
    frame = video_splits()
    family = frame[frame["split_of"] == split_of]
    if family.empty:
        raise KeyError(f"no split lists of {split_of!r}; there are {', '.join(SPLIT_SOURCES)}")
    known = sorted(family["split"].unique())
    unknown = sorted(set(splits) - set(known))
    if unknown:
        raise KeyError(f"{split_of} has no list {unknown[0]!r}; it has {', '.join(known)}")
    return frozenset(family.loc[family["split"].isin(splits or known), "video"])


def annotations_15fps() -> pd.DataFrame:
    """Return 39,950 onsets of all 977 videos: video, time_s, material, action.

    Times lie on a grid of 1/15 s, as prepared for CondFoleyGen; the data set's own `_times.txt` are finer, have
    a reaction, and go on to the end of the videos where this list stops early.
    """
    frame = _table("greatest_hits_annotations_15fps")
    return frame.assign(time_s=frame["time_s"].astype(float))


def videos() -> pd.DataFrame:
    """Return the 977 videos: video, frames_15fps, duration_s, source_sample_rate."""
    frame = _table("greatest_hits_videos")
    return frame.astype({"frames_15fps": int, "duration_s": float, "source_sample_rate": int})


@cache
def _table(name: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(DATA / f"{name}.csv.gz", dtype=str, keep_default_na=False)
