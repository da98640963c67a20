"""The protocol files: explicit, sourced, and built from what there is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.metrics.registry import metrics
from clapstick.protocols.explain import explain
from clapstick.protocols.prompts import find_policy, find_template
from clapstick.protocols.protocol import Protocol, built_in_protocols, find_protocol
from clapstick.protocols.readers.base import readers
from clapstick.systems.registry import built_in_systems

FILES = {name: path for name, path in built_in_protocols().items() if path.parent.name == "published"}
TABLES = ("dataset", "audio", "prompt", "statistics")
NAMED = {
    "video-foley-table1", "video-foley-table2", "video-foley-table4", "video-foley-table5",
    "fol-ai-table1", "fol-ai-table2", "fol-ai-table3", "fol-ai-table4", "rewas-table2", "rewas-table3",
    "multifoley-table1", "multifoley-table4", "synthetic-hits", "folder", "clapstick-2026",
}  # fmt: skip


def keys_of(values: dict[str, Any]) -> set[str]:
    """Return every key of a protocol file that decides something."""
    return {f"{table}.{key}" for table in TABLES for key in values[table]} | {"metrics", "systems"}


def test_every_named_protocol_is_there() -> None:
    assert set(FILES) >= NAMED


@pytest.mark.parametrize("name", sorted(FILES))
def test_file_states_every_value_and_names_itself(name: str) -> None:
    values = tomllib.loads(FILES[name].read_text(encoding="utf-8"))
    protocol = find_protocol(name)
    assert values["name"] == FILES[name].stem == name
    assert set(values) == set(Protocol.model_fields) - (set() if protocol.sources else {"sources"})
    for table in TABLES:
        assert set(values[table]) == set(type(getattr(protocol, table)).model_fields), table


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_value_has_a_source_and_no_source_a_wrong_key(name: str) -> None:
    protocol = find_protocol(name)
    wanted = keys_of(tomllib.loads(FILES[name].read_text(encoding="utf-8")))
    # The target of the gain policy means nothing where there is no gain.
    wanted -= {"audio.gain_target_db"} if protocol.audio.gain == "none" else set()
    stated = [source.key for source in protocol.sources]
    assert len(stated) == len(set(stated))
    assert all(any(key == one or key.startswith(f"{one}.") for one in stated) for key in wanted), name
    assert all(any(key == one or key.startswith(f"{one}.") for key in wanted) for one in stated), name
    assert all(source.says and source.where for source in protocol.sources)
    if protocol.paper:
        assert protocol.table
        assert protocol.open_questions


@pytest.mark.parametrize("name", sorted(FILES))
def test_readers_splits_and_prompts_exist(name: str) -> None:
    protocol = find_protocol(name)
    reader = readers()[protocol.dataset.reader]
    assert protocol.dataset.split in reader.splits
    find_template(protocol.prompt.text)
    find_policy(protocol.prompt.audio)


@pytest.mark.parametrize("name", sorted(FILES))
def test_systems_exist(name: str) -> None:
    assert set(find_protocol(name).systems) <= set(built_in_systems())


@pytest.mark.parametrize("name", sorted(FILES))
def test_metrics_and_conventions_exist(name: str) -> None:
    known = metrics()
    for text in find_protocol(name).metrics:
        metric, _, convention = text.partition(":")
        assert metric in known, f"{name}: {metric}"
        known[metric].convention(convention or None)


def test_explanation_names_table_clips_sources_and_open_questions() -> None:
    text = explain(find_protocol("video-foley-table2"))
    assert "Table 2 of Lee, Im, Kim and Nam" in text
    assert "10 s clips without overlap from 0 s on" in text
    assert "mono at 16,000 Hz with soxr_hq" in text
    assert "- audio.sample_rate: generated audio is resampled to 16 kHz [Video-Foley, section 3.2]" in text
    assert "FAD-inf" not in text
    assert "What is left open." in text


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_protocol_can_be_told(name: str) -> None:
    text = explain(find_protocol(name))
    assert find_protocol(name).summary in text
    assert "  " not in text


def test_command_lists_explains_and_gives_json() -> None:
    runner = CliRunner()
    listed = runner.invoke(build_app(), ["protocols", "--json"])
    assert {row["name"] for row in json.loads(listed.stdout)} == set(built_in_protocols())
    told = runner.invoke(build_app(), ["protocols", "rewas-table3"])
    assert "the stretch from 0 to 2 s of each" in told.stdout
    one = runner.invoke(build_app(), ["protocols", "clapstick-2026", "--json"])
    assert Protocol.model_validate(json.loads(one.stdout)) == find_protocol("clapstick-2026")


def test_own_file_can_be_explained(tmp_path: Path) -> None:
    text = FILES["folder"].read_text(encoding="utf-8").replace('name = "folder"', 'name = "mine"', 1)
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    told = CliRunner().invoke(build_app(), ["protocols", str(path)])
    assert "(mine, version 1)" in told.stdout
