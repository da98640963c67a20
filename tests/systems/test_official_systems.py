"""Cards, Dockerfiles and runners of the official systems, without their code."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clapstick.harness.cli import build_app
from clapstick.protocols.problems import ClapstickError
from clapstick.systems.building import fetch_code
from clapstick.systems.card import Checkpoint, FoundSystem, SystemCard
from clapstick.systems.lengths import FixedLength, native_samples
from clapstick.systems.missing import missing_here
from clapstick.systems.registry import built_in_systems
from clapstick.systems.runtimes.apptainer import apptainer_command
from clapstick.systems.runtimes.options import RuntimeOptions
from clapstick.systems.runtimes.place import KIT, Place

OFFICIAL = {name: found for name, found in built_in_systems().items() if found.card.repository}
RUN_HERE = {name: found for name, found in OFFICIAL.items() if found.card.runtime == "docker"}
RUNNERS = sorted({found.folder / found.card.runner for found in RUN_HERE.values()})


def load_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a runner or a file of the kit by its path."""
    monkeypatch.syspath_prepend(str(KIT))
    spec = importlib.util.spec_from_file_location(f"tried_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_the_systems_that_papers_compare_are_there() -> None:
    assert set(RUN_HERE) >= {
        *("specvqgan", "diff-foley", "diff-foley-16k", "condfoleygen", "condfoleygen-long", "syncfusion"),
        *("video-foley-official", "rewas-official", "audioldm", "mmaudio", "foleycrafter", "frieren"),
        *("im2wav", "seeing-and-hearing", "v-aura"),
    }
    files = {name for name, found in built_in_systems().items() if found.card.runtime == "files"}
    assert files >= {"multifoley", "fol-ai-official", "v2a-mapper", "foleygen", "vab", "sonicvisionlm"}
    assert all(built_in_systems()[name].card.card_note for name in files)


@pytest.mark.parametrize("name", RUN_HERE)
def test_official_system_is_pinned_and_says_who_may_use_it(name: str) -> None:
    card, folder = RUN_HERE[name].card, RUN_HERE[name].folder
    assert len(card.commit) == 40
    assert card.licence_code
    assert card.licence_weights
    assert card.checkpoints
    assert card.native_length
    assert card.parameters["random_weights"] is False
    dockerfile = (folder / "Dockerfile").read_text()
    # Images hold an environment alone: no official code, no weights, nothing of this project.
    assert not any(word in dockerfile for word in ("COPY", "ADD ", "git clone", "wget", "curl"))
    # To the shell, numpy<2 reads its input from a file named 2.
    assert re.findall(r"^ +[^\" \n]*[<>].*$", dockerfile, re.MULTILINE) == []


@pytest.mark.parametrize("name", RUN_HERE)
def test_every_parameter_is_read_by_its_runner(name: str) -> None:
    card, folder = RUN_HERE[name].card, RUN_HERE[name].folder
    text = (folder / card.runner).read_text()
    if "kit.fill(" in text or "kit.load_checkpoint(" in text:
        text += (KIT / "clapstick_runner.py").read_text()
    assert [key for key in card.parameters if f'"{key}"' not in text] == []


@pytest.mark.parametrize("path", RUNNERS + sorted(KIT.glob("*.py")), ids=lambda path: f"{path.parent.name}")
def test_runner_needs_nothing_newer_than_python_3_8(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imported = {
        name.name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert imported <= {*sys.stdlib_module_names, "clapstick_runner", "clapstick_trial"}


@pytest.mark.parametrize(
    ("name", "seconds", "samples"),
    [
        # Exact native samples of the official decoders, see docs/official-systems.md.
        ("specvqgan", 10.0, 217_088),
        ("diff-foley", 8.2, 130_816),
        ("diff-foley-16k", 8.2, 130_816),
        ("condfoleygen", 2.0, 40_960),
        ("condfoleygen-long", 10.0, 204_800),
        ("syncfusion", 5.0, 262_144),
        ("video-foley-official", 10.0, 163_872),
        ("rewas-official", 5.0, 81_952),
        ("audioldm", 10.0, 163_872),
        ("mmaudio", 10.0, 441_344),
        ("mmaudio-small-16k", 10.0, 160_256),
        ("im2wav", 4.1, 65_536),
    ],
)
def test_native_length_is_exact(name: str, seconds: float, samples: int) -> None:
    card = RUN_HERE[name].card
    assert card.length is not None
    assert card.sample_rate is not None
    assert native_samples(card.length, card.sample_rate, seconds) == samples
    if isinstance(card.length, FixedLength):
        assert card.length.shown_s == seconds


def test_diff_foley_notebook_inverts_a_tone_too_low(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mel of a 1 kHz tone at 16 kHz, inverted at 22.05 kHz, comes out at 0.7256 x 1 kHz."""
    librosa = pytest.importorskip("librosa")
    runner = load_file(RUN_HERE["diff-foley"].folder / "runner.py", monkeypatch)
    np.random.seed(0)  # noqa: NPY002 - Griffin-Lim draws its first phase from the global generator
    tone = np.sin(2 * np.pi * 1000 * np.arange(32_000) / 16_000).astype(np.float32)
    mel = librosa.feature.melspectrogram(
        y=tone, sr=16_000, n_fft=1024, hop_length=256, n_mels=128, fmin=125, fmax=7600, power=1
    )
    stored = (20 * np.log10(np.maximum(mel, 1e-5)) - 20 + 100) / 100
    for rate, expected_hz in ((16_000, 1000.0), (22_050, 725.6)):
        sound = runner.invert(stored, rate)
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
        found_hz = spectrum.argmax() * 16_000 / sound.size
        assert found_hz == pytest.approx(expected_hz, abs=12.0)


def test_syncfusion_keeps_the_first_of_neighbouring_onsets(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    runner = load_file(RUN_HERE["syncfusion"].folder / "runner.py", monkeypatch)
    logits = torch.full((2, 30), -1.0)
    logits[0, 3:6] = 0.9  # frames 3, 4, 5: one onset at 3 / 15 s
    logits[0, 8] = 0.49  # a probability of 0.62 is needed
    logits[1, 14] = 0.7  # frame 44 of the clip
    calls: list[Any] = []

    def network(chunk: Any) -> Any:
        assert chunk.shape == (1, 3, 30, 112, 112)
        calls.append(chunk)
        return logits[len(calls) - 1 : len(calls)]

    times = runner.find_onsets(network, torch.zeros(3, 45, 112, 112), 0.5, "cpu")
    assert times == pytest.approx([3 / 15, 44 / 15])


def test_rewas_paths_point_into_the_weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = load_file(RUN_HERE["rewas-official"].folder / "runner.py", monkeypatch)
    kit = load_file(KIT / "clapstick_runner.py", monkeypatch)
    (tmp_path / "vae.ckpt").write_bytes(b"")
    config = {"a": [{"path": "./ckpts/vae.ckpt"}], "b": 3}
    job = kit.Job("r", "cpu", 16_000, {"random_weights": False}, [], weights=tmp_path)
    assert runner.on_weights(config, job) == {"a": [{"path": str(tmp_path / "vae.ckpt")}], "b": 3}
    job.parameters["random_weights"] = True
    assert runner.on_weights(config, job) == {"a": [{"path": None}], "b": 3}


def test_seeing_and_hearing_may_change_its_vocoder_output_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its official code does with what gradients then flow through."""
    torch = pytest.importorskip("torch")
    runner = load_file(RUN_HERE["seeing-and-hearing"].folder / "runner.py", monkeypatch)
    pipe = runner.with_own_output(SimpleNamespace(vocoder=torch.nn.Tanh()))
    mel = torch.tensor([0.5, -1.0], requires_grad=True)
    sound = pipe.vocoder(mel)
    sound -= sound.mean()
    sound.square().sum().backward()
    assert mel.grad is not None


def test_kit_writes_any_kind_of_samples_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    kit = load_file(KIT / "clapstick_runner.py", monkeypatch)
    values = [[0.5, -2.0], [0.25, 1.5], [0.0, 0.0]]
    for samples in (values, np.array(values)):
        assert kit.write_wav(tmp_path / "x.wav", samples, 22_050) == 3
        read, rate = soundfile.read(tmp_path / "x.wav", dtype="float32")
        np.testing.assert_array_equal(read, np.float32(values))
        assert rate == 22_050
        assert soundfile.info(tmp_path / "x.wav").subtype == "FLOAT"
    assert kit.write_wav(tmp_path / "y.wav", [0.5, 0.25], 8000) == 2


def test_random_weights_leave_no_layer_of_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are usual at the end of a network, and would let nothing of its input through."""
    torch = pytest.importorskip("torch")
    kit = load_file(KIT / "clapstick_runner.py", monkeypatch)
    first, last = torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)
    kept = first.weight.detach().clone()
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    job = kit.Job("r", "cpu", 16_000, {"random_weights": True}, [])
    assert kit.fill(job, torch.nn.Sequential(first, last), "none.ckpt") == ["weights are random"]
    assert last.weight.all()
    assert not last.bias.any()
    assert torch.equal(first.weight, kept)


def test_kit_reads_no_objects_from_checkpoints_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    kit = load_file(KIT / "clapstick_runner.py", monkeypatch)
    layer = torch.nn.Linear(2, 1)
    torch.save({"state_dict": {"weight": layer.weight}, "epoch": Path("x")}, tmp_path / "objects.ckpt")
    torch.save({"state_dict": {"weight": layer.weight, "more": layer.bias}}, tmp_path / "plain.ckpt")
    job = kit.Job("s", "cpu", None, {}, [], weights=tmp_path)
    with pytest.raises(RuntimeError, match="trust_checkpoints"):
        kit.fill(job, layer, "objects.ckpt", "state_dict")
    told = kit.fill(job, layer, "plain.ckpt", "state_dict")
    assert told == [
        "plain.ckpt lacks 1 keys of the model, bias ...",
        "plain.ckpt has 1 keys that the model lacks, more ...",
    ]
    job.parameters["trust_checkpoints"] = True
    assert kit.fill(job, layer, "objects.ckpt", "state_dict") == [
        "objects.ckpt lacks 1 keys of the model, bias ..."
    ]
    job.parameters["random_weights"] = True
    assert kit.fill(job, layer, "not there") == ["weights are random"]
    with pytest.raises(FileNotFoundError, match=r"not there\.ckpt"):
        job.weight("not there.ckpt")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FoundSystem:
    """A system whose official repository lies in this folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    repository = tmp_path / "owner" / "code"
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    (repository / "model.py").write_text("VERSION = 1\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "first")
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "model.py").write_text("VERSION = 2\n")
    git(repository, "commit", "--quiet", "-a", "-m", "second")
    card = SystemCard(
        name="s",
        title="S",
        summary="S",
        runtime="docker",
        repository=repository.as_uri(),
        commit=commit,
        checkpoints=(Checkpoint(path="a.ckpt", source="somewhere"),),
    )
    return FoundSystem(card, tmp_path)


def test_code_comes_at_the_pinned_commit_and_stays_unchanged(official: FoundSystem) -> None:
    folder = fetch_code(official)
    assert (folder / "model.py").read_text() == "VERSION = 1\n"
    assert fetch_code(official) == folder
    (folder / "model.py").write_text("VERSION = 3\n")
    with pytest.raises(ClapstickError, match="official code is not what the card pins"):
        fetch_code(official)


def test_card_without_a_full_commit_is_refused(official: FoundSystem) -> None:
    card = official.card.model_copy(update={"commit": "main"})
    with pytest.raises(ClapstickError, match="card pins no official code"):
        fetch_code(FoundSystem(card, official.folder))
    absent = official.card.model_copy(update={"commit": "1" * 40})
    with pytest.raises(ClapstickError, match="git fetch failed"):
        fetch_code(FoundSystem(absent, official.folder))


def test_what_is_missing_here_is_named(official: FoundSystem, tmp_path: Path) -> None:
    options = RuntimeOptions(docker_host=f"unix://{tmp_path}/no.sock")
    assert missing_here(official, options) == ["container engine", "official code", "checkpoints"]
    weights = tmp_path / "weights"
    weights.mkdir()
    here = RuntimeOptions(runtime="env", python=Path(sys.executable), weights=weights)
    fetch_code(official)
    assert missing_here(official, here) == ["checkpoint a.ckpt"]
    (weights / "a.ckpt").write_bytes(b"")
    assert missing_here(official, here) == []


def test_apptainer_shows_the_job_alone(official: FoundSystem, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    options = RuntimeOptions(gpus=("1",), weights=weights, repository=tmp_path / "code")
    place = Place(official, options, tmp_path / "job", tmp_path / "out", tmp_path / "log")
    command = apptainer_command(place, "apptainer", Path("/images/s.sif"))
    assert command[:2] == ["apptainer", "exec"]
    assert {"--containall", "--no-home", "--cleanenv", "--no-privs", "--nv"} <= set(command)
    assert command[command.index("--network") + 1] == "none"
    bound = [command[index + 1] for index, word in enumerate(command) if word == "--bind"]
    assert [one.split(":")[1:] for one in bound] == [
        ["/job", "ro"],
        ["/kit", "ro"],
        ["/system", "ro"],
        ["/repository", "ro"],
        ["/weights", "ro"],
        ["/output", "rw"],
    ]
    assert "CUDA_VISIBLE_DEVICES=1" in command
    assert command[-5:] == ["/images/s.sif", "python", "/system/runner.py", "/job/job.json", "/output"]
    odd = Place(official, options, tmp_path / "a:b", tmp_path / "out", tmp_path / "log")
    with pytest.raises(ClapstickError, match="no colon or comma"):
        apptainer_command(odd, "apptainer", Path("/images/s.sif"))


def test_systems_are_listed_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(tmp_path / "none.toml"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    done = CliRunner().invoke(build_app(), ["systems", "--json"])
    assert done.exit_code == 0, done.output
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["diff-foley"]["missing here"] == "container engine, official code, checkpoints"
    assert rows["multifoley"]["missing here"] == "folder with generated files"
    assert rows["diff-foley"]["sample_rate"] == 16_000
    assert rows["video-foley-official"]["licence_code"] == "none: all rights reserved"
    shown = CliRunner().invoke(build_app(), ["systems", "show", "syncfusion"])
    assert json.loads(shown.stdout)["trained_on"][0]["split_of"] == "syncfusion"
