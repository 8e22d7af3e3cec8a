"""A connection that sends too fast is told to wait; one that does not listen is closed."""

import asyncio
import contextlib
import time
from json import dumps as encode

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.talk import Talk, assert_closed, assert_error, assert_reply
from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.kinds("serve", "daphne")

# A second's worth beyond the burst, lest a pause of the sender is long enough for all; 20 refusals are borne.
TOO_MANY = 30

slow = pytest.mark.settings(REALTIME_MESSAGES_PER_S=20, REALTIME_MESSAGES_BURST=10)


@slow
async def test_too_fast_is_answered_with_when_to_come_back(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk:
        for number in range(TOO_MANY):
            await talk.send("ping", id=number)
        error = assert_error((await talk.error()), "rate_limited")
        assert error["retryable"] is True
        assert 1 <= error["retry_after_ms"] <= 1000
        await asyncio.sleep(error["retry_after_ms"] / 1000 + 0.3)
        assert_reply(await talk.request("ping"), "pong")


@slow
async def test_the_error_has_the_id_of_what_was_refused(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk:
        for number in range(TOO_MANY):
            await talk.send("ping", id=f"n{number}")
        replies = [await talk.reply_to(f"n{number}") for number in range(TOO_MANY)]
        assert {reply["type"] for reply in replies} == {"pong", "error"}


@slow
async def test_too_fast_for_too_long_is_closed(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk, acme.open_json("/ws/pubsub/") as other:
        flood = asyncio.ensure_future(send_until_closed(talk))
        await assert_closed(talk, 4429)
        await flood
        assert_reply(await other.request("ping"), "pong")


# Three seconds each, and above the server: how Daphne closes is seen in the test before.
@pytest.mark.kinds("serve")
@slow
async def test_raw_endpoints_close(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        for number in range(10):
            await talk.send_frame(str(number))
        assert [await talk.frame() for _ in range(10)] == [str(number) for number in range(10)]
        flood = asyncio.ensure_future(send_until_closed(talk))
        await assert_closed(talk, 4429)
        await flood


@slow
async def test_a_steady_sender_below_the_limit_is_left_alone(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        started_s = time.monotonic()
        while time.monotonic() - started_s < 1.5:
            await talk.send_frame("steady")
            assert await talk.frame() == "steady"
            await asyncio.sleep(0.1)


heavy = pytest.mark.settings(REALTIME_BYTES_PER_S=20_000, REALTIME_BYTES_BURST=40_000)
CHUNK = "x" * 10_000


@heavy
async def test_too_many_bytes_are_answered_with_when_to_come_back(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk:
        limits = talk.welcome["limits"]
        assert (limits["bytes_per_s"], limits["bytes_burst"]) == (20_000, 40_000)
        for number in range(8):
            await talk.send("ping", {"filler": CHUNK}, id=number)
        replies = [await talk.reply_to(number) for number in range(8)]
        assert [reply["type"] for reply in replies[:3]] == ["pong"] * 3
        error = assert_error(replies[-1], "rate_limited")
        assert 1 <= error["retry_after_ms"] <= 1000
        await asyncio.sleep(error["retry_after_ms"] / 1000 + 0.3)
        assert_reply(await talk.request("ping"), "pong")


@pytest.mark.kinds("serve")
@heavy
async def test_too_many_bytes_for_too_long_are_closed(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/") as talk, acme.open("/ws/echo/") as raw:
        text = encode({"type": "ping", "payload": {"x": CHUNK}})
        floods = [asyncio.ensure_future(send_until_closed(each, text)) for each in (talk, raw)]
        await assert_closed(talk, 4429)
        await assert_closed(raw, 4429)
        await asyncio.gather(*floods)


@heavy
async def test_one_message_larger_than_the_burst_passes(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        large = "x" * 60_000
        await talk.send_frame(large)
        assert await talk.frame() == large


async def test_the_largest_raw_message_passes_as_things_are(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        large = "x" * 1024 * 1024
        for _ in range(2):
            await talk.send_frame(large)
            assert await talk.frame() == large


@pytest.mark.settings(REALTIME_BYTES_PER_S=20_000, REALTIME_BYTES_BURST=40_000, REALTIME_COMPRESSION=1)
@pytest.mark.kinds("serve")
async def test_bytes_are_counted_as_they_were_before_compression(acme: Visitor) -> None:
    async with acme.open_json("/ws/pubsub/", compression="deflate") as talk:
        for number in range(8):
            await talk.send("ping", {"filler": CHUNK}, id=number)
        assert_error(await talk.reply_to(7), "rate_limited")


@pytest.mark.settings(REALTIME_MESSAGES_PER_S=0, REALTIME_MESSAGES_BURST=0)
@pytest.mark.kinds("serve")
async def test_zero_switches_the_limit_off(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        for number in range(3000):
            await talk.send_frame(str(number))
        for number in range(3000):
            assert await talk.frame() == str(number)


async def send_until_closed(talk: Talk, text: str = '{"type": "ping"}') -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await talk.send_frame(text)
            # Daphne reads without bound: it would be busy with nothing else.
            await asyncio.sleep(0.001)
