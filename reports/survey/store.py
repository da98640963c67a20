"""Where a survey server keeps answers: SQLite, written through to disk before anything is acknowledged."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clapstick.protocols.problems import fail
from clapstick.reports.survey.answers import Answer, AnswerFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (
    plan_sha256 TEXT NOT NULL,
    monitor_token TEXT NOT NULL,
    join_token TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS raters (
    rater TEXT PRIMARY KEY,
    place INTEGER NOT NULL,
    token TEXT NOT NULL UNIQUE,
    code TEXT NOT NULL UNIQUE,
    claimed INTEGER NOT NULL DEFAULT 0,
    finished INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
    rater TEXT NOT NULL REFERENCES raters(rater),
    page TEXT NOT NULL,
    sound TEXT NOT NULL,
    criterion TEXT NOT NULL,
    value INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    seconds REAL NOT NULL,
    plays INTEGER NOT NULL,
    PRIMARY KEY (rater, revision)
) STRICT;
"""


class ConflictError(Exception):
    """An answer came twice under one revision, with another content."""


@dataclass(frozen=True)
class Seat:
    """One rater's place in the study."""

    rater: str
    token: str
    """Secret part of the rater's link."""
    code: str
    """Completion code, shown when everything is answered."""
    claimed: bool
    finished: bool


class AnswerStore:
    """One study's answers; safe for several threads of one process."""

    def __init__(self, path: Path, plan_sha256: str, raters: Sequence[str]) -> None:
        """Open the store, making it on first use.

        Raises
        ------
        ClapstickError
            If it holds the answers to another plan.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("PRAGMA foreign_keys=ON")
        self._database.execute("PRAGMA secure_delete=ON")
        path.chmod(0o600)
        self._prepare(path, plan_sha256, raters)

    def _prepare(self, path: Path, plan_sha256: str, raters: Sequence[str]) -> None:
        self._database.executescript(_SCHEMA)
        with self._writing():
            row = self._database.execute("SELECT plan_sha256 FROM study").fetchone()
            if row is None:
                tokens = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
                self._database.execute("INSERT INTO study VALUES (?, ?, ?)", (plan_sha256, *tokens))
                self._database.executemany(
                    "INSERT INTO raters (rater, place, token, code) VALUES (?, ?, ?, ?)",
                    [
                        (r, n, secrets.token_urlsafe(18), secrets.token_hex(4).upper())
                        for n, r in enumerate(raters)
                    ],
                )
            elif row[0] != plan_sha256:
                raise fail(
                    "data folder holds the answers to another plan",
                    path,
                    found=row[0],
                    expected=plan_sha256,
                    remedy="Name another folder with --data.",
                )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def monitor_token(self) -> str:
        """Secret part of the experimenter's link."""
        return str(self._one("SELECT monitor_token FROM study"))

    @property
    def join_token(self) -> str:
        """Secret part of the link that hands out free seats."""
        return str(self._one("SELECT join_token FROM study"))

    def seats(self) -> list[Seat]:
        """Return all seats that were not deleted, in the order of the plan."""
        return [self._seat(row) for row in self._all(f"{_SEAT} WHERE deleted = 0 ORDER BY place")]

    def seat(self, token: str) -> Seat | None:
        """Return the seat of a link; None where there is none, or it was deleted."""
        rows = self._all(f"{_SEAT} WHERE token = ? AND deleted = 0", (token,))
        return self._seat(rows[0]) if rows else None

    def claim(self) -> Seat | None:
        """Give out the first free seat, once; None where all are taken."""
        with self._writing():
            rows = self._database.execute(
                f"{_SEAT} WHERE claimed = 0 AND deleted = 0 ORDER BY place LIMIT 1"
            ).fetchall()
            if not rows:
                return None
            self._database.execute("UPDATE raters SET claimed = 1 WHERE rater = ?", (rows[0][0],))
            return self._seat(rows[0])

    def add(self, rater: str, answers: Sequence[Answer]) -> None:
        """Store answers; when this returns they are on the disk. One that is there already is passed over.

        Raises
        ------
        ConflictError
            If another answer is there under the same revision; nothing is stored then.
        """
        with self._writing():
            self._database.execute("UPDATE raters SET claimed = 1 WHERE rater = ?", (rater,))
            for answer in answers:
                values = (
                    answer.page,
                    answer.sound,
                    answer.criterion,
                    answer.value,
                    answer.revision,
                    answer.seconds,
                    answer.plays,
                )
                held = self._database.execute(
                    "SELECT page, sound, criterion, value FROM answers WHERE rater = ? AND revision = ?",
                    (rater, answer.revision),
                ).fetchone()
                if held is None:
                    self._database.execute(
                        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (rater, *values)
                    )
                elif tuple(held) != values[:4]:
                    raise ConflictError(f"revision {answer.revision} holds another answer")

    def answers(self, rater: str) -> list[Answer]:
        """Return a rater's answers, the last revision of each question."""
        rows = self._all(
            "SELECT page, sound, criterion, value, MAX(revision), seconds, plays FROM answers WHERE rater = ? "
            "GROUP BY page, sound, criterion ORDER BY MAX(revision)",
            (rater,),
        )
        names = ("page", "sound", "criterion", "value", "revision", "seconds", "plays")
        return [Answer.model_validate(dict(zip(names, row, strict=True))) for row in rows]

    def finish(self, rater: str) -> None:
        """Note that a rater has answered everything."""
        with self._writing():
            self._database.execute("UPDATE raters SET finished = 1 WHERE rater = ?", (rater,))

    def delete(self, rater: str) -> bool:
        """Delete a rater's answers and close the link; False where there is no such rater."""
        with self._writing():
            self._database.execute("DELETE FROM answers WHERE rater = ?", (rater,))
            changed = self._database.execute(
                "UPDATE raters SET deleted = 1 WHERE rater = ? AND deleted = 0", (rater,)
            ).rowcount
        with self._lock:
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return changed > 0

    def export(self, plan_sha256: str) -> list[AnswerFile]:
        """Return what every rater has answered so far, in the form of answer files."""
        files = []
        for seat in self.seats():
            answers = self.answers(seat.rater)
            if answers:
                files.append(
                    AnswerFile(
                        plan_sha256=plan_sha256,
                        rater=seat.rater,
                        finished=seat.finished,
                        answers=tuple(answers),
                    )
                )
        return files

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _all(self, query: str, values: tuple[str, ...] = ()) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _one(self, query: str) -> object:
        return self._all(query)[0][0]

    @staticmethod
    def _seat(row: Sequence[object]) -> Seat:
        rater, token, code, claimed, finished = row
        return Seat(str(rater), str(token), str(code), bool(claimed), bool(finished))


_SEAT = "SELECT rater, token, code, claimed, finished FROM raters"
