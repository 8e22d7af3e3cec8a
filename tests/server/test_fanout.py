"""Fan-out in turns: who gets what, in which order, and that a large topic lets others in between."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import pytest

from realtime.sockets.outbox import PreparedBatch, PreparedMessage, WriteCoalescer
from realtime.topics import fanout as fanout_module
from realtime.topics.fanout import CHUNK, SLICE_S, Fanout, Turns


class FakeLoop:
    """Calls that wait until `turn` runs them."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()
        self.turns = 0

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        assert delay_s == 0
        self.calls.append(call)

    def turn(self) -> None:
        """Run what waits now, and not what that adds."""
        self.turns += 1
        for _ in range(len(self.calls)):
            self.calls.popleft()()

    def run(self) -> None:
        while self.calls:
            self.turn()


class Subscriber:
    """A connection that writes down what it is given; `on_deliver` may interfere."""

    def __init__(self, number: int = 0) -> None:
        self.id = f"subscriber-{number}"
        self.got: list[str | None] = []
        self.on_deliver: Callable[[], None] | None = None
        # Its own outbox, without a direct way.
        self.outbox = self
        self.direct = self.form = None

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        self.got += [each.text for each in (item.frames if isinstance(item, PreparedBatch) else [item])]
        if self.on_deliver is not None:
            self.on_deliver()


class Topic:
    """What the hub does with a fan-out: numbers, tells the turns."""

    def __init__(self, turns: Turns, subscribers: int, name: str = "") -> None:
        self.fanout = Fanout()
        self.turns = turns
        self.offset = 0
        self.name = name
        self.all = [Subscriber(number) for number in range(subscribers)]
        for each in self.all:
            self.subscribe(each)

    def subscribe(self, subscriber: Subscriber) -> None:
        self.fanout.join(cast("Any", subscriber), self.offset)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.fanout.leave(cast("Any", subscriber))

    def publish(self, count: int = 1) -> list[str]:
        texts = []
        for _ in range(count):
            self.offset += 1
            texts.append(f"{self.name}{self.offset}")
            self.fanout.add(self.offset, PreparedMessage(texts[-1]))
            self.turns.add(self.fanout)
        return texts


@pytest.fixture
def loop() -> FakeLoop:
    return FakeLoop()


@pytest.fixture
def turns(loop: FakeLoop) -> Turns:
    return Turns(cast("Any", loop), WriteCoalescer())


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock takes more than a slice: one chunk a turn."""
    now_s = [0.0]

    def monotonic() -> float:
        now_s[0] += SLICE_S * 1.01
        return now_s[0]

    monkeypatch.setattr(fanout_module, "monotonic", monotonic)


def test_publications_of_a_tick_leave_together_and_in_order(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, 3)
    items: list[Any] = []
    cast("Any", topic.all[0]).put = items.append
    texts = topic.publish(3)
    loop.run()
    assert [type(each) for each in items] == [PreparedBatch]
    assert [each.text for each in items[0].frames] == texts
    assert topic.all[1].got == topic.all[2].got == texts


def test_nothing_is_delivered_before_the_turn(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, 1)
    topic.publish()
    assert topic.all[0].got == []
    assert len(loop.calls) == 1


@pytest.mark.usefixtures("slow_clock")
def test_a_large_topic_is_cut_into_slices(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 10)
    texts = topic.publish()
    loop.turn()
    assert sum(bool(each.got) for each in topic.all) == CHUNK
    loop.run()
    assert loop.turns == 10
    assert all(each.got == texts for each in topic.all)


@pytest.mark.usefixtures("slow_clock")
def test_two_topics_take_turns(loop: FakeLoop, turns: Turns) -> None:
    large, other = Topic(turns, CHUNK * 10, "a"), Topic(turns, CHUNK * 2, "b")
    large.publish()
    other.publish()
    loop.turn()
    loop.turn()
    assert sum(bool(each.got) for each in other.all) == CHUNK
    loop.turn()
    loop.turn()
    assert all(each.got == ["b1"] for each in other.all)
    assert sum(bool(each.got) for each in large.all) == CHUNK * 2
    loop.run()
    assert all(each.got == ["a1"] for each in large.all)


@pytest.mark.usefixtures("slow_clock")
def test_a_small_topic_does_not_wait_for_a_large_one(loop: FakeLoop, turns: Turns) -> None:
    large, small = Topic(turns, CHUNK * 100, "a"), Topic(turns, 1, "b")
    large.publish()
    loop.turn()
    small.publish()
    loop.turn()
    loop.turn()
    assert small.all[0].got == ["b1"]


@pytest.mark.usefixtures("slow_clock")
def test_many_small_topics_are_cut_into_turns_too(loop: FakeLoop, turns: Turns) -> None:
    topics = [Topic(turns, 2) for _ in range(10)]
    for topic in topics:
        topic.publish()
    loop.turn()
    assert [bool(topic.all[0].got) for topic in topics] == [True] + [False] * 9
    loop.run()
    assert all(each.got == ["1"] for topic in topics for each in topic.all)


@pytest.mark.usefixtures("slow_clock")
def test_publications_during_a_delivery_come_after_it(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 4)
    texts = topic.publish(2)
    loop.turn()
    texts += topic.publish(2)
    loop.turn()
    texts += topic.publish()
    loop.run()
    assert all(each.got == texts for each in topic.all)


@pytest.mark.usefixtures("slow_clock")
def test_who_comes_late_gets_nothing_that_it_knows_already(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 3)
    topic.publish(2)
    before_it_began, while_it_goes_on, after = Subscriber(), Subscriber(), Subscriber()
    topic.subscribe(before_it_began)
    loop.turn()
    topic.subscribe(while_it_goes_on)
    third = topic.publish()
    topic.subscribe(after)
    fourth = topic.publish()
    loop.run()
    assert before_it_began.got == while_it_goes_on.got == third + fourth
    assert after.got == fourth


@pytest.mark.usefixtures("slow_clock")
def test_who_leaves_in_the_middle_gets_nothing_more(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 3)
    texts = topic.publish()
    loop.turn()
    topic.unsubscribe(topic.all[0])
    topic.unsubscribe(topic.all[-1])
    topic.publish()
    loop.run()
    assert topic.all[0].got == texts
    assert topic.all[-1].got == []
    assert topic.all[-2].got == ["1", "2"]


@pytest.mark.usefixtures("slow_clock")
def test_who_leaves_and_comes_back_in_the_middle_gets_nothing_twice(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 3)
    topic.publish()
    loop.turn()
    for again in (topic.all[0], topic.all[-1]):
        topic.unsubscribe(again)
        # Its reply to `subscribe` holds everything up to here.
        topic.subscribe(again)
    topic.publish()
    loop.run()
    assert topic.all[0].got == ["1", "2"]
    assert topic.all[-1].got == ["2"]


def test_one_that_is_dropped_by_its_own_delivery(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, CHUNK * 2)
    victim = topic.all[5]
    victim.on_deliver = lambda: topic.unsubscribe(victim)
    topic.publish()
    loop.run()
    topic.publish()
    loop.run()
    assert victim.got == ["1"]
    assert all(each.got == ["1", "2"] for each in topic.all if each is not victim)


def test_one_that_publishes_from_its_own_delivery(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, 3)

    def publish_once() -> None:
        topic.all[1].on_deliver = None
        topic.publish()

    topic.all[1].on_deliver = publish_once
    topic.publish()
    loop.run()
    assert all(each.got == ["1", "2"] for each in topic.all)


def test_one_that_fails_harms_nobody_else(
    loop: FakeLoop, turns: Turns, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("broken")

    topic, other = Topic(turns, CHUNK * 2), Topic(turns, 1)
    topic.all[0].on_deliver = fail
    topic.publish()
    other.publish()
    loop.run()
    topic.publish()
    loop.run()
    assert all(each.got == ["1", "2"] for each in topic.all)
    assert other.all[0].got == ["1"]
    assert caplog.text.count("A delivery failed") == 2


async def test_the_replies_of_a_tick_do_not_wait_for_a_slice(loop: FakeLoop) -> None:
    class Corked:
        def flush(self) -> None:
            left.append("reply")

    left: list[str] = []
    coalescer = WriteCoalescer()
    topic = Topic(Turns(cast("Any", loop), coalescer), 1)
    topic.all[0].on_deliver = lambda: left.append("publication")
    topic.publish()
    coalescer.add(cast("Any", Corked()))
    loop.run()
    await asyncio.sleep(0)
    assert left == ["reply", "publication"]


def test_a_topic_without_subscribers_is_done_at_once(loop: FakeLoop, turns: Turns) -> None:
    topic = Topic(turns, 0)
    topic.publish(3)
    loop.run()
    assert loop.turns == 1
    assert not topic.fanout.is_queued


async def test_on_a_real_loop_others_go_on_between_the_slices() -> None:
    def work() -> None:
        sum(range(1000))

    topic = Topic(Turns(asyncio.get_running_loop(), WriteCoalescer()), 3000)
    for each in topic.all:
        each.on_deliver = work
    ticks = 0
    topic.publish()
    while not topic.all[-1].got:
        await asyncio.sleep(0)
        ticks += 1
    assert ticks > 3
