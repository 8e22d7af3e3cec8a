"""The ports of the engine. One contract suite (tests/engine) runs over every implementation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from realtime.core.history import Position, Publication, Publisher
from realtime.core.topics import TopicKey
from realtime.protocol.errors import RealtimeError


class EngineUnavailableError(RealtimeError):
    """The broker or store behind the engine could not be reached in time; the same call may succeed later."""


class BusUnavailableError(EngineUnavailableError):
    """The broker could not be reached; what was to be sent did not leave this node."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a topic is remembered: at most `size` publications, none older than `ttl_s` seconds.

    A size or age of 0 remembers nothing; the topic still counts.
    """

    size: int = 1000
    ttl_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication that has no offset yet; `engine.drafts.make_draft` makes it. `time` is ISO 8601 in UTC.

    The same `idempotency_key` by the same publisher (or by any anonymous one) gives the first position again
    for `IDEMPOTENCY_TTL_S`; with another `fingerprint` of the data it is a RequestError(conflict).
    """

    data: msgspec.Raw
    publisher: Publisher | None
    time: str
    idempotency_key: str | None = None
    fingerprint: str = ""


IDEMPOTENCY_TTL_S = 300.0
# Topics whose positions are read in one call.
POSITIONS_PER_CALL = 200


@dataclass(frozen=True, slots=True)
class Added:
    """The outcome of `History.add`. `publication` is None where the idempotency key had been used already."""

    position: Position
    publication: Publication | None


@dataclass(frozen=True, slots=True)
class Page:
    """Publications in order (None: unrecoverable), and where the topic was when they were read.

    A page that stopped at its limit or its bytes ends before `position.offset`: ask again from its last offset.
    """

    position: Position
    publications: list[Publication] | None


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to read: the first publications after `since` (None: none, only where the topic is).

    A page holds at most `limit` publications and `max_bytes` of data, but one at the least.
    """

    key: TopicKey
    since: Position | None
    limit: int
    max_bytes: int


class History(Protocol):
    """Numbers publications and remembers the newest. Offsets of a topic rise by 1 across all nodes.

    Reading creates nothing. A topic never written is at offset 0 under the epoch in which it would begin, and
    nothing is missed since that position until that epoch is gone. No epoch and offset ever name two publications.

    Pages hold at most `max_bytes` of data (0: no bound), and one publication at the least, also where its data alone
    are more. A `limit` of 0 gives none.

    Every method but `sweep` raises EngineUnavailableError when the store cannot be reached in time; an `add` that
    raised it may have been stored all the same: only one with an idempotency key is safe to repeat.
    """

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """Give the draft its offset and store it; raises RequestError(conflict) as `Draft` says."""
        ...

    async def position(self, key: TopicKey) -> Position:
        """Where the topic is now."""
        ...

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """Where these topics are now, in order; one call to the store for each POSITIONS_PER_CALL of them."""
        ...

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As one of `pages`: the first `limit` publications after `position`; None where one of them or the epoch is
        gone."""
        ...

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """The pages asked for, in that order: one call to the store."""
        ...

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """The newest `limit` publications, oldest of them first."""
        ...

    def sweep(self, now_s: float) -> None:
        """Forget some of what is too old; to be called about once a second, with the time of the history's clock.

        One call takes a few milliseconds at most. Nothing that is too old is ever given out, swept or not.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A publication as another node carried it here; `payload` is the push's payload as JSON."""

    key: TopicKey
    position: Position
    payload: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The outcome of `Engine.publish`: the push's payload as JSON; None where the idempotency key had been used."""

    position: Position
    payload: bytes | None


class Engine(Protocol):
    """What the hub stands on: publications stored and carried, and read again.

    Reads raise EngineUnavailableError when the store cannot be reached in time.
    """

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        """Number it, store it, and carry it to the other nodes that are attached, in one call.

        Raises RequestError(conflict) as `Draft` says, and EngineUnavailableError: then it may have been stored.
        """
        ...

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """The pages asked for, in that order."""
        ...

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """Where each topic is, in that order; at most POSITIONS_PER_CALL keys."""
        ...

    async def attach(self, key: TopicKey) -> None:
        """Let what other nodes publish arrive here; never fails."""
        ...

    async def detach(self, key: TopicKey) -> None:
        """Let it arrive no more; never fails."""
        ...


Receiver = Callable[[str, bytes], None]


class Bus(Protocol):
    """Carries bytes to every other node that joined a group, and to the sending one where it is asked.

    It may lose them (a broker that was away); history makes it whole. What one node sends arrives in order.
    Group names: ASCII letters, digits, `.`, `-`, `_`, at most 99 characters.
    """

    async def start(self, receive: Receiver) -> None:
        """Begin, also without a broker; `receive(group, body)` is called on the loop for all that arrives."""
        ...

    async def stop(self) -> None:
        """Leave all groups and let go of connections."""
        ...

    async def join(self, group: str) -> None:
        """Receive what is sent to `group` from now on; never fails.

        While the broker is away this returns soon, and takes effect when the broker is back.
        """
        ...

    async def leave(self, group: str) -> None:
        """Receive it no more; never fails."""
        ...

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """Send to every other node in `group`; `to_self` also to this one, if it joined, by the same way.

        Raises BusUnavailableError when the broker cannot be reached.
        """
        ...
