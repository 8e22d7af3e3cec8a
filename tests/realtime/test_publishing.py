"""A broker whose servers answer late, or not at all: what one connection does meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime.conf import RealtimeSettings
from realtime.core.history import Draft
from realtime.core.topics import Retention, TopicKey, TopicRule
from realtime.endpoints.consumers.pubsub import PubSubConsumer
from realtime.node import node as node_module
from realtime.testing.broker import Broker, SharedStore
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.memory import MemoryBus, MemoryHistory
from realtime.topics.engine.ports import Added, EngineUnavailableError
from tests.realtime.followers import settle, until
from tests.realtime.site import Client, Site, site_of

RULES = {
    "": TopicRule(subscribe=lambda *_: True, publish=lambda *_: True),
    "asked": TopicRule(
        subscribe=lambda *_: True, publish=lambda *_: True, publish_in_db=lambda _, topic: True
    ),
}


class Shards(SharedStore):
    """A store of which some topics do not answer, until `go_on` is set, or fail."""

    def __init__(self, history: MemoryHistory, bus: MemoryBus) -> None:
        super().__init__(history, bus)
        self.hang: set[str] = set()
        self.fails = False
        self.go_on = asyncio.Event()
        self.in_flight = self.most_in_flight = 0
        self.added: list[str] = []

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if key.topic in self.hang:
                await self.go_on.wait()
                if self.fails:
                    raise EngineUnavailableError("The broker does not answer.")
            self.added.append(f"{key.topic} {bytes(draft.data).decode()}")
            return await super().add(key, draft, retention)
        finally:
            self.in_flight -= 1


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Shards]]:
    made: list[Shards] = []

    def build_engine(settings: RealtimeSettings) -> tuple[Any, Any, Any]:
        history = MemoryHistory()
        bus = MemoryBus(Broker(history))
        made.append(Shards(history, bus))
        return made[0], bus, CombinedEngine(made[0], bus)

    monkeypatch.setattr(node_module, "build_engine", build_engine)
    yield made
    made[0].go_on.set()


@asynccontextmanager
async def client_of(
    shards: list[Shards], *hang: str, **settings: Any
) -> AsyncIterator[tuple[Site, Client, Shards]]:
    async with site_of(TOPIC_RULES=RULES, **settings) as site:
        store = shards[0]
        store.hang |= set(hang)
        client = await site.connect(PubSubConsumer)
        assert (await client.receive())["type"] == "welcome"
        try:
            yield site, client, store
        finally:
            store.go_on.set()


async def publish(client: Client, topic: str, number: int) -> None:
    await client.send("publish", {"topic": topic, "data": number}, f"{topic} {number}")


async def test_a_topic_that_hangs_holds_up_no_other(shards: list[Shards]) -> None:
    async with client_of(shards, "hung") as (_, client, store):
        await client.ask("subscribe", {"topic": "quick"})
        await publish(client, "hung", 1)
        await publish(client, "hung", 2)
        await publish(client, "quick", 1)
        # The push of the publication and the reply to it.
        assert {(await client.receive())["type"] for _ in range(2)} == {"publication", "published"}
        assert (await client.ask("ping"))["type"] == "pong"
        assert store.added == ["quick 1"]
        store.go_on.set()
        replies = [await client.receive() for _ in range(2)]
        assert [(each["id"], each["payload"]["offset"]) for each in replies] == [("hung 1", 1), ("hung 2", 2)]


async def test_what_is_about_the_same_topic_comes_after_it(shards: list[Shards]) -> None:
    for verb, payload in (
        ("history", {"topic": "hung"}),
        ("unsubscribe", {"topic": "hung"}),
        ("subscribe", {"topic": "hung"}),
        ("subscribe", {"topics": [{"topic": "other"}, {"topic": "hung"}]}),
    ):
        shards.clear()
        async with client_of(shards, "hung") as (_, client, store):
            await publish(client, "hung", 1)
            await client.send(verb, payload, verb)
            await until(lambda: store.in_flight == 1)
            await settle()
            store.go_on.set()
            assert (await client.receive())["type"] == "published"
            reply = await client.receive()
            assert reply["id"] == verb
            if verb == "history":
                assert [each["data"] for each in reply["payload"]["publications"]] == [1]


async def test_a_topic_whose_gate_asks_the_database_holds_up_no_other(shards: list[Shards]) -> None:
    async with client_of(shards, "asked:hung") as (_, client, store):
        await publish(client, "asked:hung", 1)
        await publish(client, "asked:hung", 2)
        await publish(client, "quick", 1)
        assert (await client.receive())["id"] == "quick 1"
        store.go_on.set()
        assert [(await client.receive())["id"] for _ in range(2)] == ["asked:hung 1", "asked:hung 2"]


async def test_a_publication_that_waits_for_room_is_answered_once(shards: list[Shards]) -> None:
    """The time of its request has ended by then."""
    async with client_of(shards, "asked:a", "asked:b", MAX_PUBLISHING=1, CALL_TIMEOUT_S=0.05) as (
        _,
        client,
        store,
    ):
        await publish(client, "asked:a", 1)
        await publish(client, "asked:b", 1)
        await until(lambda: store.in_flight >= 1)
        await asyncio.sleep(0.2)
        store.go_on.set()
        replies = [await client.receive() for _ in range(2)]
        assert [(each["id"], each["type"]) for each in replies] == [
            ("asked:a 1", "published"),
            ("asked:b 1", "published"),
        ]
        assert (await client.ask("ping"))["type"] == "pong"


async def test_a_failure_is_told_to_its_own_request(shards: list[Shards]) -> None:
    async with client_of(shards, "hung") as (_, client, store):
        store.fails = True
        await publish(client, "hung", 1)
        await publish(client, "quick", 1)
        assert (await client.receive())["id"] == "quick 1"
        store.go_on.set()
        error = await client.receive()
        assert (error["id"], error["type"], error["payload"]["code"]) == ("hung 1", "error", "timeout")


async def test_those_in_flight_are_bounded(shards: list[Shards]) -> None:
    topics = [f"t{number}" for number in range(6)]
    async with client_of(shards, *topics, MAX_PUBLISHING=3) as (_, client, store):
        for topic in topics:
            await publish(client, topic, 1)
        await client.send("ping", request_id="ping")
        await until(lambda: store.in_flight >= 3)
        await settle()
        assert store.most_in_flight == 3
        store.go_on.set()
        assert len({(await client.receive())["id"] for _ in range(7)}) == 7


async def test_the_bytes_of_a_process_leave_each_connection_one(shards: list[Shards]) -> None:
    async with client_of(shards, "a", "b", "c", PUBLISHING_BYTES=1) as (site, client, store):
        other = await site.connect(PubSubConsumer)
        assert (await other.receive())["type"] == "welcome"
        for topic in "abc":
            await publish(client, topic, 1)
            await publish(other, topic, 2)
        await until(lambda: store.in_flight >= 2)
        await settle()
        assert store.most_in_flight == 2
        store.go_on.set()
        for each in (client, other):
            assert [(await each.receive())["type"] for _ in range(3)] == ["published"] * 3
        assert site.endpoints.publishing_bytes.used == 0


async def test_what_a_client_sent_before_it_left_is_published(shards: list[Shards]) -> None:
    async with client_of(shards, "hung") as (_, client, store):
        for number in range(3):
            await publish(client, "hung", number)
        closing = asyncio.create_task(client.close())
        await until(lambda: store.in_flight == 1)
        await settle()
        assert store.added == []
        store.go_on.set()
        await closing
        assert store.added == ["hung 0", "hung 1", "hung 2"]
