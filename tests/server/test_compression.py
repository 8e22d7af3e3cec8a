"""permessage-deflate over sockets: with a library's client, with raw bytes for what none sends, and through the site."""

import asyncio
import json
import resource
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as library_connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from realtime.protocol import deflate as module
from realtime.protocol.deflate import deflate, inflate
from realtime.server.server import COMPRESSING_PROTOCOL
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import PreparedMessage, WriteCoalescer
from realtime.topics.fanout import Fanout
from tests.server.client import Client, connect, request
from tests.server.lab import OURS, Lab, echo, serving
from tests.server.wire import BINARY, CLOSE, CONTINUATION, PING, TEXT, client_frame

MAX_BYTES = 100_000
MIN_BYTES = 256
OFFER = "permessage-deflate; client_max_window_bits"
ANSWER = b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"
RSV1 = 4
TEXTS = '{"type":"publication","payload":{"topic":"news"}}' * 20


def deflated(payload: bytes) -> bytes:
    """As a client compresses a message."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    return client_frame(opcode, deflated(payload), reserved=RSV1)


async def outbox_echo(scope: Any, receive: Any, send: Any) -> None:
    """`echo` by way of the outbox."""
    await receive()
    await send({"type": "websocket.accept"})
    outbox = make_outbox(
        scope, send, 0, lambda: None, RouteMetrics("", ""), WriteCoalescer(), deflate_min_bytes=MIN_BYTES
    )
    while (event := await receive())["type"] == "websocket.receive":
        await outbox.send(PreparedMessage(event.get("text"), event.get("bytes")))
    outbox.abandon()


@asynccontextmanager
async def lab_client(app: Any = echo, *, extensions: str = OFFER) -> AsyncIterator[tuple[Lab, Client, bytes]]:
    """A server that compresses, a client that offered it, and the answer to its handshake."""
    async with (
        serving(app, ws=COMPRESSING_PROTOCOL, ws_max_size=MAX_BYTES) as lab,
        connect(lab.port) as client,
    ):
        yield lab, client, await client.open(sec_websocket_extensions=extensions)


async def raw_frame(client: Client) -> tuple[int, bytes]:
    """The first byte of the next frame, and its payload."""
    first, length = await client.reader.readexactly(2)
    if length == 126:
        length = int.from_bytes(await client.reader.readexactly(2))
    return first, await client.reader.readexactly(length)


@pytest.mark.parametrize(
    "offer", [OFFER, "permessage-deflate", "permessage-deflate; server_max_window_bits=8, permessage-deflate"]
)
async def test_an_offer_is_answered(offer: str) -> None:
    async with lab_client(extensions=offer) as (_, client, head):
        assert ANSWER + b"\r\n" in head
        client.send(compressed_frame(b"compressed"), client_frame(TEXT, b"plain"))
        assert await client.frame() == (TEXT, b"compressed")
        assert await client.frame() == (TEXT, b"plain")


@pytest.mark.parametrize(
    "offer", [None, "x-other", "permessage-deflate; unknown", "permessage-deflate;;", "\xff"]
)
async def test_what_is_declined_leaves_a_socket_without(offer: str | None) -> None:
    async with serving(outbox_echo, ws=COMPRESSING_PROTOCOL) as lab, connect(lab.port) as client:
        head = await client.open(sec_websocket_extensions=offer)
        assert b"sec-websocket-extensions" not in head.lower()
        client.text(TEXTS)
        assert await client.frame() == (TEXT, TEXTS.encode())
        client.send(compressed_frame(b"x"))
        assert await client.close_code() == 1002


async def test_the_usual_class_answers_no_offer() -> None:
    async with serving(echo, ws=OURS, ws_per_message_deflate=True) as lab, connect(lab.port) as client:
        assert b"sec-websocket-extensions" not in (await client.open(sec_websocket_extensions=OFFER)).lower()
        client.send(compressed_frame(b"x"))
        assert await client.close_code() == 1002


async def test_a_message_sent_along_with_the_handshake() -> None:
    async with serving(echo, ws=COMPRESSING_PROTOCOL) as lab, connect(lab.port) as client:
        client.send(request(sec_websocket_extensions=OFFER), compressed_frame(b"early"))
        assert ANSWER in await client.head()
        assert await client.frame() == (TEXT, b"early")


BAD = {
    "no deflated data": (1007, [client_frame(TEXT, b"plain text", reserved=RSV1)]),
    "cut short": (1007, [client_frame(BINARY, deflated(bytes(range(256)))[:-9], reserved=RSV1)]),
    "text that is not UTF-8": (1007, [compressed_frame(b"\xff" * 20)]),
    "too large": (1009, [compressed_frame(bytes(MAX_BYTES + 1), BINARY)]),
    "too large in fragments": (
        1009,
        [
            client_frame(BINARY, deflated(bytes(MAX_BYTES + 1))[:50], reserved=RSV1, fin=False),
            client_frame(PING),
            client_frame(CONTINUATION, deflated(bytes(MAX_BYTES + 1))[50:]),
        ],
    ),
    "on a ping": (1002, [client_frame(PING, b"x", reserved=RSV1)]),
    "on a continuation": (
        1002,
        [client_frame(TEXT, b"x", fin=False), client_frame(CONTINUATION, b"x", reserved=RSV1)],
    ),
    "another reserved bit": (1002, [client_frame(TEXT, b"x", reserved=2)]),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_wrong_closes(case: str) -> None:
    code, frames = BAD[case]
    async with lab_client() as (lab, client, _):
        client.send(compressed_frame(b"before"))
        assert await client.frame() == (TEXT, b"before")
        client.send(*frames)
        assert await client.close_code() == code
        assert await client.ended(1) == b""
        await lab.is_empty()


def bomb() -> bytes:
    """1 GiB of zeros in 1 MiB: each block of zeros is the same, so it is compressed once and repeated."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream.compress(bytes(1 << 20))
    stream.flush(zlib.Z_FULL_FLUSH)
    return (stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)) * 1024


async def test_a_bomb_is_not_inflated() -> None:
    data = bomb()
    assert len(data) < 1.1 * (1 << 20)
    async with (
        serving(echo, ws=COMPRESSING_PROTOCOL, ws_max_size=2 << 20) as lab,
        connect(lab.port) as client,
    ):
        await client.open(sec_websocket_extensions=OFFER)
        frame = client_frame(BINARY, data, reserved=RSV1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client.send(frame)
        assert await client.close_code() == 1009
        # The most this process has ever had, in KiB: the data itself is in it several times, on both sides.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 * 1024


async def test_many_small_bombs_wait_for_their_turn() -> None:
    """Each inflates to what one message may have; together they would be 64 times that."""
    most = 0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal most
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(64):
            most = max(most, sum(len(each.get("bytes", b"")) for each in lab.sockets[0]._queue))
            assert len((await receive())["bytes"]) == MAX_BYTES
            await asyncio.sleep(0)
        await send({"type": "websocket.close"})

    async with (
        serving(slow, ws=COMPRESSING_PROTOCOL, ws_max_size=MAX_BYTES) as lab,
        connect(lab.port) as client,
    ):
        await client.open(sec_websocket_extensions=OFFER)
        client.send(compressed_frame(bytes(MAX_BYTES), BINARY) * 64)
        assert await client.close_code() == 1000
    assert 0 < most < 512 * 1024


async def test_bombs_of_many_sockets_leave_the_loop_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once all messages that arrived in one pass of the loop were inflated in it: 150 of 1 MiB took 1.6 s."""
    loop, sockets = asyncio.get_running_loop(), 16
    in_pass: dict[int, int] = {}
    passes = 0
    is_over = False

    def counted(data: bytes, max_bytes: int) -> bytes:
        in_pass[passes] = in_pass.get(passes, 0) + min(max_bytes, 1 << 20)
        return inflate(data, max_bytes)

    def count() -> None:
        nonlocal passes
        passes += 1
        if not is_over:
            loop.call_soon(count)

    loop.call_soon(count)
    monkeypatch.setattr(module, "inflate", counted)
    async with serving(echo, ws=COMPRESSING_PROTOCOL, ws_max_size=1 << 20) as lab, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(lab.port)) for _ in range(sockets)]
        for client in clients:
            await client.open(sec_websocket_extensions=OFFER)
        frame = compressed_frame(bytes(1 << 20), BINARY)
        for client in clients:
            client.send(frame)
        for client in clients:
            _, answer = await client.frame()
            assert len(answer) == 1 << 20
    is_over = True
    assert sum(in_pass.values()) >= sockets << 20
    # A few turns fit into a pass.
    assert max(in_pass.values()) <= 5 << 20


async def test_replies_are_compressed_where_it_pays() -> None:
    async with lab_client(outbox_echo) as (_, client, _):
        client.send(
            client_frame(TEXT, b"short"),
            client_frame(TEXT, TEXTS.encode()),
            compressed_frame(b"\x01", BINARY),
        )
        assert await raw_frame(client) == (0x81, b"short")
        first, payload = await raw_frame(client)
        assert first == 0xC1
        assert len(payload) < len(TEXTS) // 5
        assert zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff") == TEXTS.encode()
        assert await raw_frame(client) == (0x82, b"\x01")


async def test_nothing_but_messages_is_compressed() -> None:
    async with lab_client(outbox_echo) as (_, client, _):
        client.send(client_frame(PING, b"x" * 125), client_frame(CLOSE, (1000).to_bytes(2) + b"y" * 100))
        assert (await raw_frame(client))[0] == 0x8A
        assert (await raw_frame(client))[0] == 0x88


@asynccontextmanager
async def library_client(port: int, path: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    async with library_connect(f"ws://acme.localhost:{port}/{path}", host="127.0.0.1", **options) as client:
        yield client


FACTORIES: dict[str, dict[str, Any]] = {
    "as it comes": {"compression": "deflate"},
    "with takeover asked for": {"extensions": [ClientPerMessageDeflateFactory(client_max_window_bits=15)]},
    "small windows": {
        "extensions": [ClientPerMessageDeflateFactory(server_max_window_bits=9, client_max_window_bits=9)]
    },
    "plain": {"compression": None},
}


@pytest.mark.parametrize("case", FACTORIES)
async def test_a_librarys_client(case: str) -> None:
    messages: list[str | bytes] = [
        *(TEXTS, "", b"", "ä" * 3000, TEXTS.encode()),
        *(b"\x00" * 50_000, bytes(range(256)) * 40, TEXTS),
    ]
    async with (
        serving(outbox_echo, ws=COMPRESSING_PROTOCOL) as lab,
        library_client(lab.port, **FACTORIES[case]) as client,
    ):
        assert [each.name for each in client.protocol.extensions] == ["permessage-deflate"] * (
            case != "plain"
        )
        for message in messages:
            await client.send([message[:3], message[3:90], message[90:]] if len(message) > 90 else message)
            assert await client.recv() == message


async def test_one_compression_for_all_of_a_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(payload: bytes, window_bits: int) -> bytes:
        sizes.append(len(payload))
        return deflate(payload, window_bits)

    class Member:
        def __init__(self, outbox: Any) -> None:
            self.id = "member"
            self.outbox = outbox

    async def member(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        outbox = make_outbox(
            scope, send, 0, lambda: None, RouteMetrics("", ""), WriteCoalescer(), deflate_min_bytes=MIN_BYTES
        )
        fanout.join(Member(outbox), 0)
        while (await receive())["type"] != "websocket.disconnect":
            pass

    sizes: list[int] = []
    monkeypatch.setattr(module, "deflate", counted)
    fanout: Any = Fanout()
    async with serving(member, ws=COMPRESSING_PROTOCOL) as lab, AsyncExitStack() as stack:
        kinds = ("deflate", None) * 5
        members = [
            await stack.enter_async_context(library_client(lab.port, compression=kind)) for kind in kinds
        ]
        while len(fanout.subscribers) < 10:  # noqa: ASYNC110 a table says nothing
            await asyncio.sleep(0)
        published = [TEXTS + "one", "short", TEXTS + "two"]
        fanout.add(1, PreparedMessage(published[0]))
        assert fanout.advance(1e9)
        for offset, text in enumerate(published[1:], 2):
            fanout.add(offset, PreparedMessage(text))
        assert fanout.advance(1e9)
        for each in members:
            assert [await each.recv() for _ in published] == published
    assert sizes == [len(published[0]), len(published[2])]


# Through the site, as `serve` starts it


@pytest.fixture(scope="module")
def compressing_port(site_pool: Any) -> Any:
    """Where a server with REALTIME_COMPRESSION=1 listens; its log must stay clean."""
    site = site_pool.start("serve", {"REALTIME_COMPRESSION": "1"})
    yield site.server.port
    site.server.check_log()
    site.close()


async def test_the_site_offers_nothing_by_default(port: int) -> None:
    async with connect(port) as client:
        head = await client.open("/ws/echo/", sec_websocket_extensions=OFFER)
        assert b"sec-websocket-extensions" not in head.lower()


async def test_the_sites_endpoints(compressing_port: int) -> None:
    async with library_client(compressing_port, "ws/pubsub/") as client:
        assert [each.name for each in client.protocol.extensions] == ["permessage-deflate"]
        assert json.loads(await client.recv())["type"] == "welcome"
        await client.send(json.dumps({"id": 1, "type": "subscribe", "payload": {"topic": "compressed"}}))
        assert json.loads(await client.recv())["type"] == "subscribed"
        publish = {"type": "publish", "payload": {"topic": "compressed", "data": TEXTS * 10}}
        await client.send(json.dumps(publish))
        assert json.loads(await client.recv())["payload"]["data"] == TEXTS * 10


async def test_a_json_endpoint_judges_the_inflated_size(compressing_port: int) -> None:
    async with connect(compressing_port) as client:
        await client.open("/ws/pubsub/", sec_websocket_extensions=OFFER)
        first, _ = await raw_frame(client)
        assert first & 0x3F == TEXT
        client.send(compressed_frame(b'{"type":"ping","payload":{"x":"' + b"x" * 65_536 + b'"}}'))
        answer = json.loads((await client.frame())[1])
        assert answer["payload"]["code"] == "message_too_large"
        client.send(compressed_frame(b'{"type":"ping"}'))
        assert json.loads((await client.frame())[1])["type"] == "pong"


async def test_a_raw_endpoint_ends_with_what_inflates_to_too_much(compressing_port: int) -> None:
    for size in ((1 << 20) + 1, (2 << 20) + 1):
        async with connect(compressing_port) as client:
            await client.open("/ws/echo/", sec_websocket_extensions=OFFER)
            client.send(compressed_frame(bytes(size), BINARY))
            assert await client.close_code() == 1009
