"""Problems that reach the user: what, where, what was found, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

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


def unknown_name(
    what: str, name: str, known: Iterable[str], *, where: object = "", also: str = "", otherwise: str = ""
) -> ClapstickError:
    """Make the error for a name that nothing has; its remedy is the nearest known one.

    Parameters
    ----------
    what : str
        Such as "no such protocol".
    where : object
        What holds the name; the name itself where it was given by hand.
    also : str
        Which path may stand there instead of a known name, such as "or a TOML file".
    otherwise : str
        Remedy where no known name is near.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    if also and ("/" in name or name.endswith(".toml")):
        near, otherwise = [], "There is no such file or folder; check the path."
    return fail(
        what,
        where or name,
        found=name if where else "",
        expected="one of " + ", ".join([*names, also] if also else names),
        remedy=f"Did you mean {near[0]}?" if near else otherwise,
    )
