"""Endpoints that speak plain frames: the two echoes, managed, validated, timeout, pooled."""

import asyncio
import json
from datetime import datetime

import pytest

from tests.e2e.talk import Talk, assert_closed, assert_error, assert_reply
from tests.e2e.visitor import Visitor

MIB = 1024 * 1024
TEXTS = ["hello", "ünïcödé 🚀", '{"type": "ping"}', "x" * 70_000]
ECHOES = ["/ws/echo/", "/ws/", "/ws/managed/", "/ws/timeout/", "/ws/pooled/"]
# What comes before the first echo.
GREETINGS = {"/ws/", "/ws/managed/"}

pytestmark = pytest.mark.kinds("serve", "daphne")

narrow = pytest.mark.settings(REALTIME_IDLE_TIMEOUT_S=1.5, REALTIME_POOL_SIZE=2)


async def greet(talk: Talk, path: str) -> None:
    if path in GREETINGS:
        await talk.frame()


@pytest.mark.parametrize("path", ECHOES)
async def test_echoes_each_frame_in_kind(acme: Visitor, path: str) -> None:
    async with acme.open(path) as talk:
        await greet(talk, path)
        frames: list[str | bytes] = [*TEXTS, b"\x00\xff\xfe", b"y" * 70_000]
        for frame in frames:
            await talk.send_frame(frame)
            assert await talk.frame() == frame


@pytest.mark.kinds("serve")
@pytest.mark.parametrize("frame", ["", b""])
async def test_echoes_empty_frames(acme: Visitor, frame: str | bytes) -> None:
    async with acme.open("/ws/echo/") as talk:
        await talk.send_frame(frame)
        assert await talk.frame() == frame


async def test_ws_welcomes_first(acme: Visitor) -> None:
    async with acme.open("/ws/") as talk:
        assert await talk.frame() == "Welcome to WebSocket!"


async def test_echo_says_nothing_by_itself(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        await talk.send_frame("first")
        assert await talk.frame() == "first"


async def test_echo_keeps_order(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        for number in range(500):
            await talk.send_frame(str(number))
        assert [await talk.frame() for _ in range(500)] == [str(number) for number in range(500)]


async def test_echo_joins_fragments(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        await talk.socket.send(["one ", "two ", "three"])
        assert await talk.frame() == "one two three"


async def test_raw_endpoints_take_one_mebibyte(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        await talk.send_frame(b"z" * MIB)
        assert await talk.frame() == b"z" * MIB


async def test_raw_endpoints_close_on_more_than_one_mebibyte(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        await talk.send_frame(b"z" * (MIB + 1))
        if acme.server.kind == "daphne":
            code, _ = await talk.closed()
            assert code not in {1000, 1001}
        else:
            await assert_closed(talk, 1009)


async def test_managed_describes_the_connection(acme: Visitor) -> None:
    async with acme.open("/ws/managed/") as talk:
        payload = assert_reply(json.loads(await talk.frame()), "connection")
        async with acme.open("/ws/managed/") as other:
            other_payload = json.loads(await other.frame())["payload"]
    assert payload.keys() == {"connection_id", "remote_addr", "local_addr", "connected_at"}
    assert payload["connection_id"] != other_payload["connection_id"]
    assert "127.0.0.1" in payload["remote_addr"]
    assert str(acme.server.port) in payload["local_addr"]
    assert datetime.fromisoformat(payload["connected_at"]).tzinfo is not None


async def test_validated_echoes_what_is_valid(acme: Visitor) -> None:
    async with acme.open("/ws/validated/") as talk:
        for message in ({"type": "greeting", "text": "hi"}, {"type": "x", "big": "y" * 100_000}):
            await talk.send_frame(json.dumps(message))
            assert json.loads(await talk.frame()) == message


@pytest.mark.kinds("serve")
@pytest.mark.parametrize(
    "frame", ["not json", "[1, 2]", '{"no": "type"}', '{"type": 7}', '"text"', '{"type": NaN}']
)
async def test_validated_answers_an_error_to_what_is_not(acme: Visitor, frame: str) -> None:
    async with acme.open("/ws/validated/") as talk:
        await talk.send_frame(frame)
        message = json.loads(await talk.frame())
        assert message["type"] == "error", message
        assert message["payload"]["code"] in {"invalid_json", "invalid_message"}
        await talk.send_frame('{"type": "still here"}')
        assert json.loads(await talk.frame()) == {"type": "still here"}


@pytest.mark.kinds("serve")
async def test_an_error_of_validated_has_the_id_of_its_message(acme: Visitor) -> None:
    async with acme.open("/ws/validated/") as talk:
        await talk.send_frame('{"id": "7", "payload": {}}')
        message = json.loads(await talk.frame())
        assert_error(message, "invalid_message")
        assert message["id"] == "7"


async def test_validated_answers_an_error_to_a_binary_frame(acme: Visitor) -> None:
    async with acme.open("/ws/validated/") as talk:
        await talk.send_frame(b'{"type": "binary"}')
        assert_error(json.loads(await talk.frame()), "invalid_message")


async def test_validated_takes_up_to_one_mebibyte(acme: Visitor) -> None:
    frame = json.dumps({"type": "big", "text": ""})
    frame = frame[:-2] + "y" * (MIB - len(frame)) + frame[-2:]
    assert len(frame) == MIB
    async with acme.open("/ws/validated/") as talk:
        await talk.send_frame(frame)
        assert await talk.frame() == frame or json.loads(frame)["type"] == "big"


async def test_validated_answers_large_messages_in_order_with_small_ones(acme: Visitor) -> None:
    """Large ones are read in pieces."""
    large = [json.dumps({"type": "large", "number": number, "lists": [[]] * 60_000}) for number in range(2)]
    wrong = large[1][:-1] + ', "number": 1}'
    sent = [large[0], '{"type": "small"}', wrong, "{}", large[1], '{"type": "last"}']
    async with acme.open("/ws/validated/") as talk:
        for frame in sent:
            await talk.send_frame(frame)
        answers = [await talk.frame() for _ in sent]
    assert [answers[number] for number in (0, 1, 4, 5)] == [sent[number] for number in (0, 1, 4, 5)]
    assert_error(json.loads(answers[2]), "invalid_json")
    assert_error(json.loads(answers[3]), "invalid_message")


@narrow
async def test_timeout_closes_an_idle_socket_and_counts_from_the_last_frame(acme: Visitor) -> None:
    loop = asyncio.get_running_loop()
    async with acme.open("/ws/timeout/") as idle, acme.open("/ws/timeout/") as talk:
        for number in range(4):
            await asyncio.sleep(0.5)
            await talk.send_frame(str(number))
            assert await talk.frame() == str(number)
        last_s = loop.time()
        await assert_closed(idle, 4408, wait_s=5)
        await assert_closed(talk, 4408, wait_s=5)
        assert loop.time() - last_s > 1.4


@narrow
async def test_pooled_refuses_the_next_and_takes_it_when_there_is_room(acme: Visitor) -> None:
    async with acme.open("/ws/pooled/") as first:
        async with acme.open("/ws/pooled/"):
            await acme.assert_refused("/ws/pooled/", 503, 4503)
            await first.send_frame("the others do not notice")
            assert await first.frame() == "the others do not notice"
            async with acme.open("/ws/echo/") as elsewhere:
                assert await elsewhere.is_alive()
        async with acme.reopen("/ws/pooled/") as again:
            await again.send_frame("room")
            assert await again.frame() == "room"
