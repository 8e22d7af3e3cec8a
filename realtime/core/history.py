"""The history of one topic: numbered publications, bounded by count and age, named by an epoch."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
    """The last `size` publications of a topic, none older than `ttl_s` seconds. Times are monotonic seconds."""

    __slots__ = ("_entries", "_size", "_top", "_ttl_s", "epoch")

    def __init__(self, epoch: str, *, size: int, ttl_s: float) -> None:
        self.epoch = epoch
        self._size = size
        self._ttl_s = ttl_s
        self._top = 0
        self._entries: deque[_Entry] = deque()

    @property
    def position(self) -> Position:
        """Where the topic is now."""
        return Position(self.epoch, self._top)

    def add(self, publication: Publication, now_s: float) -> None:
        """Store the next publication; its offset must be the next one."""
        assert publication.offset == self._top + 1, (publication.offset, self._top)
        self._top = publication.offset
        self._entries.append(_Entry(publication, now_s))
        self._trim(now_s)

    def since(self, position: Position, now_s: float) -> list[Publication] | None:
        """All that came after `position`, in order; None where that cannot be said completely."""
        self._trim(now_s)
        if position.epoch != self.epoch or not 0 <= position.offset <= self._top:
            return None
        missed = self._top - position.offset
        if missed > len(self._entries):
            return None
        return [entry.publication for entry in self._tail(missed)]

    def latest(self, limit: int, now_s: float) -> list[Publication]:
        """The newest `limit` publications, oldest of them first."""
        self._trim(now_s)
        return [entry.publication for entry in self._tail(limit)]

    def _tail(self, count: int) -> list[_Entry]:
        return list(self._entries)[-count:] if count else []

    def _trim(self, now_s: float) -> None:
        entries = self._entries
        while entries and (len(entries) > self._size or now_s - entries[0].stored_s >= self._ttl_s):
            entries.popleft()
