"""``clapstick compare``: several runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    from clapstick.reports.compare import RunComparison, RunScore

RunsArgument = Annotated[list[Path], typer.Argument(metavar="RUN_A RUN_B [RUN...]", help="Run archives.")]
AllowOption = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="KEY", help="Setting that may differ, as version or library.numpy."),
]

OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="HTML page, or its folder: one leaderboard of all runs, and what changed."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare)


def compare(
    runs: RunsArgument, allow: AllowOption = None, out: OutOption = None, as_json: JsonOption = False
) -> None:
    """Put runs side by side where their signatures agree, and say what got better or worse.

    Example: clapstick compare runs/before runs/after --allow version

    Ends with 0 when all columns could be merged, with 1 when some are kept apart; what differs is named.
    """
    from clapstick.harness.cli import EXIT_PARTIAL
    from clapstick.protocols.archive import require_writable
    from clapstick.reports.compare import compare_runs

    page = out if out is None or out.suffix else out / "index.html"
    if page is not None:
        require_writable(page)
    found = compare_runs(runs, allow=allow or ())
    if page is not None:
        from clapstick.reports.compare_page import write_comparison

        write_comparison(found, page)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)
    if page is not None:
        note(str(page))
    if found.separated:
        raise typer.Exit(EXIT_PARTIAL)


def _document(found: RunComparison) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "runs": list(found.runs),
        "merged": [{"run": item.run, **item.score.model_dump(mode="json")} for item in found.merged],
        "separated": [asdict(item) for item in found.separated],
        "changes": [asdict(item) for item in found.changes],
    }


def _merged_rows(found: RunComparison) -> list[dict[str, object]]:
    """Return one row for every value; runs in which a system has the same values share their rows."""
    from clapstick.reports.merge import row_names

    names = row_names(found)
    together: dict[tuple[str, str, str], list[RunScore]] = {}
    for item in found.merged:
        if item.score.value is not None:
            key = (item.score.metric, item.score.convention, names[item.run, item.score.system])
            together.setdefault(key, []).append(item)
    return [
        {
            "metric": f"{metric}@{convention}",
            "system": items[0].score.system,
            "run": ", ".join(item.run for item in items),
            "value": _number(items[0].score.value),
            "interval": _interval(items[0].score.ci_low, items[0].score.ci_high),
            "clips": items[0].score.n,
        }
        for (metric, convention, _), items in together.items()
    ]


def _print(found: RunComparison) -> None:
    from clapstick.protocols.archive import FINISH

    rows = _merged_rows(found)
    print_rows(rows, ["metric", "system", "run", "value", "interval", "clips"], as_json=False, title="Merged")
    changed = [change for change in found.changes if not change.is_none]
    if changed:
        shown = [
            {
                "metric": f"{change.metric}@{change.convention}",
                "system": change.system,
                "verdict": change.verdict,
                "before": _number(change.value_a),
                "after": _number(change.value_b),
                "difference": f"{_number(change.difference)} {_interval(change.ci_low, change.ci_high)}",
                "p (Holm)": "" if change.p_holm is None else f"{change.p_holm:.3g}",
                "clips": change.clips or "",
                "why": change.reason,
            }
            for change in changed
        ]
        columns = ["metric", "system", "verdict", "before", "after", "difference", "p (Holm)", "clips", "why"]
        print_rows(shown, columns, as_json=False, title="Changes from the first run")
    equal = len(found.changes) - len(changed)
    if equal:
        values = "value is" if equal == 1 else "values are"
        note(f"clapstick: {equal} {values} the same as in the first run and not listed as changes.")
    for name, data in found.data.items():
        if not data.scores:
            note(f"clapstick: {name} has no scores yet. {FINISH}")
    for item in found.separated:
        listed = "; ".join(f"{key}: {a or '–'} / {b or '–'}" for key, (a, b) in item.differences.items())
        note(
            f"clapstick: {item.metric}@{item.convention} of {item.run_a} and {item.run_b} kept apart: {listed}"
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"
