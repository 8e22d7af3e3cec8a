"""Publications, from the draft to the history that drops them.

A history keeps the newest publications of a topic within bounds of count, age and bytes, under an epoch. The
histories of a tenant have common bounds. A tail is the end of a history as a node that serves the topic keeps it.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import msgspec

from realtime.core.epochs import Epochs
from realtime.core.identity import UserId, as_user_id
from realtime.core.position import Position
from realtime.core.used_keys import UsedKeys

# Returns the JSON to store instead of a publication's data, or None to leave the data as it is.
Change = Callable[[bytes], bytes | None]

# Memory of a publication in addition to its data: number, publisher, time and the objects around them.
ENTRY_OVERHEAD_BYTES = 640


@dataclass(frozen=True, slots=True)
class Publisher:
    """The user who published, as subscribers see them. `id` may be given as any primary key, as a UUID."""

    id: UserId
    username: str

    def __post_init__(self) -> None:
        if type(self.id) is not int:
            object.__setattr__(self, "id", as_user_id(self.id))


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of a topic; `data` is its JSON text. `time` is ISO 8601 in UTC, for
    display; `offset` gives the order.

    The fields are those of the `publication` push, in order: encoded as JSON, this is its payload.
    """

    topic: str
    offset: int
    data: msgspec.Raw
    publisher: Publisher | None
    time: str

    @property
    def size_bytes(self) -> int:
        """The bytes that it counts against the bounds of a history."""
        return len(self.data) + ENTRY_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication without an offset; made by `draft_of`. `time` is ISO 8601 in UTC.

    For IDEMPOTENCY_TTL_S, the same `idempotency_key` from the same publisher (or from any anonymous one)
    returns the first position again. With another `fingerprint` of the data it raises RequestError(conflict).
    `key_ttl_s` is a longer time for this key, in seconds; a history in memory, which ends with its process,
    ignores it.
    """

    data: msgspec.Raw
    publisher: Publisher | None
    time: str
    idempotency_key: str | None = None
    fingerprint: str = ""
    key_ttl_s: float = 0.0


def draft_of(
    raw: msgspec.Raw, publisher: Publisher | None, time: str, idempotency_key: str | None = None
) -> Draft:
    """Return a draft of data that is encoded as JSON already."""
    return Draft(raw, publisher, time, idempotency_key, "" if idempotency_key is None else fingerprint(raw))


def fingerprint(data: msgspec.Raw) -> str:
    """Return a digest that is equal for equal JSON values, whatever the order of their keys;
    detects repeated publications."""
    encoded = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


class Entry(NamedTuple):
    """A stored publication. `stored_s` is monotonic seconds; `number` orders the publications of a tenant."""

    publication: Publication
    stored_s: float
    number: int


class TopicHistory:
    """The newest publications of a topic. Times are monotonic seconds.

    It drops nothing by itself. Its owner, which counts the bytes of many topics, must call `take_oldest`
    while `has_excess` is true, before it reads and after it adds.
    """

    __slots__ = ("_entries", "_max_bytes", "_size", "_top", "_ttl_s", "epoch", "name", "size_bytes")

    def __init__(self, name: str, epoch: str, *, max_bytes: int = 0) -> None:
        """`max_bytes` bounds the sum of `Publication.size_bytes`; 0 is no bound."""
        self.name = name
        self.epoch = epoch
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._size = 0
        self._ttl_s = 0.0
        self._top = 0
        # A deque is made only when there is something to store: most topics are empty, and
        # an empty deque is large.
        self._entries: deque[Entry] | tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def position(self) -> Position:
        """The topic's current position."""
        return Position(self.epoch, self._top)

    def retain(self, *, size: int, ttl_s: float) -> None:
        """From now on keep at most `size` publications, none older than `ttl_s` seconds."""
        self._size = size
        self._ttl_s = ttl_s

    def add(self, entry: Entry) -> None:
        """Store a publication; its offset must be the next one."""
        publication = entry.publication
        assert publication.offset == self._top + 1, (publication.offset, self._top)
        self._top = publication.offset
        self.size_bytes += publication.size_bytes
        if not isinstance(self._entries, deque):
            self._entries = deque()
        self._entries.append(entry)

    def has_excess(self, now_s: float) -> bool:
        """Whether the oldest publication exceeds a bound or is too old."""
        entries = self._entries
        return bool(entries) and (
            len(entries) > self._size
            or now_s - entries[0].stored_s >= self._ttl_s
            or 0 < self._max_bytes < self.size_bytes
        )

    def take_oldest(self) -> Entry:
        """Remove and return the oldest publication, which must exist."""
        assert isinstance(self._entries, deque)
        entry = self._entries.popleft()
        self.size_bytes -= entry.publication.size_bytes
        if not self._entries:
            self._entries = ()
        return entry

    def rewrite(self, change: Change) -> int:
        """Replace the data that `change` returns something for. Return by how many bytes the topic grew."""
        before = self.size_bytes
        for at, entry in enumerate(self._entries):
            new = change(bytes(entry.publication.data))
            if new is not None:
                assert isinstance(self._entries, deque)
                publication = replace(entry.publication, data=msgspec.Raw(new))
                self.size_bytes += publication.size_bytes - entry.publication.size_bytes
                self._entries[at] = entry._replace(publication=publication)
        return self.size_bytes - before

    def since(self, position: Position, limit: int, max_bytes: int) -> list[Publication] | None:
        """The first publications after `position`, as `History.since`; None if one of them is gone."""
        if position.epoch != self.epoch or not 0 <= position.offset <= self._top:
            return None
        missed = self._top - position.offset
        if missed > len(self._entries):
            return None
        return _fitting(islice(self._entries, len(self._entries) - missed, None), limit, max_bytes)

    def latest(self, limit: int, max_bytes: int) -> list[Publication]:
        """The newest publications in ascending order, as `History.latest`."""
        return _fitting(reversed(self._entries), limit, max_bytes)[::-1]


def _fitting(entries: Iterable[Entry], limit: int, max_bytes: int) -> list[Publication]:
    fitting: list[Publication] = []
    taken_bytes = 0
    for entry in islice(entries, max(limit, 0)):
        taken_bytes += len(entry.publication.data)
        if fitting and 0 < max_bytes < taken_bytes:
            break
        fitting.append(entry.publication)
    return fitting


class TenantHistory:
    """Topics by name. Times are monotonic seconds; a bound of 0 is switched off.

    Publications are dropped one at a time, each in constant time: the oldest of their topic (too many, too
    old, too many bytes), or the oldest of the tenant. Forgetting a whole topic ends its epoch.
    """

    def __init__(self, epochs: Epochs, used_keys: UsedKeys, *, topic_bytes: int) -> None:
        self.used_keys = used_keys
        self.size_bytes = 0
        self._epochs = epochs
        self._topic_bytes = topic_bytes
        # The least recently used first.
        self._topics: OrderedDict[str, TopicHistory] = OrderedDict()
        # The topics that hold publications, in the order in which `sweep` visits them.
        self._filled: OrderedDict[str, TopicHistory] = OrderedDict()
        # Every publication by its number, oldest first: the oldest of all is the oldest of its topic too.
        self._order: OrderedDict[int, TopicHistory] = OrderedDict()
        self._number = 0

    def __len__(self) -> int:
        return len(self._topics)

    @property
    def publications(self) -> int:
        """The number of stored publications."""
        return len(self._order)

    def topic(self, name: str) -> TopicHistory:
        """Return the topic to publish to; it is made if it is not known."""
        topic = self._topics.get(name)
        if topic is None:
            epoch = self._epochs.beginning(name)
            topic = self._topics[name] = TopicHistory(name, epoch, max_bytes=self._topic_bytes)
        return topic

    def add(self, topic: TopicHistory, publication: Publication, now_s: float) -> None:
        """Store the next publication of a topic that `topic` returned."""
        self._topics.move_to_end(topic.name)
        self._number += 1
        topic.add(Entry(publication, now_s, self._number))
        self._order[self._number] = topic
        self._filled.setdefault(topic.name, topic)
        self.size_bytes += publication.size_bytes
        while topic.has_excess(now_s):
            self._drop_oldest_of(topic)

    def position(self, name: str) -> Position:
        """Return the topic's current position."""
        topic = self._topics.get(name)
        if topic is None:
            return Position(self._epochs.beginning(name), 0)
        self._topics.move_to_end(name)
        return topic.position

    def readable(self, name: str, now_s: float) -> TopicHistory | None:
        """Return the topic to read from, after dropping publications that are too old; None if it is not known."""
        topic = self._topics.get(name)
        if topic is not None:
            self._topics.move_to_end(name)
            while topic.has_excess(now_s):
                self._drop_oldest_of(topic)
        return topic

    def rewrite(self, name: str, change: Change) -> None:
        """Replace data of a topic's publications, if the topic is known."""
        topic = self._topics.get(name)
        if topic is not None:
            self.size_bytes += topic.rewrite(change)

    def drop_oldest(self) -> None:
        """Drop the tenant's oldest publication, which must exist."""
        self._drop_oldest_of(next(iter(self._order.values())))

    def forget_topic(self) -> None:
        """Forget the least recently used topic, which must exist."""
        name, topic = self._topics.popitem(last=False)
        while len(topic):
            self._drop_oldest_of(topic)
        self._epochs.forget(name, topic.epoch)

    def sweep(self, now_s: float, work: int) -> int:
        """Drop what is too old, topics and keys in turn; returns the steps taken, about `2
        * work` at most."""
        done = 0
        for _ in range(min(work, len(self._filled))):
            name, topic = next(iter(self._filled.items()))
            self._filled.move_to_end(name)
            done += 1
            while done < work and topic.has_excess(now_s):
                self._drop_oldest_of(topic)
                done += 1
            if done >= work:
                break
        return done + self.used_keys.sweep(now_s, work)

    def _drop_oldest_of(self, topic: TopicHistory) -> None:
        entry = topic.take_oldest()
        del self._order[entry.number]
        self.size_bytes -= entry.publication.size_bytes
        if not len(topic):
            del self._filled[topic.name]


class Kept(NamedTuple):
    """A publication's payload as JSON, and the time it was added."""

    payload: bytes
    taken_s: float


class Tail:
    """The newest publications up to `offset`: at most `max_count`, at most `max_bytes` of payload, none older
    than `ttl_s` seconds. Above a bound the oldest are dropped; older ones must be read from the history."""

    __slots__ = ("_kept", "_max_bytes", "_max_count", "_ttl_s", "offset", "size_bytes")

    def __init__(self, offset: int, *, max_count: int, max_bytes: int, ttl_s: float) -> None:
        self.offset = offset
        self.size_bytes = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._kept: deque[Kept] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, payload: bytes, now_s: float) -> None:
        """Add the next publication; `offset` rises by one."""
        self.offset += 1
        self._kept.append(Kept(payload, now_s))
        self.size_bytes += len(payload)
        self._trim(now_s)

    def extend_back(self, first: int, payloads: Sequence[bytes], now_s: float) -> None:
        """Add older publications from the history; the first has the offset `first`.
        Ignored if a gap would remain."""
        begins = self.offset - len(self._kept) + 1
        if not first < begins <= first + len(payloads):
            return
        for payload in reversed(payloads[: begins - first]):
            self._kept.appendleft(Kept(payload, now_s))
            self.size_bytes += len(payload)
        self._trim(now_s)

    def after(self, offset: int, now_s: float) -> list[bytes] | None:
        """Return all payloads after `offset`, in order; None if one of them is not kept."""
        self._trim(now_s)
        missed = self.offset - offset
        if missed < 0 or missed > len(self._kept):
            return None
        return [kept.payload for kept in islice(self._kept, len(self._kept) - missed, None)]

    def clear(self) -> None:
        """Drop all payloads; `offset` does not change."""
        self._kept.clear()
        self.size_bytes = 0

    def _trim(self, now_s: float) -> None:
        kept = self._kept
        while kept and (
            len(kept) > self._max_count
            or self.size_bytes > self._max_bytes
            or now_s - kept[0].taken_s >= self._ttl_s
        ):
            self.size_bytes -= len(kept.popleft().payload)
