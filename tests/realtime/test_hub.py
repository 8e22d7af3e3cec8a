"""The hub on a real history: order, gaps, epochs, and subscribers that come while something is under way."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from realtime.core.history import Position
from realtime.core.identity import Tenant
from realtime.engine.memory import MemoryBus, MemoryHistory
from realtime.engine.ports import Draft, Page, Retention, TopicKey
from realtime.frame import Batch, Frame
from realtime.hub import Carried, Hub, group_name
from realtime.outbox import Corks

ACME = Tenant(1, "acme")
KEY = TopicKey("acme", "news")
KEPT = Retention()


@dataclass(eq=False)
class Listener:
    """A connection, as the hub sees it, that remembers what it was given."""

    tenant: Tenant = ACME
    is_closing: bool = False
    direct: None = None
    form: None = None
    got: list[dict[str, Any]] = field(default_factory=list)
    pushed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def outbox(self) -> "Listener":
        return self

    def put(self, item: Frame | Batch) -> None:
        frames = item.frames if isinstance(item, Batch) else [item]
        self.got += [msgspec.json.decode(frame.payload)["payload"] for frame in frames]

    def push(self, message_type: str, payload: dict[str, Any]) -> None:
        self.pushed.append((message_type, payload))

    @property
    def offsets(self) -> list[int]:
        return [each["offset"] for each in self.got]


class SlowHistory(MemoryHistory):
    """Answers `since` when it is told to, as a broker far away would."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def since(self, key: TopicKey, position: Position, limit: int) -> Page:
        page = await super().since(key, position, limit)
        await self.may_answer.wait()
        return page


@pytest.fixture
async def history() -> SlowHistory:
    return SlowHistory()


@pytest.fixture
async def hub(history: SlowHistory) -> Hub:
    return Hub("here", history, MemoryBus(), asyncio.create_task, lambda connection, topic: None, Corks())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def draft(number: int) -> Draft:
    return Draft(number, None, "2026-01-01T00:00:00Z")


async def elsewhere(hub: Hub, history: SlowHistory, number: int, *, is_carried: bool = True) -> bytes:
    """Another node publishes; what the bus carries of it."""
    added = await history.add(KEY, draft(number), KEPT)
    assert added.publication is not None
    text = msgspec.json.encode({"type": "publication", "payload": added.publication.payload()}).decode()
    body = msgspec.msgpack.encode(Carried("there", *KEY, added.position.epoch, added.position.offset, text))
    if is_carried:
        hub.received(group_name(KEY), body)
    return body


async def test_everybody_gets_everything_in_order(hub: Hub) -> None:
    listeners = [Listener() for _ in range(3)]
    for listener in listeners:
        await hub.subscribe(listener, "news", KEPT, None)
    for number in range(5):
        await hub.publish(KEY, draft(number), KEPT)
    await settle()
    assert [listener.offsets for listener in listeners] == [[1, 2, 3, 4, 5]] * 3


async def test_what_arrives_twice_is_given_once(hub: Hub, history: SlowHistory) -> None:
    listener = Listener()
    await hub.subscribe(listener, "news", KEPT, None)
    body = await elsewhere(hub, history, 1)
    hub.received(group_name(KEY), body)
    await settle()
    assert listener.offsets == [1]


async def test_what_the_bus_lost_is_read_once_and_given_in_order(hub: Hub, history: SlowHistory) -> None:
    listeners = [Listener(), Listener()]
    for listener in listeners:
        await hub.subscribe(listener, "news", KEPT, None)
    await elsewhere(hub, history, 1)
    for number in (2, 3):
        await elsewhere(hub, history, number, is_carried=False)
    await elsewhere(hub, history, 4)
    await settle()
    assert [listener.offsets for listener in listeners] == [[1, 2, 3, 4]] * 2


async def test_a_silent_loss_is_found_by_looking(hub: Hub, history: SlowHistory) -> None:
    listener = Listener()
    await hub.subscribe(listener, "news", KEPT, None)
    await elsewhere(hub, history, 1, is_carried=False)
    (local,) = hub.topics()
    await hub.check(local)
    await settle()
    assert listener.offsets == [1]


async def test_the_wrong_tenant_on_a_group_is_dropped(hub: Hub, history: SlowHistory) -> None:
    listener = Listener()
    await hub.subscribe(listener, "news", KEPT, None)
    (local,) = hub.topics()
    forged = Carried("there", "globex", "news", local.epoch, 1, "{}")
    hub.received(group_name(KEY), msgspec.msgpack.encode(forged))
    hub.received(group_name(KEY), b"\xc1 nonsense")
    await settle()
    assert listener.got == []


async def test_publications_while_somebody_catches_up_come_once(hub: Hub, history: SlowHistory) -> None:
    early, late = Listener(), Listener()
    await hub.subscribe(early, "news", KEPT, None)
    begin = (await history.position(KEY)).epoch
    await hub.publish(KEY, draft(1), KEPT)
    history.may_answer.clear()
    catching_up = asyncio.create_task(hub.subscribe(late, "news", KEPT, Position(begin, 0)))
    await settle()
    await hub.publish(KEY, draft(2), KEPT)
    await settle()
    history.may_answer.set()
    subscribed = await catching_up
    await hub.publish(KEY, draft(3), KEPT)
    await settle()
    assert subscribed.publications is not None
    recovered = [publication["offset"] for publication in subscribed.publications]
    assert recovered + late.offsets == early.offsets == [1, 2, 3]
    assert subscribed.position.offset == recovered[-1]


async def test_a_lost_history_ends_the_subscriptions_and_says_so(hub: Hub) -> None:
    listener, again = Listener(), Listener()
    await hub.subscribe(listener, "news", KEPT, None)
    await hub.publish(KEY, draft(1), KEPT)
    await settle()
    hub.received(
        group_name(KEY),
        msgspec.msgpack.encode(Carried("there", *KEY, "another", 1, '{"payload":{"offset":1}}')),
    )
    # The history itself still knows the old epoch, so nothing was lost: the subscription goes on.
    await settle()
    assert listener.pushed == []
    hub._history = SlowHistory()
    await hub.publish(KEY, draft(2), KEPT)
    await settle()
    ((kind, payload),) = listener.pushed
    assert kind == "unsubscribed"
    assert payload["code"] == "unrecoverable_position"
    subscribed = await hub.subscribe(again, "news", KEPT, None)
    await hub.publish(KEY, draft(3), KEPT)
    await settle()
    assert again.offsets == [subscribed.position.offset + 1]


async def test_the_last_to_leave_closes_the_topic(hub: Hub) -> None:
    listener = Listener()
    await hub.subscribe(listener, "news", KEPT, None)
    assert hub.unsubscribe(listener, "news")
    assert not hub.unsubscribe(listener, "news")
    assert hub.topics() == []


async def test_a_topic_without_history_is_carried_all_the_same(hub: Hub) -> None:
    listener, typing = Listener(), TopicKey("acme", "typing:1")
    await hub.subscribe(listener, "typing:1", Retention(0), None)
    for number in range(3):
        await hub.publish(typing, draft(number), Retention(0))
    await settle()
    assert [each["data"] for each in listener.got] == [0, 1, 2]
