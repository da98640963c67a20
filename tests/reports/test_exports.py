"""Exports keep every value, escape what their format would read, and say how numbers came about."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml
from archive_builder import BuiltSystem, build_archive
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.problems import ClapstickError
from clapstick.protocols.protocol import built_in_protocols, find_protocol
from clapstick.protocols.readers.base import readers
from clapstick.reports.exports import FORMATS, export_run
from clapstick.reports.exports.latex import escape
from clapstick.reports.exports.references import first_surname, key_of_citation, keys_of_reader, references
from clapstick.systems.registry import built_in_systems


@pytest.mark.parametrize("wanted", ["csv", "json", "parquet"])
def test_tables_keep_every_value_and_reason(archive: RunArchive, wanted: str) -> None:
    content = export_run(archive.root, wanted)
    frame = {
        "csv": lambda: pd.read_csv(io.BytesIO(content)),
        "json": lambda: pd.DataFrame(json.loads(content)),
        "parquet": lambda: pd.read_parquet(io.BytesIO(content)),
    }[wanted]()
    records = archive.read_summary()
    assert len(frame) == len(records)
    for row, record in zip(frame.to_dict("records"), records, strict=True):
        assert (row["system"], row["metric"], row["convention"]) == (
            record.system,
            record.metric,
            record.convention,
        )
        assert row["signature"] == record.signature
        if record.value is None:
            assert row["value"] is None or math.isnan(row["value"])
            assert row["reason"] == record.reason
        else:
            assert row["value"] == pytest.approx(record.value, abs=1e-15)
            assert row["n"] == record.n


def test_clip_tables_have_one_row_a_clip_and_convention(archive: RunArchive) -> None:
    frame = pd.read_csv(io.BytesIO(export_run(archive.root, "csv", clips=True)))
    scores = archive.read_scores()
    assert len(frame) == len(scores)
    assert set(frame.loc[frame["clip"] == "two", "material"]) == {"wood"}


def test_markdown_has_a_column_for_every_convention(archive: RunArchive) -> None:
    text = export_run(archive.root, "markdown").decode()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {6}
    assert "| Video-Foley | 0.0232 = [0.0192 to 0.0282] |" in text
    assert "**" not in "".join(rows)
    assert "needs the PANNs checkpoint" in text


def test_latex_states_protocol_clips_and_signature(archive: RunArchive) -> None:
    text = export_run(archive.root, "latex").decode()
    assert r"\toprule" in text
    assert r"\texttt{test-protocol} version 1, 4 clips" in text
    assert "E-L1 (n = 2--3)" in text  # one system failed for a clip
    assert r"metric:e-l1\textbar{}convention:v2s\textbar{}n:3" in text
    assert r"0.0232 {\scriptsize [0.0192, 0.0282]}$^{\mathrm{a}}$" in text


def test_latex_escapes_what_it_would_read() -> None:
    assert escape(r"50% of \x_{1} & ~$") == (r"50\% of \textbackslash{}x\_\{1\} \& \textasciitilde{}\$")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(archive: RunArchive, tmp_path: Path) -> None:
    table = export_run(archive.root, "latex").decode()
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + table + "\\end{document}"
    (tmp_path / "t.tex").write_text(document, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, check=True, capture_output=True
    )


def test_bibtex_cites_protocol_metrics_and_systems_once(archive: RunArchive) -> None:
    text = export_run(archive.root, "bibtex").decode()
    assert text.count("A. Author, A Paper, 2026") == 1
    assert "@misc{author2026," in text
    assert "protocol test-protocol" in text
    assert "system Video-Foley" in text
    assert "metric E-L1" in text
    keys = [line.partition("{")[2] for line in text.splitlines() if line.startswith("@")]
    assert len(keys) == len(set(keys))


def test_bibtex_has_the_fields_of_the_works_behind_the_metrics(archive: RunArchive) -> None:
    entries = dict(
        re.findall(r"@\w+\{(\w+),\n(.*?)\n\}", export_run(archive.root, "bibtex").decode(), re.DOTALL)
    )
    # E-L1 cites both papers; acc@k would cite the first one again under the same key.
    assert "author = {Chung, Yoonjin and Lee, Junwon and Nam, Juhan}" in entries["chung2024tfoley"]
    assert "title = {{Video-Foley: Two-Stage Video-To-Sound" in entries["lee2025videofoley"]
    assert "year = {2025}" in entries["lee2025videofoley"]
    assert "eprint = {2408.11915}" in entries["lee2025videofoley"]
    assert "metric E-L1" in entries["lee2025videofoley"]


def test_every_paper_of_the_package_has_fields() -> None:
    cited = [metric.paper for metric in metrics().values()]
    cited += [system.card.paper or "" for system in built_in_systems().values()]
    cited += [find_protocol(name).paper or "" for name in built_in_protocols()]
    works = {work.strip() for papers in cited for work in papers.split(";")}
    unknown = [work for work in works if work and not work.startswith("none") and not key_of_citation(work)]
    assert unknown == []
    papers = {name for name in readers() if name not in ("folder", "manifest")}
    assert [name for name in papers if not keys_of_reader(name)] == []


def test_a_citation_is_known_by_first_author_and_title() -> None:
    assert key_of_citation("Y. Chung et al., KAD: No More FAD, ICML 2025") == "chung2025kad"
    assert key_of_citation("Y. Chung, J. Lee and J. Nam, T-Foley, ICASSP 2024") == "chung2024tfoley"
    assert key_of_citation("Comunità et al., SyncFusion, ICASSP 2024") == "comunita2024syncfusion"
    assert key_of_citation("A. Author, Better than KAD, 2026") is None
    assert key_of_citation("") is None


@pytest.mark.parametrize("key", references())
def test_references_say_where_the_work_appeared(key: str) -> None:
    reference = references()[key]
    surname = reference.author.split(",")[0]
    assert first_surname(surname) == reference.surname
    assert key.startswith(reference.surname.lower())
    assert reference.journal or reference.booktitle or reference.eprint
    if reference.type == "article":
        assert reference.journal
    if reference.type == "inproceedings":
        assert reference.booktitle


def test_model_index_is_what_model_cards_read(archive: RunArchive) -> None:
    from huggingface_hub.repocard_data import model_index_to_eval_results

    document = yaml.safe_load(export_run(archive.root, "model-index"))
    names = [model["name"] for model in document["model-index"]]
    assert names == ["Video-Foley", "SyncFusion", "Two-stage tiny", "SpecVQGAN"]
    name, results = model_index_to_eval_results(document["model-index"][:1])
    record = next(r for r in archive.read_summary() if r.system == "video-foley" and r.metric == "e-l1")
    assert name == "Video-Foley"
    assert results[0].metric_value == record.value
    assert results[0].metric_args["signature"] == record.signature


def test_hostile_names_do_not_break_a_format(tmp_path: Path) -> None:
    systems = (
        BuiltSystem("one", 'a | b & c_{d} % "e" <script>, `x`\n# head'),
        BuiltSystem("two", "=HYPERLINK(1) مقطع"),
    )
    archive = build_archive(tmp_path / "run", clip_ids=("a|b", "c,d\n"), systems=systems, media=False)
    for wanted in FORMATS:
        assert export_run(archive.root, wanted)
    rows = [
        line for line in export_run(archive.root, "markdown").decode().splitlines() if line.startswith("| a")
    ]
    assert len(rows) == 1
    assert "<script>" not in export_run(archive.root, "markdown").decode().replace("\\<", "")
    assert [
        model["name"] for model in yaml.safe_load(export_run(archive.root, "model-index"))["model-index"]
    ] == [
        systems[0].title,
        systems[1].title,
    ]


def test_an_unknown_format_is_refused(archive: RunArchive) -> None:
    with pytest.raises(ClapstickError, match="no such format"):
        export_run(archive.root, "xlsx")
    with pytest.raises(ClapstickError, match="no clip-level form"):
        export_run(archive.root, "latex", clips=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "RUN", "-o", "FILE/report"],
        ["report", "RUN", "--single-file", "-o", "FILE/one.html"],
        ["report", "RUN", "--site", "-o", "FILE/site"],
        ["report", "RUN", "--single-file", "-o", "FOLDER"],
        ["export", "RUN", "-f", "csv", "-o", "FILE/x.csv"],
        ["export", "RUN", "-f", "csv", "-o", "FOLDER"],
        ["compare", "RUN", "RUN", "-o", "FILE/x.html"],
    ],
)
def test_an_output_that_cannot_be_written_is_said_without_a_trace(
    archive: RunArchive, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    places = {"RUN": str(archive.root), "FOLDER": str(tmp_path)}
    words = [places.get(word, word.replace("FILE", str(tmp_path / "file"))) for word in arguments]
    result = CliRunner().invoke(build_app(), words)
    assert isinstance(result.exception, ClapstickError)
    assert re.search("cannot be written|is a folder", str(result.exception))
    assert (tmp_path / "file").read_text() == "in the way"


def test_seen_and_unseen_clips_stand_in_tables_and_documents(archive: RunArchive) -> None:
    seen, unseen = (archive.read_splits()[part][0] for part in ("seen", "unseen"))
    frame = pd.read_csv(io.BytesIO(export_run(archive.root, "csv")))
    rows = frame[(frame["metric"] == "e-l1") & (frame["convention"] == "v2s")].set_index("system")
    assert rows.loc["syncfusion", "seen_value"] == pytest.approx(seen.value, abs=1e-15)
    assert rows.loc["syncfusion", "unseen_ci_low"] == pytest.approx(unseen.ci_low, abs=1e-15)
    assert (rows.loc["syncfusion", "seen_n"], rows.loc["syncfusion", "unseen_n"]) == (1, 1)
    assert math.isnan(rows.loc["video-foley", "seen_value"])
    text = export_run(archive.root, "markdown").decode()
    assert f"| … seen in training, n = 1 | {seen.value:.4f} [" in text
    table = export_run(archive.root, "latex").decode()
    assert rf"\quad unseen in training & {unseen.value:.4f} {{\scriptsize [" in table
    assert r"{\scriptsize $n=1$}" in table
    assert "on the clips that the system was trained on" in table


def test_a_run_that_was_cut_off_before_scoring_is_not_exported(tmp_path: Path) -> None:
    archive = build_archive(tmp_path / "run", media=False)
    (archive.root / "summary.json").unlink()
    with pytest.raises(ClapstickError, match="run has no scores yet"):
        export_run(archive.root, "csv")
