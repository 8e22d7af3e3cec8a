"""In development a handler that holds the event loop is named, and only there."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from realtime import (
    CORE_VERBS,
    Call,
    Feed,
    JsonConsumer,
    NoPayload,
    PubSubConsumer,
    RealtimeConsumer,
    Reply,
    RpcConsumer,
    StreamConsumer,
    TopicRule,
    Verb,
    rpc_method,
    stream_source,
)
from realtime.core.identity import Identity
from realtime.node.blocking import BlockWatch
from tests.realtime.followers import identity
from tests.realtime.site import Site, site_of

HELD_S = 0.3


@rpc_method("holds")
async def holds(call: Call) -> dict[str, Any]:
    await asyncio.sleep(0)
    time.sleep(HELD_S)  # noqa: ASYNC251 what is found
    await asyncio.sleep(0)
    return {}


@rpc_method("in_thread")
def in_thread(call: Call) -> dict[str, Any]:
    time.sleep(HELD_S)
    return {}


@rpc_method("waits")
async def waits(call: Call) -> dict[str, Any]:
    await asyncio.sleep(HELD_S)
    return {"n": 1}


def held_at_hand(call: Call) -> dict[str, Any] | None:
    time.sleep(HELD_S)
    return {}


@rpc_method("at_hand", at_hand=held_at_hand)
def at_hand(call: Call) -> dict[str, Any]:
    return {}


@stream_source("held")
def held(feed: Feed) -> Iterator[int]:
    yield 1
    time.sleep(HELD_S)
    yield 2


async def on_greet(call: Call, payload: NoPayload) -> Reply:
    time.sleep(HELD_S)  # noqa: ASYNC251 what is found
    return Reply("greeting", {})


class Greeter(JsonConsumer):
    """Has a verb that holds the loop."""

    verbs = {**CORE_VERBS, "greet": Verb(NoPayload, on_greet)}


class Raw(RealtimeConsumer):
    """Holds the loop for each message."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        time.sleep(HELD_S)  # noqa: ASYNC251 what is found
        await self.send('{"type": "done", "payload": {}}')


def gate(who: Identity | None, topic: str) -> bool:
    time.sleep(HELD_S)
    return True


async def exercised(site: Site) -> None:
    caller = await site.connect(RpcConsumer, identity(7))
    for method in ("holds", "in_thread", "waits", "at_hand"):
        assert (await caller.ask(method))["type"] == f"{method}.result"
    assert (await (await site.connect(Greeter)).ask("greet"))["type"] == "greeting"
    streamer = await site.connect(StreamConsumer, query_string="source=held&interval=0.05")
    await streamer.assert_push("stopped")
    raw = await site.connect(Raw)
    await raw.send_text("hello")
    assert (await raw.receive())["type"] == "done"
    subscriber = await site.connect(PubSubConsumer)
    assert (await subscriber.ask("subscribe", {"topic": "news"}))["type"] == "subscribed"


NAMED = [
    "The handler of 'holds' held the event loop for ",
    "The handler of 'at_hand' held",
    "The handler of 'greet' held",
    "The stream source 'held' held",
    "The handler of a message held",
    "The subscription to 'news' held",
]


@pytest.mark.parametrize("debug", [True, False])
async def test_what_holds_the_loop_is_named_in_debug(
    settings: Any, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    settings.DEBUG = debug
    declared: dict[str, Any] = {"methods": [holds, in_thread, waits, at_hand], "sources": [held]}
    async with site_of(**declared, TOPIC_RULES={"": TopicRule(subscribe=gate)}) as site:
        if debug:
            site.node.block_watch = BlockWatch(HELD_S * 0.9)
            site.node.joiner._watch = site.node.block_watch
        await exercised(site)
    said = [
        record.getMessage() for record in caplog.records if " held the event loop " in record.getMessage()
    ]
    if not debug:
        assert said == []
        return
    for line in NAMED:
        assert any(each.startswith(line) for each in said), (line, said)
    assert not any("in_thread" in each or "'waits'" in each for each in said)
    assert any("tenant acme, user 7" in each for each in said)


async def test_a_measured_handler_is_cancelled_and_answers_as_any_other(settings: Any) -> None:
    settings.DEBUG = True

    @rpc_method("for_ever")
    async def for_ever(call: Call) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    @rpc_method("raises")
    async def raises(call: Call) -> dict[str, Any]:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            return {"timed": "out"}
        return {}

    async with site_of(methods=[for_ever, raises]) as site:
        client = await site.connect(RpcConsumer)
        await client.send("for_ever", request_id="f")
        assert (await client.ask("raises"))["payload"] == {"timed": "out"}
        await client.send("cancel", {"id": "f"})
        while (answer := await client.receive()).get("id") != "f":
            pass
        assert answer["payload"]["code"] == "cancelled"
