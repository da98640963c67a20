"""The survey server: what it refuses, what it keeps through kill -9, how it hands out places."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from survey_raters import plan_and_key, simulate_session, small_packet, small_run

from clapstick.protocols.problems import ClapstickError
from clapstick.reports.survey import server as server_module
from clapstick.reports.survey.answers import Answer
from clapstick.reports.survey.packet import MadePacket
from clapstick.reports.survey.plan import Plan, Session, sha256_of
from clapstick.reports.survey.results import score_packet
from clapstick.reports.survey.server import RateLimit, build_server
from clapstick.reports.survey.store import AnswerStore, ConflictError, Seat


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadePacket:
    folder = tmp_path_factory.mktemp("made")
    return small_packet(small_run(folder, clips=5), folder, raters=6)


@pytest.fixture
def plan(made: MadePacket) -> Plan:
    return plan_and_key(made)[0]


@pytest.fixture
def store(plan: Plan, tmp_path: Path) -> Iterator[AnswerStore]:
    opened = AnswerStore(tmp_path / "answers.sqlite3", sha256_of(plan), [s.rater for s in plan.sessions])
    yield opened
    opened.close()


@pytest.fixture
def client(made: MadePacket, plan: Plan, store: AnswerStore) -> TestClient:
    return TestClient(build_server(made.packet, plan, store), raise_server_exceptions=False)


@pytest.fixture
def seat(store: AnswerStore) -> Seat:
    return store.seats()[0]


@pytest.fixture
def session(plan: Plan, seat: Seat) -> Session:
    return next(session for session in plan.sessions if session.rater == seat.rater)


def an_answer(session: Session, **changes: object) -> dict[str, object]:
    page = session.pages[0]
    answer = {
        "page": page.id,
        "sound": page.sounds[0],
        "criterion": session.criteria[0],
        "value": 3,
        "revision": 1,
    }
    return answer | {"seconds": 4.0, "plays": 1} | changes


def test_the_page_shows_one_session_and_no_other(client: TestClient, plan: Plan, seat: Seat) -> None:
    reply = client.get(f"/s/{seat.token}/")
    assert reply.status_code == 200
    assert seat.rater in reply.text
    for other in plan.sessions[1:]:
        assert other.rater not in reply.text
        assert other.pages[0].id not in reply.text
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert seat.code not in reply.text


def test_an_answer_is_kept_and_a_replay_changes_nothing(
    client: TestClient, store: AnswerStore, seat: Seat, session: Session
) -> None:
    body = {"answers": [an_answer(session)]}
    for _ in range(3):
        reply = client.post(f"/s/{seat.token}/answers", json=body)
        assert reply.json() == {"stored": [1]}
    client.post(f"/s/{seat.token}/answers", json={"answers": [an_answer(session, value=5, revision=2)]})
    client.post(f"/s/{seat.token}/answers", json=body)
    (kept,) = store.answers(seat.rater)
    assert (kept.value, kept.revision) == (5, 2), "a replayed old answer does not come back"
    forged = client.post(
        f"/s/{seat.token}/answers", json={"answers": [an_answer(session, value=1, revision=2)]}
    )
    assert forged.status_code == 409
    assert client.get(f"/s/{seat.token}/answers").json()["answers"][0]["value"] == 5


def test_a_batch_with_one_bad_answer_is_stored_not_at_all(
    client: TestClient, store: AnswerStore, seat: Seat, session: Session
) -> None:
    batch = [an_answer(session), an_answer(session, value=6, revision=2)]
    assert client.post(f"/s/{seat.token}/answers", json={"answers": batch}).status_code == 422
    assert store.answers(seat.rater) == []


EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize("field", ["page", "sound", "criterion"])
@pytest.mark.parametrize("text", [EVIL, "../../etc/passwd", "'; DROP TABLE answers; --", "\u0000", "x" * 5000])
def test_strange_text_in_every_field_is_refused(
    client: TestClient, store: AnswerStore, seat: Seat, session: Session, field: str, text: str
) -> None:
    reply = client.post(f"/s/{seat.token}/answers", json={"answers": [an_answer(session, **{field: text})]})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/json", "never markup"
    assert store.answers(seat.rater) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 0}, {"value": 6}, {"value": "3"}, {"value": 3.5}, {"value": True}, {"value": None},
        {"revision": 0}, {"revision": 10**9}, {"seconds": -1}, {"plays": -1}, {"rater": "OTHER"},
    ],
)  # fmt: skip
def test_malformed_values_are_refused(
    client: TestClient, seat: Seat, session: Session, changes: dict[str, object]
) -> None:
    reply = client.post(f"/s/{seat.token}/answers", json={"answers": [an_answer(session, **changes)]})
    assert reply.status_code == 422


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"answers": []}', b'{"answers": 1}', b"\xff\xfe", b"null"]
)
def test_malformed_bodies_are_refused(client: TestClient, seat: Seat, body: bytes) -> None:
    reply = client.post(f"/s/{seat.token}/answers", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422


def test_another_rater_s_page_is_refused(client: TestClient, plan: Plan, seat: Seat, session: Session) -> None:
    foreign = an_answer(session, page=plan.sessions[1].pages[0].id)
    assert client.post(f"/s/{seat.token}/answers", json={"answers": [foreign]}).status_code == 422


def test_large_bodies_are_refused_stated_or_streamed(client: TestClient, seat: Seat) -> None:
    big = b" " * (server_module.MAX_BODY_BYTES + 1)
    assert client.post(f"/s/{seat.token}/answers", content=big).status_code == 413
    pieces = (b" " * 1000 for _ in range(70))
    assert client.post(f"/s/{seat.token}/answers", content=pieces).status_code == 413


def test_more_answers_than_a_batch_holds_are_refused(client: TestClient, seat: Seat, session: Session) -> None:
    batch = [an_answer(session, revision=n + 1) for n in range(51)]
    assert client.post(f"/s/{seat.token}/answers", json={"answers": batch}).status_code == 422


@pytest.mark.parametrize(
    "name",
    ["../plan.json", "..%2fplan.json", "%2e%2e/plan.json", "..%5cplan.json", "%00", "999.mp4", "//etc/passwd"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["media", "check"])
def test_no_path_leads_out_of_the_packet(client: TestClient, seat: Seat, place: str, name: str) -> None:
    reply = client.get(f"/s/{seat.token}/{place}/{name}")
    assert reply.status_code == 404
    assert "sha256" not in reply.text


@pytest.mark.parametrize("tail", ["media/../../plan.json", "check/../plan.json", "media/../../../etc/passwd"])
def test_paths_that_no_client_has_cleaned_up_find_nothing(
    made: MadePacket, plan: Plan, store: AnswerStore, seat: Seat, tail: str
) -> None:
    path = f"/s/{seat.token}/{tail}"
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("x", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(build_server(made.packet, plan, store)(scope, receive, send))
    assert sent[0]["status"] == 404


def test_own_media_come_with_ranges_and_foreign_ones_do_not(
    client: TestClient, made: MadePacket, plan: Plan, seat: Seat, session: Session
) -> None:
    number = session.pages[0].sounds[0]
    whole = client.get(f"/s/{seat.token}/media/{number}.mp4")
    assert whole.content == (made.packet / "media" / f"{number}.mp4").read_bytes()
    part = client.get(f"/s/{seat.token}/media/{number}.mp4", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    own = {sound for page in session.pages for sound in page.sounds} | {e.sound for e in plan.examples}
    assert all(
        client.get(f"/s/{seat.token}/media/{n}.mp4").status_code == 404 for n in set(plan.sounds_sha256) - own
    )


def test_unknown_links_are_refused_and_guessing_is_slowed_down(client: TestClient, seat: Seat) -> None:
    replies = [client.get(f"/s/{'x' * 24}{n}/").status_code for n in range(60)]
    assert replies[0] == 404
    assert replies[-1] == 429
    assert client.get(f"/s/{seat.token}/").status_code == 200, "a rater's own link still works"
    assert client.get("/docs").status_code == 404
    assert client.get("/openapi.json").status_code == 404


def test_a_flood_from_one_link_is_slowed_down(client: TestClient, seat: Seat, session: Session) -> None:
    body = {"answers": [an_answer(session)]}
    replies = [client.post(f"/s/{seat.token}/answers", json=body).status_code for _ in range(160)]
    assert 429 in replies
    assert replies[0] == 200


def test_rate_limit_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(server_module.time, "monotonic", lambda: now[0])
    limit = RateLimit(burst=2, per_second=0.5)
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.allows("b")
    now[0] = 2.0
    assert [limit.allows("a") for _ in range(2)] == [True, False]


def test_the_end_comes_only_when_everything_is_answered(
    client: TestClient, made: MadePacket, plan: Plan, store: AnswerStore, seat: Seat, session: Session
) -> None:
    import numpy as np

    reply = client.post(f"/s/{seat.token}/finish")
    assert reply.status_code == 409
    assert seat.code not in reply.text
    key = plan_and_key(made)[1]
    file = simulate_session(plan, key, session, np.random.default_rng(0))
    for start in range(0, len(file.answers), 50):
        batch = [answer.model_dump() for answer in file.answers[start : start + 50]]
        assert client.post(f"/s/{seat.token}/answers", json={"answers": batch}).status_code == 200
    assert client.post(f"/s/{seat.token}/finish").json() == {"code": seat.code}
    assert store.seats()[0].finished


def test_monitor_export_and_deletion_are_behind_the_token(
    client: TestClient, made: MadePacket, store: AnswerStore, seat: Seat, session: Session, tmp_path: Path
) -> None:
    client.post(f"/s/{seat.token}/answers", json={"answers": [an_answer(session)]})
    for path in ("/", "/answers.json"):
        assert client.get(f"/monitor/wrong{path}").status_code == 404
        assert client.get(f"/monitor/{seat.token}{path}").status_code == 404
    assert client.post(f"/monitor/wrong/delete/{seat.rater}").status_code == 404
    token = store.monitor_token
    page = client.get(f"/monitor/{token}/").text
    assert "1 of 80" in page
    exported = client.get(f"/monitor/{token}/answers.json").json()
    assert exported[0]["answers"][0]["value"] == 3
    (tmp_path / "answers.json").write_text(json.dumps(exported))
    result, _ = score_packet(made.packet, [tmp_path / "answers.json"], made.key)
    assert result.answers == 1
    reply = client.post(f"/monitor/{token}/delete/{seat.rater}", follow_redirects=False)
    assert reply.status_code == 303
    assert store.export("x") == []
    assert client.get(f"/s/{seat.token}/").status_code == 404
    assert client.post(f"/monitor/{token}/delete/{seat.rater}").status_code == 404


def test_deleted_answers_leave_no_trace_on_the_disk(store: AnswerStore, seat: Seat, tmp_path: Path) -> None:
    mark = "telltale-page"
    answer = Answer(page=mark, sound="001", criterion="c", value=1, revision=1)
    store.add(seat.rater, [answer])
    assert store.delete(seat.rater)
    for path in tmp_path.glob("answers.sqlite3*"):
        assert mark.encode() not in path.read_bytes()


def test_places_are_given_out_once(
    client: TestClient, made: MadePacket, plan: Plan, store: AnswerStore
) -> None:
    app = build_server(made.packet, plan, store)

    def join(_: int) -> str:
        reply = TestClient(app).get(f"/join/{store.join_token}", follow_redirects=False)
        return reply.headers.get("location", str(reply.status_code))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(join, range(10)))
    places = [place for place in found if place.startswith("/s/")]
    assert len(set(places)) == len(places) == 6
    assert found.count("410") == 4
    assert client.get("/join/wrong").status_code == 404


def test_coming_back_gives_the_same_place(client: TestClient, store: AnswerStore) -> None:
    first = client.get(f"/join/{store.join_token}", follow_redirects=False).headers["location"]
    second = client.get(f"/join/{store.join_token}", follow_redirects=False).headers["location"]
    assert first == second


def test_store_refuses_another_plan_and_conflicts(
    store: AnswerStore, plan: Plan, seat: Seat, tmp_path: Path
) -> None:
    with pytest.raises(ClapstickError, match="answers to another plan"):
        AnswerStore(tmp_path / "answers.sqlite3", "0" * 64, [])
    answer = Answer(page="p", sound="s", criterion="c", value=1, revision=1)
    store.add(seat.rater, [answer])
    with pytest.raises(ConflictError, match="revision 1"):
        store.add(
            seat.rater, [answer.model_copy(update={"revision": 2}), answer.model_copy(update={"value": 2})]
        )
    assert len(store.answers(seat.rater)) == 1
    mode = (tmp_path / "answers.sqlite3").stat().st_mode
    assert mode & 0o077 == 0


# ---- under load, killed again and again


class KilledServer:
    """The command ``survey serve`` in a process of its own, that can be killed and started again."""

    def __init__(self, packet: Path, data: Path) -> None:
        self.packet, self.data = packet, data
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-c", "from clapstick.harness.cli import main; main()", "survey", "serve"]
        command += [str(self.packet), "--data", str(self.data), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/", timeout=1)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def storm(
    made: MadePacket, data: Path, kills: int, seconds_between: float, pause_s: float, each: int
) -> tuple[int, int]:
    """Let every rater of a packet answer at once while the server is killed; return answers and retries."""
    import numpy as np

    plan, key = plan_and_key(made)
    files = {}
    for number, session in enumerate(plan.sessions):
        answers = simulate_session(plan, key, session, np.random.default_rng(number)).answers
        files[session.rater] = answers[:each]
    store = AnswerStore(data / "answers.sqlite3", sha256_of(plan), list(files))
    tokens = {seat.rater: seat.token for seat in store.seats()}
    store.close()
    server = KilledServer(made.packet, data)
    server.start()
    acknowledged: dict[tuple[str, int], Answer] = {}
    retries = [0]
    lock = threading.Lock()
    killed = threading.Event()

    def rate(rater: str) -> None:
        pause = random.Random(rater)
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as http:
            for answer in files[rater]:
                body = {"answers": [answer.model_dump()]}
                while True:
                    try:
                        reply = http.post(f"/s/{tokens[rater]}/answers", json=body)
                    except httpx.HTTPError:
                        reply = None
                    if reply is not None and reply.status_code == 200:
                        assert reply.json() == {"stored": [answer.revision]}
                        with lock:
                            acknowledged[rater, answer.revision] = answer
                        break
                    with lock:
                        retries[0] += 1
                    time.sleep(pause.uniform(0.1, 0.6))
                if not killed.is_set():
                    time.sleep(pause.uniform(0, pause_s))

    with ThreadPoolExecutor(len(files)) as pool:
        futures = [pool.submit(rate, rater) for rater in files]
        for _ in range(kills):
            time.sleep(seconds_between)
            server.kill()
            server.start()
        killed.set()
        for future in futures:
            future.result()
    server.kill()
    rows = sqlite3.connect(data / "answers.sqlite3").execute("SELECT * FROM answers").fetchall()
    stored = {(row[0], row[5]): row for row in rows}
    assert len(stored) == len(rows), "an answer is double"
    assert set(stored) == set(acknowledged), (
        "an acknowledged answer is lost, or one is stored that was never given"
    )
    for (rater, revision), answer in acknowledged.items():
        row = stored[rater, revision]
        assert row[1:5] == (answer.page, answer.sound, answer.criterion, answer.value)
    assert len(rows) == sum(map(len, files.values()))
    return len(rows), retries[0]


def test_no_acknowledged_answer_is_lost_or_double_when_the_server_is_killed(
    made: MadePacket, tmp_path: Path
) -> None:
    answers, retries = storm(made, tmp_path, kills=2, seconds_between=0.7, pause_s=0.2, each=20)
    assert answers == 6 * 20
    assert retries > 0, "the kills were felt"


@pytest.mark.slow
def test_two_hundred_raters_at_once_and_ten_kills(tmp_path: Path) -> None:
    extra = (
        "questions.count=4",
        'criteria=[{name="x", title="X", question="?", guideline="-", scale=["1","2","3","4","5"]}]',
    )
    made = small_packet(small_run(tmp_path, clips=5), tmp_path, raters=200, extra=extra)
    began = time.monotonic()
    answers, retries = storm(made, tmp_path / "data", kills=10, seconds_between=3.0, pause_s=6.0, each=20)
    sys.stderr.write(f"{answers} answers, 10 kills, {retries} retries, {time.monotonic() - began:.0f} s\n")
    assert answers == 200 * 20
