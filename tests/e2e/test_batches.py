"""Several messages in one frame, for clients that offer `rockstar.v1.batch`, beside clients that do not."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.raw import OP_TEXT, frame_bytes, handshake, read_frame, tcp
from tests.e2e.talk import Talk, decoded
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"
BATCH = "rockstar.v1.batch"
BOTH = [BATCH, "rockstar.v1"]
PUBLICATIONS = 100

# Over Redis a client's publications go out one by one.
pytestmark = pytest.mark.kinds("serve", "daphne")


@pytest.fixture
def topic() -> str:
    """A topic nobody else uses."""
    return uuid4().hex


async def publish_at_once(acme: Visitor, topic: str, data: list[Any]) -> None:
    """Publish all of `data` in one write, and wait until it is done."""
    async with tcp(acme) as (reader, writer):
        writer.write(handshake(acme, PATH))
        await reader.readuntil(b"\r\n\r\n")
        requests = [{"type": "publish", "payload": {"topic": topic, "data": each}} for each in data]
        frames = [frame_bytes(OP_TEXT, json.dumps(each).encode()) for each in [*requests, {"type": "ping"}]]
        writer.write(b"".join(frames))
        while b'"pong"' not in (await read_frame(reader))[1]:
            pass


async def take(talk: Talk, count: int) -> tuple[list[Any], int]:
    """So many publications as (offset, data), and how many frames they came in."""
    taken: list[Any] = []
    frames = 0
    while len(taken) < count:
        frame = await talk.frame()
        frames += 1
        assert isinstance(frame, str)
        for message in map(decoded, frame.split("\n")):
            assert message["type"] == "publication", message
            taken.append((message["payload"]["offset"], message["payload"]["data"]))
    return taken, frames


async def test_a_burst_comes_in_order_in_few_frames_or_one_by_one(acme: Visitor, topic: str) -> None:
    data = [f"{number}\nä" for number in range(PUBLICATIONS)]
    async with (
        acme.open_json(PATH, subprotocols=BOTH) as batched,
        acme.open_json(PATH, subprotocols=["rockstar.v1"]) as single,
        acme.open_json(PATH) as plain,
    ):
        assert batched.socket.subprotocol == BATCH
        for talk in (batched, single, plain):
            await talk.ask("subscribe", {"topic": topic})
        await publish_at_once(acme, topic, data)
        expected = list(enumerate(data, start=1))
        taken, frames = await take(batched, PUBLICATIONS)
        assert taken == expected
        assert frames < PUBLICATIONS
        for talk in (single, plain):
            assert await take(talk, PUBLICATIONS) == (expected, PUBLICATIONS)


async def test_what_was_missed_is_recovered(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, subprotocols=BOTH) as talk:
        epoch = (await talk.ask("subscribe", {"topic": topic}))["epoch"]
        await publish_at_once(acme, topic, [1, 2, 3])
        assert (await take(talk, 3))[0] == [(1, 1), (2, 2), (3, 3)]
    await publish_at_once(acme, topic, [4, 5, 6])
    async with acme.open_json(PATH, subprotocols=BOTH) as talk:
        subscribed = await talk.ask("subscribe", {"topic": topic, "recover": {"epoch": epoch, "offset": 3}})
        assert subscribed["recovered"] is True
        assert [each["data"] for each in subscribed["publications"]] == [4, 5, 6]
        await publish_at_once(acme, topic, [7, 8])
        assert (await take(talk, 2))[0] == [(7, 7), (8, 8)]


async def test_a_token_goes_along(acme: Visitor) -> None:
    token = await acme.token()
    async with acme.open_json(PATH, subprotocols=[*BOTH, f"bearer.{token}"]) as talk:
        assert talk.welcome["user"]["username"] == "alice"
        assert talk.socket.subprotocol == BATCH


async def test_raw_endpoints_have_no_batches(acme: Visitor) -> None:
    async with acme.open("/ws/echo/", subprotocols=BOTH) as talk:
        assert talk.socket.subprotocol == "rockstar.v1"
    async with acme.open("/ws/echo/", subprotocols=[BATCH]) as talk:
        # Answered, for a browser fails where none of its offers is; but the frames are the application's own.
        assert talk.socket.subprotocol == BATCH
        for text in ("one", "two\nthree"):
            await talk.send_frame(text)
        assert [await talk.frame(), await talk.frame()] == ["one", "two\nthree"]


@pytest.mark.parametrize("path", ["/ws/data/", "/ws/secure/", "/ws/nowhere/"])
async def test_a_refusal_can_be_read_by_a_browser(acme: Visitor, path: str) -> None:
    code = 4404 if path == "/ws/nowhere/" else 4401
    await acme.assert_closed_at_once(path, code, subprotocols=[BATCH])
