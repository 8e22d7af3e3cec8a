"""What a connection begins with decides who serves it: our class, or uvicorn's, which gets it all."""

import asyncio
from typing import Any

import pytest

from tests.server.client import connect, request
from tests.server.lab import echo, serving
from tests.server.wire import TEXT, client_frame

POST = b"POST /there?a=1 HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: 5\r\nX-Odd: Odd\r\n\r\nwhole"
CUTS = pytest.mark.parametrize("at", [1, 20, POST.index(b"\r\n\r\n") + 2, len(POST) - 2, len(POST)])


async def both(scope: Any, receive: Any, send: Any) -> None:
    """Echo, over HTTP too, where the path comes before the body."""
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
        return
    body, has_more = scope["path"].encode() + b" ", True
    while has_more:
        event = await receive()
        body, has_more = body + event["body"], event["more_body"]
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@CUTS
async def test_a_request_in_pieces_reaches_uvicorn_whole(at: int) -> None:
    async with serving(both) as lab, connect(lab.port) as client:
        client.send(POST[:at])
        await client.drain()
        client.send(POST[at:])
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")
        assert await client.reader.readexactly(12) == b"/there whole"


async def test_a_handshake_may_follow_another_request() -> None:
    async with serving(both) as lab, connect(lab.port) as client:
        client.send(POST)
        await client.head()
        await client.reader.readexactly(12)
        client.send(request(), client_frame(TEXT, b"eager"))
        assert b" 101 " in await client.head()
        assert await client.frame() == (TEXT, b"eager")


async def test_a_pipelined_request_is_answered() -> None:
    async with serving(both) as lab, connect(lab.port) as client:
        client.send(POST, POST)
        for _ in range(2):
            await client.head()
            assert await client.reader.readexactly(12) == b"/there whole"


@pytest.mark.parametrize("begun", [b"", b"GET / HT"])
async def test_who_never_asks_is_let_go_when_the_server_ends(begun: bytes) -> None:
    async with serving(both) as lab, connect(lab.port) as client:
        client.send(begun)
        await client.drain()
        while not lab.state.connections:  # noqa: ASYNC110 what uvicorn keeps says nothing
            await asyncio.sleep(0.005)
        for each in list(lab.state.connections):
            each.shutdown()
        assert await client.ended() == b""


async def test_who_leaves_without_asking_leaves_nothing() -> None:
    async with serving(both) as lab:
        async with connect(lab.port) as client:
            client.send(b"GET / HT")
            await client.drain()
        await lab.is_empty()
