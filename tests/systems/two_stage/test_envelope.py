"""Envelope files: written, edited by hand, read back; everything that can be wrong with them has a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clapstick.protocols.problems import ClapstickError
from clapstick.systems.two_stage.envelope import Envelope, plot_envelopes, read_envelope, write_envelope


def _file(folder: Path, *rows: str, head: str = "time_s,amplitude") -> Path:
    path = folder / "envelope.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def _rows(times: list[float], amplitude: str = "0.1") -> list[str]:
    return [f"{time_s},{amplitude}" for time_s in times]


def test_round_trip(tmp_path: Path) -> None:
    envelope = Envelope(np.random.default_rng(0).uniform(0, 1, 125), 125.0)
    write_envelope(tmp_path / "e.csv", envelope)
    back = read_envelope(tmp_path / "e.csv", duration_s=1.0, rate=125.0)
    np.testing.assert_allclose(back.amplitudes, envelope.amplitudes, atol=1e-6)


def test_a_coarser_file_is_interpolated(tmp_path: Path) -> None:
    # A straight line from 0 to 1 over one second, in five points; frame middles are at 0.05, 0.15, ...
    path = _file(tmp_path, "0,0", "0.25,0.25", "0.5,0.5", "0.75,0.75", "1,1")
    read = read_envelope(path, duration_s=1.0, rate=10.0)
    np.testing.assert_allclose(read.amplitudes, np.arange(10) / 10 + 0.05, atol=1e-12)


STEADY = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (_rows(STEADY[:5]), "another length than the clip; found 0.050 s to 0.450 s"),
        (_rows([*STEADY, 1.05, 1.15, 1.25, 1.35]), "another length than the clip"),
        (_rows([0.05, 0.15, 0.25, 0.75, 0.85, 0.95]), "csv:5: times have a gap; found 0.25 s to 0.75 s"),
        (_rows([0.05, 0.15, 0.15, 0.25]), "csv:4: times do not rise; found 0.15 s"),
        ([*_rows(STEADY[:-1]), "0.95,-0.1"], "csv:11: amplitude is not between 0 and 1; found -0.1"),
        ([*_rows(STEADY[:-1]), "0.95,250"], "csv:11: amplitude is not between 0 and 1; found 250"),
        ([*_rows(STEADY[:-1]), "0.95,nan"], "csv:11: amplitude is not between 0 and 1; found nan"),
        ([*_rows(STEADY[:-1]), "0.95"], "csv:11: row does not parse; found 0.95"),
        ([*_rows(STEADY[:-1]), "soon,0.1"], "csv:11: row does not parse; found soon, 0.1"),
        (["-1,0.1"], "csv:2: time is not a time; found -1"),
        ([], "has no rows"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(ClapstickError, match=message):
        read_envelope(_file(tmp_path, *rows), duration_s=1.0, rate=125.0)


def test_other_columns_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match="found seconds, rms; expected time_s, amplitude"):
        read_envelope(_file(tmp_path, "0,0", head="seconds,rms"), duration_s=1.0, rate=125.0)
    with pytest.raises(ClapstickError, match="envelope cannot be read"):
        read_envelope(tmp_path / "none.csv", duration_s=1.0, rate=125.0)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_plot(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plot{suffix}"
    plot_envelopes(path, {"predicted": Envelope(np.linspace(0, 1, 50), 125.0)})
    assert path.read_bytes()[:4] in (b"<svg", b"\x89PNG")


def test_plot_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClapstickError, match=r"unknown picture format; found .gif"):
        plot_envelopes(tmp_path / "plot.gif", {})
