"""Contamination: which test clips a system was trained on, by its own published lists, and which nobody was.

A system's record is its training lists, as on its card: a data set, a family of split lists and the lists of it
that were trained on. A clip counts as seen where its source recording is in one of them, whatever the stretch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clapstick.protocols.clips import Clip
from clapstick.protocols.lists import listed_videos, video_splits, videos
from clapstick.protocols.problems import fail

if TYPE_CHECKING:
    import pandas as pd

DATASET = "greatest-hits"
"""The data set whose published lists are on hand."""


class TrainingList(Protocol):
    """What a card says of one training list."""

    @property
    def dataset(self) -> str:
        """Name of the data set."""

    @property
    def split_of(self) -> str:
        """Family of split lists."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Lists of the family that were trained on."""


TrainingLists = Mapping[str, Sequence[TrainingList]]
"""System -> its published training lists."""


@dataclass(frozen=True)
class Contamination:
    """What one system was trained on of a set of clips."""

    system: str
    lists: tuple[str, ...]
    """Family and list, as ``syncfusion train``."""
    clips: int
    videos: int
    seen_clips: tuple[str, ...]
    seen_videos: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the clips that it was trained on."""
        return len(self.seen_clips) / self.clips if self.clips else 0.0


@dataclass(frozen=True)
class Audit:
    """The contamination of every system with published lists, and what is left for a fair ranking."""

    systems: tuple[Contamination, ...]
    unseen_by_all: tuple[str, ...]
    """Clips that none of these systems was trained on."""
    unseen_videos: tuple[str, ...]
    without_lists: tuple[str, ...]
    """Systems that publish no list for this data set: nothing can be said of them."""
    explanation: str


def seen_sources(lists: Iterable[TrainingList]) -> frozenset[str]:
    """Return the videos of Greatest Hits in these training lists; lists of other data sets add none.

    Raises
    ------
    ClapstickError
        If a card names a family or list that is not on hand.
    """
    found: frozenset[str] = frozenset()
    for record in lists:
        if record.dataset != DATASET:
            continue
        try:
            found |= listed_videos(record.split_of, *record.splits)
        except KeyError as error:
            raise fail(
                "training list is not known",
                f"{record.split_of} {', '.join(record.splits)}",
                found=error.args[0],
                remedy="Correct trained_on in the system's card.",
            ) from error
    return found


def flag_seen(clips: Sequence[Clip], trained: TrainingLists) -> tuple[Clip, ...]:
    """Return the clips with `Clip.seen_by` naming every system whose training lists hold their source."""
    sources = {system: seen_sources(lists) for system, lists in trained.items() if lists}
    return tuple(
        clip.model_copy(
            update={"seen_by": tuple(system for system, seen in sorted(sources.items()) if clip.source in seen)}
        )
        for clip in clips
    )


def audit(clips: Sequence[Clip], trained: TrainingLists) -> Audit:
    """Count, for each system with published lists, the clips and videos that it was trained on.

    Parameters
    ----------
    clips : sequence of Clip
        The clips of a comparison; only `id` and `source` are looked at.
    trained : mapping of system to training lists
        Systems without a list of this data set are named as such.
    """
    flagged = flag_seen(clips, trained)
    with_lists = {
        system: [record for record in lists if record.dataset == DATASET] for system, lists in trained.items()
    }
    systems = tuple(
        _contamination(system, lists, flagged) for system, lists in sorted(with_lists.items()) if lists
    )
    unseen = [clip for clip in flagged if not clip.seen_by]
    return Audit(
        systems=systems,
        unseen_by_all=tuple(clip.id for clip in unseen),
        unseen_videos=tuple(sorted({clip.source for clip in unseen})),
        without_lists=tuple(sorted(system for system, lists in with_lists.items() if not lists)),
        explanation=_explain(flagged, systems, unseen),
    )


def list_membership(clips: Sequence[Clip]) -> pd.DataFrame:
    """Count the clips and videos of a comparison in every published list: split_of, split, clips, videos."""
    import pandas as pd

    sources = pd.Series([clip.source for clip in clips], dtype=str)
    rows = [
        {
            "split_of": family,
            "split": split,
            "clips": int(sources.isin(group).sum()),
            "videos": int(sources[sources.isin(group)].nunique()),
        }
        for (family, split), group in video_splits().groupby(["split_of", "split"])["video"]
    ]
    return pd.DataFrame(rows)


def _contamination(system: str, lists: Sequence[TrainingList], clips: Sequence[Clip]) -> Contamination:
    seen = [clip for clip in clips if system in clip.seen_by]
    return Contamination(
        system=system,
        lists=tuple(f"{record.split_of} {split}" for record in lists for split in record.splits or ("all",)),
        clips=len(clips),
        videos=len({clip.source for clip in clips}),
        seen_clips=tuple(clip.id for clip in seen),
        seen_videos=tuple(sorted({clip.source for clip in seen})),
    )


def _explain(clips: Sequence[Clip], systems: Sequence[Contamination], unseen: Sequence[Clip]) -> str:
    known = frozenset(videos()["video"])
    if not any(clip.source in known for clip in clips):
        return "None of the clips is from Greatest Hits: the published lists say nothing about them."
    lines = [
        f"{system.system} was trained on {len(system.seen_clips)} of {system.clips} clips "
        f"({len(system.seen_videos)} of {system.videos} videos): {', '.join(system.lists)}."
        for system in systems
    ]
    unseen_videos = len({clip.source for clip in unseen})
    lines.append(
        f"{len(unseen)} clips ({unseen_videos} videos) are in no training list of these systems. They are the "
        "proposed common split: the only clips on which all of them may be ranked together. Clips are left out "
        "by video, because stretches of one recording share objects, room and microphone."
    )
    if unseen_videos < 30:
        lines.append(
            f"{unseen_videos} videos are few: intervals over videos are wide, and Fréchet distances are not "
            "defined for so small a set. Beside the common split, score each system on the clips that it has "
            "not seen, with its own count, and do not put those values in one column."
        )
    return " ".join(lines)
