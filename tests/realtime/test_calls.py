"""Calls by themselves: limits, deadlines, cancelling, and exactly one answer to each."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from realtime.endpoints import calls as module
from realtime.endpoints.calls import Calls, Deadlines
from realtime.endpoints.verbs import Call
from realtime.protocol.codec import encode_error
from realtime.protocol.envelope import Reply, Request
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection
from realtime.sockets.outbox import PreparedMessage
from tests.realtime.followers import ACME, identity


class FakeConnection:
    """Keeps what is sent; `reads` is cleared by a client that does not read."""

    def __init__(self) -> None:
        self.id = "c1"
        self.tenant = ACME
        self.identity = identity(7)
        self.tasks: set[asyncio.Task[None]] = set()
        self.sent: list[Any] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.outbox = self

    def adopt(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks.add(task)
        return task

    def disown(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)

    async def send(self, frame: PreparedMessage) -> None:
        self.sent.append(msgspec.json.decode(frame.payload))
        await self.reads.wait()

    async def send_error(self, error: RequestError, request_id: str | int | None = None) -> None:
        await self.send(PreparedMessage(encode_error(error, request_id)))

    def push_error(self, error: RequestError, request_id: str | int | None = None) -> None:
        self.sent.append(msgspec.json.decode(encode_error(error, request_id)))

    def codes(self) -> list[tuple[Any, Any]]:
        return [(each["id"], each["payload"].get("code")) for each in self.sent]


@pytest.fixture
async def connection() -> FakeConnection:
    return FakeConnection()


def calls_on(connection: FakeConnection, *, limit: int = 8, timeout_s: float = 10.0) -> Calls:
    return Calls(cast("Connection", connection), limit, Deadlines(timeout_s))


def call_with(connection: FakeConnection, request_id: str | None) -> Call:
    consumer = SimpleNamespace(connection=connection, node=None)
    return Call(
        cast("Any", consumer), Request("work", {}, request_id), cast("Any", connection), cast("Any", None)
    )


async def at_once(call: Call, payload: object) -> Reply:
    return Reply("worked", {})


async def for_ever(call: Call, payload: object) -> Reply:
    await asyncio.Event().wait()
    return Reply("never", {})


async def settled(connection: FakeConnection) -> None:
    await asyncio.wait(connection.tasks, timeout=5)
    assert not connection.tasks


async def test_a_call_is_answered_once_and_forgotten(connection: FakeConnection) -> None:
    calls = calls_on(connection, limit=1)
    for _ in range(3):
        calls.start(call_with(connection, "a"), at_once, None)
        await settled(connection)
    assert connection.sent == [{"id": "a", "type": "worked", "payload": {}}] * 3


async def test_the_limit_counts_calls_without_an_id_too(connection: FakeConnection) -> None:
    calls = calls_on(connection, limit=2)
    calls.start(call_with(connection, None), for_ever, None)
    calls.start(call_with(connection, None), for_ever, None)
    with pytest.raises(RequestError) as caught:
        calls.start(call_with(connection, "c"), at_once, None)
    assert caught.value.code == ErrorCode.LIMIT_EXCEEDED
    for task in connection.tasks:
        task.cancel()


async def test_each_call_has_its_own_deadline(connection: FakeConnection) -> None:
    calls = calls_on(connection, timeout_s=0.1)
    calls.start(call_with(connection, "first"), for_ever, None)
    await asyncio.sleep(0.05)
    calls.start(call_with(connection, "second"), for_ever, None)
    calls.start(call_with(connection, "quick"), at_once, None)
    await settled(connection)
    assert connection.codes() == [("quick", None), ("first", "timeout"), ("second", "timeout")]
    calls.start(call_with(connection, "later"), for_ever, None)
    await settled(connection)
    assert connection.codes()[3:] == [("later", "timeout")]


async def test_no_timeout_is_no_timeout(connection: FakeConnection) -> None:
    calls = calls_on(connection, timeout_s=0)
    calls.start(call_with(connection, "a"), for_ever, None)
    await asyncio.sleep(0.05)
    assert connection.sent == []
    assert calls.cancel("a")
    await settled(connection)


async def test_a_call_cancelled_before_its_first_step_is_answered(connection: FakeConnection) -> None:
    calls = calls_on(connection)
    calls.start(call_with(connection, "a"), for_ever, None)
    assert calls.cancel("a")
    await settled(connection)
    assert connection.codes() == [("a", "cancelled")]
    assert not calls.cancel("a")


async def test_a_call_that_ends_as_it_is_cancelled_has_one_answer(connection: FakeConnection) -> None:
    calls = calls_on(connection)
    calls.start(call_with(connection, "a"), at_once, None)
    assert calls.cancel("a")
    await settled(connection)
    assert connection.codes() == [("a", "cancelled")]


async def test_a_reply_that_waits_for_its_reader_is_not_ended_any_more(connection: FakeConnection) -> None:
    connection.reads.clear()
    calls = calls_on(connection, limit=1, timeout_s=0.05)
    calls.start(call_with(connection, "a"), at_once, None)
    await asyncio.sleep(0.1)
    assert not calls.cancel("a")
    with pytest.raises(RequestError):
        calls.start(call_with(connection, "b"), at_once, None)
    connection.reads.set()
    await settled(connection)
    assert connection.codes() == [("a", None)]


@pytest.mark.parametrize(("timeout_s", "code"), [(0.01, "timeout"), (0, "cancelled")])
async def test_a_handler_that_does_not_stop_holds_up_no_answer(
    connection: FakeConnection, monkeypatch: pytest.MonkeyPatch, timeout_s: float, code: str
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.01)
    may_end = asyncio.Event()

    async def stubborn(call: Call, payload: object) -> Reply:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        return Reply("late", {})

    calls = calls_on(connection, limit=1, timeout_s=timeout_s)
    calls.start(call_with(connection, "a"), stubborn, None)
    await asyncio.sleep(0)
    if not timeout_s:
        assert calls.cancel("a")
    async with asyncio.timeout(5):
        while not connection.sent:  # noqa: ASYNC110 a fake tells of nothing
            await asyncio.sleep(0.005)
    assert connection.codes() == [("a", code)]
    # It still counts as in flight, until it ends.
    with pytest.raises(RequestError, match="in flight"):
        calls.start(call_with(connection, "b"), at_once, None)
    may_end.set()
    await settled(connection)
    assert connection.codes() == [("a", code)]
    calls.start(call_with(connection, "b"), at_once, None)
    await settled(connection)


async def test_what_is_no_json_is_an_internal_error(
    connection: FakeConnection, caplog: pytest.LogCaptureFixture
) -> None:
    async def unsayable(call: Call, payload: object) -> Reply:
        return Reply("worked", {"it": object()})

    calls_on(connection).start(call_with(connection, "a"), unsayable, None)
    await settled(connection)
    assert connection.codes() == [("a", "internal")]
    assert "The handler of 'work' failed on connection c1 (tenant acme, user 7)" in caplog.text


async def test_a_handler_that_awaits_what_was_cancelled_is_answered(
    connection: FakeConnection, caplog: pytest.LogCaptureFixture
) -> None:
    async def led_on(call: Call, payload: object) -> Reply:
        inner = asyncio.create_task(asyncio.sleep(60))
        inner.cancel()
        await inner
        return Reply("never", {})

    calls_on(connection, limit=1).start(call_with(connection, "a"), led_on, None)
    await settled(connection)
    assert connection.codes() == [("a", "internal")]
    assert "CancelledError" in caplog.text


@pytest.mark.parametrize("returned", [{"it": 1}, "text", 0, False])
async def test_what_is_no_reply_is_said_in_the_log(
    connection: FakeConnection, caplog: pytest.LogCaptureFixture, returned: Any
) -> None:
    async def careless(call: Call, payload: object) -> Any:
        return returned

    calls_on(connection).start(call_with(connection, "a"), careless, None)
    await settled(connection)
    assert connection.codes() == [("a", "internal")]
    assert f"Expected a Reply or None, received {type(returned).__name__}" in caplog.text


async def test_the_end_of_the_connection_is_no_answer(connection: FakeConnection) -> None:
    calls_on(connection).start(call_with(connection, "a"), for_ever, None)
    await asyncio.sleep(0)
    (task,) = connection.tasks
    task.cancel()
    await settled(connection)
    assert task.cancelled()
    assert connection.sent == []
