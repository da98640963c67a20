"""What decides a system's output besides its folder: checkpoints, generated files, its entry point."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from clapstick.harness import mounted
from clapstick.harness.mounted import mounted_sha256, tree_sha256
from clapstick.harness.plan import make_plan, resolve_system
from clapstick.systems.card import FoundSystem, SystemCard
from clapstick.systems.registry import find_system
from clapstick.systems.runtimes.options import RuntimeOptions

CARD = 'name = "own"\ntitle = "Own"\nsummary = "Own."\n'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAPSTICK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLAPSTICK_SYSTEMS_FILE", str(tmp_path / "systems.toml"))
    return tmp_path / "cache"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    (folder / "hub" / "inner").mkdir(parents=True)
    (folder / "a.ckpt").write_bytes(b"first")
    (folder / "hub" / "inner" / "b.bin").write_bytes(b"second")
    return folder


def outside(tmp_path: Path, **card: object) -> FoundSystem:
    values = {"name": "own", "title": "Own", "summary": "Own.", "runtime": "env"}
    return FoundSystem(SystemCard.model_validate(values | card), tmp_path / "system")


def test_each_checkpoint_of_the_card_has_its_digest(tmp_path: Path, weights: Path) -> None:
    listed = [{"path": path, "source": "somewhere"} for path in ("a.ckpt", "hub", "not there")]
    digests = mounted_sha256(outside(tmp_path, checkpoints=listed), RuntimeOptions(weights=weights))
    assert sorted(digests) == ["a.ckpt", "hub"]
    assert digests["a.ckpt"] == hashlib.sha256(b"first").hexdigest()
    (weights / "hub" / "inner" / "b.bin").rename(weights / "hub" / "inner" / "c.bin")
    renamed = mounted_sha256(outside(tmp_path, checkpoints=listed), RuntimeOptions(weights=weights))
    assert renamed["a.ckpt"] == digests["a.ckpt"]
    assert renamed["hub"] != digests["hub"]
    assert list(mounted_sha256(outside(tmp_path), RuntimeOptions(weights=weights))) == ["weights"]
    assert mounted_sha256(outside(tmp_path, checkpoints=listed), RuntimeOptions()) == {}


def test_only_new_and_changed_files_are_read_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def reading(path: Path) -> str:
        read.append(path.name)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(mounted, "file_sha256", reading)
    first = tree_sha256(weights)
    assert sorted(read) == ["a.ckpt", "b.bin"]
    assert tree_sha256(weights) == first
    assert len(read) == 2
    (weights / "a.ckpt").write_bytes(b"other")
    os.utime(weights / "a.ckpt", ns=(1, 1))
    assert tree_sha256(weights) != first
    assert read[2:] == ["a.ckpt"]


def test_content_counts_and_not_when_it_was_written(weights: Path) -> None:
    first = tree_sha256(weights)
    os.utime(weights / "a.ckpt", ns=(1, 1))
    assert tree_sha256(weights) == first


def test_notes_of_another_version_are_read_anew(weights: Path, cache: Path) -> None:
    first = tree_sha256(weights)
    (note,) = (cache / "digests").iterdir()
    note.write_text('{"other": 1}')
    assert tree_sha256(weights) == first


def test_changed_checkpoint_makes_sounds_anew(settings_for, tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    checkpoint = '[[checkpoints]]\npath = "a.ckpt"\nsource = "somewhere"\n'
    (folder / "system.toml").write_text(CARD + f'runtime = "env"\n{checkpoint}')
    (tmp_path / "systems.toml").write_text(f'[own]\npython = "{sys.executable}"\nweights = "{weights}"\n')
    found = find_system(str(folder))
    settings = settings_for()
    clip = make_plan(settings).clips[0]
    before, missing = resolve_system(settings, found)
    assert missing == []
    assert before.weight_hashes == {"a.ckpt": hashlib.sha256(b"first").hexdigest()}
    assert resolve_system(settings, found)[0].fingerprint(clip, 1) == before.fingerprint(clip, 1)
    (weights / "a.ckpt").write_bytes(b"other weights")
    assert resolve_system(settings, found)[0].fingerprint(clip, 1) != before.fingerprint(clip, 1)


def test_changed_sounds_of_a_files_system_are_taken_anew(settings_for, tmp_path: Path) -> None:
    folder, sounds = tmp_path / "system", tmp_path / "generated"
    folder.mkdir()
    sounds.mkdir()
    (sounds / "x.wav").write_bytes(b"one")
    (folder / "system.toml").write_text(CARD + 'runtime = "files"\n')
    (tmp_path / "systems.toml").write_text(f'[own]\nfolder = "{sounds}"\n')
    found = find_system(str(folder))
    settings = settings_for()
    clip = make_plan(settings).clips[0]
    before, missing = resolve_system(settings, found)
    assert missing == []
    (sounds / "x.wav").write_bytes(b"another")
    assert resolve_system(settings, found)[0].fingerprint(clip, 1) != before.fingerprint(clip, 1)


def test_what_an_outside_system_lacks_is_told_before_it_starts(settings_for, tmp_path: Path) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    checkpoint = '[[checkpoints]]\npath = "a.ckpt"\nsource = "somewhere"\n'
    parameters = "[parameters]\nrandom_weights = false\n"
    (folder / "system.toml").write_text(CARD + f'runtime = "env"\n{parameters}{checkpoint}')
    found = find_system(str(folder))
    _, missing = resolve_system(settings_for(), found)
    assert [one.what for one in missing] == ["lacks Python environment, checkpoints"]
    (tmp_path / "systems.toml").write_text(f'[own]\npython = "{sys.executable}"\n')
    _, missing = resolve_system(settings_for(parameters={"own": {"random_weights": True}}), found)
    assert missing == []


@pytest.mark.parametrize(
    ("entry", "code", "told"),
    [
        ("own.py:build", "import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("own.py:build", "x = 1 / 0", "ZeroDivisionError"),
        ("own.py:bild", "def build(context): ...", "has no attribute 'bild'"),
        ("own.py:build", "build = 3", "expected a function"),
        ("other.py:build", "", "FileNotFoundError"),
    ],
)
def test_broken_entry_point_is_told_before_the_run(
    settings_for, tmp_path: Path, entry: str, code: str, told: str
) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "system.toml").write_text(CARD + f'entry = "{entry}"\n')
    (folder / "own.py").write_text(code)
    _, missing = resolve_system(settings_for(), find_system(str(folder)))
    assert len(missing) == 1
    assert told in str(missing[0])
