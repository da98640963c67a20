"""The RMS envelope between the two stages: as a file that a person can edit, and as a picture."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clapstick.protocols.archive import atomic
from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import fail
from clapstick.systems.base import NativeOutput, Request

COLUMNS = ("time_s", "amplitude")
_END_TOLERANCE_S = 0.1
"""How far a file may fall short of the clip, or reach past it."""
_LARGEST_GAP = 2.5
"""Times the usual step between two rows."""


Source = Literal["predicted", "reference", "none"]
"""Where a system's envelope comes from."""


def source_of(parameters: Mapping[str, str | int | float | bool]) -> Source:
    """Return the value of a card's parameter ``envelopes``; raise `ClapstickError` where it is unknown."""
    value = parameters.get("envelopes", "predicted")
    known: tuple[Source, ...] = ("predicted", "reference", "none")
    for source in known:
        if value == source:
            return source
    raise fail(
        "unknown source of envelopes",
        value,
        expected=", ".join(known),
        remedy="Change the parameter envelopes.",
    )


@dataclass(frozen=True)
class Envelope:
    """RMS amplitude over time: value k belongs to the middle of frame k, at ``(k + 0.5) / rate`` seconds."""

    amplitudes: NDArray[np.float64]
    """Shape (frames,), 0 to 1."""
    rate: float
    """Frames a second."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """Middle of every frame in seconds."""
        return np.asarray((np.arange(self.amplitudes.size) + 0.5) / self.rate)


def require_length(envelope: Envelope, clip: Clip) -> None:
    """Raise `ClapstickError` where an envelope is more than 1.5 frames longer or shorter than a clip."""
    lasts_s = envelope.amplitudes.size / envelope.rate
    if abs(lasts_s - clip.duration_s) > 1.5 / envelope.rate:
        raise fail(
            "envelope has another length than the clip",
            clip.id,
            found=f"{lasts_s:.3f} s",
            expected=f"{clip.duration_s:.3f} s",
            remedy="Take the envelope from this clip.",
        )


@runtime_checkable
class EnvelopeSystem(Protocol):
    """A system whose RMS envelope can be taken out and put back in."""

    def predict_envelope(self, request: Request) -> Envelope:
        """Return the envelope that stage 1 sees in the clip's picture."""

    def generate_from_envelope(
        self, request: Request, envelope: Envelope, rng: np.random.Generator
    ) -> NativeOutput:
        """Make sound that follows an envelope of the clip's length."""

    def generate(self, request: Request, rng: np.random.Generator) -> NativeOutput:
        """Make sound that follows the predicted envelope."""


def write_envelope(path: Path, envelope: Envelope) -> None:
    """Write a CSV file with columns time_s and amplitude."""
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        for time_s, amplitude in zip(envelope.times_s, envelope.amplitudes, strict=True):
            writer.writerow([f"{time_s:.6f}", f"{amplitude:.6f}"])


def read_envelope(path: Path, *, duration_s: float, rate: float) -> Envelope:
    """Read an envelope that was written by `write_envelope` and edited by hand.

    Rows may have another rate than `rate`; values in between are interpolated.

    Parameters
    ----------
    path : Path
        CSV with the columns time_s and amplitude.
    duration_s : float
        Length of the clip in seconds.
    rate : float
        Frames a second that are wanted.

    Raises
    ------
    ClapstickError
        If a row does not parse, times do not rise, have a gap or do not cover the clip, or an amplitude is not
        between 0 and 1; names file and line.
    """
    times, amplitudes = _read_rows(path)
    steps = np.diff(times)
    if steps.size and steps.min() <= 0:
        raise _bad(path, int(steps.argmin()) + 1, "times do not rise", f"{times[steps.argmin() + 1]:g} s")
    usual = float(np.median(steps)) if steps.size else duration_s
    if steps.size and steps.max() > _LARGEST_GAP * usual:
        at = int(steps.argmax())
        raise _bad(path, at + 1, "times have a gap", f"{times[at]:g} s to {times[at + 1]:g} s")
    reach = max(_END_TOLERANCE_S, usual)
    if times[0] > reach or abs(times[-1] - duration_s) > reach:
        raise fail(
            "envelope has another length than the clip",
            path,
            found=f"{times[0]:.3f} s to {times[-1]:.3f} s",
            expected=f"0 s to {duration_s:.3f} s",
            remedy="Write it with --envelope-out for this video, and edit the amplitudes only.",
        )
    frames = max(1, math.floor(duration_s * rate + 1e-6))
    middles = (np.arange(frames) + 0.5) / rate
    return Envelope(np.interp(middles, times, amplitudes), rate)


def _read_rows(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.reader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise fail(
            "envelope cannot be read",
            path,
            found=error,
            expected="a CSV file with the columns time_s and amplitude",
            remedy="Write one with --envelope-out.",
        ) from error
    if len(rows) == 1:
        raise fail(
            "envelope has no rows", path, found="the header alone", remedy="Write one with --envelope-out."
        )
    if not rows or [name.strip() for name in rows[0]] != list(COLUMNS):
        raise fail(
            "envelope has other columns or no rows",
            path,
            found=", ".join(rows[0]) if rows else "an empty file",
            expected=", ".join(COLUMNS),
            remedy="Write one with --envelope-out.",
        )
    values = np.empty((len(rows) - 1, 2))
    for index, row in enumerate(rows[1:]):
        values[index] = _parse_row(path, index, row)
    return values[:, 0], values[:, 1]


def _parse_row(path: Path, index: int, row: Sequence[str]) -> tuple[float, float]:
    try:
        time_s, amplitude = (float(cell) for cell in row)
    except ValueError as error:
        raise _bad(path, index, "row does not parse", ", ".join(row)) from error
    if not (math.isfinite(time_s) and time_s >= 0):
        raise _bad(path, index, "time is not a time", row[0])
    if not 0 <= amplitude <= 1:
        raise _bad(path, index, "amplitude is not between 0 and 1", row[1])
    return time_s, amplitude


def _bad(path: Path, index: int, what: str, found: str) -> Exception:
    return fail(
        what,
        f"{path}:{index + 2}",
        found=found,
        expected="rising times in even steps, amplitudes from 0 to 1",
        remedy="Mend the line.",
    )


def plot_envelopes(path: Path, curves: dict[str, Envelope]) -> None:
    """Draw envelopes over one time axis; the suffix of `path` (.svg, .png) decides the format.

    Raises
    ------
    ClapstickError
        If the suffix is neither.
    """
    import altair as alt

    values: Any = alt.Data

    if path.suffix.lower() not in {".svg", ".png"}:
        raise fail("unknown picture format", path, found=path.suffix, expected=".svg or .png")
    rows = [
        {"time_s": float(time_s), "amplitude": float(amplitude), "curve": name}
        for name, curve in curves.items()
        for time_s, amplitude in zip(curve.times_s, curve.amplitudes, strict=True)
    ]
    chart = (
        alt.Chart(values(values=rows), width=720, height=220)
        .mark_line(strokeWidth=1.5)
        .encode(
            x=alt.X("time_s:Q", title="time (s)"),
            y=alt.Y("amplitude:Q", title="RMS amplitude"),
            color=alt.Color("curve:N", title=None, sort=list(curves)),
        )
    )
    with atomic(path) as temporary:
        chart.save(str(temporary), format=path.suffix.lower()[1:])
