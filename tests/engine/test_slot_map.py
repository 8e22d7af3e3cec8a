"""Where the partitions of a broker are: the map, and answers that send a call elsewhere, against servers that say what each
test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from redis.exceptions import ResponseError

from realtime.core.broker_url import parse_broker_url
from realtime.core.partitions import CLUSTER_PARTITIONS, SLOTS, slot_of, tags
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.broker_connection import (
    ConnectionOptions,
    NotSentError,
    Place,
    connection_options,
)
from realtime.topics.engine.slot_map import (
    ALL_SLOTS,
    LOOK_PAUSE_S,
    SlotMap,
    Slots,
    locate_by_cluster,
    locate_by_sentinel,
)
from tests.engine.fake_server import OK, FakeServer, bulk, push
from tests.servers.ports import free_port

HALF = SLOTS // 2


class TwoPrimaries:
    """A cluster of two servers. Each partition is owned by one; `answer` may say otherwise."""

    def __init__(self) -> None:
        self.servers = [FakeServer(self._answer(number)) for number in range(2)]
        self.owner_of_first_half = 0
        # The answers of a server to all commands but those about the cluster and its channels.
        self.says: Callable[[int, list[bytes]], bytes] = lambda number, command: OK
        self.channels: list[tuple[int, bytes]] = []

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def place(self, number: int) -> Place:
        return "127.0.0.1", self.servers[number].port

    def moved(self, slot: int, number: int) -> bytes:
        return b"-MOVED %d 127.0.0.1:%d\r\n" % (slot, self.servers[number].port)

    def _answer(self, number: int) -> Callable[[list[bytes]], bytes]:
        def answer(command: list[bytes]) -> bytes:
            if command[0] == b"CLUSTER":
                return self._slots()
            if command[0] == b"SSUBSCRIBE":
                slot = slot_of(command[1].split(b"{")[1].split(b"}")[0])
                if (owner := self._owner(slot)) != number:
                    return self.moved(slot, owner)
                self.channels += [(number, name) for name in command[1:]]
                return b"".join(push(b"ssubscribe", name, b"1") for name in command[1:])
            return self.says(number, command)

        return answer

    def _owner(self, slot: int) -> int:
        return self.owner_of_first_half if slot < HALF else 1

    def _slots(self) -> bytes:
        owners = (self._owner(0), self._owner(HALF))
        halves = zip(((0, HALF - 1), (HALF, SLOTS - 1)), owners, strict=True)
        rows = [
            b"*3\r\n:%d\r\n:%d\r\n*3\r\n%b:%d\r\n%b"
            % (first, last, bulk(b"127.0.0.1"), self.servers[owner].port, bulk(b"id"))
            for (first, last), owner in halves
        ]
        return b"*2\r\n" + b"".join(rows)


@pytest.fixture
async def cluster() -> AsyncIterator[TwoPrimaries]:
    made = TwoPrimaries()
    for server in made.servers:
        await server.start()
    yield made
    for server in made.servers:
        await server.stop()


@pytest.fixture
async def broker(cluster: TwoPrimaries) -> AsyncIterator[Broker]:
    made = Broker(cluster.url)
    yield made
    await made.close()


def in_half(number: int) -> int:
    """A partition in that half of the slots."""
    return next(
        at
        for at in range(CLUSTER_PARTITIONS)
        if slot_of(tags(CLUSTER_PARTITIONS)[at].encode()) // HALF == number
    )


def asked(cluster: TwoPrimaries, command: bytes) -> list[int]:
    """The servers that were sent this command."""
    return [
        number
        for number, server in enumerate(cluster.servers)
        for each in server.commands
        if each[0] == command
    ]


async def test_each_partition_has_its_server(cluster: TwoPrimaries, broker: Broker) -> None:
    await broker.call(in_half(0), "SET", "a", 1)
    await broker.call(in_half(1), "GET", "b")
    assert asked(cluster, b"SET") == [0]
    assert asked(cluster, b"GET") == [1]


async def test_a_call_follows_a_partition_that_moved(cluster: TwoPrimaries, broker: Broker) -> None:
    slot = slot_of(tags(CLUSTER_PARTITIONS)[in_half(0)].encode())
    cluster.says = lambda number, command: cluster.moved(slot, 1) if number == 0 else OK
    await broker.call(in_half(0), "SET", "a", 1)
    assert asked(cluster, b"SET") == [0, 1]
    cluster.owner_of_first_half = 1
    await asyncio.sleep(LOOK_PAUSE_S)
    await broker.call(in_half(0), "SET", "a", 2)
    # The rest of the map follows.
    await broker.map.look()
    assert broker.map.places == {cluster.place(1)}


async def test_a_call_asks_where_a_partition_is_being_moved_to(cluster: TwoPrimaries, broker: Broker) -> None:
    def says(number: int, command: list[bytes]) -> bytes:
        if number == 0:
            return b"-ASK 1 127.0.0.1:%d\r\n" % cluster.servers[1].port
        return bulk(b" ".join(command))

    cluster.says = says
    assert await broker.call(in_half(0), "SET", "a", 1) == b"SET a 1"
    assert [each[0] for each in cluster.servers[1].commands][-2:] == [b"ASKING", b"SET"]
    # Only once: the owner is asked again.
    await broker.call(in_half(0), "SET", "a", 2)
    assert asked(cluster, b"SET") == [0, 0, 1, 1]


async def test_a_circle_ends(cluster: TwoPrimaries, broker: Broker) -> None:
    slot = slot_of(tags(CLUSTER_PARTITIONS)[in_half(0)].encode())
    cluster.says = lambda number, command: cluster.moved(slot, 1 - number)
    broker._repeat_s = 0.2
    with pytest.raises(Exception, match="MOVED"):
        await asyncio.wait_for(broker.call(in_half(0), "SET", "a", 1), 10)
    assert len(asked(cluster, b"SET")) < 20


async def test_a_channel_follows_its_partition_and_its_group_is_reported(
    cluster: TwoPrimaries, broker: Broker
) -> None:
    missed: list[str] = []
    bus = BrokerBus(broker, on_gap=missed.extend)
    await bus.start(lambda group, body: None)
    groups = [f"g{number}" for number in range(200)]
    moving = next(each for each in groups if broker.names.channel(each)[0] == in_half(0))
    staying = next(each for each in groups if broker.names.channel(each)[0] == in_half(1))
    await asyncio.gather(bus.join(moving), bus.join(staying))
    channel = broker.names.channel(moving)[1].encode()
    assert (0, channel) in cluster.channels
    cluster.owner_of_first_half = 1
    cluster.servers[0].tell(push(b"sunsubscribe", channel, b"0"))
    async with asyncio.timeout(10):
        while missed != [moving]:  # noqa: ASYNC110 what is waited for comes from the servers
            await asyncio.sleep(0.01)
    assert (1, channel) in cluster.channels
    await bus.stop()


def options(url: str) -> ConnectionOptions:
    return connection_options(parse_broker_url(url))


async def test_any_server_of_a_cluster_may_be_asked_and_those_that_are_away_come_last(
    cluster: TwoPrimaries,
) -> None:
    away = ("127.0.0.1", free_port())
    locate = locate_by_cluster([away, cluster.place(1)], options(cluster.url))
    for _ in range(2):
        found = await locate()
        assert found == {cluster.place(0): [(0, HALF - 1)], cluster.place(1): [(HALF, SLOTS - 1)]}
    # The other one, which was not named, is known now.
    cluster.servers[1].goes_on.clear()
    assert (await locate()).keys() == {cluster.place(0), cluster.place(1)}
    assert cluster.servers[0].commands[-1] == [b"CLUSTER", b"SLOTS"]


async def test_nobody_answers(cluster: TwoPrimaries) -> None:
    with pytest.raises(NotSentError):
        await locate_by_cluster([("127.0.0.1", free_port())], options(cluster.url))()


async def test_a_map_is_kept_while_nobody_answers_and_looked_at_in_time() -> None:
    answers: list[Mapping[Place, Slots] | Exception] = [
        {("a", 1): ALL_SLOTS},
        OSError(),
        {("b", 2): ALL_SLOTS},
    ]
    now_s = 0.0
    changes: list[Any] = []

    async def locate() -> Mapping[Place, Slots]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = SlotMap(locate, partitions=1, refresh_s=2.0, clock=lambda: now_s)
    found.on_change.append(lambda: changes.append(found.owner(0)))
    assert found.is_due
    await found.look()
    assert not found.is_due
    now_s = 2.0
    assert found.is_due
    # A call looks only if nobody else does.
    assert not found.is_overdue
    with pytest.raises(NotSentError):
        await found.look()
    assert found.owner(0) == ("a", 1)
    found.is_stale = True
    assert not found.is_due
    now_s += LOOK_PAUSE_S
    assert found.is_due
    await found.look()
    assert changes == [("a", 1), ("b", 2)]


async def test_a_primary_that_comes_back_is_not_used_if_another_has_taken_over(
    cluster: TwoPrimaries, broker: Broker
) -> None:
    await broker.call(in_half(0), "SET", "a", 1)
    for connection in list(broker._connections.values()):
        connection.close()
    cluster.owner_of_first_half = 1
    await broker.call(in_half(0), "SET", "a", 2)
    assert asked(cluster, b"SET") == [0, 1]


async def test_a_loss_is_believed_only_of_the_primary_that_is_named(
    cluster: TwoPrimaries, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> Mapping[Place, Slots]:
        raise NotSentError("nobody")

    partition, before = in_half(0), cluster.place(0)
    await broker.call(partition, "SET", "a", 1)
    assert not await broker.has_moved(partition, before)
    broker._repeat_s = 0.1
    with monkeypatch.context() as patch:
        patch.setattr(broker.map, "_locate", silent)
        with pytest.raises(NotSentError):
            await broker.has_moved(partition, before)
    cluster.owner_of_first_half = 1
    # The second time the map knows it already.
    assert [await broker.has_moved(partition, before) for _ in range(2)] == [True, True]


async def test_a_look_that_is_under_way_may_be_too_old(cluster: TwoPrimaries, broker: Broker) -> None:
    locate, has_found, goes_on = broker.map._locate, asyncio.Event(), asyncio.Event()

    async def slow() -> Mapping[Place, Slots]:
        found = await locate()
        has_found.set()
        await goes_on.wait()
        return found

    broker.map._locate = slow
    looking = asyncio.create_task(broker.map.look())
    await asyncio.wait_for(has_found.wait(), 5)
    cluster.owner_of_first_half = 1
    anew = [asyncio.create_task(broker.map.look_anew()) for _ in range(2)]
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(looking, *anew)
    assert broker.map.owner(in_half(0)) == cluster.place(1)
    assert asked(cluster, b"CLUSTER") == [0, 0]


class OneSentinel:
    """Names the server at `port` (None: no longer any), chosen in the failover `epoch`; or fails, or never answers.

    Its state of the master has another address, as that of the sentinel that leads a failover.
    """

    def __init__(
        self,
        port: int | None,
        epoch: int,
        error: Exception | None = None,
        *,
        hangs: bool = False,
        leads: bool = False,
    ) -> None:
        self._port = port
        self._state = {"ip": "10.0.0.1", "port": 77, "config-epoch": epoch, "flags": {"master", "s_down"}}
        if leads:
            self._state["flags"] = {"master", "failover_in_progress"}
        self._error = error
        self._hangs = hangs

    async def sentinel_master(self, name: str) -> Mapping[str, Any]:
        assert name == "mymaster"
        if self._hangs:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error
        return self._state

    async def sentinel_get_master_addr_by_name(self, name: str) -> tuple[bytes, int] | None:
        assert name == "mymaster"
        return None if self._port is None else (b"10.0.0.1", self._port)


@pytest.mark.parametrize(
    ("sentinels", "port"),
    [
        ([OneSentinel(1, 1), OneSentinel(2, 2), OneSentinel(1, 1)], 2),
        ([OneSentinel(1, 1, hangs=True), OneSentinel(1, 1), OneSentinel(2, 2)], 2),
        ([OneSentinel(0, 9, ResponseError("No such master")), OneSentinel(2, 2), OneSentinel(1, 1)], 2),
        ([OneSentinel(0, 9, OSError("away")), OneSentinel(0, 9, OSError("away")), OneSentinel(1, 1)], 1),
        ([OneSentinel(3, 3)], 3),
        ([OneSentinel(9, 2, leads=True), OneSentinel(2, 2), OneSentinel(2, 2)], 2),
        ([OneSentinel(9, 2, leads=True), OneSentinel(2, 2), OneSentinel(2, 2, hangs=True)], 2),
        ([OneSentinel(2, 2, leads=True), OneSentinel(9, 1), OneSentinel(9, 1)], 2),
    ],
)
async def test_of_the_sentinels_answers_the_newest_counts(sentinels: list[OneSentinel], port: int) -> None:
    locate = locate_by_sentinel(sentinels, "mymaster")
    assert await asyncio.wait_for(locate(), 5) == {("10.0.0.1", port): ALL_SLOTS}


async def test_a_sentinel_that_has_just_forgotten_the_primary_says_nothing() -> None:
    forgetful = OneSentinel(None, 9)
    with pytest.raises(NotSentError):
        await locate_by_sentinel([forgetful], "mymaster")()
    assert await locate_by_sentinel([forgetful, OneSentinel(2, 1)], "mymaster")() == {
        ("10.0.0.1", 2): ALL_SLOTS
    }


async def test_sentinels_that_say_nothing_name_no_primary() -> None:
    with pytest.raises(NotSentError):
        await locate_by_sentinel([OneSentinel(1, 1, OSError("away"))], "mymaster")()
