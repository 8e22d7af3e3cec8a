"""The history of one topic: numbered publications, bounded by count, age and bytes, named by an epoch."""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import msgspec

# What a publication costs in memory beside its data (measured: 645): number, publisher, time, what holds them.
ENTRY_OVERHEAD_BYTES = 640


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a topic: `offset` publications have been made since `epoch` began."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who published, as subscribers see it."""

    id: int
    username: str


@dataclass(frozen=True, slots=True)
class Publication:
    """One message of a topic; `data` is its JSON text. `time` is ISO 8601 in UTC, for people; order is by `offset`."""

    topic: str
    offset: int
    data: msgspec.Raw
    publisher: Publisher | None
    time: str

    @property
    def size_bytes(self) -> int:
        """What it counts against the budgets of a history."""
        return len(self.data) + ENTRY_OVERHEAD_BYTES

    def payload(self) -> Mapping[str, Any]:
        """The `payload` of the `publication` push; msgspec encodes `data` in place, without reading it."""
        publisher = self.publisher and {"id": self.publisher.id, "username": self.publisher.username}
        return {
            "topic": self.topic,
            "offset": self.offset,
            "data": self.data,
            "publisher": publisher,
            "time": self.time,
        }


class Entry(NamedTuple):
    """A publication as it is remembered. `stored_s` is monotonic; `number` orders the publications of a tenant."""

    publication: Publication
    stored_s: float
    number: int


class TopicHistory:
    """The newest publications of a topic. Times are monotonic seconds.

    It trims nothing by itself: its owner, who counts the bytes of many topics, takes out the oldest while
    `has_excess`, before it reads and after it adds.
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
        # An empty deque takes 760 bytes, and most topics are empty: it is made when there is something to hold.
        self._entries: deque[Entry] | tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def position(self) -> Position:
        """Where the topic is now."""
        return Position(self.epoch, self._top)

    def retain(self, *, size: int, ttl_s: float) -> None:
        """From now on remember at most `size` publications, none older than `ttl_s` seconds."""
        self._size = size
        self._ttl_s = ttl_s

    def add(self, entry: Entry) -> None:
        """Store the next publication; its offset must be the next one."""
        publication = entry.publication
        assert publication.offset == self._top + 1, (publication.offset, self._top)
        self._top = publication.offset
        self.size_bytes += publication.size_bytes
        if not isinstance(self._entries, deque):
            self._entries = deque()
        self._entries.append(entry)

    def has_excess(self, now_s: float) -> bool:
        """Whether the oldest publication is one too many, or too old."""
        entries = self._entries
        return bool(entries) and (
            len(entries) > self._size
            or now_s - entries[0].stored_s >= self._ttl_s
            or 0 < self._max_bytes < self.size_bytes
        )

    def take_oldest(self) -> Entry:
        """Forget the oldest publication, which must exist."""
        assert isinstance(self._entries, deque)
        entry = self._entries.popleft()
        self.size_bytes -= entry.publication.size_bytes
        if not self._entries:
            self._entries = ()
        return entry

    def since(self, position: Position, limit: int, max_bytes: int) -> list[Publication] | None:
        """The first after `position`, as `History.since`; None where something between is gone."""
        if position.epoch != self.epoch or not 0 <= position.offset <= self._top:
            return None
        missed = self._top - position.offset
        if missed > len(self._entries):
            return None
        return _fitting(islice(self._entries, len(self._entries) - missed, None), limit, max_bytes)

    def latest(self, limit: int, max_bytes: int) -> list[Publication]:
        """The newest, oldest of them first, as `History.latest`."""
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


def fingerprint(data: msgspec.Raw) -> str:
    """Equal for equal JSON values, whatever the order of keys: tells a repeated publication from another."""
    encoded = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
