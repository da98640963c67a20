"""A listening-test design: one flat TOML that fixes, before anybody listens, what is asked, shown, left out
and computed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clapstick.protocols.invalid import explain_invalid
from clapstick.protocols.problems import fail, unknown_name
from clapstick.protocols.values import value_of

DESIGN_FOLDER = Path(__file__).parent / "designs"
POINTS = 5

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=40)]
LowExample = Literal["other-material", "other-action", "other-clip", "late", "noisy"]
"""What stands for the lowest score of a criterion: the sound of a clip with another material or action, of
any other
clip, the own sound half a clip too late, or the own sound under noise."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class QuestionRules(_Table):
    """Which clips are asked about."""

    rule: Literal["cells", "spread", "listed", "all"]
    """``cells``: one clip for each material-action cell. ``spread``: `count` clips, spread over materials,
    actions and
    source videos. ``listed``: the clips named. ``all``: every eligible clip."""
    count: int = Field(ge=0)
    """Clips for ``spread``; 0 with the other rules."""
    cells: tuple[str, ...] = ()
    """``material-action`` pairs."""
    clips: tuple[str, ...] = ()
    """Clip ids for ``listed``."""
    materials: tuple[str, ...] = ()
    """Only clips of these materials; any where empty."""
    actions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _rule_has_its_values(self) -> QuestionRules:
        wanted = {"cells": bool(self.cells), "listed": bool(self.clips), "spread": self.count > 0}
        if not wanted.get(self.rule, True):
            key = {"cells": "cells", "listed": "clips", "spread": "count"}[self.rule]
            raise ValueError(f"rule {self.rule!r} needs questions.{key}")
        return self


class StimulusRules(_Table):
    """What a rater sees and hears."""

    duration_s: float = Field(gt=0, le=60)
    """Clips are cut to this length from their start; shorter ones stay whole."""
    loudness: Literal["none", "peak", "lufs"]
    """``none`` plays the run's standardised sound as it is; ``peak`` and ``lufs`` bring every sound to the
    target."""
    loudness_target_db: float = Field(le=0)
    """dBFS for ``peak``, LUFS (BS.1770) for ``lufs``; unused for ``none``. No gain takes a peak above -1
    dBFS."""
    height_px: int = Field(ge=120, le=1080)
    """Pictures higher than this are scaled down."""


class PresentationRules(_Table):
    """How the sounds are put before a rater."""

    page: Literal["together", "single", "pair"]
    """``together``: one video with the sounds of all systems to switch between. ``single``: one sound a page.
    ``pair``: two systems side by side."""
    clips_per_rater: int = Field(ge=0)
    """0 gives every clip to every rater."""
    criteria_per_rater: int = Field(ge=0)
    """0 asks every rater for every criterion; otherwise raters are dealt out over the criteria."""
    reference: Literal["among-systems", "extra", "none"]
    """Ground truth hidden among the systems, on pages of its own, or not at all."""
    extra_references: int = Field(ge=0)
    """Ground-truth pages a rater for ``extra``."""
    training_pages: int = Field(ge=0, le=20)
    """Pages before the test, with clips that the test does not use; their answers are not analysed."""
    attention_pages: int = Field(ge=0, le=20)
    """Pages on which beeps have to be counted."""
    repeated_pages: int = Field(ge=0, le=20)
    """Pages that come a second time, in another order, to see how steady a rater is; left out of the scores."""
    full_play: bool
    """Whether every sound has to be heard to its end before a page can be left."""


class Criterion(_Table):
    """One question that every sound, or every pair, is asked."""

    name: Slug
    title: str
    question: str
    guideline: str
    scale: tuple[str, ...] = ()
    """Description of each score from 1 to 5; empty in a forced choice."""
    low_example: LowExample = "other-clip"


class ExclusionRule(_Table):
    """A reason to leave a rater out, fixed before the data."""

    rule: Literal[
        "mean-above", "attention-failed", "repeat-difference", "constant", "reference-below", "too-fast"
    ]
    """``mean-above``: mean rating above the limit (ReWaS, appendix A.4). ``attention-failed``: more attention
    pages
    answered wrongly than the limit. ``repeat-difference``: mean absolute difference between first and second
    answers
    above the limit (share of changed choices in a forced choice). ``constant``: standard deviation of all
    ratings at
    or below the limit. ``reference-below``: mean rating of the ground truth below the limit. ``too-fast``:
    median
    seconds a page below the limit."""
    limit: float


class AnalysisRules(_Table):
    """What is computed, fixed before the data."""

    level: float = Field(gt=0.5, lt=1)
    """Of every interval."""
    correction: Literal["holm"]


class Design(_Table):
    """A whole listening-test design."""

    name: Slug
    title: str
    summary: str
    paper: str
    """Citation; empty where the design is ours."""
    version: int = Field(ge=1)
    kind: Literal["opinion", "forced-choice"]
    consent: str
    """Shown before anything else; the rater has to agree."""
    guidelines: str
    questions: QuestionRules
    stimuli: StimulusRules
    presentation: PresentationRules
    criteria: tuple[Criterion, ...] = Field(min_length=1)
    exclusions: tuple[ExclusionRule, ...] = ()
    analysis: AnalysisRules
    open_questions: tuple[str, ...] = ()
    """What the paper leaves open, and what is done about it."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Design:
        names = [criterion.name for criterion in self.criteria]
        if len(set(names)) != len(names):
            raise ValueError(f"two criteria share a name: {', '.join(names)}")
        if (self.kind == "forced-choice") != (self.presentation.page == "pair"):
            raise ValueError("a forced choice shows pairs, and nothing else does: presentation.page")
        for criterion in self.criteria:
            if len(criterion.scale) != (POINTS if self.kind == "opinion" else 0):
                raise ValueError(f"criterion {criterion.name!r} has {len(criterion.scale)} score descriptions")
        if self.kind == "forced-choice":
            wrong = {rule.rule for rule in self.exclusions} & {"mean-above", "constant", "reference-below"}
            if wrong:
                raise ValueError(f"exclusion rules for ratings in a forced choice: {', '.join(sorted(wrong))}")
        if self.presentation.criteria_per_rater > len(names):
            raise ValueError("presentation.criteria_per_rater is above the number of criteria")
        if (self.presentation.reference == "extra") != (self.presentation.extra_references > 0):
            raise ValueError("presentation.extra_references goes with reference = 'extra', and only with it")
        if self.presentation.reference == "extra" and self.presentation.page != "single":
            raise ValueError("extra ground-truth pages need presentation.page = 'single'")
        return self


def built_in_designs() -> dict[str, Path]:
    """Return the design files of this package by name."""
    return {path.stem: path for path in sorted(DESIGN_FOLDER.glob("*.toml"))}


def find_design(name_or_path: str, overrides: Sequence[str] = ()) -> Design:
    """Return the design with this name, or the one in this TOML file, with single values replaced.

    Parameters
    ----------
    name_or_path : str
        ``video-foley``, ``rewas``, ``2afc``, or a path.
    overrides : sequence of str
        ``key.key=value`` in TOML, such as ``questions.rule="spread"``; the name then ends in
        ``-modified``, so that its scores never stand in the column of the published design.

    Raises
    ------
    ClapstickError
        If there is no such design, it is not TOML, or a key is unknown, missing or of the wrong form.
    """
    known = built_in_designs()
    path = known.get(name_or_path, Path(name_or_path))
    if name_or_path not in known and not (path.suffix == ".toml" and path.is_file()):
        raise unknown_name(
            "no such listening-test design",
            name_or_path,
            known,
            also="or a TOML file",
            otherwise="List them with `clapstick survey designs`.",
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise fail("design cannot be read", path, found=error, remedy="Mend the TOML file.") from error
    for override in overrides:
        _replace(values, override)
    if overrides:
        values["name"] = f"{values.get('name', path.stem)}-modified"
    try:
        return Design.model_validate(values)
    except ValidationError as error:
        raise explain_invalid(error, Design, path, "design") from error


def _replace(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *tables, last = key.strip().split(".")
    if not separator:
        raise fail(
            "override has no value", f"--set {override}", found="no =", expected="key=value", remedy="Add one."
        )
    table = values
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise fail("key is no table", f"--set {override}", found=name, remedy="Check the key.")
        table = inner
    table[last] = value_of(text)
