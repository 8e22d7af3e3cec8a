"""The opening handshake against the real server, byte by byte."""

import base64
import hashlib
import json

import pytest

from tests.server.client import connect, request
from tests.server.wire import PING, PONG, TEXT, client_frame

ECHO = "/ws/echo/"
KEY = base64.b64encode(bytes(range(16))).decode()

OPENED: dict[str, dict[str, str]] = {
    "plain": {},
    "tokens in any case": {"upgrade": "WebSocket", "connection": "upgrade"},
    "a list of tokens": {"connection": "keep-alive, Upgrade"},
    "a cookie of 7 KiB": {"cookie": "a=" + "b" * 7000},
    "a header line over 8 KiB": {"x_long": "x" * 9000},
    "200 headers": {f"x_{number}": "y" * 20 for number in range(200)},
}
REFUSED: dict[str, tuple[int, dict[str, str | None]]] = {
    "no key": (400, {"sec_websocket_key": None}),
    "a short key": (400, {"sec_websocket_key": "c2hvcnQ="}),
    "an empty key": (400, {"sec_websocket_key": ""}),
    "a key that is no base64": (400, {"sec_websocket_key": "!" * 24}),
    "no version": (400, {"sec_websocket_version": None}),
    "an old version": (426, {"sec_websocket_version": "8"}),
    "no upgrade": (426, {"upgrade": None}),
    "another upgrade": (426, {"upgrade": "h2c"}),
    "no connection": (426, {"connection": None}),
    "a connection that stays": (426, {"connection": "keep-alive"}),
    "a header line over 70 KiB": (431, {"x_long": "x" * 71_000}),
    "2,000 headers": (431, {f"x_{number}": "y" * 40 for number in range(2000)}),
}


@pytest.mark.parametrize("case", OPENED)
async def test_it_is_opened(port: int, case: str) -> None:
    async with connect(port) as client:
        client.send(request(ECHO, **OPENED[case], sec_websocket_key=KEY))
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 101 ")
        accept = hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert b"\r\nSec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n" in head
        client.text("open")
        assert await client.frame() == (TEXT, b"open")


@pytest.mark.parametrize("case", REFUSED)
async def test_it_is_refused(port: int, case: str) -> None:
    status, changed = REFUSED[case]
    # A server that has heard enough may close before all is read.
    async with connect(port) as client:
        client.send(request(ECHO, **{"connection": "Upgrade", **changed}))
        head = await client.head()
    assert int(head.split(b" ")[1]) == status, head
    assert b"application/json" in head
    if "version" in case:
        assert b"sec-websocket-version: 13" in head.lower()


async def test_another_method_is_400(port: int) -> None:
    async with connect(port) as client:
        client.send(request(ECHO, "POST", content_length="0"))
        status, _, body = await client.answer()
        assert status == 400
        assert json.loads(body)["error"].keys() == {"code", "message"}


@pytest.mark.parametrize("junk", [b"\x00\x01\x02\r\n\r\n", b"GET / WS/9\r\n\r\n", b"GET /ws/\r\n\r\n\r\n"])
async def test_what_is_no_http_is_400(port: int, junk: bytes) -> None:
    async with connect(port) as client:
        client.send(junk)
        assert (await client.answer())[0] == 400


async def test_a_handshake_that_comes_byte_by_byte(port: int) -> None:
    async with connect(port) as client:
        for byte in request(ECHO):
            client.send(bytes([byte]))
            await client.drain()
        assert b" 101 " in await client.head()


async def test_frames_in_the_same_packet_are_answered(port: int) -> None:
    async with connect(port) as client:
        client.send(request(ECHO), client_frame(PING, b"p"), client_frame(TEXT, b"eager"))
        await client.head()
        assert sorted([await client.frame(), await client.frame()]) == [(TEXT, b"eager"), (PONG, b"p")]
