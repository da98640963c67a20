"""Ratings that were collected elsewhere, read into the form that the analysis takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clapstick.protocols.problems import fail

if TYPE_CHECKING:
    import pandas as pd

RATING_COLUMNS = ("rater", "clip", "system", "criterion", "rating")
NUMBERS = ("rating", "score1", "score2")
PAIR_COLUMNS = ("pair", "rater", "video1", "score1", "video2", "score2")


def read_ratings(path: Path) -> pd.DataFrame:
    """Read a CSV (also gzipped) with columns rater, clip, system, criterion, rating."""
    table = _read(path, RATING_COLUMNS)
    return table[list(RATING_COLUMNS)].assign(page=range(len(table)), role="test", seconds=float("nan"))


def read_pairs(path: Path, pattern: str, criterion: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a CSV of videos rated in pairs: pair, rater, video1, score1, video2, score2.

    Parameters
    ----------
    pattern : str
        Regular expression for a whole video name with the groups ``clip`` and ``system``, and ``variant``
        where a system
        made several videos of a clip.
    criterion : str
        What was rated.

    Returns
    -------
    DataFrame, DataFrame
        The ratings, two rows a pair; and the choices: which of two different systems had the higher score.
        Pairs of one
        system, and ties, are no choices.
    """
    import pandas as pd

    table = _read(path, PAIR_COLUMNS)
    names = [_parsed(table[f"video{side}"], pattern, path) for side in (1, 2)]
    sides = [
        pd.DataFrame(
            {"rater": table["rater"], **parsed, "rating": table[f"score{side}"], "page": table["pair"]}
        )
        for side, parsed in zip((1, 2), names, strict=True)
    ]
    ratings = pd.concat(sides, ignore_index=True).assign(criterion=criterion, role="test", seconds=float("nan"))
    first, second = (parsed["system"] for parsed in names)
    decided = (first != second) & (table["score1"] != table["score2"])
    choices = pd.DataFrame(
        {
            "rater": table["rater"],
            "clip": names[0]["clip"],
            "criterion": criterion,
            "first": first,
            "second": second,
            "winner": first.where(table["score1"] > table["score2"], second),
        }
    )[decided]
    return ratings, choices.reset_index(drop=True)


def _parsed(videos: pd.Series[Any], pattern: str, path: Path) -> dict[str, pd.Series[Any]]:
    try:
        found = videos.str.extract(re.compile(f"^(?:{pattern})$"))
    except (re.error, ValueError) as error:
        raise fail("pattern is not a regular expression with groups", pattern, found=error) from error
    missing = {"clip", "system"} - set(found.columns)
    if missing:
        raise fail(
            "pattern lacks a group",
            pattern,
            expected=" and ".join(f"(?P<{name}>...)" for name in sorted(missing)),
        )
    bad = videos[found["clip"].isna() | found["system"].isna()]
    if len(bad):
        raise fail("video name does not fit the pattern", path, found=bad.iloc[0], expected=pattern)
    return {str(name): found[name].fillna("") for name in found.columns}


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise fail("table is missing", path, remedy="Check the path.")
    table = pd.read_csv(path, dtype={name: str for name in columns if name not in NUMBERS})
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise fail(
            "table lacks columns",
            path,
            found=", ".join(map(str, table.columns)),
            expected=", ".join(columns),
            remedy=f"Add {', '.join(missing)}.",
        )
    values = table[[name for name in columns if name in NUMBERS]]
    numbers = values.apply(pd.to_numeric, errors="coerce")
    bad = numbers[numbers.isna().any(axis=1)]
    if len(bad):
        raise fail(
            "a rating is no number", path, found=f"{len(bad)} lines, the first is line {bad.index[0] + 2}"
        )
    return table
