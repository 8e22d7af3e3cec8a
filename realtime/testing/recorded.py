"""Recording publications instead of sending them, with or without a transaction around the test."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connections, transaction

from realtime.core.history import Draft, Publisher
from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.node.recording import current_recording, record
from realtime.testing.transactions import Waiting, in_transaction

EPOCH = "recorded"


@dataclass(frozen=True, slots=True)
class Published:
    """A publication as its subscribers would get it: `data` is the value after encoding and decoding as JSON.

    A field that is left out when a test writes one equals any value: `Published("orders:7", {…})`.
    """

    topic: str
    data: Any
    tenant: str | None = None
    publisher: Publisher | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Published):
            return NotImplemented
        mine, theirs = (self.topic, self.data), (other.topic, other.data)
        pairs = ((self.tenant, other.tenant), (self.publisher, other.publisher))
        return mine == theirs and all(None in pair or pair[0] == pair[1] for pair in pairs)

    __hash__ = None  # type: ignore[assignment] # equality is not transitive


class Publications(Sequence[Published]):
    """The recorded publications, in the order of the commits. Equal to a list of the same publications."""

    def __init__(self, seen: list[Published], look: Callable[[], None]) -> None:
        self._seen = seen
        self._look = look

    def __getitem__(self, at: Any) -> Any:
        self._look()
        return self._seen[at]

    def __len__(self) -> int:
        self._look()
        return len(self._seen)

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Publications) else other)

    __hash__ = None  # type: ignore[assignment] # it grows

    def __repr__(self) -> str:
        return repr(list(self))


@contextmanager
def published() -> Iterator[Publications]:
    """Record the publications inside the block, in the order of the commits, and send nothing.

    Topic, rule, tenant and data are checked as always: the caller gets the same errors. Publications of a
    transaction that is rolled back are not recorded. A transaction around the test itself (`TestCase`,
    pytest's `db`) does not count: publications that the code under test commits inside of it are recorded
    then.
    """
    before = current_recording()
    recording = _Recording()
    record(recording)
    try:
        yield Publications(recording.seen, recording.look)
        recording.take(is_end=True)
    finally:
        record(before)


class _Recording:
    """Implements `Recording`."""

    def __init__(self) -> None:
        self.seen: list[Published] = []
        self._offsets: Counter[TopicKey] = Counter()

    def add(self, key: TopicKey, draft: Draft) -> Position:
        """Record at once."""
        self.look()
        self.seen.append(_published(key, draft))
        self._offsets[key] += 1
        return Position(EPOCH, self._offsets[key])

    def add_on_commit(self, key: TopicKey, draft: Draft, using: str | None) -> Position | None:
        """Record with the commit of the transaction of `using`, if there is one besides the test's own."""
        if not in_transaction(transaction.get_connection(using)):
            return self.add(key, draft)
        publication = _published(key, draft)
        transaction.on_commit(_Recorded(self, lambda: self.seen.append(publication)), using=using)
        return None

    def look(self) -> None:
        """Record the publications that were committed inside the test's own transaction."""
        self.take(is_end=False)

    def take(self, *, is_end: bool) -> None:
        """As `look`; at the end also what waits for a transaction that is still open."""
        for alias in connections:
            connection = connections[alias]
            if not is_end and in_transaction(connection):
                continue
            for _, callback, *_ in connection.run_on_commit:
                if isinstance(callback, _Recorded) and callback.recording is self:
                    callback()


class _Recorded(Waiting):
    """A publication of a transaction."""

    def __init__(self, recording: _Recording, work: Callable[[], None]) -> None:
        super().__init__(work)
        self.recording = recording


def _published(key: TopicKey, draft: Draft) -> Published:
    return Published(key.topic, msgspec.json.decode(draft.data), key.tenant, draft.publisher)
