"""Nodes over a shared bus, with a clock of the test's own: presence, counters, loss and silence."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from realtime.core import presence_table as presence_module
from realtime.core.figures import Figures
from realtime.core.presence_table import Key, User
from realtime.topics import cluster as cluster_module
from realtime.topics.cluster import MAX_PENDING_CHANGES, Cluster
from realtime.topics.engine.memory import MemoryBus, MemoryExchange
from realtime.topics.engine.ports import Bus, BusUnavailableError
from tests.engine.conftest import Engine

NEWS = ("acme", "news")
ALICE = User(1, "alice")
BOB = User(2, "bob")


class FaultyBus(MemoryBus):
    """A bus that can lose what is sent, with a word or without."""

    def __init__(self, exchange: MemoryExchange) -> None:
        super().__init__(exchange)
        self.is_losing = False
        self.is_away = False

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        if self.is_away:
            raise BusUnavailableError("away")
        if not self.is_losing:
            await super().send(group, body, to_self=to_self)


class Member:
    """One node and what it was told."""

    def __init__(self, world: "World", name: str, bus: Bus, beat_s: float, site: str = "") -> None:
        self.bus = bus
        self.figures = Figures(counts={"messages": {"": 0}})
        self.changed: list[Key] = []
        self.cluster = Cluster(
            name,
            bus,
            started="2026-01-01T00:00:00Z",
            figures=lambda: self.figures,
            on_presence=self.changed.append,
            clock=lambda: world.now_s,
            beat_s=beat_s,
            gather_s=0,
            site=site,
        )

    async def start(self) -> None:
        await self.bus.start(self._receive)
        await self.cluster.start()

    async def stop(self) -> None:
        await self.cluster.stop()
        await self.bus.stop()

    def _receive(self, group: str, body: bytes) -> None:
        assert self.cluster.is_own_group(group)
        self.cluster.on_message(body)

    def users(self) -> list[tuple[str, int]]:
        return [(user.username, user.connections) for user in self.cluster.users(NEWS)]

    def nodes(self) -> list[str]:
        return [state.node for state in self.cluster.nodes()]


class World:
    """Some nodes on one exchange, and their time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.exchange = MemoryExchange()
        self.members: list[Member] = []

    async def member(self, name: str, beat_s: float = 2.0, site: str = "") -> Member:
        member = Member(self, name, FaultyBus(self.exchange), beat_s, site)
        # The beats of time are the test's; only the clusters' own judgement uses `beat_s`.
        member.cluster._keep_beating = _nothing  # type: ignore[method-assign]
        self.members.append(member)
        await member.start()
        return member

    async def beat(self, *members: Member) -> None:
        """Two seconds go by; those named say that they are alive."""
        self.now_s += 2.0
        for member in members:
            member.cluster.beat()
        await settle()

    async def lapse(self, seconds: float) -> None:
        """Time goes by, and the graces that are over end."""
        self.now_s += seconds
        for member in self.members:
            member.cluster.lapse()
        await settle()


async def _nothing() -> None:
    return


async def settle() -> None:
    """Enough turns of the loop for every question and its answer; no clock is involved."""
    for _ in range(100):
        await asyncio.sleep(0)


def faulty(member: Member) -> FaultyBus:
    assert isinstance(member.bus, FaultyBus)
    return member.bus


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for member in made.members:
        await member.stop()


async def test_every_node_knows_who_is_there(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    one.cluster.join(NEWS, ALICE)
    two.cluster.join(NEWS, BOB)
    await settle()
    assert one.users() == two.users() == [("alice", 2), ("bob", 1)]
    assert one.changed == two.changed == [NEWS, NEWS]


async def test_the_first_change_is_told_at_once_and_the_next_ones_together(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    await settle()
    one.cluster._gather_s = 3600.0
    one.cluster.join(NEWS, ALICE)
    await settle()
    assert two.users() == [("alice", 1)]
    one.cluster.join(NEWS, BOB)
    await settle()
    assert two.users() == [("alice", 1)]


async def test_a_user_leaves_with_the_last_connection_anywhere(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    await settle()
    two.cluster.join(NEWS, ALICE)
    await settle()
    one.cluster.leave(NEWS, ALICE, at_once=True)
    await settle()
    assert one.changed == two.changed == [NEWS]
    two.cluster.leave(NEWS, ALICE, at_once=True)
    await settle()
    assert one.changed == two.changed == [NEWS, NEWS]
    assert one.users() == two.users() == []
    assert one.cluster.holds_nobody
    assert two.cluster.holds_nobody


async def test_a_reload_that_lands_on_another_node_is_no_change(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    await settle()
    one.cluster.leave(NEWS, ALICE, at_once=False)
    await settle()
    assert one.users() == two.users() == [("alice", 0)]
    world.now_s += 3.0
    two.cluster.join(NEWS, ALICE)
    await settle()
    assert one.users() == two.users() == [("alice", 1)]
    await world.lapse(20.0)
    assert one.changed == two.changed == [NEWS]
    two.cluster.leave(NEWS, ALICE, at_once=False)
    await settle()
    await world.lapse(9.9)
    assert one.users() == two.users() == [("alice", 0)]
    await world.lapse(0.4)
    assert one.users() == two.users() == []
    assert one.cluster.holds_nobody
    assert two.cluster.holds_nobody


async def test_leaving_with_a_word_elsewhere_ends_the_grace(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    one.cluster.leave(NEWS, ALICE, at_once=False)
    two.cluster.join(NEWS, ALICE)
    await settle()
    two.cluster.leave(NEWS, ALICE, at_once=True)
    await settle()
    assert one.users() == two.users() == []


async def test_a_removal_ends_the_grace_everywhere(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    one.cluster.leave(NEWS, ALICE, at_once=False)
    await settle()
    assert two.users() == [("alice", 0)]
    for member in (one, two):
        member.cluster.end_grace(NEWS, ALICE.id)
    await settle()
    assert one.users() == two.users() == []


async def test_a_lost_end_heals_with_what_is_left_of_its_grace(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    await settle()
    faulty(one).is_losing = True
    one.cluster.leave(NEWS, ALICE, at_once=False)
    await settle()
    faulty(one).is_losing = False
    for _ in range(3):
        await world.beat(one, two)
    assert two.users() == [("alice", 0)]
    await world.lapse(4.3)
    assert one.users() == two.users() == []


async def test_one_timer_ends_all_graces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "PRESENCE_GRACE_S", 0.1)
    monkeypatch.setattr(cluster_module, "LAPSES_AT_ONCE", 2)
    loop = asyncio.get_running_loop()
    handles_before = len(loop._scheduled)  # type: ignore[attr-defined]
    changed: list[Key] = []
    cluster = Cluster("one", MemoryBus(), started="", figures=Figures, on_presence=changed.append)
    for number in range(5):
        user = User(number, f"u{number}")
        cluster.join(NEWS, user)
        cluster.leave(NEWS, user, at_once=False)
    assert len(loop._scheduled) == handles_before + 1  # type: ignore[attr-defined]
    assert cluster.count(NEWS) == 5
    async with asyncio.timeout(5):
        while not cluster.holds_nobody:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    # Five joined, and left in three goes.
    assert changed == [NEWS] * 8
    await cluster.stop()


async def test_a_newcomer_learns_at_once_what_was_before(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    two.cluster.join(NEWS, BOB)
    await settle()
    late = await world.member("three")
    await settle()
    assert late.users() == [("alice", 1), ("bob", 1)]
    assert late.nodes() == one.nodes() == ["one", "three", "two"]


async def test_a_node_of_another_site_is_named_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, two = await world.member("one", site="a"), await world.member("two", site="a")
    unnamed = await world.member("three")
    await world.beat(one, two, unnamed)
    assert not caplog.records
    other = await world.member("four", site="b")
    for _ in range(3):
        await world.beat(one, two, unnamed, other)
    # Each of the three that have a site says it: two of them about the fourth, and the fourth about both.
    told = [record.getMessage() for record in caplog.records]
    assert sorted(text.split()[1] for text in told) == ["four", "four", "one", "two"]
    assert all("SECRET_KEY" in text and "?prefix=" in text for text in told)


async def test_of_its_own_messages_a_node_hears_beats_only(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    heard: list[tuple[str, bytes]] = []
    take_in = one.bus.deliver  # type: ignore[attr-defined]

    def deliver(group: str, body: bytes) -> None:
        heard.append((group, body))
        take_in(group, body)

    one.bus.deliver = deliver  # type: ignore[attr-defined]
    await world.beat(one, two)
    one.cluster.join(NEWS, ALICE)
    two.cluster.join(NEWS, BOB)
    await settle()
    said = [msgspec.msgpack.decode(body) for _, body in heard]
    assert {each["type"] for each in said if each["node"] == "one"} == {"Beat"}
    assert {each["type"] for each in said if each["node"] == "two"} >= {"Beat", "Changes"}


def sent(figures: Figures) -> float:
    return figures.counts["messages"][""]


async def test_beats_carry_figures(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.figures.counts["messages"][""] = 7
    await world.beat(one, two)
    assert {state.node: sent(state.figures) for state in two.cluster.nodes()} == {"one": 7, "two": 0}


async def test_the_counts_of_nodes_that_ended_are_kept_and_handed_on(world: World) -> None:
    one, two, three = [await world.member(name) for name in ("one", "two", "three")]
    one.figures.counts["messages"][""] = 7
    two.figures.counts["messages"][""] = 5
    await world.beat(one, two, three)
    # The last figures of a stopping node are in its last message, those of a killed node in its last beat.
    one.figures.counts["messages"][""] = 8
    await one.stop()
    faulty(two).is_losing = True
    for _ in range(4):
        await world.beat(three)
    assert [sent(each) for each in three.cluster.ended()] == [8, 5]
    four = await world.member("young")  # by its name: all start at once here
    await world.beat(three, four)
    assert sorted(sent(each) for each in four.cluster.ended()) == [5, 8]
    # It was only silent: it counts itself again.
    faulty(two).is_losing = False
    await world.beat(two)
    for member in (three, four):
        assert [sent(each) for each in member.cluster.ended()] == [8]


@pytest.mark.parametrize("fault", ["is_losing", "is_away"])
async def test_what_was_lost_is_made_good_by_the_next_message(world: World, fault: str) -> None:
    one, two = await world.member("one"), await world.member("two")
    await settle()
    setattr(faulty(one), fault, True)
    one.cluster.join(NEWS, ALICE)
    await settle()
    setattr(faulty(one), fault, False)
    assert two.users() == []
    one.cluster.join(NEWS, BOB)
    await settle()
    assert two.users() == [("alice", 1), ("bob", 1)]


async def test_what_was_lost_is_made_good_by_the_next_beat(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    await settle()
    faulty(one).is_losing = True
    one.cluster.leave(NEWS, ALICE, at_once=True)
    await settle()
    faulty(one).is_losing = False
    assert two.users() == [("alice", 1)]
    await world.beat(one, two)
    assert two.users() == []
    assert two.changed == [NEWS, NEWS]


async def test_a_lost_question_is_asked_again(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    await settle()
    faulty(one).is_losing = True
    one.cluster.join(NEWS, ALICE)
    await settle()
    faulty(one).is_losing = False
    faulty(two).is_losing = True
    await world.beat(one, two)
    faulty(two).is_losing = False
    assert two.users() == []
    await world.beat(one, two)
    assert two.users() == [("alice", 1)]


async def test_the_users_of_a_node_that_ends_stay_for_the_grace(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    two.cluster.join(NEWS, ALICE)
    two.cluster.join(NEWS, BOB)
    await settle()
    two.cluster.leave(NEWS, ALICE, at_once=False)
    await two.stop()
    await settle()
    assert one.nodes() == ["one"]
    assert one.users() == [("alice", 1), ("bob", 0)]
    await world.lapse(9.9)
    assert one.users() == [("alice", 1), ("bob", 0)]
    await world.lapse(0.4)
    assert one.users() == [("alice", 1)]
    assert one.changed == [NEWS, NEWS, NEWS]
    world.members.remove(two)


async def test_users_of_a_node_that_ends_may_go_on_elsewhere(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    two.cluster.join(NEWS, BOB)
    await settle()
    await two.stop()
    await settle()
    one.cluster.join(NEWS, BOB)
    await world.lapse(20.0)
    assert one.users() == [("bob", 1)]
    assert one.changed == [NEWS]
    one.cluster.leave(NEWS, BOB, at_once=True)
    assert one.cluster.holds_nobody
    world.members.remove(two)


async def test_the_users_of_a_silent_node_stay_until_ten_seconds_after_its_last_beat(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    two.cluster.join(NEWS, BOB)
    await settle()
    for _ in range(3):
        await world.beat(one)
        assert one.users() == [("bob", 1)]
    await world.beat(one)
    assert one.nodes() == ["one"]
    assert one.users() == [("bob", 0)]
    await world.lapse(1.9)
    assert one.users() == [("bob", 0)]
    await world.lapse(0.4)
    assert one.users() == []
    await world.beat(one, two)
    assert one.users() == [("bob", 1)]
    assert two.nodes() == ["one", "two"]


async def test_a_node_that_comes_back_in_time_was_never_away(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    two.cluster.join(NEWS, BOB)
    await settle()
    for _ in range(4):
        await world.beat(one)
    assert one.users() == [("bob", 0)]
    await world.beat(one, two)
    assert one.users() == [("bob", 1)]
    await world.lapse(20.0)
    assert one.changed == [NEWS]


async def test_an_outage_of_the_broker_drops_nobody(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.join(NEWS, ALICE)
    await settle()
    faulty(one).is_away = faulty(two).is_away = True
    for _ in range(10):
        await world.beat(one, two)
    two.cluster.join(NEWS, BOB)
    await settle()
    assert two.users() == [("alice", 1), ("bob", 1)]
    faulty(one).is_away = faulty(two).is_away = False
    await world.beat(one, two)
    await world.beat(one, two)
    assert one.users() == two.users() == [("alice", 1), ("bob", 1)]
    assert one.changed == two.changed == [NEWS, NEWS]


async def test_too_many_changes_at_once_come_as_a_snapshot(world: World) -> None:
    one, two = await world.member("one"), await world.member("two")
    await settle()
    for number in range(MAX_PENDING_CHANGES + 5):
        one.cluster.join(NEWS, User(number, f"u{number}"))
    assert len(one.cluster._changes) <= MAX_PENDING_CHANGES
    async with asyncio.timeout(10):
        while len(two.users()) < MAX_PENDING_CHANGES + 5:
            await settle()
    assert len(two.users()) == MAX_PENDING_CHANGES + 5


@pytest.mark.parametrize("body", [b"", b"\x00", b"\xc1", b"\x80", b"\x81\xa4type\xa4Beat", b"x" * 1000])
async def test_nonsense_is_ignored(world: World, body: bytes) -> None:
    one, two = await world.member("one"), await world.member("two")
    one.cluster.on_message(body)
    two.cluster.join(NEWS, BOB)
    await settle()
    assert one.users() == [("bob", 1)]


async def test_it_runs_over_every_bus(engine: Engine) -> None:
    world = World()
    pair = [Member(world, name, engine.bus(), 0.2) for name in ("one", "two")]
    for member in pair:
        await member.start()
    pair[0].cluster.join(NEWS, ALICE)
    async with asyncio.timeout(10):
        while pair[1].users() != [("alice", 1)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await pair[0].stop()
    async with asyncio.timeout(10):
        while pair[1].users() != [("alice", 0)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    world.now_s += 11.0
    pair[1].cluster.lapse()
    assert pair[1].cluster.holds_nobody
    await pair[1].stop()
