"""The leaderboard as records: columns, cells, rows, groups of rows."""

from __future__ import annotations

from dataclasses import dataclass

from clapstick.metrics.base import Convention, Metric
from clapstick.protocols.archive import ScoreRecord
from clapstick.reports.run_data import SystemFacts

ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
DIRECTION_WORDS = {"lower": "lower is better", "higher": "higher is better", "none": "no direction"}


@dataclass(frozen=True)
class Column:
    """A metric under a convention."""

    key: str
    """``metric@convention``, and why it stands apart where it does."""
    metric: str
    convention: str
    title: str
    unit: str
    direction: str
    decimals: int
    clips_note: str
    """How many clips stand behind the values, where it is not all of the run's."""
    is_default: bool
    """Whether it is the metric's default convention."""
    is_first: bool
    """Whether it stands for its metric while other conventions are hidden."""
    apart: str
    """Why it is not one column with another of the same metric and convention; else empty."""
    facts: Metric | None
    """None where this installation does not know the metric."""
    convention_facts: Convention | None

    @property
    def arrow(self) -> str:
        """``↓``, ``↑`` or nothing."""
        return ARROWS[self.direction]

    @property
    def direction_words(self) -> str:
        """The arrow in words."""
        return DIRECTION_WORDS[self.direction]

    @property
    def is_published(self) -> bool:
        """False for quantities that no paper reports."""
        return self.facts is None or self.facts.published


@dataclass(frozen=True)
class Cell:
    """One value of the leaderboard."""

    id: str
    score: ScoreRecord | None
    text: str
    interval: str = ""
    mark: str = ""
    """``best`` for a single winner, ``tie`` for each of several that no test tells apart."""
    rank: str = ""
    """``1``, or ``1–3`` where the data leave several ranks open."""
    notes: tuple[str, ...] = ()
    """What a reader must know before comparing this number."""
    beaten_by: tuple[str, ...] = ()
    """Floor controls that a test tells to be better."""


@dataclass(frozen=True)
class Row:
    """One system."""

    system: SystemFacts
    cells: tuple[Cell, ...]
    splits: tuple[tuple[Cell, Cell], ...]
    """Value on clips that it was trained on, and on the others, for every column; empty where it saw none."""
    training: str
    """What is known of its training on the run's clips."""
    origin: str = ""
    """Runs that it comes from, where there are several."""


@dataclass(frozen=True)
class Group:
    """Rows that were told the same."""

    title: str
    kind: str
    """``competitors``, ``ceiling`` or ``floor``."""
    rows: tuple[Row, ...]
    note: str = ""
    """What to know of that."""


@dataclass(frozen=True)
class Leaderboard:
    """What the main table shows."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    findings: tuple[str, ...]
    """Who leads what, in sentences."""
    warnings: tuple[str, ...]
    """Controls that a test tells to be better than a system, in sentences."""
    not_told: tuple[str, ...]
    """Systems that no test tells from a control that is ahead of them, in sentences."""
    overlaps: tuple[str, ...]
    """Systems that were trained on clips of this run, in sentences."""
    missing: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(column titles, reason, systems) of what was not computed."""

    @property
    def rows(self) -> list[Row]:
        """All rows in order."""
        return [row for group in self.groups for row in group.rows]

    @property
    def has_splits(self) -> bool:
        """Whether some row has values on seen and on unseen clips."""
        return any(row.splits for row in self.rows)


def column_name(column: Column) -> str:
    """Return the title, with the convention where it is not the metric's default, and why it stands apart."""
    name = column.title if column.is_default else f"{column.title} ({column.convention})"
    return f"{name} [{column.apart}]" if column.apart else name
