"""The text prompt of a request, checked."""

from __future__ import annotations

from clapstick.protocols.problems import fail
from clapstick.systems.base import Request

LONGEST_TEXT = 2000
"""Characters; CLAP's text tower reads 512 tokens."""


def text_of(request: Request) -> str | None:
    """Return the text prompt; None where the request has none.

    Raises
    ------
    ClapstickError
        If it is empty or far too long.
    """
    prompt = request.clip.prompt
    if prompt.kind != "text" or prompt.text is None:
        return None
    text = prompt.text.strip()
    if not text:
        raise fail(
            "text prompt is empty",
            request.clip.id,
            expected="a few words",
            remedy="Say what is struck, or leave the prompt out.",
        )
    if len(text) > LONGEST_TEXT:
        raise fail(
            "text prompt is too long",
            request.clip.id,
            found=f"{len(text)} characters",
            expected=f"{LONGEST_TEXT} at most",
            remedy="Shorten it.",
        )
    return text
