"""``clapstick ablate``: sweeps over settings of the two-stage system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    from clapstick.harness.ablate.results import SweepResults


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ablate")(ablate)


def ablate(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="Name of a shipped sweep, or a TOML file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder with the train and test splits.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="RUNS", help="Folder that sweeps share their points in.")
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="KEY=V1,V2", help="Only these values of a key of the sweep's grid."),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it will cost, from a timed probe.")
    ] = False,
    halving: Annotated[
        bool, typer.Option("--halving", help="Train all settings shortly, go on with the better half, twice.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key that the sweep does not vary; may be repeated."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Points side by side; as many as cores and memory allow where left out."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Train, generate and score over a grid of settings and seeds; stopped, it goes on where it was.

    Example: clapstick ablate bins --data synthetic-hits --out runs/ablations --plan

    Shipped: bins, smoothing, features, onset-joint, prompt, guidance, steps.
    Ends with 1 where a point failed; the others are in the table.
    """
    from clapstick.harness.ablate.execute import run_points
    from clapstick.harness.ablate.forecast import forecast
    from clapstick.harness.ablate.halving import run_halving
    from clapstick.harness.ablate.resolve import check_keys
    from clapstick.harness.ablate.results import collect
    from clapstick.harness.ablate.sweep import find_sweep, points_of
    from clapstick.harness.cli import EXIT_PARTIAL
    from clapstick.harness.workers import default_workers

    wanted = find_sweep(sweep).narrowed(_narrowing(grid or [])).with_base(_changes(changes or []))
    check_keys(wanted)
    points = list(points_of(wanted))
    count = workers or default_workers()
    if plan:
        cost = forecast(wanted, points, data, out, count, device)
        rows = [
            {
                "sweep": wanted.name,
                "points": cost.points,
                "done": cost.done,
                "hours": cost.hours,
                "disk (GB)": cost.disk_gb,
                "side by side": cost.workers,
            }
        ]
        print_rows(rows, list(rows[0]), as_json=as_json)
        return
    outcomes = (
        run_halving(wanted, points, data, out, count, device)
        if halving
        else run_points(wanted, points, data, out, count, device)
    )
    results = collect(wanted, outcomes)
    page = write_results(results, out / wanted.name)
    if as_json:
        print_json(
            {
                "page": str(page),
                "table": _records(results),
                "choice": asdict(results.choice) if results.choice else None,
                "quantisation": [asdict(row) for row in results.quantisation],
                "failures": [{"point": name, "problem": str(problem)} for name, problem in results.failures],
            }
        )
    else:
        _print_choice(results)
        typer.echo(str(page))
    for name, problem in results.failures:
        note(f"clapstick: {name}: {problem}")
    if results.failures:
        raise typer.Exit(EXIT_PARTIAL)


def _narrowing(given: Sequence[str]) -> dict[str, list[str]]:
    """Read ``key=value,value`` from the command line."""
    pairs = [_split("--grid", text, "KEY=V1,V2") for text in given]
    return {key: [value.strip() for value in values.split(",")] for key, values in pairs}


def _changes(given: Sequence[str]) -> dict[str, str | int | float | bool]:
    """Read ``key=value`` from the command line; the value as TOML has it, else as text."""
    from clapstick.protocols.values import value_of

    pairs = [_split("--set", text, "KEY=VALUE") for text in given]
    return {key: value_of(value) for key, value in pairs}


def _split(option: str, text: str, form: str) -> tuple[str, str]:
    from clapstick.protocols.problems import fail

    key, equals, value = text.partition("=")
    if not (key.strip() and equals and value.strip()):
        raise fail(f"{option} is not understood", text, expected=form, remedy="Name a key and a value.")
    return key.strip(), value.strip()


def _print_choice(results: SweepResults) -> None:
    """Print the deciding score of every row, the discretised reference's closed form, and the verdict."""
    shown = [row for row in _records(results) if row["score"] == results.sweep.choose]
    rows = [
        {
            "setting": row["setting"],
            "system": row["system"],
            "mean": None if row["reason"] else f"{row['mean']:.4g}",
            "95 % interval": None if row["reason"] else f"{row['low']:.4g} to {row['high']:.4g}",
            "seeds": row["seeds"],
            "published": row["published"],
            "why not": row["reason"],
        }
        for row in shown
    ]
    print_rows(rows, list(rows[0]), as_json=False, title=results.sweep.choose)
    if results.quantisation:
        closed = [
            {
                "bins": row.bins or "continuous",
                "closed form": f"{row.expected:.5f}",
                "measured": f"{row.measured:.5f}",
                "acc@1": row.accuracy,
            }
            for row in results.quantisation
        ]
        print_rows(closed, list(closed[0]), as_json=False, title="discretised reference, e-l1:video2rms")
    if results.choice:
        typer.echo(results.choice.text)


def write_results(results: SweepResults, folder: Path) -> Path:
    """Write table.csv, table.json, the figures and the page of a sweep."""
    from clapstick.protocols.archive import write_json, write_text
    from clapstick.reports.ablation import SweepPage, write_sweep_page

    sweep, choice = results.sweep, results.choice
    folder.mkdir(parents=True, exist_ok=True)
    # Seconds differ from one machine and one hour to the next: the CSV holds what comes out the same again.
    write_text(folder / "table.csv", results.table.drop(columns=["train_s", "generate_s"]).to_csv(index=False))
    write_json(folder / "table.json", {"sweep": sweep.model_dump(mode="json"), "rows": _records(results)})
    return write_sweep_page(
        SweepPage(
            title=sweep.title,
            question=sweep.question,
            paper=sweep.paper,
            paper_says=sweep.paper_says,
            system=sweep.system,
            choose=sweep.choose,
            prefer=sweep.prefer,
            verdict=choice.text if choice else "No choice: fewer than two settings worked under every seed.",
            seeds=sweep.seeds,
            axes=[(key, sweep.axis(key)) for key in sweep.grid],
            figures=[(order.title, order.score, order.systems) for order in sweep.figures],
            table=results.table,
            against_best=[
                {
                    "setting": test.label,
                    "difference": f"{test.difference:.3g}",
                    "p": f"{test.p_adjusted:.3g}",
                    "interval": f"{test.low:.3g} to {test.high:.3g}",
                    "verdict": "worse" if test.worse else "not told apart",
                }
                for test in (choice.against_best if choice else ())
            ],
            closed_form=[
                {
                    "bins": str(row.bins or "continuous"),
                    "expected": f"{row.expected:.5f}",
                    "measured": f"{row.measured:.5f}",
                    "accuracy": "" if row.accuracy is None else f"{row.accuracy:g}",
                }
                for row in results.quantisation
            ],
            failures=[(name, str(problem)) for name, problem in results.failures],
            notes=sweep.notes,
        ),
        folder,
    )


def _records(results: SweepResults) -> list[dict[str, object]]:
    table = results.table.astype(object)
    return [
        {str(name): value for name, value in row.items()}
        for row in table.where(table.notna(), None).to_dict("records")
    ]
