"""The published numbers: all there, as printed, and mapped to what the project computes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from clapstick.metrics.registry import metrics
from clapstick.protocols.protocol import built_in_protocols, find_protocol
from clapstick.protocols.results import comparability, lookup, published_results

SHARED = Path(__file__).parents[3] / "shared" / "data" / "published_results.csv"


def test_all_numbers_are_there() -> None:
    frame = published_results()
    assert len(frame) == 395
    assert frame["value"].notna().all()
    assert set(frame["comparable"]) == {"yes", "with care", "no"}
    assert (frame["why"] != "").all()


@pytest.mark.parametrize(
    ("paper", "table", "row", "prompt", "column", "printed"),
    [
        # Video-Foley, Table 2, as printed.
        ("Video-Foley", "Table 2", "Video-Foley (ours)", "audio", "FAD-P", 27.2),
        ("Video-Foley", "Table 2", "SyncFusion", "text", "E-L1", 0.0292),
        ("Video-Foley", "Table 1", "Video-Foley Video2RMS w/ label smoothing", "", "Acc@5", 0.238),
        ("FOL-AI", "Table I", "FOL-AI (ours)", "audio", "FAD-LC", 0.1048),
        ("ReWaS", "Table 3", "ReWaS (ours)", "text (material)", "Onset AP", 63.28),
        ("MultiFoley", "Table 1", "MultiFoley (ours)", "text label", "KLD", 1.43),
    ],
)
def test_numbers_are_as_printed(
    paper: str, table: str, row: str, prompt: str, column: str, printed: float
) -> None:
    frame = published_results()
    found = frame[
        (frame["paper"] == paper)
        & (frame["table"] == table)
        & (frame["row"] == row)
        & (frame["prompt"] == prompt)
        & (frame["column"] == column)
    ]
    assert list(found["printed"]) == [printed]


def test_percent_become_fractions() -> None:
    (value,) = lookup(protocol="rewas-table3", system="rewas", metric="onset-ap")["value"]
    assert value == pytest.approx(0.6328)
    (value,) = lookup(protocol="multifoley-table1", system="multifoley", metric="clap-score")["value"]
    assert value == pytest.approx(0.344)


def test_metrics_and_conventions_are_ours_or_say_that_there_is_none() -> None:
    known = metrics()
    for row in published_results().itertuples():
        if row.convention:
            known[str(row.metric)].convention(str(row.convention))


def test_protocols_are_ours_and_compute_what_their_table_prints() -> None:
    frame = published_results()
    assert set(frame["protocol"]) - {""} <= set(built_in_protocols())
    elsewhere = {"peavs"}  # Table 3 of Video-Foley, an aside
    for name, rows in frame[frame["protocol"] != ""].groupby("protocol"):
        computed = set(find_protocol(str(name)).metrics)
        printed = {
            f"{row.metric}:{row.convention}"
            for row in rows.itertuples()
            if row.convention and row.metric not in elsewhere
        }
        assert printed <= computed, name


def test_released_code_stands_for_the_published_system() -> None:
    assert len(lookup(protocol="video-foley-table2", system="video-foley-official", metric="fad-p")) == 1


def test_ground_truth_rows_and_ratings_are_never_comparable() -> None:
    frame = published_results()
    assert set(frame.loc[frame["row"] == "Ground Truth", "comparable"]) == {"no"}
    assert set(frame.loc[frame["metric"].str.startswith("mos"), "comparable"]) == {"no"}


def test_two_papers_numbers_of_one_system_are_kept_apart() -> None:
    # facts: the same checkpoints give 0.0090 and 0.0183 under two protocols.
    rows = lookup(system="video-foley", metric="e-l1", prompt="audio")
    rows = rows[rows["table"] != "summary"]
    assert dict(zip(rows["protocol"], rows["value"], strict=True)) == {
        "video-foley-table2": 0.009,
        "fol-ai-table1": 0.0183,
    }


def test_comparability_names_the_reason() -> None:
    base = {"protocol": "video-foley-table2", "system": "video-foley", "metric": "e-l1"}
    assert comparability(**base, convention="v2s", clips=732)[0] == "yes"
    assert comparability(**base, convention="video2rms") == (
        "no",
        "Another convention: published v2s, measured video2rms.",
    )
    assert comparability(**base, convention="v2s", clips=20) == (
        "no",
        "Other clips: published on 732, measured on 20.",
    )
    fad = comparability(
        protocol="video-foley-table2",
        system="video-foley",
        metric="fad-p",
        convention="inf-bootstrap",
        clips=732,
    )
    assert fad[0] == "with care"
    assert comparability(protocol="folder", system="x", metric="e-l1", convention="v2s")[0] == "no"


@pytest.mark.skipif(not SHARED.is_file(), reason="the collected table is not beside this checkout")
def test_data_equals_the_collected_table() -> None:
    with SHARED.open(encoding="utf-8") as stream:
        collected = [(row["system"], row["metric"], float(row["value"])) for row in csv.DictReader(stream)]
    frame = published_results()
    assert list(zip(frame["row"], frame["column"], frame["printed"], strict=True)) == collected
