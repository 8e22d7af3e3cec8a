"""Which server owns which partition, for each kind of broker. `locate` is nearly all that differs between them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from realtime.core.broker_url import BrokerAddress, BrokerKind
from realtime.core.partitions import CLUSTER_PARTITIONS, SLOTS, slot_of, tags
from realtime.topics.engine.broker_connection import ConnectionOptions, NotSentError, Place, connect, place_of
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)

# The slots that a server owns: the first and the last of each stretch.
Slots = Sequence[tuple[int, int]]
Locate = Callable[[], Awaitable[Mapping[Place, Slots]]]
ALL_SLOTS: Slots = ((0, SLOTS - 1),)
# How often the sentinels are asked, in seconds: an isolated primary goes on taking publications that will be lost.
SENTINEL_REFRESH_S = 2.0
# How often a cluster is asked, in seconds; its servers say by themselves when a partition has moved.
CLUSTER_REFRESH_S = 30.0
# How long one server of a cluster may take to answer, in seconds, before the next is asked.
CLUSTER_DEADLINE_S = 0.5
# Seconds between two looks while the map is known to be wrong.
LOOK_PAUSE_S = 0.1
# Seconds that a look waits for each further sentinel when most have answered.
SENTINEL_LATE_S = 0.1
# A look that takes longer has failed.
LOOK_DEADLINE_S = 2.0
# The errors of a sentinel that does not answer.
_SILENT = (RedisError, OSError)


class SlotMap:
    """What `locate` said last. A look that fails leaves it as it is.

    It is due again after `refresh_s` seconds (None: never), and soon when a server said, or showed, that it owns a
    partition no more (`is_stale`).
    """

    def __init__(
        self,
        locate: Locate,
        *,
        partitions: int,
        refresh_s: float | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.on_change: list[Callable[[], None]] = []
        self.places: frozenset[Place] = frozenset()
        self.refresh_s = refresh_s
        self.is_stale = True
        self._locate = locate
        self._clock = clock
        self._slots = [slot_of(tag.encode()) for tag in tags(partitions)]
        self._owners: list[Place | None] = [None] * partitions
        self._looked_s = -inf
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_due(self) -> bool:
        """Whether it is time for a look."""
        return self._is_older_than(self.refresh_s)

    @property
    def is_overdue(self) -> bool:
        """Whether a call should look first: nobody else does in time."""
        return self._is_older_than(None if self.refresh_s is None else 2 * self.refresh_s)

    def _is_older_than(self, age_s: float | None) -> bool:
        limit_s = LOOK_PAUSE_S if self.is_stale else age_s
        return limit_s is not None and self._clock() - self._looked_s >= limit_s

    def owner(self, partition: int) -> Place | None:
        """Return the server of a partition; None if nobody owns it now."""
        return self._owners[partition]

    def moved(self, slot: int, place: Place) -> None:
        """Note the new owner of a slot, as a server said it; the rest of the map follows with the next look."""
        self.is_stale = True
        self._owners = [
            place if each == slot else owner for each, owner in zip(self._slots, self._owners, strict=True)
        ]

    async def look_anew(self) -> None:
        """As `look`, with a look that begins after this call. Raises NotSentError."""
        if self._looking is not None:
            with suppress(NotSentError):
                await self.look()
        await self.look()

    async def look(self) -> None:
        """Ask where everything is; callers of the same time share one look. Raises NotSentError."""
        if self._is_closed:
            raise NotSentError("The connections to the broker were closed.")
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        looking = self._looking
        try:
            await asyncio.shield(looking)
        finally:
            if looking.done() and self._looking is looking:
                self._looking = None

    async def close(self) -> None:
        """End a look that is under way; later ones fail."""
        self._is_closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_DEADLINE_S):
                found = await self._locate()
        except (RedisError, OSError, EngineUnavailableError) as error:
            raise NotSentError("Nobody says where the broker is.") from error
        finally:
            self._looked_s = self._clock()
        self.is_stale = False
        owners = [_owner(found, slot) for slot in self._slots]
        if owners == self._owners and self.places == found.keys():
            return
        if self.places:
            logger.warning("The broker's servers have changed: %s", sorted(found))
        self._owners, self.places = owners, frozenset(found)
        for told in self.on_change:
            told()


def _owner(found: Mapping[Place, Slots], slot: int) -> Place | None:
    for place, stretches in found.items():
        if any(first <= slot <= last for first, last in stretches):
            return place
    return None


def slot_map(
    address: BrokerAddress, options: ConnectionOptions
) -> tuple[SlotMap, Callable[[], Awaitable[None]]]:
    """Return the map of a broker, and the function that closes what it asks with."""
    if address.kind is BrokerKind.SENTINEL:
        sentinel = _sentinel(address)
        locate = locate_by_sentinel(sentinel.sentinels, address.master)
        return SlotMap(locate, partitions=1, refresh_s=SENTINEL_REFRESH_S), sentinel.aclose
    if address.kind is BrokerKind.CLUSTER:
        locate = locate_by_cluster(address.nodes, options)
        return SlotMap(locate, partitions=CLUSTER_PARTITIONS, refresh_s=CLUSTER_REFRESH_S), _nothing
    return SlotMap(locate_single(place_of(address)), partitions=1), _nothing


def partitions_of(address: BrokerAddress) -> int:
    """Return how many partitions a broker has. One that is not a cluster needs no more than one."""
    return CLUSTER_PARTITIONS if address.kind is BrokerKind.CLUSTER else 1


def locate_single(place: Place) -> Locate:
    """The only server owns everything."""

    async def locate() -> Mapping[Place, Slots]:
        return {place: ALL_SLOTS}

    return locate


def locate_by_sentinel(sentinels: Sequence[Any], master: str) -> Locate:
    """The primary that the sentinels (clients of redis-py) name owns everything.

    All are asked at once, and the answers about the newest failover count: some may not have heard of it yet. An answer
    counts even if its sentinel cannot reach the primary: the other answers are older.
    """

    async def locate() -> Mapping[Place, Slots]:
        answers = await _answers([_named_by(each, master) for each in sentinels])
        if not answers:
            raise NotSentError("No sentinel names a primary.")
        return {_named_by_most(answers): ALL_SLOTS}

    return locate


class _Named(NamedTuple):
    """A sentinel's answer: the primary, and the number of the failover that made it one. `is_settled`: that is over."""

    place: Place
    failover: int
    is_settled: bool


def _named_by_most(answers: Sequence[_Named]) -> Place:
    """Of the answers about the newest failover the place with most votes, and then that of a sentinel for which it is over.

    With Valkey, the sentinel that led a failover may still name its primary after a later failover.
    """
    newest = max(each.failover for each in answers)
    votes = [each for each in answers if each.failover == newest]
    count = Counter(each.place for each in votes)
    return max(votes, key=lambda each: (count[each.place], each.is_settled, each.place)).place


async def _named_by(sentinel: Any, master: str) -> _Named:
    """Ask for the number first, so that the address is not older.

    The address needs a question of its own: until all replicas follow the new primary, the state of the master at the
    sentinel that leads the failover has the former address.
    """
    state = await sentinel.sentinel_master(master)
    address = await sentinel.sentinel_get_master_addr_by_name(master)
    if address is None:
        raise ResponseError("The sentinel has forgotten the primary since it named its state")
    host, port = address
    is_settled = "failover_in_progress" not in state["flags"]
    return _Named((host.decode(), int(port)), int(state["config-epoch"]), is_settled)


async def _answers(asked: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return the answers that come: once most are there, the others have SENTINEL_LATE_S seconds each."""
    tasks = [asyncio.create_task(each) for each in asked]
    waiting, answers = set(tasks), list[Any]()
    try:
        while waiting:
            late_s = SENTINEL_LATE_S if len(answers) > len(tasks) // 2 else None
            done, waiting = await asyncio.wait(waiting, timeout=late_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            answers += [task.result() for task in done if not isinstance(task.exception(), _SILENT)]
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return answers


def locate_by_cluster(seeds: Sequence[Place], options: ConnectionOptions) -> Locate:
    """The first server of the cluster that answers knows all primaries; those that answered before are asked first."""
    known = list(seeds)

    async def locate() -> Mapping[Place, Slots]:
        failure: EngineUnavailableError = NotSentError("No server of the cluster is known.")
        for place in list(known):
            try:
                ranges = await _ask_for_slots(place, options)
            except EngineUnavailableError as error:
                failure = error
                # Asked last from now on.
                known.remove(place)
                known.append(place)
                continue
            known[:] = _first_known(place, ranges, known, seeds)
            return _primaries(place, ranges)
        raise failure

    return locate


async def _ask_for_slots(place: Place, options: ConnectionOptions) -> list[Any]:
    connection = await connect(place, options, deadline_s=CLUSTER_DEADLINE_S)
    try:
        ranges: list[Any] = await connection.call("CLUSTER", "SLOTS")
    finally:
        connection.close()
        await connection.closed()
    if not ranges:
        raise NotSentError("The server belongs to no cluster, or its cluster has no slots.")
    return ranges


def _primaries(asked: Place, ranges: Iterable[Sequence[Any]]) -> Mapping[Place, Slots]:
    found: dict[Place, list[tuple[int, int]]] = {}
    for first, last, primary, *_ in ranges:
        found.setdefault(_place(asked, primary), []).append((first, last))
    return found


def _first_known(
    asked: Place, ranges: Iterable[Sequence[Any]], known: Iterable[Place], seeds: Iterable[Place]
) -> list[Place]:
    """The server that answered, then all of the cluster in the order of `known`, then the seeds."""
    members = {_place(asked, server): None for _, _, *servers in ranges for server in servers}
    ordered = [asked, *(place for place in known if place in members), *members, *seeds]
    return list(dict.fromkeys(ordered))


def _place(asked: Place, server: Sequence[Any]) -> Place:
    # A server that does not know its own address leaves it empty: it is the one that was asked.
    return (server[0].decode() if server[0] else asked[0]), server[1]


def _sentinel(address: BrokerAddress) -> Sentinel:
    options = {**address.sentinel_options, "retry": Retry(NoBackoff(), 0)}
    return Sentinel(address.nodes, sentinel_kwargs=options)  # type: ignore[no-untyped-call] # redis-py has no types for it


async def _nothing() -> None:
    return
