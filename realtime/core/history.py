"""The history of one topic: numbered publications within bounds of count, age and bytes, under an epoch."""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from realtime.core.identity import UserId, as_user_id

# Memory of a publication in addition to its data: number, publisher, time and the objects around them.
ENTRY_OVERHEAD_BYTES = 640


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a topic: `offset` publications have been made since `epoch` began."""

    epoch: str
    offset: int


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
    display; `offset` gives the order."""

    topic: str
    offset: int
    data: msgspec.Raw
    publisher: Publisher | None
    time: str

    @property
    def size_bytes(self) -> int:
        """The bytes that it counts against the bounds of a history."""
        return len(self.data) + ENTRY_OVERHEAD_BYTES

    def payload(self) -> Mapping[str, Any]:
        """The `payload` of the `publication` push; msgspec inserts `data` without decoding it."""
        publisher = self.publisher and {"id": self.publisher.id, "username": self.publisher.username}
        return {
            "topic": self.topic,
            "offset": self.offset,
            "data": self.data,
            "publisher": publisher,
            "time": self.time,
        }


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


def fingerprint(data: msgspec.Raw) -> str:
    """A digest that is equal for equal JSON values, whatever the order of their keys;
    detects repeated publications."""
    encoded = msgspec.json.encode(msgspec.json.decode(data), order="sorted")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
