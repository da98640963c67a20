"""The survey server: hands each rater a session, and stores every answer before it says so.

Links carry random tokens; there are no accounts, no names and no addresses in the data. Media are looked up in
the plan, never on the disk by what a request says.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from clapstick.reports.survey.answers import CHECKS, Answer, why_not_allowed
from clapstick.reports.survey.plan import Plan, Session, allowed_values, sha256_of
from clapstick.reports.survey.rater_page import LATENCY_CHECK, PAGE_FOLDER, content_policy, render_rater_page
from clapstick.reports.survey.store import AnswerStore, ConflictError, Seat

MAX_BODY_BYTES = 64 * 1024
ANSWERS_A_REQUEST = 50
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PLAIN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AnswerBatch(BaseModel):
    """Body of a request that brings answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: tuple[Answer, ...] = Field(min_length=1, max_length=ANSWERS_A_REQUEST)


class RateLimit:
    """A bucket of tokens for each name; at most `names` are remembered."""

    def __init__(self, burst: float, per_second: float, names: int = 10_000) -> None:
        self._burst, self._per_second, self._names = burst, per_second, names
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, name: str) -> bool:
        """Take a token; False where the bucket is empty."""
        with self._lock:
            now = time.monotonic()
            left, then = self._left.pop(name, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._per_second)
            allowed = left >= 1
            self._left[name] = (left - 1 if allowed else left, now)
            if len(self._left) > self._names:
                self._left.popitem(last=False)
            return allowed


class BodyLimit:
    """Refuse bodies above a size, stated or streamed, before anything reads them."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or answer 413."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                await _refuse(413, "too large")(scope, receive, send)
                return
        sent = False

        async def replay() -> MutableMapping[str, Any]:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


def build_server(packet: Path, plan: Plan, store: AnswerStore) -> FastAPI:
    """Return the application for one packet."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    study = _Study(packet, plan, store)
    _add_headers(app)
    _add_rater_routes(app, study)
    _add_monitor_routes(app, study)
    return app


class _Study:
    """What the routes share."""

    def __init__(self, packet: Path, plan: Plan, store: AnswerStore) -> None:
        self.packet, self.plan, self.store = packet, plan, store
        self.plan_sha256 = sha256_of(plan)
        self.sessions = {session.rater: session for session in plan.sessions}
        self.examples = {example.sound for example in plan.examples}
        self.posts = RateLimit(burst=120, per_second=10)
        self.strangers = RateLimit(burst=30, per_second=0.5)
        self.joins = RateLimit(burst=400, per_second=5)

    def media(self, session: Session, sound: str) -> Path | None:
        """Return a media file that belongs to a session; None for anything else."""
        own = self.examples | {number for page in session.pages for number in page.sounds}
        return self.packet / "media" / f"{sound}.mp4" if sound in own else None

    def open_questions(self, session: Session) -> int:
        """Count the questions of a session that have no answer yet."""
        given = {(a.page, a.sound, a.criterion) for a in self.store.answers(session.rater) if a.page != CHECKS}
        asked = {
            (page.id, sound, criterion)
            for page in session.pages
            for sound in allowed_values(self.plan, page)
            for criterion in session.criteria
        }
        return len(asked - given)


def _add_headers(app: FastAPI) -> None:
    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _PLAIN_POLICY)
        return response

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        where = [".".join(str(part) for part in problem["loc"][1:]) for problem in error.errors()[:3]]
        return JSONResponse({"refused": "malformed request", "where": where}, status_code=422)


def _add_rater_routes(app: FastAPI, study: _Study) -> None:
    checks = {f"{name}.mp4" for name, _ in LATENCY_CHECK} | {"beeps.mp4"}

    def known(request: Request, token: str) -> Seat | Response:
        seat = study.store.seat(token)
        if seat is not None:
            return seat
        host = request.client.host if request.client else ""
        return (
            _refuse(404, "no such link") if study.strangers.allows(host) else _refuse(429, "too many requests")
        )

    @app.get("/join/{token}")
    def join(request: Request, token: str) -> Response:
        if not secrets.compare_digest(token.encode(), study.store.join_token.encode()):
            return _refuse_stranger(study, request)
        if not study.joins.allows("all"):
            return _refuse(429, "too many requests")
        held = study.store.seat(request.cookies.get("seat", ""))
        seat = held or study.store.claim()
        if seat is None:
            return HTMLResponse(
                "<!doctype html><title>Full</title><p>All places in this test are taken.</p>", 410
            )
        response = RedirectResponse(f"/s/{seat.token}/", status_code=303)
        response.set_cookie("seat", seat.token, max_age=30 * 86400, httponly=True, samesite="lax")
        return response

    @app.get("/s/{token}/")
    def rater_page(request: Request, token: str) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        page = render_rater_page(study.plan, [study.sessions[seat.rater]], server=f"/s/{seat.token}")
        return HTMLResponse(page, headers={"Content-Security-Policy": content_policy(served=True)})

    @app.get("/s/{token}/media/{name}")
    def media(request: Request, token: str, name: str) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        path = study.media(study.sessions[seat.rater], name.removesuffix(".mp4"))
        return FileResponse(path, media_type="video/mp4") if path else _refuse(404, "no such media")

    @app.get("/s/{token}/check/{name}")
    def check(request: Request, token: str, name: str) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        if name not in checks:
            return _refuse(404, "no such media")
        return FileResponse(study.packet / "check" / name, media_type="video/mp4")

    @app.get("/s/{token}/answers")
    def stored(request: Request, token: str) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        return JSONResponse({"answers": [answer.model_dump() for answer in study.store.answers(seat.rater)]})

    @app.post("/s/{token}/answers")
    def store_answers(request: Request, token: str, batch: AnswerBatch) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        if not study.posts.allows(seat.rater):
            return _refuse(429, "too many requests")
        session = study.sessions[seat.rater]
        for answer in batch.answers:
            reason = why_not_allowed(study.plan, session, answer)
            if reason:
                return _refuse(422, reason)
        try:
            study.store.add(seat.rater, batch.answers)
        except ConflictError as error:
            return _refuse(409, str(error))
        return JSONResponse({"stored": [answer.revision for answer in batch.answers]})

    @app.post("/s/{token}/finish")
    def finish(request: Request, token: str) -> Response:
        seat = known(request, token)
        if isinstance(seat, Response):
            return seat
        if not study.posts.allows(seat.rater):
            return _refuse(429, "too many requests")
        left = study.open_questions(study.sessions[seat.rater])
        if left:
            return _refuse(409, f"{left} questions are open")
        study.store.finish(seat.rater)
        return JSONResponse({"code": seat.code})


def _add_monitor_routes(app: FastAPI, study: _Study) -> None:
    def refused(request: Request, token: str) -> Response | None:
        if secrets.compare_digest(token.encode(), study.store.monitor_token.encode()):
            return None
        return _refuse_stranger(study, request)

    @app.get("/monitor/{token}/")
    def monitor(request: Request, token: str) -> Response:
        return refused(request, token) or HTMLResponse(render_monitor(study, token))

    @app.get("/monitor/{token}/answers.json")
    def export(request: Request, token: str) -> Response:
        no = refused(request, token)
        if no:
            return no
        files = study.store.export(study.plan_sha256)
        return JSONResponse(
            [file.model_dump(mode="json") for file in files],
            headers={"Content-Disposition": "attachment; filename=answers.json"},
        )

    @app.post("/monitor/{token}/delete/{rater}")
    def delete(request: Request, token: str, rater: str) -> Response:
        no = refused(request, token)
        if no:
            return no
        if not study.store.delete(rater):
            return _refuse(404, "no such rater")
        return RedirectResponse(f"/monitor/{token}/", status_code=303)


def render_monitor(study: _Study, token: str) -> str:
    """Return the experimenter's page: how far everybody is, without any answer."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    rows = []
    for seat in study.store.seats():
        session = study.sessions[seat.rater]
        asked = sum(len(allowed_values(study.plan, page)) for page in session.pages) * len(session.criteria)
        rows.append(
            {
                "rater": seat.rater,
                "link": f"/s/{seat.token}/",
                "claimed": seat.claimed,
                "finished": seat.finished,
                "given": asked - study.open_questions(session),
                "asked": asked,
            }
        )
    environment = Environment(loader=FileSystemLoader(PAGE_FOLDER), autoescape=True, trim_blocks=True)
    style = (PAGE_FOLDER / "result.css").read_text(encoding="utf-8")
    return environment.get_template("monitor.html.j2").render(
        title=study.plan.design.title,
        plan_sha256=study.plan_sha256,
        token=token,
        join=f"/join/{study.store.join_token}",
        rows=rows,
        style=Markup(style),
    )


def _refuse_stranger(study: _Study, request: Request) -> Response:
    host = request.client.host if request.client else ""
    return _refuse(404, "no such link") if study.strangers.allows(host) else _refuse(429, "too many requests")


def _refuse(status: int, why: str) -> JSONResponse:
    return JSONResponse({"refused": why}, status_code=status, headers=dict(_HEADERS))
