"""The hub on a real history: order, gaps, epochs, and what it holds in memory for those who come back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from realtime.core.history import Tail
from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.sockets.outbox import WriteCoalescer
from realtime.topics import gaps
from realtime.topics.comparisons import ACTIVE_S, QUIET_S
from realtime.topics.engine.carried import Carried, encode_body, encode_carried
from realtime.topics.engine.names import group_name
from realtime.topics.engine.ports import Ask, Page
from realtime.topics.hub import Hub
from tests.realtime.followers import KEPT, KEY, Follower, Node, draft, offsets_of, settle


@pytest.fixture
async def node() -> Node:
    return Node()


async def elsewhere(node: Node, number: int, *, is_carried: bool = True, key: TopicKey = KEY) -> bytes:
    """Another node publishes; what the bus carries of it."""
    added = await node.engine._history.add(key, draft(number), KEPT)
    assert added.publication is not None
    body = encode_carried(Carried(added.position, encode_body(draft(number))))
    if is_carried:
        node.engine.on_message(group_name(key), body)
    return body


async def test_everybody_gets_everything_in_order(node: Node) -> None:
    followers = [Follower() for _ in range(3)]
    for follower in followers:
        await node.join(follower)
    for number in range(5):
        await node.publish(number)
    await settle()
    assert [follower.offsets for follower in followers] == [[1, 2, 3, 4, 5]] * 3


async def test_what_arrives_twice_is_given_once(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    body = await elsewhere(node, 1)
    node.engine.on_message(group_name(KEY), body)
    await settle()
    assert follower.offsets == [1]


async def test_what_the_bus_lost_is_read_once_and_given_in_order(node: Node) -> None:
    followers = [Follower(), Follower()]
    for follower in followers:
        await node.join(follower)
    await elsewhere(node, 1)
    for number in (2, 3):
        await elsewhere(node, number, is_carried=False)
    node.engine.calls.clear()
    await elsewhere(node, 4)
    await settle()
    assert [follower.offsets for follower in followers] == [[1, 2, 3, 4]] * 2
    assert len(node.engine.calls) == 1


async def test_what_arrives_while_a_gap_is_repaired_is_not_forgotten(node: Node) -> None:
    """The answer to the repair's read was true before the newest came."""
    follower = Follower()
    await node.join(follower)
    await elsewhere(node, 1, is_carried=False)
    node.engine.calls[:] = ["open"]
    node.engine.stop_at = "read"
    await elsewhere(node, 2)
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    await elsewhere(node, 3)
    node.engine.stop_at = ""
    node.engine.go.set()
    await settle()
    assert follower.offsets == [1, 2, 3]


async def test_what_arrives_while_the_topic_opens_is_not_forgotten(node: Node) -> None:
    """The position that opens it was read before."""
    follower = Follower()
    node.engine.stop_at = "open"
    joining = asyncio.create_task(node.join(follower))
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    await elsewhere(node, 1)
    node.engine.stop_at = ""
    node.engine.go.set()
    joined = await joining
    await settle()
    assert [joined.position.offset + 1] == follower.offsets == [1]


async def test_a_silent_loss_is_found_by_looking(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    await elsewhere(node, 1, is_carried=False)
    await node.hub.compare(None)
    await settle()
    assert follower.offsets == [1]


async def test_only_topics_that_may_have_missed_something_are_compared_at_once(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    await node.join(follower, "other")
    for topic in ("news", "other"):
        await elsewhere(node, 1, key=TopicKey("acme", topic), is_carried=False)
    await node.hub.compare([TopicKey("acme", "other")])
    await settle()
    assert [each["topic"] for each in follower.got] == ["other"]


async def test_what_may_be_missed_while_the_topic_opens_is_looked_for(node: Node) -> None:
    """The subscription at the broker took effect after the position was read."""
    follower = Follower()
    node.engine.stop_at = "open"
    joining = asyncio.create_task(node.join(follower))
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    await elsewhere(node, 1, is_carried=False)
    await node.hub.compare([KEY])
    node.engine.stop_at = ""
    node.engine.go.set()
    await joining
    await settle()
    assert follower.offsets == [1]


async def test_quiet_topics_cost_nothing_until_they_are_due_and_come_back_when_used(node: Node) -> None:
    now_s = 0.0
    node.hub = Hub(node.engine, node.spawn, node.hub._listener, WriteCoalescer(), clock=lambda: now_s)
    node.engine.arrived = node.hub.arrived
    node.joiner._hub = node.hub
    await node.join(Follower())
    for now_s in range(200):  # noqa: B007 the clock
        await node.hub.compare()
    (local,) = node.hub.topics()
    assert local.is_quiet
    await elsewhere(node, 1)
    node.engine.calls.clear()
    for now_s in range(200, 211):  # noqa: B007
        await node.hub.compare()
    assert node.engine.calls.count("positions") >= 2
    assert not local.is_quiet


async def test_many_topics_are_compared_in_one_call_and_quiet_ones_seldom(node: Node) -> None:
    now_s = 0.0
    node.hub = Hub(node.engine, node.spawn, node.hub._listener, WriteCoalescer(), clock=lambda: now_s)
    node.joiner._hub = node.hub
    follower = Follower()
    for number in range(100):
        await node.join(follower, f"t{number}")
    calls = []
    for now_s in range(601):  # noqa: B007 the clock
        node.engine.calls.clear()
        await node.hub.compare()
        calls.append(len(node.engine.calls))
    # In use for a while, then one call in QUIET_S for all of them.
    assert sum(calls[:60]) <= 60 / ACTIVE_S
    assert sum(calls[200:]) <= 400 / QUIET_S + 1
    assert max(calls) == 1


@pytest.mark.parametrize(
    "message", [b"", b"\xc1 nonsense", b"e 1", b"e 1 {}", b"e x %b", b"e 0 %b", b" 1 %b", b"\xff 1 %b"]
)
async def test_what_is_no_publication_is_dropped(node: Node, message: bytes) -> None:
    follower = Follower()
    await node.join(follower)
    node.engine.on_message(group_name(KEY), message.replace(b"%b", encode_body(draft(1))))
    await settle()
    assert follower.got == []


async def test_another_epoch_is_looked_at_before_anybody_is_told(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    await node.publish(1)
    body = encode_carried(Carried(Position("another", 1), encode_body(draft(2))))
    node.engine.on_message(group_name(KEY), body)
    # The history itself still knows the epoch, so nothing was lost: the subscription goes on.
    await settle()
    assert follower.pushed == []
    assert follower.offsets == [1]


async def test_a_lost_history_ends_the_subscriptions_and_says_so(node: Node) -> None:
    follower, again = Follower(), Follower()
    await node.join(follower)
    await node.publish(1)
    await settle()
    node.engine.lose_history()
    await node.publish(2)
    await settle()
    ((kind, payload),) = follower.pushed
    assert kind == "unsubscribed"
    assert payload["code"] == "unrecoverable_position"
    assert follower.metrics.subscriptions == 0
    # It comes back by itself: its user is not away.
    assert [at_once for _, at_once in node.presences.ended] == [False]
    joined = await node.join(again)
    await node.publish(3)
    await settle()
    assert again.offsets == [joined.position.offset + 1]


async def test_a_topic_lost_while_another_subscription_opens_leaves_nobody_behind(node: Node) -> None:
    """The history is lost while a read of it is on its way: the answer is older than where the topic is now."""
    first, second = Follower(), Follower()
    await node.join(first)
    start = await node.publish(1)
    node.hub.topic(KEY).tail.clear()  # type: ignore[union-attr] # it is open
    node.engine.calls[:] = ["open"]
    node.engine.stop_at = "read"
    joining = asyncio.create_task(node.join(second, since=Position(start.epoch, 0)))
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    node.engine.stop_at = ""
    node.engine.lose_history()
    for number in (2, 3):
        await node.publish(number)
    node.engine.go.set()
    joined = await joining
    await node.publish(4)
    await settle()
    assert [kind for kind, _ in first.pushed] == ["unsubscribed"]
    was_told = joined.payloads is None or bool(second.pushed)
    assert was_told
    if not second.pushed:
        assert second.offsets == [joined.position.offset + 1]


async def test_the_last_to_leave_closes_the_topic(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    assert node.hub.end(follower.subscriptions["news"], at_once=True)
    await settle()
    node.assert_nothing_left(follower)


async def test_a_topic_that_closes_and_opens_again_hears_the_others(node: Node) -> None:
    follower = Follower()
    for _ in range(3):
        await node.join(follower)
        node.hub.end(follower.subscriptions["news"], at_once=True)
    await node.join(follower)
    await settle()
    await elsewhere(node, 1)
    await settle()
    assert follower.offsets == [1]


async def test_a_topic_without_history_is_carried_all_the_same(node: Node) -> None:
    follower = Follower()
    await node.join(follower, "typing:1")
    for number in range(3):
        await node.publish(number, "typing:1")
    await settle()
    assert [each["data"] for each in follower.got] == [0, 1, 2]


async def test_what_was_read_once_is_answered_from_memory(node: Node) -> None:
    start = await node.publish(1)
    await node.publish(2)
    await node.join(Follower())
    since = Position(start.epoch, 0)
    await node.join(Follower(), since=since)
    node.engine.calls.clear()
    await node.publish(3)
    joined = await node.join(Follower(), since=since)
    assert offsets_of(joined) == [1, 2, 3]
    assert node.engine.calls == []


async def test_equal_reads_are_one_and_one_that_gives_up_does_not_end_the_others(node: Node) -> None:
    asked: list[Sequence[Ask]] = []
    read = node.engine.pages

    async def counted(asks: Sequence[Ask]) -> list[Page]:
        asked.append(asks)
        await asyncio.sleep(0)
        return await read(asks)

    node.engine.pages = counted  # type: ignore[method-assign] # counted
    reading = [asyncio.create_task(node.hub.reads.page(KEY, None)) for _ in range(3)]
    other = asyncio.create_task(node.hub.reads.page(TopicKey("acme", "other"), None))
    await asyncio.sleep(0)
    reading[0].cancel()
    pages = await asyncio.gather(*reading[1:], other)
    assert len(pages) == 3
    assert [len(asks) for asks in asked] == [2]


async def test_all_tails_together_are_bounded(node: Node) -> None:
    node.hub = Hub(node.engine, node.spawn, node.hub._listener, WriteCoalescer(), cache_bytes=10_000)
    node.joiner._hub = node.hub
    for topic in ("a", "b", "c"):
        await node.join(Follower(), topic)
        for _ in range(4):
            await node.hub.publish(TopicKey("acme", topic), draft("x" * 1000), KEPT)
    sizes = [local.tail.size_bytes for local in node.hub.topics()]
    assert sum(sizes) == node.hub._cached_bytes <= 10_000
    # What was used last is kept.
    assert sizes[-1] > 4000
    for local in node.hub.topics():
        for subscription in list(local.subscriptions.values()):
            node.hub.end(subscription, at_once=True)
    assert node.hub._cached_bytes == 0
    await settle()


def test_a_tail_keeps_what_its_bounds_allow() -> None:
    tail = Tail(10, max_count=3, max_bytes=100, ttl_s=60.0)
    for number in range(4):
        tail.append(b"%d" % number, now_s=float(number))
    assert tail.offset == 14
    assert tail.after(11, 3.0) == [b"1", b"2", b"3"]
    assert tail.after(10, 3.0) is None
    assert tail.after(15, 3.0) is None
    tail.append(b"x" * 99, 4.0)
    assert tail.after(14, 4.0) == [b"x" * 99]
    assert tail.size_bytes <= 100
    assert tail.after(14, 64.0) is None
    assert tail.after(15, 64.0) == []


def test_a_tail_grows_backwards_without_a_hole() -> None:
    tail = Tail(5, max_count=10, max_bytes=100, ttl_s=60.0)
    tail.append(b"6", 0.0)
    tail.extend_back(2, [b"2", b"3"], 0.0)
    assert tail.after(3, 0.0) is None
    tail.extend_back(4, [b"4", b"5", b"6"], 0.0)
    assert tail.after(3, 0.0) == [b"4", b"5", b"6"]
    tail.extend_back(4, [b"4", b"5", b"6"], 0.0)
    assert tail.after(3, 0.0) == [b"4", b"5", b"6"]


async def own_first(node: Node, key: TopicKey) -> None:
    """The reply to the own publication 2 comes before publication 1 of another node is heard."""
    body = await elsewhere(node, 1, is_carried=False, key=key)
    await node.publish(2, key.topic)
    await settle()
    node.engine.on_message(group_name(key), body)


async def other_first(node: Node, key: TopicKey) -> None:
    """Publication 2 of another node is heard before the reply to the own publication 1 comes."""
    node.engine.stop_at = "published"
    own = asyncio.create_task(node.publish(1, key.topic))
    await asyncio.wait_for(node.engine.reached.wait(), 1)
    await elsewhere(node, 2, key=key)
    await settle()
    node.engine.stop_at = ""
    node.engine.go.set()
    await own


async def seen_by_a_comparison_first(node: Node, key: TopicKey) -> None:
    """Publications of another node are in the history, and seen there, before they are heard."""
    bodies = [await elsewhere(node, number, is_carried=False, key=key) for number in (1, 2)]
    await node.hub.compare(None)
    await settle()
    for body in bodies:
        node.engine.on_message(group_name(key), body)


@pytest.mark.parametrize("arrive", [own_first, other_first, seen_by_a_comparison_first])
@pytest.mark.parametrize("topic", ["news", "typing:1"])
async def test_what_is_on_its_way_is_waited_for_and_not_read(
    arrive: Callable[[Node, TopicKey], Awaitable[None]], topic: str
) -> None:
    node, follower = Node(gap_wait_s=60), Follower()
    await node.join(follower, topic)
    node.engine.calls.clear()
    await arrive(node, TopicKey("acme", topic))
    await settle()
    assert follower.offsets == [1, 2]
    assert set(node.engine.calls) <= {"published", "positions"}
    assert node.hub._metrics.gaps_repaired == 0
    assert node.hub._gaps.held_bytes == 0


async def test_what_does_not_come_is_read(node: Node) -> None:
    follower = Follower()
    await node.join(follower)
    await elsewhere(node, 1, is_carried=False)
    await node.publish(2)
    await elsewhere(node, 3)
    await settle()
    assert follower.offsets == [1, 2, 3]
    assert node.hub._metrics.gaps_repaired == 1
    assert node.hub._gaps.held_bytes == 0


async def test_a_topic_without_history_goes_on_without_what_does_not_come(node: Node) -> None:
    key, follower = TopicKey("acme", "typing:1"), Follower()
    await node.join(follower, key.topic)
    await elsewhere(node, 1, is_carried=False, key=key)
    for number in (2, 3):
        await node.publish(number, key.topic)
    await settle()
    assert follower.offsets == [2, 3]
    assert node.hub._gaps.held_bytes == 0


async def test_what_is_kept_meanwhile_is_bounded_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "HELD_MAX_BYTES", 1000)
    node, follower = Node(gap_wait_s=60), Follower()
    await node.join(follower)
    await elsewhere(node, 1, is_carried=False)
    await node.publish("x" * 500)
    assert 500 < node.hub._gaps.held_bytes < 1000
    await node.publish("x" * 500)
    await settle()
    assert follower.offsets == [1, 2, 3]
    await elsewhere(node, 4, is_carried=False)
    await node.publish(5)
    node.hub.end(follower.subscriptions["news"], at_once=True)
    assert node.hub._gaps.held_bytes == 0
