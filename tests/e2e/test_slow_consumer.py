"""A subscriber that does not read is closed, and nobody else notices."""

import asyncio
import json
import socket
from uuid import uuid4

import pytest

from tests.e2e.raw import OP_TEXT, close_code_of, frame_bytes, frames_until_close, handshake
from tests.e2e.talk import Talk
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"
CHUNK = "x" * 60_000
LIMIT_BYTES = 200_000
# A sleeper's kernel buffers take some of it first.
PUBLICATIONS = 400

# The publisher sends 24 MB at once.
SETTINGS = {"REALTIME_OUTBOX_BYTES": LIMIT_BYTES, "REALTIME_BYTES_PER_S": 0}

pytestmark = [pytest.mark.settings(**SETTINGS), pytest.mark.kinds("serve", "scaled")]


async def test_a_sleeper_is_closed_and_the_others_get_everything(acme: Visitor) -> None:
    topic = uuid4().hex
    reader, writer = await asleep(acme, topic)
    async with acme.open_json(PATH) as publisher, acme.open_json(PATH) as awake:
        await awake.ask("subscribe", {"topic": topic})
        receiving = asyncio.ensure_future(receive(awake, PUBLICATIONS))
        for number in range(PUBLICATIONS):
            await publisher.ask("publish", {"topic": topic, "data": {"n": number, "x": CHUNK}})
        assert await receiving == list(range(1, PUBLICATIONS + 1))
        frames = await frames_until_close(reader)
        assert close_code_of(frames) in {4410, 1006}
    writer.close()


@pytest.mark.parametrize("subprotocol", ["rockstar.v1", "rockstar.v1.batch"])
async def test_its_close_code_says_why(acme: Visitor, subprotocol: str) -> None:
    """Read late, but read: the close frame comes after what was in flight."""
    topic = uuid4().hex
    reader, writer = await asleep(acme, topic, {"Sec-WebSocket-Protocol": subprotocol})
    async with acme.open_json(PATH) as publisher:
        for number in range(PUBLICATIONS):
            for half in (CHUNK[: len(CHUNK) // 2], CHUNK[len(CHUNK) // 2 :]):
                await publisher.send("publish", {"topic": topic, "data": {"n": number, "x": half}})
            await publisher.ask("ping")
    frames = await frames_until_close(reader)
    lines = [line for _, body in frames for line in body.split(b"\n") if b'"publication"' in line]
    offsets = [json.loads(line)["payload"]["offset"] for line in lines]
    assert offsets == list(range(1, len(offsets) + 1))
    assert len(offsets) < 2 * PUBLICATIONS
    assert close_code_of(frames) == 4410
    writer.close()


async def asleep(
    acme: Visitor, topic: str, headers: dict[str, str | None] | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A subscriber that reads nothing more, with the smallest buffers there are."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", acme.server.port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=1024)
    writer.write(handshake(acme, PATH, headers))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head
    subscribe = {"id": "s", "type": "subscribe", "payload": {"topic": topic}}
    writer.write(frame_bytes(OP_TEXT, json.dumps(subscribe).encode()))
    while b'"subscribed"' not in await reader.read(1024):
        pass
    return reader, writer


async def receive(talk: Talk, count: int) -> list[int]:
    return [(await talk.push("publication"))["offset"] for _ in range(count)]
