"""The page that raters see: one HTML file with its style and script inside, under a strict content security
policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from clapstick.reports.survey.plan import Plan, Session, sha256_of

PAGE_FOLDER = Path(__file__).parent / "pages"
CHECK_BEEPS = 4
"""Beeps of the sound check."""
LATENCY_CHECK = (("a", 0.24), ("b", 0.0), ("c", -0.24))
"""Videos of the latency check and how late their click comes, in seconds."""
CHECK_IN_TIME = 1


def render_rater_page(plan: Plan, sessions: Sequence[Session], *, server: str | None = None) -> str:
    """Return the page for some sessions: all of them in a packet, one where a server hands it out.

    Parameters
    ----------
    server : str, optional
        Path under which the server takes this rater's answers; None for a packet that opens from disk.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(loader=FileSystemLoader(PAGE_FOLDER), autoescape=True)
    return environment.get_template("survey.html.j2").render(
        title=plan.design.title,
        policy=content_policy(server is not None),
        style=Markup(_part("survey.css")),
        script=Markup(_part("survey.js")),
        data=Markup(_json_in_html(_page_data(plan, sessions, server))),
    )


def content_policy(served: bool) -> str:
    """Return the content security policy: our one script and style by hash, media of the packet, nothing
    else."""
    parts = [
        "default-src 'none'",
        f"script-src '{_integrity('survey.js')}'",
        f"style-src '{_integrity('survey.css')}'",
        "media-src 'self'" + ("" if served else " file:"),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if served:
        parts.append("connect-src 'self'")
    return "; ".join(parts)


def _page_data(plan: Plan, sessions: Sequence[Session], server: str | None) -> dict[str, Any]:
    design = plan.design
    return {
        "plan": sha256_of(plan),
        "title": design.title,
        "kind": design.kind,
        "consent": design.consent,
        "guidelines": design.guidelines,
        "criteria": [
            {
                "name": c.name,
                "title": c.title,
                "question": c.question,
                "guideline": c.guideline,
                "scale": c.scale,
            }
            for c in design.criteria
        ],
        "full_play": design.presentation.full_play,
        "examples": [example.model_dump() for example in plan.examples],
        "sessions": {
            session.rater: {
                "criteria": session.criteria,
                "pages": [page.model_dump(mode="json") for page in session.pages],
            }
            for session in sessions
        },
        "media": f"{server}/media" if server else "media",
        "check": f"{server}/check" if server else "check",
        "check_beeps": CHECK_BEEPS,
        "check_latency": [name for name, _ in LATENCY_CHECK],
        "check_in_time": CHECK_IN_TIME,
        "server": server,
    }


def _json_in_html(value: object) -> str:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _part(name: str) -> str:
    return (PAGE_FOLDER / name).read_text(encoding="utf-8")


def _integrity(name: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(_part(name).encode()).digest()).decode()
