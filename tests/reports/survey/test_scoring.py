"""From answers to results: files checked, raters left out as planned, MOS columns, the page, the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from survey_raters import QUALITY, plan_and_key, simulate_session, small_packet, small_run
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.protocols.archive import ScoreRecord
from clapstick.protocols.problems import ClapstickError
from clapstick.reports.survey.answers import read_answers
from clapstick.reports.survey.design import ExclusionRule
from clapstick.reports.survey.exclusions import exclude
from clapstick.reports.survey.packet import MadePacket
from clapstick.reports.survey.result_page import render_result_page
from clapstick.reports.survey.results import score_packet, write_ratings
from clapstick.reports.survey.tables import read_pairs, read_ratings

RULES = (
    'exclusions=[{rule="attention-failed", limit=2.0}, {rule="too-fast", limit=2.0},'
    ' {rule="repeat-difference", limit=1.5}]'
)
RATINGS = Path(__file__).parents[4] / "shared" / "data" / "human_ratings" / "peavs_batch1_pairs.csv.gz"
PEAVS_NAME = r"(?P<clip>.+?)_(?:output_)?(?P<system>original|\d\d)(?:_(?P<variant>\d+))?"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def made(run: Path, tmp_path_factory: pytest.TempPathFactory) -> MadePacket:
    extra = ("presentation.attention_pages=2", "presentation.repeated_pages=1", RULES)
    return small_packet(run, tmp_path_factory.mktemp("made"), raters=12, extra=extra)


@pytest.fixture(scope="module")
def answers(made: MadePacket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer files of ten careful raters and two careless ones."""
    folder = tmp_path_factory.mktemp("answers")
    plan, key = plan_and_key(made)
    rng = np.random.default_rng(0)
    for number, session in enumerate(plan.sessions):
        file = simulate_session(plan, key, session, rng, careful=number >= 2)
        (folder / f"{session.rater}.json").write_text(file.model_dump_json())
    return folder


def test_careless_raters_go_and_known_means_come_back(made: MadePacket, answers: Path, run: Path) -> None:
    result, table = score_packet(made.packet, [answers], made.key, run)
    plan, _ = plan_and_key(made)
    assert {entry.rater for entry in result.excluded} == {session.rater for session in plan.sessions[:2]}
    assert any("too-fast 2" in entry.rules for entry in result.excluded)
    assert result.raters == 10
    assert len(result.scores) == 20
    for score in result.scores:
        assert (score.n, score.raters, score.clips) == (40, 10, 4)
        assert score.mean == pytest.approx(QUALITY[score.system], abs=0.35)
        assert score.ci_low <= score.mean <= score.ci_high
    by_hand = table[
        (table["role"] == "test")
        & (table["system"] == "syncfusion")
        & (table["criterion"] == "material")
        & table["rater"].isin([session.rater for session in plan.sessions[2:]])
    ]["rating"]
    (score,) = (s for s in result.scores if (s.system, s.criterion) == ("syncfusion", "material"))
    assert score.mean == pytest.approx(by_hand.mean())
    assert {row.variant for row in result.sensitivity} == {
        "nobody left out", "attention-failed 2", "too-fast 2", "repeat-difference 1.5", "as planned",
    }  # fmt: skip
    everybody = [row for row in result.sensitivity if row.variant == "nobody left out"]
    assert {row.raters for row in everybody} == {12}
    assert result.correlations[0].metric == "e-l1"
    assert result.correlations[0].clip_level < 0, "more error, lower rating"


def test_mos_columns_stand_beside_the_run(made: MadePacket, answers: Path, run: Path) -> None:
    result, _ = score_packet(made.packet, [answers], made.key)
    values = json.loads(write_ratings(run, result).read_text())
    records = [ScoreRecord.model_validate(record) for record in values["scores"]]
    assert {record.metric for record in records} == {
        "mos-material", "mos-action", "mos-temporal-alignment", "mos-audio-quality",
    }  # fmt: skip
    assert {record.convention for record in records} == {"video-foley-modified"}
    assert all(made.plan_sha256 in record.signature for record in records)
    assert all(record.direction == "higher" for record in records)


def test_forced_choice_ranks_the_systems(run: Path, tmp_path: Path) -> None:
    made = small_packet(run, tmp_path, "2afc", raters=18)
    plan, key = plan_and_key(made)
    rng = np.random.default_rng(1)
    files = [simulate_session(plan, key, session, rng).model_dump(mode="json") for session in plan.sessions]
    (tmp_path / "export.json").write_text(json.dumps(files))
    result, _ = score_packet(made.packet, [tmp_path / "export.json"], made.key)
    assert sum(rate.n for rate in result.win_rates if rate.criterion == "overall") == 18 * 4
    for criterion in ("semantic", "overall"):
        best = [row.system for row in result.strengths if row.criterion == criterion]
        assert best[0] == "video-foley"
        assert best[-1] == "spec-vqgan"
    assert all(row.with_others is None or row.with_others > 0.5 for row in result.consistency)
    assert "over" in render_result_page(result)


def test_two_hundred_simulated_raters_give_the_true_means(run: Path, tmp_path: Path) -> None:
    made = small_packet(run, tmp_path, raters=200, extra=("presentation.attention_pages=1", RULES))
    plan, key = plan_and_key(made)
    (tmp_path / "answers").mkdir()
    for number, session in enumerate(plan.sessions):
        file = simulate_session(plan, key, session, np.random.default_rng(number), careful=number % 10 != 0)
        (tmp_path / "answers" / f"{session.rater}.json").write_text(file.model_dump_json())
    result, _ = score_packet(made.packet, [tmp_path / "answers"], made.key)
    assert result.raters == 180
    assert {entry.rater for entry in result.excluded} == {s.rater for s in plan.sessions[::10]}
    for score in result.scores:
        assert score.n == 180 * 4
        if 2 <= QUALITY[score.system] <= 4:  # clipping to 1..5 pulls the ends in
            assert score.mean == pytest.approx(QUALITY[score.system], abs=0.08)


def change(answers: Path, tmp_path: Path, **changes: object) -> Path:
    values = json.loads(sorted(answers.glob("*.json"))[0].read_text())
    for name, value in changes.items():
        if name in values:
            values[name] = value
        else:
            values["answers"][0][name] = value
    (tmp_path / "changed.json").write_text(json.dumps(values))
    return tmp_path / "changed.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan_sha256": "0" * 64}, "another plan"),
        ({"rater": "NOONE"}, "no rater 'NOONE'"),
        ({"page": "ffffffffffff"}, "not in this rater's session"),
        ({"sound": "999"}, "sound '999' is not on page"),
        ({"criterion": "beauty"}, "criterion 'beauty' is not asked"),
        ({"value": 6}, "value 6 is above 5"),
        ({"value": 0}, "not an answer file"),
        ({"value": "5"}, "not an answer file"),
        ({"value": True}, "not an answer file"),
        ({"seconds": float("nan")}, "not an answer file"),
        ({"colour": "red"}, r"not an answer file; found unknown answer key \(.*colour\)"),
    ],
)
def test_answers_that_do_not_belong_are_refused(
    made: MadePacket, answers: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    plan, _ = plan_and_key(made)
    with pytest.raises(ClapstickError, match=message):
        read_answers([change(answers, tmp_path, **changes)], plan)


def test_a_file_sent_twice_counts_once_and_contradictions_are_named(
    made: MadePacket, answers: Path, tmp_path: Path
) -> None:
    plan, _ = plan_and_key(made)
    path = sorted(answers.glob("*.json"))[0]
    once = read_answers([path], plan)
    assert read_answers([path, path], plan) == once
    held = next(iter(once.values()))[0].value
    with pytest.raises(ClapstickError, match="contradict each other"):
        read_answers([path, change(answers, tmp_path, value=1 + held % 5)], plan)
    later = change(answers, tmp_path, value=1 + held % 5, revision=999)
    assert next(iter(read_answers([path, later], plan).values()))[0].value == 1 + held % 5


def table(rows: list[tuple[str, str, str, int, str, str, float]]) -> pd.DataFrame:
    columns = ["rater", "clip", "system", "rating", "page", "role", "seconds"]
    return pd.DataFrame(rows, columns=columns).assign(criterion="x")


def test_every_rule_by_hand() -> None:
    answers = table(
        [
            # high: mean 4.5, constant no; flat: always 3; deaf: attention wrong once; fast: 1 s a page.
            ("high", "c", "a", 4, "p1", "test", 9), ("high", "d", "a", 5, "p2", "test", 9),
            ("flat", "c", "a", 3, "p1", "test", 9), ("flat", "d", "a", 3, "p2", "test", 9),
            ("deaf", "c", "a", 1, "p1", "test", 9), ("deaf", "d", "reference", 2, "p2", "test", 9),
            ("deaf", "e", "4", 3, "p3", "attention", 9), ("high", "e", "4", 4, "p3", "attention", 9),
            ("fast", "c", "a", 1, "p1", "test", 1), ("fast", "d", "a", 5, "p2", "test", 1),
            ("fast", "c", "a", 5, "q1", "repeat", 1), ("high", "c", "a", 4, "q1", "repeat", 9),
        ]
    )  # fmt: skip
    cases = {
        ("mean-above", 4.0): {"high": 4.5},
        ("constant", 0.0): {"flat": 0.0},
        ("attention-failed", 0.0): {"deaf": 1.0},
        ("too-fast", 2.0): {"fast": 1.0},
        ("repeat-difference", 2.0): {"fast": 4.0},
        ("reference-below", 3.0): {"deaf": 2.0},
    }
    for (rule, limit), expected in cases.items():
        found = exclude([ExclusionRule(rule=rule, limit=limit)], answers, {"q1": "p1"})  # type: ignore[arg-type]
        assert {entry.rater: entry.found for entry in found} == expected, rule


def test_the_page_shows_strange_text_as_text(made: MadePacket, answers: Path) -> None:
    result, _ = score_packet(made.packet, [answers], made.key)
    evil = "<script>alert(1)</script>"
    page = render_result_page(result.model_copy(update={"title": evil, "notes": (evil,)}))
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_whole_way_by_commands(run: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    app = build_app()
    packet = tmp_path / "packet"
    call = [
        "survey",
        "make",
        str(run),
        "--design",
        "video-foley",
        "--raters",
        "4",
        "--seed",
        "7",
        "--out",
        str(packet),
    ]
    for value in ('questions.rule="spread"', "questions.count=3", "stimuli.duration_s=0.5"):
        call += ["--set", value]
    made = runner.invoke(app, [*call, "--json"], catch_exceptions=False)
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    assert told["key"] == f"{packet}.key.json"
    from clapstick.reports.survey.plan import read_key, read_plan

    plan = read_plan(packet)
    key = read_key(Path(told["key"]), plan)
    rng = np.random.default_rng(0)
    for session in plan.sessions:
        (tmp_path / f"{session.rater}.json").write_text(
            simulate_session(plan, key, session, rng).model_dump_json()
        )
    files = [str(tmp_path / f"{session.rater}.json") for session in plan.sessions]
    out = tmp_path / "result"
    scored = runner.invoke(
        app, ["survey", "score", str(packet), *files, "--run", str(run), "--out", str(out), "--json"],
        catch_exceptions=False,
    )  # fmt: skip
    assert scored.exit_code == 0
    assert json.loads(scored.stdout)["raters"] == 4
    assert {path.name for path in out.iterdir()} == {"result.json", "index.html", "ratings.csv"}
    assert len(pd.read_csv(out / "ratings.csv")) == 4 * 3 * 5 * 4


def test_tables_from_elsewhere_are_read_and_mistakes_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("rater,clip,system,criterion,rating\nr1,c,a,x,4\nr2,c,a,x,high\n")
    with pytest.raises(ClapstickError, match=r"a rating is no number.*line 3"):
        read_ratings(path)
    path.write_text("rater,clip,rating\nr1,c,4\n")
    with pytest.raises(ClapstickError, match="Add system, criterion"):
        read_ratings(path)
    path.write_text(
        "pair,rater,video1,score1,video2,score2\n1,r1,v-a,4,v-b,2\n2,r1,v-a,3,v-b,3\n3,r2,v-a,1,v-a,5\n"
    )
    ratings, choices = read_pairs(path, "(?P<clip>.)-(?P<system>.)", "sync")
    assert len(ratings) == 6
    assert choices["winner"].tolist() == ["a"], "ties and pairs of one system are no choices"
    with pytest.raises(ClapstickError, match="lacks a group"):
        read_pairs(path, "(?P<clip>.)-.", "sync")
    with pytest.raises(ClapstickError, match=r"does not fit the pattern; found v-a"):
        read_pairs(path, "(?P<clip>x)-(?P<system>.)", "sync")


@pytest.mark.skipif(not RATINGS.is_file(), reason="the PEAVS ratings are not here")
def test_real_ratings() -> None:
    from clapstick.reports.survey.results import score_table

    ratings, choices = read_pairs(RATINGS, PEAVS_NAME, "synchrony")
    assert (len(ratings), ratings["rater"].nunique()) == (60_000, 54)
    result = score_table(ratings, choices, title="PEAVS", level=0.95)
    scores = {score.system: score for score in result.scores}
    assert scores["08"].mean > scores["06"].mean + 1
    # Raters and clips taken as samples make the interval several times wider than the papers' formula.
    assert scores["08"].ci_high - scores["08"].ci_low > 3 * 2 * scores["08"].half_width
    assert 0.4 < result.agreement[0].alpha < 0.6
    assert result.strengths[0].system == "original"
    assert "PEAVS" in render_result_page(result)
