"""The manifest of hashes, the attrition log and the name of what is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from clapstick.protocols.checksums import (
    compare,
    log_attrition,
    read_checksums,
    subset_name,
    survivors,
    write_checksums,
)
from clapstick.protocols.problems import ClapstickError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files that hold other bytes; nothing here is decoded."""
    (tmp_path / "sub").mkdir()
    for name, content in {"a.mp4": b"one", "sub/b.wav": b"two", "c.webm": b"three"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not media")
    write_checksums(tmp_path)
    return tmp_path


def test_manifest_holds_media_with_known_hashes(folder: Path) -> None:
    records = read_checksums(folder)
    assert records is not None
    assert [record.name for record in records] == ["a.mp4", "c.webm", "sub/b.wav"]
    # printf one | sha256sum
    assert records[0].sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert compare(folder).complete


def test_missing_changed_and_new_files_are_told_apart(folder: Path) -> None:
    (folder / "a.mp4").unlink()
    (folder / "c.webm").write_bytes(b"THREE")
    (folder / "d.mp4").write_bytes(b"new")
    found = compare(folder)
    assert [record.name for record in found.missing] == ["a.mp4"]
    assert [record.name for record in found.changed] == ["c.webm"]
    assert found.unlisted == ("d.mp4",)
    assert [record.name for record in found.present] == ["sub/b.wav"]
    # Without hashes, a change of the same size is not seen.
    assert compare(folder, hashes=False).changed == ()


def test_attrition_is_logged_once(folder: Path) -> None:
    (folder / "a.mp4").unlink()
    assert log_attrition(folder, compare(folder), "2026-01-02") == 1
    assert log_attrition(folder, compare(folder), "2026-01-03") == 0
    (folder / "c.webm").unlink()
    assert log_attrition(folder, compare(folder), "2026-01-04") == 1
    lines = (folder / "attrition.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in lines] == [
        ["noticed", "name", "state"],
        ["2026-01-02", "a.mp4", "missing"],
        ["2026-01-04", "c.webm", "missing"],
    ]


def test_subset_name_depends_on_content_and_not_on_order(folder: Path) -> None:
    records = read_checksums(folder)
    assert records is not None
    assert subset_name("x", records, 3) == subset_name("x", records[::-1], 3)
    assert subset_name("x", records[:2], 3) != subset_name("x", records[1:], 3)
    assert subset_name("x", records[:2], 3).startswith("x-2-of-3-")
    (folder / "a.mp4").unlink()
    name, problems = survivors(folder, "x")
    assert name == subset_name("x", records[1:], 3)
    assert len(problems) == 1


def test_folder_without_manifest_has_no_subset_and_cannot_be_compared(tmp_path: Path) -> None:
    assert survivors(tmp_path, "x") == ("", ())
    with pytest.raises(ClapstickError, match="folder has no manifest"):
        compare(tmp_path)
    with pytest.raises(ClapstickError, match="no media"):
        write_checksums(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("../a.mp4,1,aa", "leaves the folder"),
        ("/a.mp4,1,aa", "leaves the folder"),
        ("a.mp4,one,aa", "does not parse"),
    ],
)
def test_bad_manifest_lines_are_named(folder: Path, line: str, said: str) -> None:
    with (folder / "checksums.csv").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(ClapstickError, match=rf"checksums\.csv:5: .*{said}"):
        read_checksums(folder)
