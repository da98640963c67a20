"""The numbers that papers print, with what they are and whether a measured number may stand beside them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from clapstick.protocols.lists import DATA

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "paper", "table", "protocol", "system", "row", "prompt", "dataset", "column", "metric", "convention",
    "printed", "value", "ci", "comparable", "why", "note",
)  # fmt: skip
Comparable = Literal["yes", "with care", "no"]


def published_results() -> pd.DataFrame:
    """Return the 395 numbers printed in the papers of Video-Foley, FOL-AI, MultiFoley and ReWaS, one a row.

    Columns
    -------
    paper, table : str
        Where it is printed.
    protocol : str
        The protocol that stands for the table; empty where there is none.
    system : str
        Name of our system for the row; empty where there is none.
    row, prompt, dataset, column : str
        What the paper calls system, prompt, data set and metric.
    metric, convention : str
        What our metric and convention for it are called; the convention is empty where there is none.
    printed : float
        The number as printed.
    value : float
        The number in the unit of our metric: printed percent become fractions.
    ci : float
        Half-width of the printed interval, in the printed unit; NaN where none is printed.
    comparable : {"yes", "with care", "no"}
        Whether a value measured by our protocol may stand beside it.
    why : str
        The reason for that.
    note : str
        What else is known of the number.
    """
    return _frame().copy()


def lookup(
    *,
    protocol: str | None = None,
    system: str | None = None,
    metric: str | None = None,
    convention: str | None = None,
    prompt: str | None = None,
) -> pd.DataFrame:
    """Return the rows of `published_results` that agree with everything that is given.

    A system that runs released code, as ``video-foley-official``, stands for the system that papers name.
    """
    frame = published_results()
    system = system.removesuffix("-official") if system else system
    given = {
        "protocol": protocol, "system": system, "metric": metric, "convention": convention, "prompt": prompt,
    }  # fmt: skip
    for column, wanted in given.items():
        if wanted is not None:
            frame = frame[frame[column] == wanted]
    return frame.reset_index(drop=True)


def comparability(
    *, protocol: str, system: str, metric: str, convention: str, clips: int | None = None
) -> tuple[Comparable, str]:
    """Say whether a measured score may stand beside the published one, and why.

    Parameters
    ----------
    protocol, system, metric, convention : str
        What was measured.
    clips : int, optional
        Clips behind the measured value; a subset of the published 732 is never comparable without care.

    Returns
    -------
    comparable : {"yes", "with care", "no"}
    why : str
    """
    rows = lookup(protocol=protocol, system=system, metric=metric)
    if rows.empty:
        return "no", "The paper prints no such number."
    same = rows[rows["convention"] == convention]
    if same.empty:
        published = ", ".join(sorted(set(rows["convention"]) - {""})) or "unknown"
        return "no", f"Another convention: published {published}, measured {convention}."
    row = same.iloc[0]
    published_clips = 732 if "732 x 10 s" in str(row["dataset"]) else None
    if clips is not None and published_clips is not None and clips != published_clips:
        return "no", f"Other clips: published on {published_clips}, measured on {clips}."
    return _comparable(str(row["comparable"])), str(row["why"])


def _comparable(text: str) -> Comparable:
    if text == "yes":
        return "yes"
    return "with care" if text == "with care" else "no"


@cache
def _frame() -> pd.DataFrame:
    import pandas as pd

    frame = pd.read_csv(DATA / "published_results.csv", dtype=str, keep_default_na=False)
    printed = frame["printed"].astype(float)
    frame = frame.assign(
        printed=printed,
        value=printed * frame["scale"].astype(float),
        ci=pd.to_numeric(frame["ci"], errors="coerce"),
    )
    return frame[list(COLUMNS)]
