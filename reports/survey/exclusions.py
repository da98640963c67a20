"""Raters who are left out, by the rules of the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clapstick.reports.survey.design import ExclusionRule
from clapstick.reports.survey.selection import REFERENCE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Excluded:
    """One rater who is left out under one rule."""

    rater: str
    rule: str
    found: float


def exclude(rules: Sequence[ExclusionRule], table: pd.DataFrame, repeats: Mapping[str, str]) -> list[Excluded]:
    """Apply every rule to the answers of all raters.

    Parameters
    ----------
    table : DataFrame
        Of `ratings_table` or `choices_table`.
    repeats : mapping
        Repeated page -> page that it repeats.

    Returns
    -------
    list of Excluded
        A rater who breaks two rules is listed twice. Where a rule has nothing to judge a rater by (no
        attention page
        was answered), the rater stays.
    """
    excluded = []
    for rule in rules:
        values = measure(rule.rule, table, repeats)
        broken = values[_BREAKS[rule.rule](values, rule.limit)]
        excluded += [Excluded(str(rater), rule_name(rule), float(found)) for rater, found in broken.items()]
    return excluded


def rule_name(rule: ExclusionRule) -> str:
    """Return how a rule is printed."""
    return f"{rule.rule} {rule.limit:g}"


_BREAKS: dict[str, Callable[[pd.Series[Any], float], pd.Series[Any]]] = {
    "mean-above": lambda values, limit: values > limit,
    "attention-failed": lambda values, limit: values > limit,
    "repeat-difference": lambda values, limit: values > limit,
    "constant": lambda values, limit: values <= limit,
    "reference-below": lambda values, limit: values < limit,
    "too-fast": lambda values, limit: values < limit,
}


def measure(rule: str, table: pd.DataFrame, repeats: Mapping[str, str]) -> pd.Series[Any]:
    """Return for each rater the quantity that a rule looks at."""
    test = table[table["role"] == "test"]
    if rule == "too-fast":
        longest = test.groupby(["rater", "page"])["seconds"].max()
        return longest.groupby("rater").median()
    if rule == "attention-failed":
        attention = table[table["role"] == "attention"]
        return _failed(attention).groupby(attention["rater"]).sum()
    if rule == "repeat-difference":
        return repeat_differences(table, repeats).groupby(level="rater").mean()
    if rule == "reference-below":
        test = test[test["system"] == REFERENCE]
    ratings = test.groupby("rater")["rating"]
    return ratings.std(ddof=0) if rule == "constant" else ratings.mean()


def repeat_differences(table: pd.DataFrame, repeats: Mapping[str, str]) -> pd.Series[Any]:
    """Return the absolute difference between first and second answer to every repeated question.

    In a forced choice it is 1 where the choice changed and 0 where it did not. The index has a level ``rater``.
    """
    choice = "winner" in table.columns
    value = "winner" if choice else "rating"
    subject = ["rater", "page", "criterion"] + ([] if choice else ["system"])
    second = table[table["page"].isin(list(repeats))].copy()
    second["page"] = second["page"].map(repeats)
    both = (
        table[table["role"] == "test"]
        .set_index(subject)[[value]]
        .join(second.set_index(subject)[[value]], rsuffix="_again", how="inner")
    )
    if choice:
        return (both["winner"] != both["winner_again"]).astype(float)
    return (both["rating"] - both["rating_again"]).abs().astype(float)


def _failed(attention: pd.DataFrame) -> pd.Series[Any]:
    """Return 1 for each attention answer that is wrong: not the number of beeps, or not the sound with more."""
    if "winner" in attention.columns:
        most = attention[["first", "second"]].astype(int).max(axis=1)
        return (attention["winner"].astype(int) != most).astype(int)
    return (attention["rating"] != attention["system"].astype(int)).astype(int)
