"""The result of a listening test as one HTML page without script."""

from __future__ import annotations

from pathlib import Path

from clapstick.reports.survey.results import SurveyResult

PAGE_FOLDER = Path(__file__).parent / "pages"


def render_result_page(result: SurveyResult) -> str:
    """Return the page; everything that came from outside is escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(PAGE_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    labels = list(dict.fromkeys((row.criterion, row.label) for row in result.sensitivity))
    variants = dict.fromkeys((row.variant, row.raters) for row in result.sensitivity)
    style = (PAGE_FOLDER / "result.css").read_text(encoding="utf-8")
    return environment.get_template("result.html.j2").render(
        result=result,
        sensitivity_labels=labels,
        sensitivity_variants=list(variants),
        style=Markup(style),
    )
