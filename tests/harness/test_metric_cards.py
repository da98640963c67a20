"""The metric cards, on the command line and in docs/metrics.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clapstick.harness.cli import build_app
from clapstick.harness.metric_cards import card, card_text, metrics_page
from clapstick.metrics.registry import metrics
from clapstick.protocols.problems import ClapstickError

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_in_docs_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == metrics_page(metrics().values()), (
        "docs/metrics.md is stale: run `clapstick metrics --markdown > docs/metrics.md`"
    )


def test_the_command_prints_the_page() -> None:
    done = CliRunner().invoke(build_app(), ["metrics", "--markdown"])
    assert done.exit_code == 0
    assert done.stdout == PAGE.read_text(encoding="utf-8")


def test_the_list_names_every_metric() -> None:
    done = CliRunner().invoke(build_app(), ["metrics", "--json"])
    assert [row["name"] for row in json.loads(done.stdout)] == list(metrics())
    table = CliRunner().invoke(build_app(), ["metrics"])
    assert all(name in table.stdout for name in metrics())


@pytest.mark.parametrize("name", list(metrics()))
def test_a_card_says_everything(name: str) -> None:
    metric = metrics()[name]
    done = CliRunner().invoke(build_app(), ["metrics", name])
    assert done.stdout == card_text(metric)
    for convention in metric.conventions:
        assert convention.summary in done.stdout
        assert convention.source in done.stdout
        assert convention.caveat in done.stdout
    as_json = CliRunner().invoke(build_app(), ["metrics", name, "--json"])
    assert json.loads(as_json.stdout) == card(metric)


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    done = CliRunner().invoke(build_app(), ["metrics", "e-l2"])
    assert isinstance(done.exception, ClapstickError)
    assert "Did you mean e-l1?" in str(done.exception)
    assert done.stdout == ""
