"""Problems that reach the user: what, where, what was found, what was expected, what to do."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """One thing that went wrong with one clip, file or setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    """What went wrong, in one clause."""
    where: str
    """The clip, file, key or system it happened to."""
    found: str = ""
    """The value that was found."""
    expected: str = ""
    """The value that was expected."""
    remedy: str = ""
    """What the user can do."""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}"]
        if self.found:
            parts.append(f"found {self.found}")
        if self.expected:
            parts.append(f"expected {self.expected}")
        text = "; ".join(parts)
        return f"{text}. {self.remedy}" if self.remedy else text


class ClapstickError(Exception):
    """An error that the user can mend; carries one or more problems."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def fail(
    what: str, where: object, *, found: object = "", expected: object = "", remedy: str = ""
) -> ClapstickError:
    """Make a `ClapstickError` with one problem: ``raise fail("no video stream", path, remedy="...")``."""
    return ClapstickError(
        Problem(what=what, where=str(where), found=str(found), expected=str(expected), remedy=remedy)
    )
