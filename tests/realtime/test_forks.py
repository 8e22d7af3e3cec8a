"""A new epoch of a history that lost nothing: all readers go on, and only those beyond the fork are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.node.joining import Joined
from realtime.topics.engine.memory import MemoryBus, MemoryHistory
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import Added, Ask, Page
from tests.realtime.followers import KEY, Follower, Node, StoppableEngine, offsets_of, settle
from tests.realtime.test_hub import elsewhere

# Its gate is asked in the database.
ROOM = "room:1"


class ForkingHistory(MemoryHistory):
    """The memory history under epochs of its own: "0", then "1" and so on after each `fork`."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []
        self.inner = ""

    async def fork(self) -> None:
        """A new primary goes on where the history is."""
        self.ends.append((await super().position(KEY)).offset)

    def outside(self, position: Position) -> Position:
        self.inner = position.epoch
        return Position(str(len(self.ends)), position.offset)

    def inside(self, position: Position) -> Position:
        number = int(position.epoch) if position.epoch.isdigit() else len(self.ends) + 1
        is_current = number == len(self.ends)
        is_good = is_current or (number < len(self.ends) and position.offset <= self.ends[number])
        return Position(self.inner if is_good else "unknown", position.offset)

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        added = await super().add(key, draft, retention)
        return replace(added, position=self.outside(added.position))

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        return [self.outside(position) for position in await super().positions(keys)]

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        translated = [replace(ask, since=self.inside(ask.since)) if ask.since else ask for ask in asks]
        return [
            replace(page, position=self.outside(page.position)) for page in await super().pages(translated)
        ]


@pytest.fixture
async def history() -> ForkingHistory:
    return ForkingHistory()


@pytest.fixture
async def node(history: ForkingHistory) -> Node:
    made = Node()
    made.engine = StoppableEngine(history, MemoryBus())
    made.engine.arrived = made.hub.arrived
    made.hub._engine = made.hub.reads._engine = made.database._engine = made.engine
    return made


async def test_subscribers_go_on_and_are_told_the_epoch_once(node: Node, history: ForkingHistory) -> None:
    followers = [Follower(), Follower()]
    for follower in followers:
        await node.join(follower)
    await elsewhere(node, 1)
    await history.fork()
    await elsewhere(node, 2)
    await settle()
    await elsewhere(node, 3)
    await settle()
    for follower in followers:
        assert follower.pushed == []
        assert [(each["offset"], each.get("epoch")) for each in follower.got] == [
            (1, None),
            (2, "1"),
            (3, None),
        ]


async def test_a_fork_without_a_publication_is_found_by_looking(node: Node, history: ForkingHistory) -> None:
    follower = Follower()
    await node.join(follower)
    await elsewhere(node, 1)
    await history.fork()
    await node.hub.compare(None)
    await settle()
    await elsewhere(node, 2)
    await settle()
    assert follower.pushed == []
    assert [(each["offset"], each.get("epoch")) for each in follower.got] == [(1, None), (2, "1")]


async def test_who_comes_back_from_before_a_fork_gets_what_was_missed(
    node: Node, history: ForkingHistory
) -> None:
    await node.join(Follower())
    start = await node.publish(1)
    await history.fork()
    await elsewhere(node, 2)
    # A reader that another node told of the fork is ahead of this node.
    outcome = await node.ask(Follower(), since=Position("1", 2))
    assert isinstance(outcome, Joined)
    assert (offsets_of(outcome), outcome.position) == ([], Position("1", 2))
    assert outcome.payloads is not None
    outcome = await node.ask(Follower(), since=start)
    assert isinstance(outcome, Joined)
    assert (offsets_of(outcome), outcome.position) == ([2], Position("1", 2))


async def test_a_node_that_learns_of_a_fork_with_the_same_read_says_no_loss(
    node: Node, history: ForkingHistory
) -> None:
    await node.join(Follower())
    await node.publish(1)
    await history.fork()
    body = await elsewhere(node, 2, is_carried=False)
    node.engine.on_message(group_name(KEY), body)
    # Now the gap repair has asked, and its call has not begun.
    await asyncio.sleep(0)
    outcome = await node.ask(Follower(), since=Position("1", 2))
    assert isinstance(outcome, Joined)
    assert (offsets_of(outcome), outcome.position) == ([], Position("1", 2))


async def test_who_is_at_the_fork_missed_nothing(node: Node, history: ForkingHistory) -> None:
    await node.join(Follower())
    start = await node.publish(1)
    await history.fork()
    await node.hub.compare(None)
    await settle()
    outcome = await node.ask(Follower(), since=start)
    assert isinstance(outcome, Joined)
    assert offsets_of(outcome) == []
    assert outcome.payloads is not None


async def test_who_was_beyond_a_fork_is_told(node: Node, history: ForkingHistory) -> None:
    follower = Follower()
    await node.join(follower)
    for number in range(3):
        await elsewhere(node, number)
    await settle()
    # Two of the three were acknowledged by a primary that is gone.
    history.ends.append(1)
    await elsewhere(node, 4)
    await settle()
    assert [kind for kind, _ in follower.pushed] == ["unsubscribed"]
    for offset, is_whole in ((1, True), (2, False), (3, False)):
        outcome = await node.ask(Follower(), since=Position("0", offset))
        assert isinstance(outcome, Joined)
        assert (outcome.payloads is not None) == is_whole


async def test_who_comes_back_while_a_tail_is_lost_is_told_only_of_what_it_had(
    node: Node, history: ForkingHistory
) -> None:
    """The node's memory gave the reader what is lost then; it was never sent, so the reader is not beyond the fork."""
    await node.join(Follower(), ROOM)
    for number in range(3):
        await node.publish(number, ROOM)
    node.engine.stop_at = "gate"
    follower = Follower()
    joining = asyncio.create_task(node.join(follower, ROOM, Position("0", 1)))
    await node.engine.reached.wait()
    # Something of its rights changes: when it has what it missed, its gate is asked once more.
    node.hub.revoke(follower.subscriptions[ROOM].key, 1)
    node.engine.reached.clear()
    node.engine.go.set()
    node.engine.go = asyncio.Event()
    await node.engine.reached.wait()
    # The offsets 2 and 3 were acknowledged by a primary that is gone.
    history.ends.append(1)
    await node.publish(4, ROOM)
    await settle()
    node.engine.go.set()
    assert (await joining).payloads is not None
