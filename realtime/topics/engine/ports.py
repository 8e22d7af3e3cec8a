"""The ports of the engine. One contract suite (tests/engine) runs over every implementation."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime.core.attempts import AttemptRule, Verdict
from realtime.core.history import Change, Draft, Publication
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import RealtimeError


class EngineUnavailableError(RealtimeError):
    """The broker or store could not be reached in time; the same call may succeed later."""


class BrokerRefusedError(RealtimeError):
    """The broker can be reached, and cannot be used; the text says why and holds no password."""


class BusUnavailableError(EngineUnavailableError):
    """The broker could not be reached; the message did not leave this node."""


# How long an idempotency key is remembered, in seconds.
IDEMPOTENCY_TTL_S = 300.0
# How many positions are read in one call to a server, and in one of `Engine.positions`.
POSITIONS_PER_CALL = 200
POSITIONS_AT_ONCE = 25_600


@dataclass(frozen=True, slots=True)
class Added:
    """The result of `History.add`. `publication` is None if the idempotency key was already used."""

    position: Position
    publication: Publication | None


@dataclass(frozen=True, slots=True)
class Page:
    """Publications in order (None: unrecoverable), and the topic's position when they were read.

    A page cut at its limit or its bytes ends before `position.offset`; ask again from its last offset.
    """

    position: Position
    publications: list[Publication] | None


@dataclass(frozen=True, slots=True)
class Ask:
    """One page to read: the first publications after `since` (None: no publications, the position only).

    A page holds at most `limit` publications and `max_bytes` of data, but always at least one publication.
    """

    key: TopicKey
    since: Position | None
    limit: int
    max_bytes: int


class History(Protocol):
    """Numbers publications and keeps the newest. Offsets of a topic rise by 1 across all nodes.

    Reading creates nothing. A topic without publications is at offset 0 of the epoch in which it would begin.
    That position stays valid, with nothing missed, until the epoch ends. An
    epoch and offset never name two publications.

    A page holds at most `max_bytes` of data (0: no bound), but always at least one publication, even if that
    one alone is larger. With a `limit` of 0 it is empty.

    Every method except `sweep` raises EngineUnavailableError if the store cannot be reached in time. An `add`
    that raised it may still have been stored; only one with an idempotency key is safe to repeat.
    """

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """Give the draft its offset, store it, and send it to the other nodes that joined the topic's group of the bus.

        A message may be lost. Its publication is then found in the history. Raises RequestError(conflict) as described at
        `Draft`.
        """
        ...

    async def position(self, key: TopicKey) -> Position:
        """The topic's current position."""
        ...

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """The topics' current positions, in order; one call to the store for
        each POSITIONS_PER_CALL of them."""
        ...

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As one of `pages`: the first `limit` publications after `position`;
        None if the epoch or one of them is gone."""
        ...

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """The requested pages, in that order, in one call to the store."""
        ...

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """The newest `limit` publications, in ascending order."""
        ...

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """Replace the data of those stored publications for which `change` returns something.

        Offsets, times and publishers stay. Publications that are added meanwhile stay as they are.
        """
        ...

    def sweep(self, now_s: float) -> None:
        """Forget some of what is too old. To be called about once a second,
        with the time of the history's clock.

        One call does a bounded amount of work. Publications that are too old
        are never returned, swept or not.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """A publication to deliver on this node; `payload` is the push's payload as JSON."""

    key: TopicKey
    position: Position
    payload: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """The result of `Engine.publish`: the push's payload as JSON, or None if
    the idempotency key was already used."""

    position: Position
    payload: bytes | None


class Engine(Protocol):
    """Stores publications, carries them to other nodes, and reads them again; used by the hub.

    `arrived` is called on the loop for each publication of another node to an attached topic. Reads raise
    EngineUnavailableError if the store cannot be reached in time.
    """

    arrived: Callable[[Arrival], None] | None

    def publish_now(self, key: TopicKey, draft: Draft, retention: Retention) -> Published | None:
        """As `publish`, without waiting. None, and nothing is published, if the engine must wait."""
        ...

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Published:
        """Number a publication, store it, and carry it to the other attached nodes, in one call.

        Raises RequestError(conflict) as described at `Draft`, and
        EngineUnavailableError; it may have been stored then.
        """
        ...

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """The requested pages, in that order."""
        ...

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """The position of each topic, in that order; at most POSITIONS_AT_ONCE keys, which the engine shares out."""
        ...

    async def attach(self, key: TopicKey) -> None:
        """Receive what other nodes publish to the topic; never fails."""
        ...

    async def detach(self, key: TopicKey) -> None:
        """Stop receiving it; never fails."""
        ...

    def attached(self, groups: Iterable[str]) -> list[TopicKey]:
        """Return the attached topics of these groups of the bus; other groups are left out."""
        ...

    def on_message(self, group: str, body: bytes) -> None:
        """Handle a message of the bus for a topic."""
        ...


class Attempts(Protocol):
    """Counts attempts for all nodes, by the rules of `AttemptTable`.

    Calls raise EngineUnavailableError. To repeat one does no harm.
    """

    def place(self, key: str) -> Hashable:
        """Return the server that counts this key. Callable from any thread."""
        ...

    async def take(self, rule: AttemptRule, key: str, token: str) -> Verdict:
        """As `AttemptTable.take`."""
        ...

    async def fail(self, rule: AttemptRule, key: str, token: str) -> None:
        """As `AttemptTable.fail`."""
        ...

    async def free(self, key: str, token: str) -> None:
        """As `AttemptTable.free`."""
        ...


OnMessage = Callable[[str, bytes], None]


class Bus(Protocol):
    """Carries bytes to every other node that joined a group, and to the sending one on request.

    It may lose messages, for example during an outage of the broker; the history fills the gaps. Messages of
    one node arrive in order. Group names: ASCII letters, digits, `.`, `-`, `_`, at most 99 characters.

    `on_gap` is called on the loop with groups that are heard again, after messages to them may have been lost.
    """

    on_gap: Callable[[Sequence[str]], None] | None

    @property
    def is_open(self) -> bool:
        """Whether the broker is reached."""
        ...

    async def start(self, on_message: OnMessage) -> None:
        """Begin, even without a broker. `on_message(group, body)` is called on the loop for every message."""
        ...

    async def stop(self) -> None:
        """Leave all groups and close connections."""
        ...

    async def join(self, group: str) -> None:
        """Receive messages to `group` from now on; never fails.

        While the broker is unreachable this returns soon, and takes effect when it can be reached again.
        """
        ...

    async def leave(self, group: str) -> None:
        """Stop receiving messages to `group`; never fails."""
        ...

    async def send(self, group: str, body: bytes, *, to_self: bool = False) -> None:
        """Send to every other node in `group`; with `to_self` also to this one,
        if it joined, through the broker.

        Raises BusUnavailableError if the broker cannot be reached.
        """
        ...
