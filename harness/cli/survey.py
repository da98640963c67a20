"""``clapstick survey``: listening tests, from the design to the scores."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapstick.harness.cli.output import JsonOption, note, print_json, print_rows

if TYPE_CHECKING:
    import pandas as pd

    from clapstick.reports.survey.plan import Plan
    from clapstick.reports.survey.results import SurveyResult
    from clapstick.reports.survey.store import AnswerStore

PacketArgument = Annotated[Path, typer.Argument(help="Packet folder.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Key file; PACKET.key.json beside the packet if not given.")
]

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of the answers; PACKET.answers beside the packet if not given."),
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
        list[str] | None,
        typer.Option("--systems", "--system", help="Rows to compare, with commas; all systems if left out."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Value to change, such as questions.rule=spread.")
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
        systems=[name for names in system or [] for name in names.split(",")],
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


@survey.command()
def sheets(
    packet: PacketArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the sheets.")],
    font: Annotated[
        Path | None, typer.Option("--font", help="TrueType font for letters beyond Latin-1.")
    ] = None,
) -> None:
    """Write sheets to print and fill in, one a rater. Example: clapstick survey sheets packet --out sheets"""
    from clapstick.reports.survey.plan import read_plan
    from clapstick.reports.survey.sheets import write_sheets

    for path in write_sheets(read_plan(packet), out, font):
        typer.echo(path)


@survey.command()
def webmushra(
    packet: PacketArgument, out: Annotated[Path, typer.Option("--out", help="Folder for the configurations.")]
) -> None:
    """Write webMUSHRA/pymushra pages and wavs. Example: clapstick survey webmushra packet --out configs"""
    from clapstick.reports.survey.plan import read_plan
    from clapstick.reports.survey.platforms import write_webmushra

    for path in write_webmushra(packet, read_plan(packet), out):
        typer.echo(path)


@survey.command()
def serve(
    packet: PacketArgument,
    data: DataOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8000,
) -> None:
    """Collect answers over the network. Example: clapstick survey serve packet --port 8000"""
    import uvicorn

    from clapstick.reports.survey.server import build_server

    plan, store = _open_store(packet, data)
    note(f"Monitor: http://{host}:{port}/monitor/{store.monitor_token}/")
    note(f"Free places: http://{host}:{port}/join/{store.join_token}")
    try:
        uvicorn.run(
            build_server(packet, plan, store), host=host, port=port, access_log=False, server_header=False
        )
    finally:
        store.close()


@survey.command()
def links(
    packet: PacketArgument,
    base_url: Annotated[str, typer.Option("--base-url", help="Address that raters reach the server under.")],
    for_: Annotated[
        Literal["links", "mturk", "prolific"], typer.Option("--for", help="Platform whose columns are wanted.")
    ] = "links",
    data: DataOption = None,
) -> None:
    """Print one link a rater, with completion code. Example: clapstick survey links packet --base-url https://x.org"""
    from clapstick.reports.survey.platforms import seats_csv

    _, store = _open_store(packet, data)
    typer.echo(seats_csv(store.seats(), base_url, for_), nl=False)
    store.close()


@survey.command()
def export(packet: PacketArgument, data: DataOption = None) -> None:
    """Print all answers that the server holds. Example: clapstick survey export packet > answers.json"""
    from clapstick.reports.survey.plan import sha256_of

    plan, store = _open_store(packet, data)
    print_json([file.model_dump(mode="json") for file in store.export(sha256_of(plan))])
    store.close()


@survey.command()
def delete(
    packet: PacketArgument,
    rater: Annotated[str, typer.Argument(help="Code of the rater.")],
    data: DataOption = None,
) -> None:
    """Delete a rater's answers and close the link. Example: clapstick survey delete packet K7Q2M"""
    from clapstick.protocols.problems import fail

    _, store = _open_store(packet, data)
    found = store.delete(rater)
    store.close()
    if not found:
        raise fail("no such rater", rater, remedy="See the codes with `clapstick survey links`.")
    note(f"{rater}: answers deleted")


@survey.command()
def power(
    difference: Annotated[float, typer.Argument(help="True difference of mean ratings, in points.")],
    wanted: Annotated[float, typer.Option("--power", help="Chance to find it.", min=0.05, max=0.999)] = 0.8,
    raters: Annotated[str, typer.Option("--raters", help="Numbers of raters to try.")] = "10,20,30,50,100",
    clips: Annotated[str, typer.Option("--clips", help="Numbers of clips to try.")] = "6,12,24,48,96",
    clips_per_rater: Annotated[int, typer.Option("--clips-per-rater", help="0 for all.", min=0)] = 0,
    pilot: Annotated[
        Path | None,
        typer.Option("--pilot", help="ratings.csv of `survey score --out`: variances come from there."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Plan raters and clips for a difference. Example: clapstick survey power 0.5 --clips 12,24"""
    from clapstick.reports.survey.power import (
        DEFAULT_COMPONENTS,
        components_from_ratings,
        plan_sizes,
        smallest_raters,
    )

    components = DEFAULT_COMPONENTS if pilot is None else components_from_ratings(_pilot_ratings(pilot))
    source = "the PEAVS annotations" if pilot is None else str(pilot)
    note(
        f"Variances of a difference, from {source}: raters {components.rater:.2f}, "
        f"clips {components.clip:.2f}, rest {components.noise:.2f}"
    )
    sizes = plan_sizes(
        difference, components, raters=_numbers(raters), clips=_numbers(clips), clips_per_rater=clips_per_rater
    )
    least = {
        count: smallest_raters(
            difference, count, components, wanted, clips_per_rater=min(clips_per_rater or count, count)
        )
        for count in _numbers(clips)
    }
    if as_json:
        print_json(
            {
                "difference": difference,
                "components": asdict(components),
                "sizes": [asdict(size) for size in sizes],
                "smallest": [{"clips": count, "raters": found} for count, found in least.items()],
            }
        )
        return
    last = f"raters for {wanted:g}"
    rows = [
        {"clips": count, last: found or "none up to 1000: take more clips"}
        | {f"{size.raters} raters": f"{size.power:.2f}" for size in sizes if size.clips == count}
        for count, found in least.items()
    ]
    print_rows(rows, [name for name in rows[0] if name != last] + [last], as_json=False)


def _pilot_ratings(path: Path) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_csv(path)
    return table[table["role"] == "test"] if "role" in table.columns else table


def _numbers(text: str) -> list[int]:
    from clapstick.protocols.problems import fail

    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise fail("not a list of numbers", text, expected="such as 10,20,30") from error
    if min(found) < 2:
        raise fail("too few", text, expected="2 or more")
    return found


def _open_store(packet: Path, data: Path | None) -> tuple[Plan, AnswerStore]:
    from clapstick.reports.survey.plan import read_plan, sha256_of
    from clapstick.reports.survey.store import AnswerStore

    plan = read_plan(packet)
    folder = data or packet.with_name(f"{packet.name}.answers")
    raters = [session.rater for session in plan.sessions]
    return plan, AnswerStore(folder / "answers.sqlite3", sha256_of(plan), raters)


def _key_path(packet: Path, key: Path | None) -> Path:
    return key if key is not None else packet.with_name(f"{packet.name}.key.json")


def _write_result(out: Path, result: SurveyResult, table: pd.DataFrame | None) -> None:
    from clapstick.protocols.archive import write_json, write_text
    from clapstick.reports.survey.result_page import render_result_page

    write_json(out / "result.json", result.model_dump(mode="json"))
    write_text(out / "index.html", render_result_page(result))
    if table is not None:
        write_text(out / "ratings.csv", table.to_csv(index=False))
    note(f"Page: {out / 'index.html'}")


def _print_result(result: SurveyResult, as_json: bool) -> None:
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
