"""Metric adapters in a run: rows from a program of another environment become scores, once for each content."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from clapstick.harness import adapters as registry
from clapstick.harness.adapters import FoundAdapter, adapters, find_adapter
from clapstick.harness.cli import build_app
from clapstick.harness.embedding_cache import ClipEmbedding, EmbeddingCache
from clapstick.harness.embeddings import _embed_pairs, _Needed, missing_embedders
from clapstick.harness.provenance import folder_key
from clapstick.harness.run import run, score_again
from clapstick.harness.statistics import ScoreRequest
from clapstick.harness.weights import known_weights, weight_file
from clapstick.metrics.registry import metrics
from clapstick.protocols.archive import RunArchive
from clapstick.protocols.audio import read_wav, write_wav
from clapstick.protocols.problems import ClapstickError

RUNNER = """
import clapstick_runner as kit

def load(job):
    return job

def make(job, clip):
    with open(job.parameters["heard"], "a") as stream:
        stream.write(clip.id + "\\n")
    samples, channels, rate = kit.read_wav(clip.sound)
    level = max(abs(min(samples)), max(samples))
    {deed}
    logits = [0.0] * 21
    logits[10 if level == 0 else 0] = 9.0  # silence: 0 s, else -2 s
    return kit.Rows([logits])

if __name__ == "__main__":
    kit.main(load, make)
"""
CARD = """
name = "synchformer"
title = "Stand-in"
summary = "Tells silence from sound."
output = "logits"
rows = 1
dimension = 21
runtime = "env"

[parameters]
heard = "{heard}"
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a small program in place of Synchformer; return the file in which it writes what it was asked."""
    heard = tmp_path / "heard.txt"

    def make(deed: str = "pass") -> Path:
        folder = tmp_path / "stand-in"
        folder.mkdir(exist_ok=True)
        (folder / "runner.py").write_text(RUNNER.replace("{deed}", deed))
        (folder / "card.toml").write_text(CARD.replace("{heard}", str(heard)))
        folder_key.cache_clear()
        systems = tmp_path / "systems.toml"
        systems.write_text(f'[synchformer]\npython = "{sys.executable}"\n')
        monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(systems))
        monkeypatch.setenv("CLAPSTICK_CACHE", str(tmp_path / "cache"))
        found = find_adapter(str(folder))
        monkeypatch.setattr(registry, "adapters", lambda: {"synchformer": found})
        return heard

    return make


@pytest.fixture
def desync_settings(settings_for):
    def make(*systems, metrics=("desync:first-window",)):
        settings = settings_for(*systems, limit=2, workers=1)
        protocol = settings.protocol.model_copy(update={"metrics": metrics})
        return replace(settings, protocol=protocol)

    return make


def values_of(archive: RunArchive) -> dict[str, float | None]:
    return {one.system: one.value for one in archive.read_summary() if one.metric == "desync"}


def test_rows_become_scores_and_are_computed_once_for_each_content(stand_in, desync_settings) -> None:
    heard = stand_in()
    outcome = run(desync_settings("silence"))
    # silence: class 10, |0 s| = 0; sound: class 0, |-2 s| = 2
    assert values_of(outcome.archive) == {"reference": 2.0, "silence": 0.0}
    assert len(heard.read_text().splitlines()) == 4  # two systems, two clips
    assert (outcome.archive.root / "jobs" / "adapter-synchformer" / "log.txt").is_file()

    path = outcome.archive.audio_wav("silence", outcome.archive.read_clips()[0])
    audio = read_wav(path)
    write_wav(path, replace(audio, samples=audio.samples + 0.25))
    score_again(outcome.archive.root, 1, "cpu")
    assert len(heard.read_text().splitlines()) == 5  # the changed sound alone

    stand_in("level = 0")  # another program: everything is measured anew
    assert values_of(score_again(outcome.archive.root, 1, "cpu").archive) == {"reference": 0.0, "silence": 0.0}
    assert len(heard.read_text().splitlines()) == 9


def test_a_clip_that_the_adapter_fails_on_has_its_reason_and_the_others_count(
    stand_in, desync_settings
) -> None:
    stand_in("if clip.id.startswith('c000001'): raise ValueError('no frame at 3 s')")
    archive = run(desync_settings("silence")).archive
    record = next(one for one in archive.read_summary() if (one.system, one.metric) == ("silence", "desync"))
    assert (record.value, record.n, len(record.missing)) == (0.0, 1, 1)
    rows = archive.read_scores()
    reasons = rows[(rows["metric"] == "desync") & (rows["system"] == "silence")]["reason"].dropna()
    assert ["no frame at 3 s" in reason for reason in reasons] == [True]


def test_a_program_that_falls_costs_no_other_score(stand_in, desync_settings) -> None:
    stand_in("import os; os._exit(7)")
    records = run(
        desync_settings("silence", metrics=("desync:first-window", "e-l1:v2s"))
    ).archive.read_summary()
    by_metric = {one.metric: one for one in records if one.system == "silence"}
    assert by_metric["desync"].value is None
    assert "exit code 7" in by_metric["desync"].reason
    assert by_metric["e-l1"].value is not None


def test_what_is_not_set_up_is_a_reason_with_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAPSTICK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(tmp_path / "systems.toml"))
    (tmp_path / "systems.toml").write_text(
        f'[imagebind]\nruntime = "env"\npython = "{sys.executable}"\nrepository = "{tmp_path / "nowhere"}"\n'
    )
    request = ScoreRequest("imagebind-score", "official")
    reason = missing_embedders([request])[request]
    assert "no official code, no weights imagebind-huge" in reason
    assert "`clapstick weights fetch imagebind-huge`" in reason
    assert "`clapstick adapters build imagebind`" in reason


def test_a_weights_folder_of_its_own_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(tmp_path / "systems.toml"))
    (tmp_path / "systems.toml").write_text('[imagebind]\nweights = "/somewhere"\n')
    with pytest.raises(ClapstickError, match=r"no weights folder.*CLAPSTICK_WEIGHTS"):
        registry.adapter_options(adapters()["imagebind"])


def test_the_nearest_adapter_is_suggested() -> None:
    with pytest.raises(ClapstickError, match="Did you mean imagebind"):
        find_adapter("imagebin")


@pytest.mark.parametrize("found", adapters().values(), ids=adapters())
def test_an_adapter_is_pinned_whole_and_used(found: FoundAdapter) -> None:
    card = found.card
    assert len(card.commit) == 40
    assert card.licence_code
    assert card.licence_weights
    assert card.parameters["random_weights"] is False
    for name in card.weights:
        assert card.name in known_weights()[name].needed_by
        assert weight_file(name).file in (found.folder / card.runner).read_text()
    used = {name for metric in metrics().values() for one in metric.conventions for name in one.pair_embedders}
    assert card.name in used
    dockerfile = (found.folder / "Dockerfile").read_text()
    assert not any(word in dockerfile for word in ("COPY", "ADD ", "git clone", "wget", "curl"))


def test_the_command_names_what_uses_each_adapter() -> None:
    done = CliRunner().invoke(build_app(), ["adapters", "--json"])
    assert done.exit_code == 0
    assert "desync:two-windows, desync:expected" in done.stdout
    assert (
        "050a5cdb9bbd1a6f8cbb9fdde076992a695e2501"
        in CliRunner().invoke(build_app(), ["adapters", "show", "synchformer-av-benchmark"]).stdout
    )


def test_networks_over_embeddings_of_sound_and_picture_say_what_they_lack(tmp_path: Path) -> None:
    import torch

    from clapstick.metrics.embedders.peavs import Peavs

    torch.manual_seed(0)
    weights = tmp_path / "final_model.pt"
    torch.save(Peavs().state_dict(), weights)
    cache = EmbeddingCache(tmp_path / "cache")

    def rows(name: str, count: int, dimension: int) -> ClipEmbedding:
        return ClipEmbedding(cache.put({"embedder": name}, np.ones((count, dimension), np.float32)))

    class OneClip:
        def __init__(self, name: str) -> None:
            self.id = name

    sounds = {("s", "good"): rows("a", 2, 128), ("s", "short"): rows("b", 1, 128)}
    sounds["s", "deaf"] = ClipEmbedding(None, "the sound is too short for VGGish")
    pictures = {("", name): rows("c", 2, 1024) for name in ("good", "short", "deaf")}
    made = _embed_pairs(
        [OneClip(name) for name in ("good", "short", "deaf", "never made")],  # type: ignore[misc]
        ["s"],
        _Needed("pair", "peavs", {"peavs": weights}),
        {("audio", "vggish-relu"): sounds, ("video", "i3d"): pictures},
        cache,
        "cpu",
    )
    assert made["s", "good"].read().shape == (1, 1)
    assert "1 rows of sound, 2 of picture" in str(made["s", "short"].reason)
    assert made["s", "deaf"].reason == "the sound is too short for VGGish"
    assert ("s", "never made") not in made
