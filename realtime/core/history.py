"""The history of one topic: numbered publications, bounded by count and age, named by an epoch."""

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec


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
    """One message of a topic. `time` is ISO 8601 in UTC, for people; order is by `offset`."""

    topic: str
    offset: int
    data: Any
    publisher: Publisher | None
    time: str

    def payload(self) -> Mapping[str, Any]:
        """The `payload` of the `publication` push."""
        publisher = self.publisher and {"id": self.publisher.id, "username": self.publisher.username}
        return {
            "topic": self.topic,
            "offset": self.offset,
            "data": self.data,
            "publisher": publisher,
            "time": self.time,
        }


@dataclass(slots=True)
class _Entry:
    publication: Publication
    stored_s: float


class TopicHistory:
    """The newest publications of a topic, as many and as old as it retains. Times are monotonic seconds."""

    __slots__ = ("_entries", "_size", "_top", "_ttl_s", "epoch")

    def __init__(self, epoch: str, *, size: int = 0, ttl_s: float = 0.0) -> None:
        self.epoch = epoch
        self._size = size
        self._ttl_s = ttl_s
        self._top = 0
        self._entries: deque[_Entry] = deque()

    @property
    def position(self) -> Position:
        """Where the topic is now."""
        return Position(self.epoch, self._top)

    @property
    def is_empty(self) -> bool:
        """Whether no publication is remembered."""
        return not self._entries

    def retain(self, *, size: int, ttl_s: float) -> None:
        """From now on remember at most `size` publications, none older than `ttl_s` seconds."""
        self._size = size
        self._ttl_s = ttl_s

    def add(self, publication: Publication, now_s: float) -> None:
        """Store the next publication; its offset must be the next one."""
        assert publication.offset == self._top + 1, (publication.offset, self._top)
        self._top = publication.offset
        self._entries.append(_Entry(publication, now_s))
        self.trim(now_s)

    def since(self, position: Position, limit: int, now_s: float) -> list[Publication] | None:
        """The first `limit` after `position`, in order; None where something between is gone."""
        self.trim(now_s)
        if position.epoch != self.epoch or not 0 <= position.offset <= self._top:
            return None
        missed = self._top - position.offset
        if missed > len(self._entries):
            return None
        return self._slice(len(self._entries) - missed, limit)

    def latest(self, limit: int, now_s: float) -> list[Publication]:
        """The newest `limit` publications, oldest of them first."""
        self.trim(now_s)
        return self._slice(max(len(self._entries) - limit, 0), limit)

    def trim(self, now_s: float) -> None:
        """Forget what is too much or too old."""
        entries = self._entries
        while entries and (len(entries) > self._size or now_s - entries[0].stored_s >= self._ttl_s):
            entries.popleft()

    def _slice(self, start: int, count: int) -> list[Publication]:
        return [entry.publication for entry in islice(self._entries, start, start + max(count, 0))]


def fingerprint(data: Any) -> str:
    """Equal for equal JSON values, whatever the order of keys: tells a repeated publication from another."""
    encoded = msgspec.json.encode(data, order="sorted")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()
