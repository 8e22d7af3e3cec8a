"""Server-made data at an interval."""

import asyncio
import time

import pytest

from tests.e2e.talk import assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/stream/"
SOURCES = ["random_walk", "clock", "server"]


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_runs_at_its_interval(acme: Visitor, source: str) -> None:
    async with acme.open_json(f"{PATH}?source={source}&interval=0.05") as talk:
        data = [await talk.push("data") for _ in range(5)]
    for payload in data:
        assert payload.keys() >= {"source", "timestamp", "value"}
        assert payload["source"] == source
    times = [payload["timestamp"] for payload in data]
    assert times == sorted(times)
    # The server's own clock: what came here may have waited for us.
    assert times[-1] - times[0] > 0.15
    # Seconds since 1970, and now.
    assert abs(times[-1] - time.time()) < 60


async def test_it_starts_at_once_with_the_default_source(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        assert (await talk.push("data"))["source"] == "random_walk"
    async with acme.open_json(PATH) as talk:
        first, second = await talk.push("data"), await talk.push("data")
        assert 0.5 < second["timestamp"] - first["timestamp"] < 5


async def test_start_and_stop(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        await talk.push("data")
        started = assert_reply(await talk.request("start", {"source": "clock", "interval": 0.05}), "started")
        for _ in range(3):
            assert (await talk.push("data"))["source"] == "clock"
        assert_reply(await talk.request("stop", {"stream": started["stream"]}), "stopped")
        await talk.settle()
        await asyncio.sleep(0.2)
        assert await talk.settle() == []


async def test_one_that_is_started_begins_at_once(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        await talk.push("data")
        await talk.ask("start", {"source": "clock", "interval": 60})
        assert (await talk.push("data"))["source"] == "clock"


async def test_two_streams_side_by_side(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        first = await talk.ask("start", {"source": "clock", "interval": 0.05})
        second = await talk.ask("start", {"source": "server", "interval": 0.05})
        assert first["stream"] != second["stream"]
        seen = {(await talk.push("data"))["source"] for _ in range(10)}
        assert {"clock", "server"} <= seen


async def test_stopping_what_does_not_run(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        assert_error(await talk.request("stop", {"stream": "nothing"}), "not_found")


WRONG: list[tuple[dict[str, object], str]] = [
    ({"source": "clock", "interval": 0.01}, "interval"),
    ({"source": "clock", "interval": 61}, "interval"),
    ({"source": "clock", "interval": "fast"}, "interval"),
    ({"source": 7, "interval": 1}, "source"),
]


async def test_wrong_parameters(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        for payload, field in WRONG:
            with subtests.test(payload=payload):
                error = assert_error(await talk.request("start", payload), "invalid_message")
                assert field in error["details"]["field"]


async def test_an_unknown_source(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?interval=60") as talk:
        reply = await talk.request("start", {"source": "no such", "interval": 1})
        assert reply["payload"]["code"] in {"not_found", "invalid_message"}, reply


@pytest.mark.parametrize(
    "query", ["interval=0.01", "interval=61", "interval=nan", "interval=x", "source=nothing"]
)
async def test_a_wrong_query_parameter_is_answered_with_an_error(acme: Visitor, query: str) -> None:
    async with acme.open_json(f"{PATH}?{query}") as talk:
        error = await talk.error()
        assert error["payload"]["code"] in {"invalid_message", "not_found"}, error
        assert error["payload"]["details"] == {"field": query.partition("=")[0]}
        assert_reply(await talk.request("ping"), "pong")


@pytest.mark.kinds("serve", "daphne")
async def test_a_reader_that_pauses_gets_the_newest_not_a_backlog(acme: Visitor) -> None:
    async with acme.open_json(f"{PATH}?source=clock&interval=0.05") as talk:
        await talk.push("data")
        assert await talk.is_alive()


@pytest.mark.kinds("serve", "daphne")
async def test_the_stream_ends_with_the_socket(acme: Visitor) -> None:
    for _ in range(5):
        async with acme.open_json(f"{PATH}?interval=0.05") as talk:
            await talk.push("data")
    async with acme.open("/ws/echo/") as talk:
        assert await talk.is_alive()
