"""Streams that end, fail, or are none: the client is told, and the place is free again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from realtime import Feed, StreamConsumer, stream_source
from realtime.endpoints.consumers.stream import STREAMS_MAX
from realtime.endpoints.streams import StreamSource
from tests.realtime.site import Client, site_of

closed: list[str] = []


@stream_source("two")
def two(feed: Feed) -> Iterator[int]:
    yield from (1, 2)


@stream_source("two.async")
async def two_async(feed: Feed) -> AsyncIterator[int]:
    for value in (1, 2):
        await asyncio.sleep(0)
        yield value


@stream_source("two.list")
def two_list(feed: Feed) -> Any:
    return [1, 2]


@stream_source("two.coroutine")  # type: ignore[arg-type] # what a checker would refuse
async def two_coroutine(feed: Feed) -> Any:
    return iter([1, 2])


@stream_source("raises")
def raises(feed: Feed) -> Iterator[int]:
    yield 1
    raise ZeroDivisionError("the inside")


@stream_source("raises.async")
async def raises_async(feed: Feed) -> AsyncIterator[int]:
    yield 1
    raise ZeroDivisionError("the inside")


@stream_source("raises.first")
def raises_first(feed: Feed) -> Iterator[int]:
    raise ZeroDivisionError("the inside")


@stream_source("none")
def none(feed: Feed) -> Any:
    return None


@stream_source("number")  # type: ignore[arg-type] # what a checker would refuse
async def number(feed: Feed) -> Any:
    return 7


@stream_source("text")
def text(feed: Feed) -> Any:
    return "text"


@stream_source("no.json")
def no_json(feed: Feed) -> Iterator[Any]:
    yield object()


@stream_source("cancelled")
async def cancelled(feed: Feed) -> AsyncIterator[int]:
    yield 1
    inner = asyncio.create_task(asyncio.sleep(60))
    inner.cancel()
    await inner


@stream_source("denied")
def denied(feed: Feed) -> Iterator[int]:
    if feed.identity is None:
        raise PermissionDenied("Members only.")
    yield 1


@stream_source("for.ever")
def for_ever(feed: Feed) -> Iterator[int]:
    try:
        while True:
            yield 1
    finally:
        closed.append("plain")


@stream_source("for.ever.async")
async def for_ever_async(feed: Feed) -> AsyncIterator[int]:
    try:
        while True:
            yield 1
    finally:
        closed.append("async")


SOURCES = [each for each in list(globals().values()) if isinstance(each, StreamSource)]
START = {"interval": 0.05}


async def outcome(client: Client, source: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the values of a stream until it ends, and the message that ended it."""
    started = (await client.ask("start", {"source": source, **START}))["payload"]
    values = []
    while True:
        message = await client.receive()
        payload = message["payload"]
        if message["type"] == "data" and payload["stream"] == started["stream"]:
            values.append(payload["value"])
        elif message["type"] in {"stopped", "error"} and "id" not in message:
            named = payload if message["type"] == "stopped" else payload["details"]
            # The stream of the query string ends whenever it does.
            if named["stream"] == started["stream"]:
                assert named["source"] == source
                return values, message


async def test_however_a_stream_ends_its_client_is_told_and_its_place_is_free(
    caplog: pytest.LogCaptureFixture, subtests: pytest.Subtests
) -> None:
    async with site_of(sources=SOURCES) as site:
        client = await site.connect(StreamConsumer, query_string="source=for.ever&interval=60")
        for source in ("two", "two.async", "two.list", "two.coroutine"):
            with subtests.test(source=source):
                values_of_it, message = await outcome(client, source)
                assert (values_of_it, message["type"]) == ([1, 2], "stopped")
        for source, values in {
            "raises": [1],
            "raises.async": [1],
            "raises.first": [],
            "none": [],
            "number": [],
            "text": [],
            "no.json": [],
            "cancelled": [1],
        }.items():
            with subtests.test(source=source):
                caplog.clear()
                got, message = await outcome(client, source)
                assert (got, message["payload"]["code"]) == (values, "internal")
                assert "the inside" not in str(message)
                assert f"The stream source '{source}' failed on connection" in caplog.text
        with subtests.test(source="denied"):
            caplog.clear()
            _, message = await outcome(client, "denied")
            assert (message["payload"]["code"], message["payload"]["message"]) == (
                "permission_denied",
                "Members only.",
            )
            assert not caplog.records


async def test_places_are_free_again_and_a_dead_stream_is_not_found() -> None:
    async with site_of(sources=SOURCES) as site:
        client = await site.connect(StreamConsumer, query_string="source=two&interval=0.05")
        for _ in range(2 * STREAMS_MAX):
            await outcome(client, "none")
        reply = await client.error("stop", {"stream": "s2"})
        assert reply["code"] == "not_found"


@pytest.mark.parametrize("source", ["for.ever", "for.ever.async"])
async def test_a_source_that_is_stopped_cleans_up(source: str) -> None:
    closed.clear()
    async with site_of(sources=SOURCES) as site:
        client = await site.connect(StreamConsumer, query_string=f"source={source}&interval=60")
        await client.assert_push("data")
        assert (await client.ask("stop", {"stream": "s1"}))["type"] == "stopped"
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(closed) == 1
