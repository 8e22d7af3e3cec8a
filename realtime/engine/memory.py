"""The engine of one process: everything in memory, nothing to set up, nothing kept over a restart."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from realtime.core.history import Position, Publication, TopicHistory, fingerprint
from realtime.engine.ports import IDEMPOTENCY_TTL_S, Added, Draft, Page, Receiver, Retention, TopicKey
from realtime.protocol.errors import ErrorCode, RequestError

MAX_IDEMPOTENCY_KEYS = 100_000
SWEPT_PER_ADD = 2


class _Use(NamedTuple):
    """An idempotency key as one publisher used it on one topic."""

    key: TopicKey
    publisher_id: int | None
    idempotency_key: str


class _Used(NamedTuple):
    fingerprint: str
    position: Position
    used_s: float


class MemoryHistory:
    """Histories by topic; beyond `max_topics` the longest unused is forgotten (its epoch ends).

    `clock` gives monotonic seconds. Beyond `max_idempotency_keys` the oldest is forgotten before its time.
    """

    def __init__(
        self,
        *,
        max_topics: int = 100_000,
        max_idempotency_keys: int = MAX_IDEMPOTENCY_KEYS,
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_topics = max(max_topics, 1)
        self._max_idempotency_keys = max_idempotency_keys
        self._idempotency_ttl_s = idempotency_ttl_s
        self._clock = clock
        # Longest unused first.
        self._topics: OrderedDict[TopicKey, TopicHistory] = OrderedDict()
        # The topics that hold publications, in the order the sweep visits them.
        self._filled: OrderedDict[TopicKey, None] = OrderedDict()
        # Oldest first; each lives equally long.
        self._used: OrderedDict[_Use, _Used] = OrderedDict()

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        now_s = self._clock()
        self._sweep(now_s)
        use = _use(key, draft)
        if use is not None and (used := self._used.get(use)) is not None:
            return _repeated(used, draft)
        topic = self._topic(key)
        publication = Publication(
            key.topic, topic.position.offset + 1, draft.data, draft.publisher, draft.time
        )
        topic.retain(size=retention.size, ttl_s=retention.ttl_s)
        topic.add(publication, now_s)
        if not topic.is_empty:
            self._filled.setdefault(key)
        if use is not None:
            self._remember(use, _Used(fingerprint(draft.data), topic.position, now_s))
        return Added(topic.position, publication)

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        return self._topic(key).position

    async def since(self, key: TopicKey, position: Position, limit: int) -> Page:
        """As `History.since`."""
        topic = self._topic(key)
        return Page(topic.position, topic.since(position, limit, self._clock()))

    async def latest(self, key: TopicKey, limit: int) -> Page:
        """As `History.latest`."""
        topic = self._topic(key)
        return Page(topic.position, topic.latest(limit, self._clock()))

    async def close(self) -> None:
        """Forget everything."""
        self._topics.clear()
        self._filled.clear()
        self._used.clear()

    def _topic(self, key: TopicKey) -> TopicHistory:
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = TopicHistory(secrets.token_hex(4))
            while len(self._topics) > self._max_topics:
                forgotten, _ = self._topics.popitem(last=False)
                self._filled.pop(forgotten, None)
        else:
            self._topics.move_to_end(key)
        return topic

    def _remember(self, use: _Use, used: _Used) -> None:
        self._used[use] = used
        while len(self._used) > self._max_idempotency_keys:
            self._used.popitem(last=False)

    def _sweep(self, now_s: float) -> None:
        """Drop what is too old: idempotency keys, and a few topics in turn, so that idle ones empty."""
        while self._used and now_s - next(iter(self._used.values())).used_s >= self._idempotency_ttl_s:
            self._used.popitem(last=False)
        for _ in range(min(SWEPT_PER_ADD, len(self._filled))):
            key, _none = self._filled.popitem(last=False)
            topic = self._topics[key]
            topic.trim(now_s)
            if not topic.is_empty:
                self._filled[key] = None


def _use(key: TopicKey, draft: Draft) -> _Use | None:
    if draft.idempotency_key is None:
        return None
    return _Use(key, draft.publisher.id if draft.publisher else None, draft.idempotency_key)


def _repeated(used: _Used, draft: Draft) -> Added:
    if used.fingerprint != fingerprint(draft.data):
        raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
    return Added(used.position, None)


class MemoryExchange:
    """What the buses of several nodes in one process (a test) share in place of a broker."""

    def __init__(self) -> None:
        self.buses: set[MemoryBus] = set()


class MemoryBus:
    """Delivers on the next turn of the loop. Alone unless it is given an exchange to share with others."""

    def __init__(self, exchange: MemoryExchange | None = None) -> None:
        self._exchange = exchange or MemoryExchange()
        self._groups: set[str] = set()
        self._receive: Receiver | None = None

    async def start(self, receive: Receiver) -> None:
        """As `Bus.start`."""
        self._receive = receive
        self._exchange.buses.add(self)

    async def stop(self) -> None:
        """As `Bus.stop`."""
        self._exchange.buses.discard(self)
        self._groups.clear()
        self._receive = None

    async def join(self, group: str) -> None:
        """As `Bus.join`."""
        self._groups.add(group)

    async def leave(self, group: str) -> None:
        """As `Bus.leave`."""
        self._groups.discard(group)

    async def send(self, group: str, body: bytes) -> None:
        """As `Bus.send`; never raises."""
        loop = asyncio.get_running_loop()
        for bus in self._exchange.buses:
            if bus.has_joined(group):
                loop.call_soon(bus.deliver, group, body)

    def has_joined(self, group: str) -> bool:
        """Whether this node receives what is sent to `group`."""
        return group in self._groups

    def deliver(self, group: str, body: bytes) -> None:
        """Called by the loop for what was sent a turn ago; a group left meanwhile receives nothing."""
        if self._receive is not None and group in self._groups:
            self._receive(group, body)
