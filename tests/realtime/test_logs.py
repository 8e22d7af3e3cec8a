"""What is in log lines, and what never is."""

import asyncio
import json
import logging
import sys
import time
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.middleware.http_requests import HttpRequests
from realtime.node.logs import (
    TEXT_MAX_CHARS,
    ConsoleLines,
    JsonLines,
    OncePerMinute,
    log_scope,
    log_settings,
    log_verb,
    process_context,
    redact,
)
from realtime.node.observer import Observer
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from realtime.sockets.access_log import access_log
from realtime.sockets.metrics import Metrics
from tests.slowness import slowness

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
SECRET = "s3cret-Value_0123456789"
FORMS = [JsonLines(), ConsoleLines()]
# Texts that a client or a library may put into a message, with SECRET in them.
SPILLED = [
    f"GET /ws/?x=1&token={SECRET}&y=2",
    f"GET /ws/?ticket={SECRET}",
    f"GET /ws/%3Ftoken%3D{SECRET}",
    f"POST /x csrfmiddlewaretoken={SECRET}&a=b",
    f"cookie: sessionid={SECRET}; csrftoken={SECRET}",
    f"Set-Cookie: __Host-sessionid={SECRET}; Path=/",
    f"Authorization: Bearer {SECRET}",
    f"Authorization: Basic {SECRET}",
    f"authorization: Digest username=a, response={SECRET}",
    f"Sec-WebSocket-Protocol: rockstar.v1, bearer.{SECRET}",
    f"Sec-WebSocket-Protocol: {SECRET}",
    f"X-CSRFToken: {SECRET}",
    f"[(b'host', b'a'), (b'cookie', b'sessionid={SECRET}')]",
    f"[(b'authorization', b'Bearer {SECRET}')]",
    f"{{'username': 'alice', 'password': '{SECRET} with \"quotes\" and more'}}",
    json.dumps({"username": "alice", "password": SECRET}),
    json.dumps(json.dumps({"password": SECRET})),
    json.dumps({"refresh_token": SECRET, "session_key": SECRET, "api_key": SECRET}),
    f"METRICS_TOKEN={SECRET}",
    f"SECRET_KEY: {SECRET}",
    f"redis://:{SECRET}@broker:6379/0 is away",
    f"postgresql://shop:p@{SECRET}@db/shop",
    f"key rk_{SECRET}",
    f"bad token eyJh.{SECRET}.x",
    f"/ws/%3DeyJh.{SECRET}.x",
]


def record(message: Any, *args: Any, **given: Any) -> logging.LogRecord:
    made = logging.LogRecord("chat.writer", logging.INFO, "writer.py", 7, message, args, None)
    vars(made).update(given)
    return made


def line_of(message: Any, *args: Any, **given: Any) -> dict[str, Any]:
    [line] = JsonLines().format(record(message, *args, **given)).splitlines()
    parsed: dict[str, Any] = json.loads(line)
    return parsed


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("spilled", SPILLED)
def test_no_credential_is_ever_in_a_line(form: logging.Formatter, spilled: str) -> None:
    def failing() -> None:
        raise ValueError(spilled)

    try:
        failing()
    except ValueError:
        failed = record("failed", exc_info=sys.exc_info())
    lines = [form.format(each) for each in (record("%s", spilled), record("x", detail=spilled), failed)]
    for line in [*lines, form.format(record({"event": "request", "path": spilled}))]:
        assert SECRET not in line
        assert "***" in line


def test_what_is_named_like_a_secret_is_one() -> None:
    line = line_of("made", access_token="plain", authorization="x y", user="alice")
    assert (line["access_token"], line["authorization"], line["user"]) == ("***", "***", "alice")


@pytest.mark.parametrize(
    "plain",
    [
        '{"event": "open", "user": 7}',
        "a token is needed, and a cookie",
        "http://acme.localhost/chat/",
        "Bearer",
        "the ticket has expired",
    ],
)
def test_what_is_no_secret_stays(plain: str) -> None:
    assert redact(plain) == plain


@pytest.mark.parametrize(
    "evil", ['token="' + "\\" * 16_000, "://" * 5000, "eyJ" * 5000, "cookie" + " " * 16_000, "token " * 3000]
)
def test_the_search_takes_no_longer_for_evil_texts(evil: str) -> None:
    began_s = time.process_time()
    redact(evil)
    assert time.process_time() - began_s < 0.05 * slowness()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\x1b[2K", "\x9b2K", "\u202e", "\0", "\x7f", "\ud800"]
)
def test_a_client_cannot_write_a_line_of_its_own(form: logging.Formatter, end: str) -> None:
    forged = f"x{end}2026-11-26T07:00:00.000Z ERROR realtime: forged"
    line = form.format(record("path %s", forged, agent=forged))
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert line.isprintable()


def test_a_traceback_is_in_its_line() -> None:
    try:
        raise ValueError("first\n2026-11-26T07:00:00.000Z ERROR realtime: forged")
    except ValueError:
        info = sys.exc_info()
    line = line_of("failed", exc_info=info)
    assert line["exc_info"].startswith("Traceback (most recent call last)")
    assert line["exc_info"].endswith("forged")
    head, *rest = ConsoleLines().format(record("failed", exc_info=info)).splitlines()
    assert "chat.writer: failed" in head
    assert all(each.startswith("    ") for each in rest)


def test_a_line_has_a_bound() -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        line = line_of("y" * 100_000, agent="z" * 100_000, exc_info=sys.exc_info())
    assert {len(line[name]) for name in ("message", "agent", "exc_info")} == {TEXT_MAX_CHARS}


def test_every_line_says_when_how_grave_and_where() -> None:
    line = line_of("hello", time="forged", level="forged", node="forged", odd=object())
    assert list(line) == ["time", "level", "logger", "node", "worker", "message"]
    assert line["time"].endswith("Z")
    assert (line["level"], line["logger"], line["message"]) == ("INFO", "chat.writer", "hello")


SCOPE = {
    "type": "websocket",
    "connection_id": "c1",
    "tenant": Tenant(1, "acme"),
    "identity": Identity(7, "alice", "acme", frozenset(), CredentialKind.TOKEN),
}


def test_a_line_says_which_connection_it_is_about() -> None:
    async def work() -> tuple[dict[str, Any], dict[str, Any]]:
        log_scope.set(SCOPE)
        log_verb.set("publish")

        async def background() -> dict[str, Any]:
            return line_of("swept")

        started = asyncio.get_running_loop().create_task(background(), context=process_context())
        return line_of("hello"), await started

    line, swept = asyncio.run(work())
    about = {"connection_id": "c1", "tenant": "acme", "user": 7, "verb": "publish"}
    assert {name: line[name] for name in about} == about
    # The work of the process that a request gave rise to is not the request's.
    assert not about.keys() & swept.keys()


class Kept(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    handler = Kept()
    monkeypatch.setattr(access_log, "handlers", [handler])
    return handler.lines


@pytest.mark.parametrize("odd", ["plain", 'quo"ted \\ and\n new', "snow ☃ 𝄞 \ud800", ""])
@pytest.mark.parametrize("user_id", [None, 7])
def test_a_socket_has_a_line_when_it_opens_and_one_when_it_closes(
    kept: list[dict[str, Any]], odd: str, user_id: int | None
) -> None:
    metrics = Metrics()
    connection: Any = SimpleNamespace(
        id="c1",
        tenant=Tenant(1, odd),
        identity=user_id and Identity(user_id, odd, odd, frozenset(), CredentialKind.TOKEN),
        route=odd,
        remote_addr=odd,
        close_reason=odd,
        is_closing=False,
        opened_s=monotonic() - 1.5,
        messages_in=2,
        messages_out=3,
        metrics=metrics.route(odd, odd),
        outbox=SimpleNamespace(dropped=0),
    )
    observer = Observer(metrics)
    observer.opened(connection)
    observer.closed(connection, CloseCode.TIMEOUT)
    # Nobody closed it here, so it was the heartbeat.
    assert metrics.pings_lost == 1
    opened, closed = kept
    who = {"connection_id": "c1", "tenant": odd, "user": user_id, "path": odd}
    assert opened.items() >= {"event": "open", **who, "remote_addr": odd}.items()
    assert closed["seconds"] == pytest.approx(1.5, abs=0.5)
    counts = {"messages_in": 2, "messages_out": 3}
    assert closed.items() >= {"event": "close", **who, "code": 4408, "reason": odd, **counts}.items()


def ask(app: Any, *headers: tuple[bytes, bytes], metrics: Metrics | None = None) -> dict[bytes, bytes]:
    """Send one request to `app` behind the middleware; return the headers of its answer."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/x/",
        "query_string": f"token={SECRET}".encode(),
        "headers": [(b"host", b"acme.localhost"), *headers],
        "client": ("203.0.113.7", 1),
    }
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def run() -> None:
        await HttpRequests(app, metrics or Metrics())(scope, None, send)  # type: ignore[arg-type] # not read

    asyncio.run(run())
    return dict(sent[0]["headers"]) if sent else {}


async def answering(scope: Any, receive: Any, send: Any) -> None:
    scope["tenant"], scope["user_id"] = Tenant(1, "acme"), 7
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"b")]})


def test_a_request_has_a_line_and_its_answer_an_id(kept: list[dict[str, Any]]) -> None:
    headers = ask(answering, (b"cookie", f"sessionid={SECRET}".encode()))
    [line] = kept
    assert headers[b"x-a"] == b"b"
    assert headers[b"x-request-id"].decode() == line["request_id"]
    told = {
        "event": "request",
        "method": "GET",
        "path": "/api/x/",
        "status": 204,
        "tenant": "acme",
        "user": 7,
    }
    assert line.items() >= (told | {"remote_addr": "203.0.113.7"}).items()
    assert 0 <= line["ms"] < 10_000
    assert SECRET not in json.dumps(line)


@pytest.mark.parametrize("given", ["a", "7f3a-21.B_9", "x" * 64])
def test_the_id_of_a_client_is_taken(kept: list[dict[str, Any]], given: str) -> None:
    assert ask(answering, (b"X-Request-ID", given.encode()))[b"x-request-id"].decode() == given
    assert kept[0]["request_id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b"a\nb", b"<b>", b"\xff", b"a;b", b'a"b'])
def test_an_id_that_is_not_safe_is_not_taken(kept: list[dict[str, Any]], given: bytes) -> None:
    made = ask(answering, (b"x-request-id", given))[b"x-request-id"]
    assert made != given
    assert len(made) == 16


def test_two_ids_are_none(kept: list[dict[str, Any]]) -> None:
    made = ask(answering, (b"x-request-id", b"a"), (b"x-request-id", b"b"))[b"x-request-id"]
    assert made not in {b"a", b"b"}


def test_a_request_that_fails_has_a_line_too(kept: list[dict[str, Any]]) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise Refusal(500, "internal", "no")

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        return None

    with pytest.raises(Refusal):
        ask(failing)
    ask(leaving)
    assert [line["status"] for line in kept] == [500, 0]


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "ERROR"])
def test_libraries_never_write_more_than_they_may(level: str) -> None:
    made = log_settings("console", level)
    assert made["root"]["level"] == level
    # Below INFO they write requests, queries and frames, with all that is in them.
    least = {name: each["level"] for name, each in made["loggers"].items()}
    assert least["django"] == least["redis"] == ("INFO" if level == "DEBUG" else level)
    assert made["handlers"]["stderr"]["formatter"] == "console"


def test_a_message_that_repeats_itself_is_written_once_a_minute() -> None:
    now_s = 100.0
    once = OncePerMinute(clock=lambda: now_s)

    def is_written(text: str, *arguments: object) -> bool:
        return once.filter(logging.LogRecord("psycopg.pool", logging.WARNING, "", 1, text, arguments, None))

    assert is_written("error connecting in %r: %s", "pool-1", "refused")
    assert not is_written("error connecting in %r: %s", "pool-1", "refused")
    assert is_written("discarding closed connection: %s", 1)
    now_s += 60.0
    assert is_written("error connecting in %r: %s", "pool-1", "refused")


def test_the_pool_of_the_database_is_one_of_them() -> None:
    """So is why the database cannot be used, which each request meets; no other line is left out."""
    settings = log_settings()
    assert settings["handlers"]["stderr"]["filters"] == ["once"]
    once = settings["filters"]["once"]["()"]()

    def written(name: str) -> list[bool]:
        line = logging.LogRecord(name, logging.ERROR, "", 1, "no", (), None)
        return [once.filter(line) for _ in range(3)]

    assert [written(name) for name in ("psycopg.pool", "realtime.database", "realtime.access")] == [
        [True, False, False],
        [True, False, False],
        [True, True, True],
    ]


def test_an_answer_that_says_unavailable_has_one_line() -> None:
    """That of the access log."""
    rule = log_settings()["filters"]["faults"]
    faults = rule["()"](rule["callback"])
    lines = [
        logging.makeLogRecord({"name": "django.request", "status_code": status}) for status in (500, 503, 502)
    ]
    assert [faults.filter(line) for line in lines] == [True, False, True]
