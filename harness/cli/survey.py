"""``clapstick survey``: listening tests, from the design to the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

PacketArgument = Annotated[Path, typer.Argument(help="Packet folder.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Key file; PACKET.key.json beside the packet if not given.")
]

survey = typer.Typer(help="Listening tests. Example: clapstick survey designs", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(survey, name="survey")


@survey.command()
def designs(as_json: JsonOption = False) -> None:
    """List the designs. Example: clapstick survey designs --json"""
    from clapstick.reports.survey.design import built_in_designs, find_design

    found = [find_design(name) for name in built_in_designs()]
    rows = [
        {
            "name": d.name,
            "kind": d.kind,
            "criteria": ", ".join(c.name for c in d.criteria),
            "summary": d.summary,
        }
        | {"paper": d.paper}
        for d in found
    ]
    print_rows(rows, ["name", "kind", "criteria", "summary"], as_json=as_json)


@survey.command()
def make(
    run: Annotated[Path, typer.Argument(help="Run archive.")],
    design: Annotated[str, typer.Option("--design", help="video-foley, rewas, 2afc, or a TOML file.")],
    raters: Annotated[int, typer.Option("--raters", help="Sessions to lay out.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the packet.")],
    seed: Annotated[int, typer.Option("--seed", help="Settles every choice; keep it to yourself.")] = 0,
    system: Annotated[
        list[str] | None, typer.Option("--system", help="System to compare; repeat for more.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help='Value to change, such as questions.rule="spread".')
    ] = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a blinded packet. Example: clapstick survey make runs/gh --design video-foley --raters 20 --out
    packet"""
    from clapstick.reports.survey.design import find_design
    from clapstick.reports.survey.packet import make_packet

    overrides = set_ or []
    made = make_packet(
        run,
        find_design(design, overrides),
        raters=raters,
        seed=seed,
        out=out,
        key_path=_key_path(out, key),
        systems=system or [],
        overrides=overrides,
    )
    for line in made.plan.notes:
        note(line)
    values = {
        "packet": str(made.packet),
        "key": str(made.key),
        "plan_sha256": made.plan_sha256,
        "raters": [session.rater for session in made.plan.sessions],
        "notes": list(made.plan.notes),
    }
    if as_json:
        print_json(values)
        return
    print_rows(
        [{"what": name, "value": values[name]} for name in ("packet", "key", "plan_sha256")]
        + [{"what": "rater codes", "value": " ".join(session.rater for session in made.plan.sessions)}],
        ["what", "value"],
        as_json=False,
    )


@survey.command()
def score(
    packet: PacketArgument,
    answers: Annotated[
        list[Path], typer.Argument(help="Answer files, server exports, filled sheets, or folders.")
    ],
    key: KeyOption = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="Run archive: adds MOS columns to it and correlates its metrics."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for result.json, ratings.csv, index.html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Analyse answers as planned. Example: clapstick survey score packet answers/ --run runs/gh --out result"""
    from clapstick.reports.survey.results import score_packet, write_ratings

    result, table = score_packet(packet, answers, _key_path(packet, key), run)
    if run is not None and result.scores:
        note(f"MOS columns: {write_ratings(run, result)}")
    if out is not None:
        _write_result(out, result, table)
    _print_result(result, as_json)


@survey.command("score-table")
def score_table(
    table: Annotated[Path, typer.Argument(help="CSV, also gzipped.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder for result.json and index.html.")] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            help="The table holds videos rated in pairs (pair, rater, video1, score1, video2, score2); this is "
            "a regular expression for a video's name with groups clip, system and maybe variant. Otherwise "
            "the columns are rater, clip, system, criterion, rating.",
        ),
    ] = None,
    criterion: Annotated[str, typer.Option("--criterion", help="What was rated, with --pairs.")] = "overall",
    title: Annotated[str, typer.Option("--title", help="Title of the page.")] = "Ratings",
    level: Annotated[float, typer.Option("--level", help="Of the intervals.", min=0.5, max=0.999)] = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Analyse ratings collected elsewhere. Example: clapstick survey score-table ratings.csv --out result"""
    from clapstick.reports.survey import results, tables

    if pairs is None:
        ratings, choices = tables.read_ratings(table), None
    else:
        ratings, choices = tables.read_pairs(table, pairs, criterion)
    result = results.score_table(ratings, choices, title=title, level=level)
    if out is not None:
        _write_result(out, result, None)
    _print_result(result, as_json)


def _key_path(packet: Path, key: Path | None) -> Path:
    return key if key is not None else packet.with_name(f"{packet.name}.key.json")


def _write_result(out: Path, result: object, table: object) -> None:
    import pandas as pd

    from clapstick.protocols.archive import write_json, write_text
    from clapstick.reports.survey.result_page import render_result_page
    from clapstick.reports.survey.results import SurveyResult

    assert isinstance(result, SurveyResult)
    write_json(out / "result.json", result.model_dump(mode="json"))
    write_text(out / "index.html", render_result_page(result))
    if isinstance(table, pd.DataFrame):
        write_text(out / "ratings.csv", table.to_csv(index=False))
    note(f"Page: {out / 'index.html'}")


def _print_result(result: object, as_json: bool) -> None:
    from clapstick.reports.survey.results import SurveyResult

    assert isinstance(result, SurveyResult)
    if as_json:
        print_json(result.model_dump(mode="json"))
        return
    for line in result.notes:
        note(line)
    if result.scores:
        rows = [
            {
                "criterion": score.criterion,
                "system": score.system,
                "MOS": f"{score.mean:.2f}"
                + (f" (±{score.half_width:.2f})" if score.half_width is not None else ""),
                "interval": score.reason or f"{score.ci_low:.2f} to {score.ci_high:.2f}",
                "ratings": score.n,
            }
            for score in result.scores
        ]
        print_rows(rows, ["criterion", "system", "MOS", "interval", "ratings"], as_json=False)
    if result.win_rates:
        rows = [
            {
                "criterion": rate.criterion,
                "pair": f"{rate.system_a} over {rate.system_b}",
                "win rate %": f"{100 * rate.rate:.1f} (±{100 * rate.half_width:.1f})",
                "interval": f"{100 * rate.ci_low:.1f} to {100 * rate.ci_high:.1f}",
                "choices": rate.n,
                "p, Holm": f"{rate.p_holm:.2g}",
            }
            for rate in result.win_rates
        ]
        print_rows(rows, ["criterion", "pair", "win rate %", "interval", "choices", "p, Holm"], as_json=False)
