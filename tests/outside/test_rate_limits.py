"""A connection that sends too fast is told to wait; one that does not listen is closed."""

import asyncio
import contextlib
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.outside.talk import Talk, assert_closed, assert_error, assert_reply
from tests.outside.visitor import Visitor

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


@pytest.mark.settings(REALTIME_MESSAGES_PER_S=0, REALTIME_MESSAGES_BURST=0)
@pytest.mark.kinds("serve")
async def test_zero_switches_the_limit_off(acme: Visitor) -> None:
    async with acme.open("/ws/echo/") as talk:
        for number in range(3000):
            await talk.send_frame(str(number))
        for number in range(3000):
            assert await talk.frame() == str(number)


async def send_until_closed(talk: Talk) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await talk.send_frame('{"type": "ping"}')
            # Daphne reads without bound: it would be busy with nothing else.
            await asyncio.sleep(0.001)
