"""The closing handshake, and clients that take no part in it; the timeouts are shortened here."""

import asyncio
import contextlib
from typing import Any

import pytest

from realtime.server import protocol
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import PreparedMessage, WriteCoalescer
from realtime.sockets.transport import TRANSPORT_EXTENSION
from tests.server.client import Client, connect, opened, request
from tests.server.lab import echo, serving
from tests.server.wire import CLOSE, PING, TEXT, client_frame, close_frame

TIMEOUT_S = 0.15


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CLOSE_TIMEOUT_S", TIMEOUT_S)


class Application:
    """Accepts; then does `work`, then closes, and writes down how it ended."""

    def __init__(self, work: Any = None, *, code: int = 4000) -> None:
        self.work = work
        self.code = code
        self.ended: list[int] = []
        self.may_close = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self.work is not None:
            await self.work(send)
        await self.may_close.wait()
        with contextlib.suppress(OSError):
            await send({"type": "websocket.close", "code": self.code, "reason": "enough"})
        while (event := await receive())["type"] != "websocket.disconnect":
            pass
        self.ended.append(event["code"])


async def test_a_client_that_never_answers_our_close_is_cut() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        app.may_close.set()
        assert await client.frame() == (CLOSE, (4000).to_bytes(2) + b"enough")
        assert await client.ended() == b""
        await lab.is_empty()
    assert app.ended == [4000]


async def test_data_instead_of_an_answer_does_not_help_it() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        app.may_close.set()
        await client.frame()
        client.send(*[client_frame(TEXT, b"x" * 1000)] * 500, *[client_frame(PING)] * 500)
        await client.ended()
        await lab.is_empty()


async def test_an_answer_behind_much_else_is_found() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(*[client_frame(TEXT, b"%d" % number) for number in range(500)])
        await client.drain()
        app.may_close.set()
        await client.frame()
        client.send(*[client_frame(TEXT, b"x")] * 500, close_frame(4000))
        assert await client.ended() == b""


async def test_both_close_at_once() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        app.may_close.set()
        client.send(close_frame(1000))
        code = await client.close_code()
        assert code in {1000, 4000}
        client.send(close_frame(code))
        assert await client.ended() == b""
    assert len(app.ended) == 1


async def test_an_answer_that_is_malformed_ends_it_too() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        app.may_close.set()
        await client.frame()
        client.send(client_frame(CLOSE, b"\x03"))
        assert await client.ended() == b""


async def fill(send: Any) -> None:
    """Send what a client that does not read cannot take."""
    with contextlib.suppress(OSError):
        while True:
            await send({"type": "websocket.send", "bytes": bytes(60_000)})


async def stalled(client: Client) -> None:
    """Wait until the server waits for this client, which has stopped reading."""
    transport: Any = client.writer.transport
    transport.pause_reading()


@pytest.mark.parametrize("how", ["half-close", "close", "fault", "reset"])
async def test_a_client_that_does_not_read_cannot_stay(how: str) -> None:
    """Whatever it does to end it, its unread bytes hold neither the socket nor the application."""
    app = Application(fill)
    async with serving(app) as lab, opened(lab.port, receive_bytes=4096) as client:
        await stalled(client)
        app.may_close.set()
        async with asyncio.timeout(5):
            while lab.sockets[0].is_writable:  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.005)
        if how == "half-close":
            client.writer.write_eof()
        elif how == "close":
            client.send(close_frame(1000))
        elif how == "fault":
            client.send(client_frame(3))
        else:
            client.reset()
        await lab.is_empty()
    assert app.ended == [{"half-close": 1006, "close": 1000, "fault": 1002, "reset": 1006}[how]]


@pytest.mark.parametrize("how", ["half-close", "reset", "silence"])
async def test_who_waits_in_an_outbox_hears_of_the_end(how: str) -> None:
    """A handler that waits until its client has taken a reply must not wait for ever."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outbox = make_outbox(scope, send, 0, lambda: None, RouteMetrics("", ""), WriteCoalescer())
        while scope["extensions"][TRANSPORT_EXTENSION].is_open:
            waits.set()
            await outbox.send(PreparedMessage(data=bytes(1_000_000)))
        outbox.abandon()
        ended.append((await receive())["code"])

    waits = asyncio.Event()
    ended: list[int] = []
    async with (
        serving(app, ws_ping_interval=0.2 if how == "silence" else None, ws_ping_timeout=0.1) as lab,
        opened(lab.port, receive_bytes=4096) as client,
    ):
        await stalled(client)
        await waits.wait()
        async with asyncio.timeout(5):
            while lab.sockets[0].is_writable:  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.005)
        if how == "half-close":
            client.writer.write_eof()
        elif how == "reset":
            client.reset()
        await lab.is_empty()
    assert ended == [4408 if how == "silence" else 1006]


async def test_one_that_waits_for_its_pong_is_cut_though_it_does_not_read() -> None:
    app = Application(fill)
    app.may_close.set()
    async with (
        serving(app, ws_ping_interval=0.2, ws_ping_timeout=0.1) as lab,
        opened(lab.port, receive_bytes=4096) as client,
    ):
        await stalled(client)
        await lab.is_empty()
    assert app.ended == [4408]


async def test_a_busy_application_is_not_its_clients_fault() -> None:
    """The pong waits unread behind messages: that is no reason to end the connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_go_on.wait()
        while (event := await receive())["type"] == "websocket.receive":
            await send(event | {"type": "websocket.send"})

    may_go_on = asyncio.Event()
    async with (
        serving(app, ws_ping_interval=0.1, ws_ping_timeout=0.1) as lab,
        opened(lab.port) as client,
    ):
        client.send(*[client_frame(TEXT, b"x")] * 100)
        pings = 0
        while pings < 3:
            pings += (await client.frame()) == (PING, b"")
        may_go_on.set()
        assert (TEXT, b"x") in [await client.frame() for _ in range(10)]


async def test_an_answered_heartbeat_goes_on_and_an_unanswered_one_is_4408() -> None:
    async with serving(echo, ws_ping_interval=0.2, ws_ping_timeout=0.5) as lab, opened(lab.port) as client:
        for _ in range(5):
            assert await client.frame() == (PING, b"")
            client.send(client_frame(10, b""))
        assert await client.close_code() == 4408
        assert await client.ended() == b""


async def test_a_refused_client_that_stays_is_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    async with serving(app) as lab, connect(lab.port) as client:
        client.send(request())
        assert (await client.answer())[0] == 403
        await lab.is_empty()


async def test_one_that_is_cut_gets_nothing_more_and_its_application_hears_of_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        wire = scope["extensions"][TRANSPORT_EXTENSION]
        while wire.is_writable:
            wire.write(PreparedMessage(data=bytes(1_000_000)).encoded)
        assert wire.buffered_bytes > 0
        wire.abort()
        ended.append((await receive())["code"])

    ended: list[int] = []
    async with serving(app) as lab, opened(lab.port, receive_bytes=4096) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        async with asyncio.timeout(5):
            await lab.is_empty()
    assert ended == [1006]
