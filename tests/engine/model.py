"""The histories of a broker as plain values: what `redis_scripts` says in Lua, once more in Python.

`test_script_and_model` compares the two. The simulator builds worlds on it, in which brokers fail over and lose tails.
A copy of a `State` is a replica: to promote it is to go on with the copy on another line. Keys that are evicted are not
modelled.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from realtime.core.history import ENTRY_OVERHEAD_BYTES, Change, Draft, Publication
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import IDEMPOTENCY_TTL_S, Added, Ask, Page
from realtime.topics.engine.redis_history import POSITION_TTL_S
from realtime.topics.engine.redis_scripts import FORKS_MAX, PAST_MAX

# The end of each epoch before the current one, oldest first.
Forks = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored publication."""

    publication: Publication
    stored_s: float


@dataclass(slots=True)
class Topic:
    """A topic that was published to. It is forgotten at `until_s`, its publications at `kept_until_s`."""

    epoch: str
    line: str
    forks: Forks
    top: int = 0
    ttl_s: float = 0.0
    entries: list[Entry] = field(default_factory=list)
    until_s: float = 0.0
    kept_until_s: float = 0.0


@dataclass(slots=True)
class Store:
    """The state that all topics share: the epoch under which the next one begins, and the epochs before it."""

    epoch: str
    root: str
    line: str
    began_s: float
    past: list[str] = field(default_factory=list)
    # How often a topic has begun anew that may have been forgotten.
    again: dict[TopicKey, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Used:
    """A used idempotency key."""

    fingerprint: str
    position: Position
    until_s: float


@dataclass(slots=True)
class State:
    """All that a server stores."""

    store: Store | None = None
    begun: set[TopicKey] = field(default_factory=set)
    topics: dict[TopicKey, Topic] = field(default_factory=dict)
    used: dict[tuple[TopicKey, str, str], Used] = field(default_factory=dict)

    def copy(self) -> "State":
        """Return the data of a replica that misses nothing."""
        return State(
            store=self.store and replace(self.store, again=dict(self.store.again)),
            begun=set(self.begun),
            # Lists of forks are replaced, not changed.
            topics={key: replace(topic, entries=list(topic.entries)) for key, topic in self.topics.items()},
            used=dict(self.used),
        )


class ModelHistory:
    """Implements `History`. `clock` returns seconds, `fresh_epoch` a new name at each call.

    `line` names the server that writes, as `master_replid` does.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        fresh_epoch: Callable[[], str],
        line: str,
        topic_bytes: int = 0,
        idempotency_ttl_s: float = IDEMPOTENCY_TTL_S,
    ) -> None:
        self.state = State()
        self.line = line
        self._clock = clock
        self._fresh_epoch = fresh_epoch
        self._topic_bytes = topic_bytes
        self._idempotency_ttl_s = idempotency_ttl_s

    async def add(self, key: TopicKey, draft: Draft, retention: Retention) -> Added:
        """As `History.add`."""
        now_s, fresh = self._clock(), self._fresh_epoch()
        name = _used_name(key, draft)
        if name is not None and (used := self.state.used.get(name)) is not None and used.until_s > now_s:
            if used.fingerprint != draft.fingerprint:
                raise RequestError(ErrorCode.CONFLICT, "This idempotency key was used with other data.")
            return Added(used.position, None)
        topic = self._writable(key, now_s, fresh)
        topic.top += 1
        publication = Publication(key.topic, topic.top, draft.data, draft.publisher, draft.time)
        self._keep(topic, Entry(publication, now_s), retention)
        topic.until_s = now_s + POSITION_TTL_S
        position = Position(topic.epoch, topic.top)
        if name is not None:
            ttl_s = max(self._idempotency_ttl_s, draft.key_ttl_s)
            self.state.used[name] = Used(draft.fingerprint, position, now_s + ttl_s)
        return Added(position, publication)

    async def position(self, key: TopicKey) -> Position:
        """As `History.position`."""
        (position,) = await self.positions([key])
        return position

    async def positions(self, keys: Sequence[TopicKey]) -> list[Position]:
        """As `History.positions`; counts as use."""
        now_s, fresh = self._clock(), self._fresh_epoch()
        found = []
        for key in keys:
            topic = self._known(key, now_s)
            if topic is not None and topic.until_s - now_s < POSITION_TTL_S / 2:
                topic.until_s = now_s + POSITION_TTL_S
            found.append(self._where(key, now_s, fresh)[0])
        return found

    async def since(self, key: TopicKey, position: Position, limit: int, max_bytes: int) -> Page:
        """As `History.since`."""
        (page,) = await self.pages([Ask(key, position, limit, max_bytes)])
        return page

    async def pages(self, asks: Sequence[Ask]) -> list[Page]:
        """As `History.pages`."""
        now_s, fresh = self._clock(), self._fresh_epoch()
        return [self._page(ask, now_s, fresh) for ask in asks]

    async def latest(self, key: TopicKey, limit: int, max_bytes: int) -> Page:
        """As `History.latest`."""
        now_s = self._clock()
        position, _, _ = self._where(key, now_s, self._fresh_epoch())
        return Page(position, _fitting(self._live(key, now_s)[::-1], limit, max_bytes)[::-1])

    async def rewrite(self, key: TopicKey, change: Change) -> None:
        """As `History.rewrite`."""
        now_s = self._clock()
        self._where(key, now_s, self._fresh_epoch())
        live = {id(entry) for entry in self._live(key, now_s)}
        topic = self._known(key, now_s)
        for at, entry in enumerate(topic.entries if topic is not None else []):
            new = change(bytes(entry.publication.data)) if id(entry) in live else None
            if new is not None and topic is not None:
                publication = replace(entry.publication, data=msgspec.Raw(new))
                topic.entries[at] = replace(entry, publication=publication)

    def sweep(self, now_s: float) -> None:
        """As `History.sweep`: nothing to do."""

    async def close(self) -> None:
        """As `History.close`."""

    def _known(self, key: TopicKey, now_s: float) -> Topic | None:
        topic = self.state.topics.get(key)
        return topic if topic is not None and topic.until_s > now_s else None

    def _writable(self, key: TopicKey, now_s: float, fresh: str) -> Topic:
        topic = self._known(key, now_s)
        if topic is None:
            epoch, forks, _ = self._beginning(key, now_s, fresh, is_writing=True)
            self.state.begun.add(key)
            topic = self.state.topics[key] = Topic(epoch, self.line, forks)
        elif topic.line != self.line:
            topic.forks = [*topic.forks, (topic.epoch, topic.top)][-FORKS_MAX:]
            topic.epoch, topic.line = _of_tenant(fresh, key), self.line
        return topic

    def _keep(self, topic: Topic, entry: Entry, retention: Retention) -> None:
        topic.ttl_s = retention.ttl_s
        if topic.kept_until_s <= entry.stored_s:
            topic.entries.clear()
        topic.kept_until_s = entry.stored_s + retention.ttl_s
        if not retention.size or not retention.ttl_s:
            topic.entries.clear()
            return
        topic.entries.append(entry)
        while topic.entries and (
            len(topic.entries) > retention.size or 0 < self._topic_bytes < _size_bytes(topic.entries)
        ):
            del topic.entries[0]

    def _where(self, key: TopicKey, now_s: float, fresh: str) -> tuple[Position, Forks, bool]:
        """Return the position, the forks, and whether the topic may have been forgotten."""
        topic = self._known(key, now_s)
        if topic is not None:
            return Position(topic.epoch, topic.top), topic.forks, False
        epoch, forks, is_forgotten = self._beginning(key, now_s, fresh, is_writing=False)
        return Position(epoch, 0), forks, is_forgotten

    def _beginning(
        self, key: TopicKey, now_s: float, fresh: str, *, is_writing: bool
    ) -> tuple[str, Forks, bool]:
        store, is_old = self._begin_store(now_s, fresh, is_writing=is_writing)
        if is_old and key in self.state.begun:
            count = store.again.get(key, 0)
            if is_writing:
                store.again[key] = count + 1
                return _of_tenant(f"{fresh}again", key), [], True
            return _of_tenant(f"{store.root}forgotten{count}", key), [], True
        return _of_tenant(store.epoch, key), [(_of_tenant(each, key), 0) for each in store.past], False

    def _begin_store(self, now_s: float, fresh: str, *, is_writing: bool) -> tuple[Store, bool]:
        """Return the store, and whether it is as old as a topic that is not used lives."""
        store = self.state.store
        if store is None:
            store = self.state.store = Store(fresh, fresh, self.line, now_s)
            return store, False
        if store.line == self.line:
            return store, now_s - store.began_s >= POSITION_TTL_S
        if is_writing:
            store.past = [*store.past, store.epoch][-PAST_MAX:]
            store.epoch, store.line, store.began_s = fresh, self.line, now_s - POSITION_TTL_S
        return store, True

    def _live(self, key: TopicKey, now_s: float) -> list[Entry]:
        """The publications that are not too old, which are the newest."""
        topic = self._known(key, now_s)
        if topic is None or topic.kept_until_s <= now_s:
            return []
        return [entry for entry in topic.entries if now_s - entry.stored_s < topic.ttl_s]

    def _page(self, ask: Ask, now_s: float, fresh: str) -> Page:
        position, forks, is_forgotten = self._where(ask.key, now_s, fresh)
        if ask.since is None:
            return Page(position, [])
        if is_forgotten or not _is_good(ask.since, position, forks):
            return Page(position, None)
        missed = position.offset - ask.since.offset
        live = self._live(ask.key, now_s)
        if missed > len(live):
            return Page(position, None)
        return Page(position, _fitting(live[len(live) - missed :], ask.limit, ask.max_bytes))


def _used_name(key: TopicKey, draft: Draft) -> tuple[TopicKey, str, str] | None:
    if draft.idempotency_key is None:
        return None
    return key, repr(draft.publisher.id if draft.publisher else None), draft.idempotency_key


def _of_tenant(epoch: str, key: TopicKey) -> str:
    return hashlib.sha1(f"{epoch}{key.tenant}".encode(), usedforsecurity=False).hexdigest()[:16]


def _size_bytes(entries: Sequence[Entry]) -> int:
    return sum(len(entry.publication.data) + ENTRY_OVERHEAD_BYTES for entry in entries)


def _is_good(asked: Position, now: Position, forks: Forks) -> bool:
    if not 0 <= asked.offset <= now.offset:
        return False
    return asked.epoch == now.epoch or any(
        asked.epoch == epoch and asked.offset <= end for epoch, end in forks
    )


def _fitting(entries: Sequence[Entry], limit: int, max_bytes: int) -> list[Publication]:
    """The first of them within both bounds; one at least, unless `limit` is 0."""
    fitting: list[Publication] = []
    taken_bytes = 0
    for entry in entries[: max(limit, 0)]:
        taken_bytes += len(entry.publication.data)
        if fitting and 0 < max_bytes < taken_bytes:
            break
        fitting.append(entry.publication)
    return fitting
