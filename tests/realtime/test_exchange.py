"""Orders to all nodes: their joint result, and the answer if a node could not be reached."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from realtime.control import orders
from realtime.control.orders import Order
from realtime.control.service import carry_out
from realtime.core.actors import CODE
from realtime.node import exchange as exchanges
from realtime.node.exchange import ASKED_GROUP, Asked, Exchange
from realtime.protocol.errors import ErrorCode, NotInForceError, RequestError
from realtime.topics.engine.memory import MemoryBus, MemoryExchange


class Node:
    """A process that counts how often it was told to act."""

    def __init__(self, name: str, memory: MemoryExchange, peers: tuple[str, ...]) -> None:
        self.acted = 0
        # The parts of the answers.
        self.found: list[int] = [2]
        self.bus = MemoryBus(memory)
        self.exchange = Exchange(
            name, self.bus, asyncio.create_task, peers=lambda: peers, perform=self._perform
        )

    async def start(self) -> "Node":
        await self.bus.start(self._take)
        await self.bus.join(ASKED_GROUP)
        await self.bus.join(self.exchange.reply_group)
        return self

    async def tell(self, group: str, body: bytes) -> bool:
        await self.bus.send(group, body)
        return True

    async def away(self, group: str, body: bytes) -> bool:
        return False

    def _take(self, group: str, body: bytes) -> None:
        (self.exchange.asked if group == ASKED_GROUP else self.exchange.answered)(body)

    async def _perform(self, body: bytes) -> AsyncIterator[bytes]:
        self.acted += 1
        for each in self.found:
            yield msgspec.msgpack.encode(each)


async def two(peers: tuple[str, ...] = ("a", "b")) -> tuple[Node, Node]:
    memory = MemoryExchange()
    return await Node("a", memory, peers).start(), await Node("b", memory, peers).start()


def total(answers: exchanges.Answers) -> int:
    return sum(msgspec.msgpack.decode(body) for body in answers.bodies())


async def test_an_order_is_carried_out_on_every_node_once() -> None:
    one, other = await two()
    answers = await one.exchange.act(b"", one.tell)
    assert (one.acted, other.acted, total(answers), answers.nodes_answered) == (1, 1, 4, 2)


async def test_an_order_that_comes_twice_is_carried_out_once() -> None:
    _, other = await two()
    asked = msgspec.msgpack.encode(Asked("id", "a", b""))
    for _ in range(2):
        other.exchange.asked(asked)
    await asyncio.sleep(0.01)
    assert other.acted == 1


async def test_an_answer_that_comes_twice_counts_once() -> None:
    one, other = await two()

    def twice(group: str, body: bytes) -> None:
        one._take(group, body)
        one._take(group, body)

    await one.bus.start(twice)
    answers = await one.exchange.act(b"", one.tell)
    assert (other.acted, total(answers)) == (1, 4)


@pytest.mark.parametrize(("found", "whole"), [([], 2), ([5], 7), ([5, 6], 13)])
async def test_an_answer_has_any_number_of_parts(found: list[int], whole: int) -> None:
    """A node without topics answers a list of them with no part."""
    one, other = await two()
    other.found = found
    answers = await one.exchange.read(b"")
    assert (total(answers), answers.nodes_answered) == (whole, 2)


async def test_a_node_that_is_late_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "ACT_WAIT_S", 0.05)
    one, _ = await two(("a", "b", "c"))
    answers = await one.exchange.act(b"", one.tell)
    assert (total(answers), answers.nodes_answered, answers.nodes_total) == (4, 2, 3)


async def test_a_guest_learns_of_the_nodes_from_their_answers() -> None:
    one, _ = await two()
    bus = MemoryBus(one.bus._exchange)
    guest = Exchange("guest", bus, asyncio.create_task)
    await bus.start(lambda group, body: guest.answered(body))
    await bus.join(guest.reply_group)
    answers = await guest.read(b"")
    assert (total(answers), answers.nodes_answered, answers.nodes_total) == (4, 2, 2)


async def test_without_the_broker_this_node_acts_and_the_caller_is_told() -> None:
    one, other = await two()

    class Link:
        async def act_all(self, operation: Any) -> exchanges.Answers:
            return await one.exchange.act(b"", one.away)

    order = Order("disconnect", CODE, "acme", {"user_id": "7", "reconnect": True})
    with pytest.raises(NotInForceError, match="on the others as soon as the broker is back"):
        await orders.disconnect(cast("Any", Link()), order)
    assert (one.acted, other.acted) == (1, 0)


async def test_what_was_done_is_answered_although_the_audit_log_cannot_be_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Link:
        visits = 0

        async def in_db(self, work: Any, *arguments: Any) -> int:
            self.visits += 1
            if self.visits > 1:
                raise RequestError(ErrorCode.TIMEOUT, "The database is busy; try again.")
            return 1

    async def drain(link: Any, order: Order) -> orders.Answer:
        return {"count": 1}

    monkeypatch.setitem(orders.HANDLERS, "drain", drain)
    answer = await carry_out(cast("Any", Link()), Order("drain", CODE, None, {"node": "n1"}))
    assert answer == {"count": 1}
    assert "could not be written" in caplog.text


async def test_nonsense_on_the_bus_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    one, _ = await two()
    one.exchange.asked(b"\xff")
    one.exchange.answered(b"\xff")
    assert one.acted == 0
    assert caplog.text.count("was dropped") == 2
