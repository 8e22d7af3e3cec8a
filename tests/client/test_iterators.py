"""Streams and live queries of the client, over real sockets to a server that the test plays."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from realtime.client import AsyncClient, Change, ClientError, Rows
from realtime.client.live_queries import CHANGES_MAX
from tests.client.scripted import Scripted


async def test_streams_are_started_again_and_end_with_their_values_or_error(
    server: Scripted, client: AsyncClient
) -> None:
    def data(name: str, value: Any) -> dict[str, Any]:
        return {"type": "data", "payload": {"stream": name, "source": "c", "timestamp": 0.5, "value": value}}

    async with aclosing(client.stream("c", interval_s=0.5)) as values:
        first = asyncio.ensure_future(anext(values))
        socket = await server.socket()
        asked = await socket.request("start")
        assert asked["payload"] == {"source": "c", "interval": 0.5}
        started = {"id": asked["id"], "type": "started", "payload": {"stream": "s2"}}
        await socket.push(started, data("s1", "other"), data("s2", 1))
        assert (await first).value == 1
        second = asyncio.ensure_future(anext(values))
        await socket.end(1012)
        again = await server.socket()
        await again.answer("start", "started", {"stream": "s1"})
        await again.push(data("s1", 2))
        assert (await second).value == 2
    assert (await again.request("stop"))["payload"] == {"stream": "s1"}

    finite = client.stream("c")
    reading = asyncio.ensure_future(anext(finite))
    await again.answer("start", "started", {"stream": "s3"})
    await again.push(data("s3", "only"), {"type": "stopped", "payload": {"stream": "s3", "source": "c"}})
    assert (await reading).value == "only"
    assert [each async for each in finite] == []

    failing = asyncio.ensure_future(anext(client.stream("c")))
    await again.answer("start", "started", {"stream": "s4"})
    details = {"stream": "s4"}
    await again.push(
        {"type": "error", "payload": {"code": "internal", "message": "It failed.", "details": details}}
    )
    with pytest.raises(ClientError, match="It failed"):
        await failing


def change(name: str, op: str, item: Any) -> dict[str, Any]:
    return {"type": "change", "payload": {"query_id": name, "op": op, "item": item}}


async def test_a_live_query_is_asked_again_and_tells_all_rows_anew(
    server: Scripted, client: AsyncClient
) -> None:
    async with aclosing(client.live_query("orders", {"state": "open"}, page_size=5)) as events:
        first = asyncio.ensure_future(anext(events))
        socket = await server.socket()
        asked = await socket.request("query")
        assert asked["payload"] == {
            "query": "orders",
            "params": {"state": "open"},
            "watch": True,
            "page_size": 5,
        }
        rows = {"id": asked["id"], "type": "rows", "payload": {"query_id": "q2", "items": [1], "more": False}}
        await socket.push(
            change("q1", "insert", 9), rows, change("q2", "insert", 2), change("q1", "remove", 9)
        )
        assert [await first, await anext(events)] == [Rows([1]), Change("insert", 2)]
        lost = asyncio.ensure_future(anext(events))
        await socket.end(1012)
        again = await server.socket()
        await again.answer("query", "rows", {"query_id": "q1", "items": [1, 2, 3], "more": False})
        assert await lost == Rows([1, 2, 3])
        await again.push(change("q1", "remove", 3))
        assert await anext(events) == Change("remove", 3)
    assert (await again.request("unwatch"))["payload"] == {"query_id": "q1"}


async def test_a_live_query_ends_with_the_error_of_the_server(server: Scripted, client: AsyncClient) -> None:
    refused = asyncio.ensure_future(anext(client.live_query("orders")))
    socket = await server.socket()
    busy = {"code": "rate_limited", "message": "", "retryable": True, "retry_after_ms": 1}
    await socket.answer("query", "error", busy)
    await socket.answer("query", "error", {"code": "not_found", "message": "None.", "retryable": False})
    with pytest.raises(ClientError, match="not_found"):
        await refused

    events = client.live_query("orders")
    reading = asyncio.ensure_future(anext(events))
    await socket.answer("query", "rows", {"query_id": "q1", "items": [], "more": False})
    assert await reading == Rows([])
    ended = {"query_id": "q1", "code": "limit_exceeded", "reason": "Too many rows."}
    await socket.push(change("q1", "insert", 1), {"type": "unwatched", "payload": ended})
    assert await anext(events) == Change("insert", 1)
    with pytest.raises(ClientError, match="Too many rows"):
        await anext(events)


async def test_a_live_query_is_asked_again_with_other_rights(server: Scripted, client: AsyncClient) -> None:
    events = client.live_query("orders")
    ended = {"code": "permission_denied", "reason": "Your rights have changed; ask again."}
    socket = await server.socket()
    for number in (1, 2):
        reading = asyncio.ensure_future(anext(events))
        await socket.answer("query", "rows", {"query_id": f"q{number}", "items": [number], "more": False})
        assert await reading == Rows([number])
        await socket.push({"type": "unwatched", "payload": {"query_id": f"q{number}", **ended}})
    reading = asyncio.ensure_future(anext(events))
    await socket.refuse("query", "permission_denied")
    with pytest.raises(ClientError, match="permission_denied"):
        await reading


async def test_a_caller_that_falls_behind_a_live_query_gets_all_rows_anew(
    server: Scripted, client: AsyncClient
) -> None:
    events = client.live_query("orders")
    reading = asyncio.ensure_future(anext(events))
    socket = await server.socket()
    await socket.answer("query", "rows", {"query_id": "q1", "items": [], "more": False})
    await reading
    heard = asyncio.Event()
    client.on("change", lambda payload: heard.set() if payload["item"] == CHANGES_MAX else None)
    await socket.push(*(change("q1", "insert", n) for n in range(CHANGES_MAX + 1)))
    await asyncio.wait_for(heard.wait(), 5)
    told = [await anext(events) for _ in range(CHANGES_MAX)]
    assert told[-1] == Change("insert", CHANGES_MAX - 1)
    reading = asyncio.ensure_future(anext(events))
    assert (await socket.request("unwatch"))["payload"] == {"query_id": "q1"}
    await socket.answer("query", "rows", {"query_id": "q2", "items": [7], "more": False})
    assert await reading == Rows([7])
    await events.aclose()
