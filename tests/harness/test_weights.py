"""Weights: found, refused, verified, and fetched from a real HTTP server that misbehaves."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clapstick.harness import weights as weights_module
from clapstick.harness.cli import build_app
from clapstick.harness.weights import (
    WeightFile,
    find_weights,
    known_weights,
    read_record,
    verify_weights,
    weights_sha256,
)
from clapstick.harness.weights_fetch import fetch_weights
from clapstick.protocols.problems import ClapstickError

CONTENT = bytes(range(256)) * 4000
BROKEN_OFF = 2**19


@dataclass
class Server:
    """What the loopback server does, and what it was asked."""

    url: str = ""
    content: bytes = CONTENT
    etag: str | None = '"one"'
    ranges: bool = True
    break_after: int | None = None
    """Close the connection after this many bytes, once."""
    claim: int | None = None
    """Content-Length to claim in place of the true one."""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            server.asked.append(asked)
            if server.status != 200:
                self.send_error(server.status)
                return
            start = self._start(asked)
            body = server.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
                )
            if server.etag:
                self.send_header("ETag", server.etag)
            self.send_header("Content-Length", str(server.claim or len(body)))
            self.end_headers()
            if server.break_after is not None:
                body, server.break_after = body[: server.break_after], None
            self.wfile.write(body)

        def _start(self, asked: str | None) -> int:
            unchanged = self.headers.get("If-Range") == server.etag
            if not (asked and server.ranges and unchanged):
                return 0
            return int(asked.removeprefix("bytes=").rstrip("-"))

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{http.server_port}/weights.pt"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAPSTICK_WEIGHTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def known(server: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(**facts: Any) -> None:
        entry = WeightFile(
            name="toy", title="a toy", file="toy/weights.pt", url=server.url, licence="CC0", layout="", **facts
        )
        monkeypatch.setattr(weights_module, "known_weights", lambda: {"toy": entry})

    return make


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_fetch_records_the_hash_where_no_source_states_one(server: Server, known: Any, folder: Path) -> None:
    known()
    seen: list[tuple[int, int | None]] = []
    record = fetch_weights("toy", progress=lambda done, total: seen.append((done, total)))
    path = folder / "toy" / "weights.pt"
    assert path.read_bytes() == CONTENT
    assert record.sha256 == _sha256(CONTENT) == weights_sha256("toy")
    assert record.source == server.url
    assert find_weights("toy") == path
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert _files(path.parent) == {"weights.pt", "weights.pt.json"}


def test_fetch_of_a_file_that_is_here_asks_no_server(server: Server, known: Any) -> None:
    known()
    fetch_weights("toy")
    fetch_weights("toy")
    assert len(server.asked) == 1


def test_broken_connection_is_taken_up_where_it_broke(server: Server, known: Any, folder: Path) -> None:
    known(sha256=_sha256(CONTENT))
    server.break_after = BROKEN_OFF
    fetch_weights("toy")
    assert server.asked == [None, f"bytes={BROKEN_OFF}-"]
    assert (folder / "toy" / "weights.pt").read_bytes() == CONTENT


def test_interrupted_fetch_is_resumed_by_the_next_command(server: Server, known: Any, folder: Path) -> None:
    known()
    server.break_after = BROKEN_OFF
    with pytest.raises(ClapstickError, match=rf"broke off.*{BROKEN_OFF} bytes are kept"):
        fetch_weights("toy", attempts=1)
    assert not (folder / "toy" / "weights.pt").exists()
    with pytest.raises(ClapstickError, match="weights fetch toy"):
        find_weights("toy")
    fetch_weights("toy", attempts=1)
    assert server.asked == [None, f"bytes={BROKEN_OFF}-"]
    assert weights_sha256("toy") == _sha256(CONTENT)


def test_part_of_a_file_that_changed_on_the_server_is_dropped(server: Server, known: Any) -> None:
    known()
    server.break_after = BROKEN_OFF
    with pytest.raises(ClapstickError, match="broke off"):
        fetch_weights("toy", attempts=1)
    server.content, server.etag = CONTENT[::-1], '"two"'
    assert fetch_weights("toy").sha256 == _sha256(CONTENT[::-1])


def test_part_from_another_url_is_dropped(server: Server, known: Any) -> None:
    known()
    server.break_after = BROKEN_OFF
    with pytest.raises(ClapstickError, match="broke off"):
        fetch_weights("toy", attempts=1)
    fetch_weights("toy", url=server.url + "?mirror=1")
    assert server.asked == [None, None]


@pytest.mark.parametrize("facts", [{"ranges": False}, {"etag": None}], ids=["no ranges", "no validator"])
def test_server_that_cannot_resume_is_read_from_the_start(
    server: Server, known: Any, facts: dict[str, Any]
) -> None:
    known()
    for name, value in facts.items():
        setattr(server, name, value)
    server.break_after = BROKEN_OFF
    assert fetch_weights("toy").sha256 == _sha256(CONTENT)
    assert len(server.asked) == 2


def test_file_shorter_than_announced_is_never_taken(server: Server, known: Any, folder: Path) -> None:
    known()
    server.content, server.claim = CONTENT[:1000], len(CONTENT)
    with pytest.raises(ClapstickError, match="broke off"):
        fetch_weights("toy", attempts=1)
    assert not (folder / "toy" / "weights.pt").exists()


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"sha256": "0" * 64}, "another SHA-256"),
        ({"md5": "0" * 32}, "another MD5"),
        ({"sha256_prefix": "00000000"}, "another start of the SHA-256"),
        ({"size_bytes": 3}, "another size in bytes"),
    ],
)
def test_file_that_is_not_as_stated_is_removed(
    known: Any, folder: Path, facts: dict[str, Any], named: str
) -> None:
    known(hash_source="its release page", **facts)
    with pytest.raises(ClapstickError, match=named):
        fetch_weights("toy")
    assert _files(folder / "toy") == set()


@pytest.mark.parametrize("status", [403, 404, 500])
def test_refusal_names_status_and_ways_out(server: Server, known: Any, folder: Path, status: int) -> None:
    known()
    server.status = status
    with pytest.raises(ClapstickError, match=rf"status {status}.*--url") as caught:
        fetch_weights("toy")
    assert str(folder / "toy" / "weights.pt") in str(caught.value)
    assert len(server.asked) == 1


def test_unreachable_server(known: Any, server: Server) -> None:
    known()
    with pytest.raises(ClapstickError, match=r"broke off.* 0 bytes are kept"):
        fetch_weights("toy", url="http://127.0.0.1:9/weights.pt")


def test_file_put_there_by_hand_is_checked_and_recorded(known: Any, folder: Path) -> None:
    known(sha256=_sha256(CONTENT))
    path = folder / "toy" / "weights.pt"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert find_weights("toy") == path
    record = read_record(path)
    assert record is not None
    assert record.source == "put there by hand"
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ClapstickError, match="not the file that its source states"):
        find_weights("toy")


def test_file_that_changed_after_its_fetch_is_refused(known: Any, folder: Path) -> None:
    known()
    fetch_weights("toy")
    path = folder / "toy" / "weights.pt"
    path.write_bytes(CONTENT[::-1])
    with pytest.raises(ClapstickError, match="changed since it was recorded"):
        find_weights("toy")
    with pytest.raises(ClapstickError, match="changed since it was recorded"):
        verify_weights("toy")


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(ClapstickError, match="vggish"):
        find_weights("vgish")


def test_missing_file_names_the_command_and_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("touched the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name, known in known_weights().items():
        told = f"clapstick weights fetch {name}" if known.url else re.escape(known.made_by)
        with pytest.raises(ClapstickError, match=told):
            find_weights(name)


def test_what_nobody_publishes_says_what_makes_it(folder: Path) -> None:
    with pytest.raises(ClapstickError, match="nobody publishes these weights"):
        fetch_weights("fol-ai-controlnet")


def test_every_stated_hash_names_its_source() -> None:
    for known in known_weights().values():
        if known.sha256 or known.md5 or known.sha256_prefix:
            assert known.hash_source, known.name
        assert known.url.startswith("https://") or known.made_by


def test_files_are_named_once() -> None:
    files = [known.file for known in known_weights().values()]
    assert len(files) == len(set(files))


def test_command_line(known: Any, server: Server, folder: Path) -> None:
    known()
    run = CliRunner()
    app = build_app()
    listed = json.loads(run.invoke(app, ["weights", "list", "--json"]).stdout)
    assert [(row["name"], row["here"]) for row in listed] == [("toy", "no")]
    place = run.invoke(app, ["weights", "where", "toy"])
    assert place.stdout.strip() == str(folder / "toy" / "weights.pt")
    fetched = run.invoke(app, ["weights", "fetch", "toy", "--json"])
    assert fetched.exit_code == 0
    assert json.loads(fetched.stdout)[0]["sha256"] == _sha256(CONTENT)
    assert "toy: 1.0 of 1.0 MB" in fetched.stderr
    verified = json.loads(run.invoke(app, ["weights", "verify", "--json"]).stdout)
    assert verified[0]["state"] == "whole"
    (folder / "toy" / "weights.pt").write_bytes(b"other")
    spoilt = run.invoke(app, ["weights", "verify", "toy"])
    assert spoilt.exit_code != 0
    assert isinstance(spoilt.exception, ClapstickError)
