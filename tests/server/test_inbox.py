"""Messages that are handed over at once: the same messages in the same order, without a turn of the task."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from realtime.protocol.frames import FRAMES_AT_ONCE
from realtime.server.http_quota import PARTIAL_FREE_BYTES, HttpLimits
from realtime.server.inbox import CONTROL_FRAMES_BURST, SHORT_MAX_BYTES
from realtime.server.protocol import WebSocketProtocol
from realtime.sockets.completed import COMPLETED
from realtime.sockets.transport import socket_transport
from tests.server.client import opened
from tests.server.lab import serving
from tests.server.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, close_frame


class Application:
    """Takes messages as they come; those that begin with "wait" keep it busy until `may_go_on`."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []
        self.at_once: list[str | bytes] = []
        self.ended: list[int] = []
        self.may_go_on = asyncio.Event()
        self.is_waiting = asyncio.Event()
        self.on_message: Callable[[], None] | None = None
        self.task: asyncio.Task[Any] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.task = asyncio.current_task()
        await receive()
        await send({"type": "websocket.accept"})
        wire = socket_transport(scope)
        assert wire is not None
        wire.receiver = self
        while (event := await receive())["type"] == "websocket.receive":
            await self.received(event.get("text"), event.get("bytes"))
        self.ended.append(event["code"])

    def received(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        message = data if text is None else text
        assert message is not None
        if asyncio.current_task() is not self.task:
            self.at_once.append(message)
        if text is not None and text.startswith("wait"):
            return self._busy(message)
        self._done(message)
        return COMPLETED

    async def _busy(self, message: str | bytes) -> None:
        assert asyncio.current_task() is self.task
        self.is_waiting.set()
        await self.may_go_on.wait()
        self._done(message)

    def _done(self, message: str | bytes) -> None:
        self.got.append(message)
        if self.on_message is not None:
            self.on_message()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:  # noqa: ASYNC110 a list says nothing
                await asyncio.sleep(0.005)


async def test_a_message_to_an_idle_application_needs_no_turn_of_its_task() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        for count, frame in enumerate([client_frame(TEXT, b"one"), client_frame(BINARY, b"\x00two")], 1):
            client.send(frame)
            await app.has(count)
        assert app.got == app.at_once == ["one", b"\x00two"]


async def test_what_comes_in_one_read_is_handed_over_in_order() -> None:
    app = Application()
    texts = [f"message {number}" for number in range(20)]
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(*[client_frame(TEXT, text.encode()) for text in texts])
        await app.has(len(texts))
        assert app.got == texts


@pytest.mark.parametrize("is_one_read", [True, False])
async def test_what_comes_while_the_application_is_busy_comes_after_it(is_one_read: bool) -> None:
    app = Application()
    texts = ["first", "wait for it", "third", "fourth"]
    frames = [client_frame(TEXT, text.encode()) for text in texts]
    async with serving(app) as lab, opened(lab.port) as client:
        if is_one_read:
            client.send(*frames)
        else:
            client.send(frames[0])
            await app.has(1)
            client.send(frames[1])
            await app.is_waiting.wait()
            client.send(*frames[2:])
        await app.is_waiting.wait()
        await asyncio.sleep(0.05)
        assert app.got == ["first"]
        app.may_go_on.set()
        await app.has(len(texts))
        assert app.got == texts
        client.text("idle again")
        await app.has(len(texts) + 1)
        assert app.at_once[-1] == "idle again"


async def test_the_end_comes_after_what_the_application_is_busy_with() -> None:
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(client_frame(TEXT, b"wait"), client_frame(TEXT, b"last"), close_frame(4321))
        await app.is_waiting.wait()
        assert app.ended == []
        app.may_go_on.set()
        await lab.is_empty()
    assert app.got == ["wait", "last"]
    assert app.ended == [4321]


async def test_an_application_that_is_cancelled_leaves_nothing_to_be_awaited() -> None:
    """A coroutine that nobody awaits is a warning, and a warning fails the test."""
    app = Application()

    def cancel() -> None:
        assert app.task is not None
        app.task.cancel()

    app.on_message = cancel
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(client_frame(TEXT, b"cancels"), client_frame(TEXT, b"wait"))
        await client.frame()
        client.send(close_frame(1000))
        await lab.is_empty()
    assert app.got == ["cancels"]


async def test_a_flood_has_one_batch_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(self: WebSocketProtocol) -> None:
        turns.append(1)
        take_more(self)

    turns: list[int] = []
    take_more = WebSocketProtocol._take_more
    monkeypatch.setattr(WebSocketProtocol, "_take_more", counted)
    app = Application()
    count = FRAMES_AT_ONCE * 40
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(*[client_frame(TEXT, b"%d" % number) for number in range(count)])
        await app.has(count)
        assert app.got == [str(number) for number in range(count)]
        assert len(turns) <= 3 * count / FRAMES_AT_ONCE


async def test_large_messages_of_many_sockets_leave_the_loop_to_others() -> None:
    """Ten clients that send at once what takes 5 ms each held the loop for 50 ms and more."""
    app = Slow()
    async with serving(app) as lab, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(opened(lab.port)) for _ in range(10)]
        for client in clients:
            client.send(client_frame(TEXT, b"x" * (SHORT_MAX_BYTES + 1)) * 4)
        await app.has(40)
    assert app.most_in_a_pass == 1


class Slow(Application):
    """Takes 5 ms for each message, and counts those of one pass of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.most_in_a_pass = self._in_this_pass = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Each socket has its own receiver.
        await receive()
        await send({"type": "websocket.accept"})
        wire = socket_transport(scope)
        assert wire is not None
        wire.receiver = self
        while (event := await receive())["type"] == "websocket.receive":
            await self.received(event.get("text"), event.get("bytes"))

    def received(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        if not self._in_this_pass:
            asyncio.get_running_loop().call_soon(self._pass_ended)
        self._in_this_pass += 1
        self.most_in_a_pass = max(self.most_in_a_pass, self._in_this_pass)
        time.sleep(0.005)
        self._done(text or "")
        return COMPLETED

    def _pass_ended(self) -> None:
        self._in_this_pass = 0


async def test_parts_of_messages_have_one_budget_for_all_sockets() -> None:
    """Each socket may hold a message of 2 MiB that never ends, and a process has 20,000 of them."""
    app = Slow()
    limits = HttpLimits(messages_bytes=1_000_000)
    async with serving(app, limits=limits, ws_max_size=2 << 20) as lab, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(opened(lab.port)) for _ in range(4)]
        sizes = [200_000, 400_000, 300_000, PARTIAL_FREE_BYTES]
        for client, size in zip(clients, sizes, strict=True):
            client.send(client_frame(TEXT, b"x" * size, fin=False))
        async with asyncio.timeout(10):
            # More while the heads of the frames are not read yet.
            while lab.http_quota.partial_messages.total_bytes != 900_000:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        clients[0].send(client_frame(CONTINUATION, b"x" * 150_000, fin=False))
        assert await clients[1].close_code() == 4503
        for client in (clients[0], clients[2], clients[3]):
            client.send(client_frame(CONTINUATION, b"."))
        await app.has(3)
        assert sorted(len(text) for text in app.got) == [PARTIAL_FREE_BYTES + 1, 300_001, 350_001]
        assert lab.http_quota.partial_messages.total_bytes == 0
        clients[0].send(client_frame(TEXT, b"x" * 200_000, fin=False))
        clients[0].writer.close()
        await asyncio.sleep(0.05)
        assert lab.http_quota.partial_messages.total_bytes == 0


@pytest.mark.parametrize("kind", [PING, PONG])
async def test_a_flood_of_control_frames_is_closed_and_what_came_before_is_answered(kind: int) -> None:
    """They are no messages, so no limit of the application counts them."""
    app = Application()
    async with serving(app) as lab, opened(lab.port) as client:
        client.send(client_frame(kind) * CONTROL_FRAMES_BURST, client_frame(TEXT, b"before"))
        await app.has(1)
        client.send(client_frame(kind) * CONTROL_FRAMES_BURST)
        pongs = 0
        while (frame := await client.frame())[0] != CLOSE:
            pongs += frame[0] == PONG
        assert frame[1] == (4429).to_bytes(2) + b"too many pings or pongs"
        assert pongs >= CONTROL_FRAMES_BURST if kind == PING else pongs == 0
        await lab.is_empty()
    assert app.ended == [4429]


@pytest.mark.parametrize("data", [b"", b"x"])
async def test_a_flood_of_short_fragments_is_closed(data: bytes) -> None:
    """Of one message as of many."""
    async with serving(Application()) as lab, opened(lab.port) as client:
        message = client_frame(TEXT, b"", fin=False) + client_frame(CONTINUATION, data, fin=False) * 100
        client.send((message + client_frame(CONTINUATION)) * (CONTROL_FRAMES_BURST // 50))
        assert await client.close_code() == 4429
