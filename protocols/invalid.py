"""Says what is wrong with a file of settings: key, value, and the nearest valid key for a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from clapstick.protocols.problems import ClapstickError, fail


def explain_invalid(error: ValidationError, model: type[BaseModel], where: object, noun: str) -> ClapstickError:
    """Turn a failed validation into one problem; unknown keys come first, as they explain missing ones.

    Parameters
    ----------
    error : ValidationError
        What `model` said.
    model : type of BaseModel
        What was validated; keys of inner tables are looked up in it.
    where : object
        File or setting.
    noun : str
        What the file holds, in one word: ``protocol``.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    location = [str(part) for part in first["loc"]]
    key = ".".join(location) or f"the {noun}"
    if first["type"] == "extra_forbidden":
        known = _keys_beside(model, location)
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.0)
        return fail(
            f"unknown {noun} key",
            where,
            found=key,
            expected=", ".join(known),
            remedy=f"The nearest valid key is {near[0]}." if near else f"Remove {key}.",
        )
    if first["type"] == "missing":
        return fail(f"{noun} key is missing", where, expected=key, remedy=f"Add {key}.")
    found = "" if isinstance(first["input"], dict) else f"{key} = {first['input']!r}"
    return fail(f"{noun} value is not valid: {first['msg']}", where, found=found, remedy=f"Change {key}.")


def _keys_beside(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Return the valid keys of the table that holds the last key of this location.

    Numbers of list items and names of union members are no keys: they stay with the models found so far.
    """
    models = [model]
    for part in location[:-1]:
        inner = [
            found
            for one in models
            if part in one.model_fields
            for found in _models_in(one.model_fields[part].annotation)
        ]
        models = inner or models
    return list(dict.fromkeys(key for one in models for key in one.model_fields))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
