"""The run archive: the folder that one run fills and that reports and other tools read. Schema version 1.

::

    RUN/run.json                        `RunRecord`
    RUN/clips.parquet                   one row a clip
    RUN/native/<system>/<clip>.wav      as emitted, float32; .json beside it is a `NativeRecord`
    RUN/native/<system>/<clip>.safetensors   what the system predicted besides sound, where it did
    RUN/audio/<system>/<clip>.wav       standardised; ``reference`` holds the standardised references
    RUN/scores.parquet                  one row a system x clip x metric x convention
    RUN/summary.json                    ``{"scores": [ScoreRecord, ...]}``
    RUN/splits.json                     ``{"seen": [ScoreRecord], "unseen": [ScoreRecord]}`` of systems that
                                        were trained on some of the clips
    RUN/comparisons.json                ``ComparedRecord``
    RUN/statistics/<system>/<metric>@<convention>.safetensors   per-clip statistics, keys ``<clip>/<name>``
    RUN/ratings.json                    ``{"scores": [ScoreRecord]}`` of listening tests, where there were any
    RUN/errors.jsonl                    one `ErrorRecord` a line
    RUN/report/index.html

``<clip>`` is `Clip.file_stem`. Every file is written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from clapstick.protocols.clips import Clip
from clapstick.protocols.problems import Problem, fail
from clapstick.protocols.protocol import Protocol

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
SPLITS = ("seen", "unseen")
"""Parts of a run's clips, for a system that was trained on some of them."""
FINISH = "Start the same `clapstick run` again to finish it."
"""What to do about a run that was cut off."""
Stage = Literal["read", "generate", "standardise", "score"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRecord(_Record):
    """What was run, with what, where and when."""

    schema_version: int = SCHEMA_VERSION
    protocol: Protocol
    data: str
    """The data folder as the user gave it."""
    systems: dict[str, dict[str, Any]]
    """System name -> resolved card, with parameters and the SHA-256 of every weight file."""
    seed: int
    limit: int | None = None
    clips_listed: int
    """Clips that the reader found, before the limit."""
    subset: str = ""
    """Name of what was left of a data set whose videos vanish: scores belong to it; else empty."""
    libraries: dict[str, str]
    machine: dict[str, str]
    git_revision: str | None = None
    started: str
    finished: str | None = None


class NativeRecord(_Record):
    """How one native output came about."""

    system: str
    clip: str
    seed: int
    seconds: float
    """Wall seconds that the system took."""
    samples: int
    sample_rate: int
    channels: int
    sha256: str
    """Of the wav file."""
    warnings: tuple[str, ...] = ()
    peak_memory_bytes: int | None = None
    fingerprint: str = ""
    """Of everything that decided this output; a run makes it again when that has changed."""


class StandardRecord(_Record):
    """What standardisation did to one file (``RUN/audio/<system>/<clip>.json``)."""

    system: str
    clip: str
    native_sha256: str
    sha256: str
    resampled_from: int | None
    """Native rate in Hz where it differed."""
    mixed_from_channels: int | None
    """Native channels where they differed."""
    padded_samples: int
    cut_samples: int
    """Both at the protocol's rate."""
    gain_db: float | None
    clipped_samples: int
    """Samples beyond full scale after all steps; they are kept as they are."""
    fingerprint: str = ""
    """Of the native file and the protocol's audio rules."""


class ScoreRecord(_Record):
    """One number of the leaderboard, or why there is none."""

    system: str
    metric: str
    convention: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    """Clips behind the value."""
    direction: str
    unit: str
    signature: str
    reason: str | None = None
    missing: tuple[str, ...] = ()
    """Clips that the system or the metric has no result for."""
    interval_method: str | None = None
    warnings: tuple[str, ...] = ()


class ComparisonRecord(_Record):
    """A paired test between two systems on the clips that both have."""

    metric: str
    convention: str
    system_a: str
    system_b: str
    difference: float
    """Value of a minus value of b."""
    ci_low: float
    ci_high: float
    p: float
    p_holm: float
    """Adjusted over all pairs of this metric and convention."""
    n: int
    method: str
    detectable: float | None = None
    """Smallest true difference that such a test finds with 80 % power at the 5 % level."""


class RankRecord(_Record):
    """Where a system may stand among the competitors (controls are not ranked)."""

    metric: str
    convention: str
    system: str
    rank_low: int
    rank_high: int
    """Best and worst rank that the data leave open, counted from 1."""
    tie_group: int
    """Systems that no test tells from the best of their group share a number, counted from 1 for the best."""


class ComparedRecord(_Record):
    """How the rows of a run differ, column by column."""

    comparisons: list[ComparisonRecord] = []
    """Every pair of ranked systems."""
    ranks: list[RankRecord] = []
    controls: list[ComparisonRecord] = []
    """System a against control b, where a floor is ahead of a system or a system ahead of a ceiling."""

    def __add__(self, other: ComparedRecord) -> ComparedRecord:
        return ComparedRecord(
            comparisons=self.comparisons + other.comparisons,
            ranks=self.ranks + other.ranks,
            controls=self.controls + other.controls,
        )


class ErrorRecord(_Record):
    """One clip or system that failed in one stage."""

    system: str | None
    clip: str | None
    stage: Stage
    problem: Problem
    skipped: bool = False
    """Whether the clip merely lacks what the system or metric needs; a skip is not a failure of the run."""


class RunArchive:
    """Paths and records of one run folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.root / "report"

    def native_wav(self, system: str, clip: Clip) -> Path:
        """Path of a native output."""
        return self.root / "native" / system / f"{clip.file_stem}.wav"

    def audio_wav(self, system: str, clip: Clip) -> Path:
        """Path of a standardised output; system ``reference`` holds the references."""
        return self.root / "audio" / system / f"{clip.file_stem}.wav"

    def read_run(self) -> RunRecord:
        """Read run.json; raise `ClapstickError` where the folder is no run archive of a known version."""
        path = self.root / "run.json"
        if not path.is_file():
            raise fail(
                "not a run archive", self.root, found="no run.json", remedy="Name the folder given as --out."
            )
        values = json.loads(path.read_text(encoding="utf-8"))
        version = values.get("schema_version")
        if version != SCHEMA_VERSION:
            raise fail(
                "run archive has another schema version",
                path,
                found=version,
                expected=SCHEMA_VERSION,
                remedy="Use the Clapstick version that wrote it, or run again.",
            )
        return RunRecord.model_validate(values)

    def read_clips(self) -> list[Clip]:
        """Read clips.parquet."""
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(self.root / "clips.parquet").to_pylist()
        return [Clip.model_validate({name: row[name] for name in Clip.model_fields}) for row in rows]

    def write_clips(self, clips: Sequence[Clip], extra: Mapping[str, Sequence[str | None]]) -> None:
        """Write clips.parquet; `extra` adds columns (hashes) in the order of `clips`."""
        import pyarrow
        import pyarrow.parquet

        rows = [clip.model_dump(mode="json") | {"file_stem": clip.file_stem} for clip in clips]
        for name, values in extra.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = value
        table = pyarrow.Table.from_pylist(rows, schema=_clip_schema(extra))
        with atomic(self.root / "clips.parquet") as temporary:
            pyarrow.parquet.write_table(table, temporary)

    def read_summary(self) -> list[ScoreRecord]:
        """Read summary.json; empty where nothing was scored yet."""
        path = self.root / "summary.json"
        if not path.is_file():
            return []
        values = json.loads(path.read_text(encoding="utf-8"))
        return [ScoreRecord.model_validate(record) for record in values["scores"]]

    def read_splits(self) -> dict[str, list[ScoreRecord]]:
        """Read splits.json: ``seen`` and ``unseen`` -> scores on the clips that a system was trained on or not.

        Systems whose training list holds none of the clips are in neither; empty where nothing was scored.
        """
        path = self.root / "splits.json"
        if not path.is_file():
            return {}
        values = json.loads(path.read_text(encoding="utf-8"))
        return {part: [ScoreRecord.model_validate(record) for record in values[part]] for part in SPLITS}

    def read_ratings(self) -> list[ScoreRecord]:
        """Read ratings.json, mean opinion scores of listening tests; empty where none was scored."""
        path = self.root / "ratings.json"
        if not path.is_file():
            return []
        values = json.loads(path.read_text(encoding="utf-8"))
        return [ScoreRecord.model_validate(record) for record in values["scores"]]

    def read_comparisons(self) -> ComparedRecord:
        """Read comparisons.json; empty where nothing was compared."""
        path = self.root / "comparisons.json"
        return ComparedRecord.model_validate_json(path.read_bytes()) if path.is_file() else ComparedRecord()

    def read_scores(self) -> pd.DataFrame:
        """Read scores.parquet: columns system, clip, metric, convention, value (NaN where none), reason.

        Raises `ClapstickError` where nothing was scored yet.
        """
        import pandas as pd

        path = self.root / "scores.parquet"
        if not path.is_file():
            raise fail("run has no scores yet", self.root, remedy=FINISH)
        return pd.read_parquet(path)

    def read_errors(self) -> list[ErrorRecord]:
        """Read errors.jsonl; empty where there is none."""
        path = self.root / "errors.jsonl"
        if not path.is_file():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return [ErrorRecord.model_validate_json(line) for line in lines if line]

    def read_native(self, system: str, clip: Clip) -> NativeRecord | None:
        """Read the record beside a native output; None where the clip was not generated."""
        path = self.native_wav(system, clip).with_suffix(".json")
        return NativeRecord.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None

    def read_standard(self, system: str, clip: Clip) -> StandardRecord | None:
        """Read the record beside a standardised output; None where there is none."""
        path = self.audio_wav(system, clip).with_suffix(".json")
        return StandardRecord.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write_errors(self, errors: Iterable[ErrorRecord]) -> None:
        """Replace errors.jsonl."""
        write_text(self.root / "errors.jsonl", "".join(error.model_dump_json() + "\n" for error in errors))


def require_writable(path: Path, *, folder: bool = False, remedy: str = "Name another place with -o.") -> None:
    """Make the folder that a file, or the folder that an output, goes into, before anything is computed.

    Raises
    ------
    ClapstickError
        If it cannot be made or written to, or if a folder stands where the file would.
    """
    if path.is_dir() and not folder:
        raise fail("is a folder", path, expected="a file", remedy=remedy)
    parent = path if folder else path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise fail("cannot be written", path, found=error.strerror or error, remedy=remedy) from error


class atomic:  # noqa: N801 - reads as a verb: ``with atomic(path) as temporary``
    """Write a file under a temporary name, sync it, and rename it when the block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is not None:
            self._temporary.unlink(missing_ok=True)
            return
        with self._temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        self._temporary.replace(self._path)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _clip_schema(extra: Iterable[str]) -> Any:
    import pyarrow as pa

    text = pa.string()
    number = pa.float64()
    onset = pa.struct([("time_s", number), ("material", text), ("action", text), ("reaction", text)])
    prompt = pa.struct(
        [
            ("kind", text),
            ("policy", text),
            ("text", text),
            ("path", text),
            ("start_s", number),
            ("duration_s", number),
        ]
    )
    types = {
        "start_s": number,
        "duration_s": number,
        "reference_start_s": number,
        "onsets": pa.list_(onset),
        "prompt": prompt,
        "seen_by": pa.list_(text),
        "warnings": pa.list_(text),
    }
    columns = [(name, types.get(name, text)) for name in Clip.model_fields]
    return pa.schema([*columns, ("file_stem", text), *((name, text) for name in extra)])
