"""What happened in a world: the log that people read and the digest is made of, and what the judge looks at."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.determinism import CLOCK

Topic = str
# Tenant and topic.
Key = tuple[str, str]


class Entry(NamedTuple):
    """One line of the log; its place in it is its order."""

    at_s: float
    who: str
    what: str
    details: tuple[Any, ...]


class Message(NamedTuple):
    """What went between a client and its node. `number` counts what the node sent on this connection from 0."""

    order: int
    at_s: float
    is_sent: bool
    number: int
    id: int | None
    type: str
    payload: dict[str, Any]


class Mark(NamedTuple):
    """From message `number` on nothing of `topic` may come on this connection (None: nothing at all).

    `since_order`: when the right was taken; one that was given again after it counts.
    """

    order: int
    number: int
    topic: Topic | None
    since_order: int
    cause: str


@dataclass(slots=True, eq=False)
class Session:
    """One connection of a client. `user` is None where nobody signed in."""

    name: str
    node: str
    tenant: str
    user: int | None
    messages: list[Message] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    # What cancelled subscribes had done when their cancelling came too late, by request.
    completed: dict[Any, dict[str, Any]] = field(default_factory=dict)
    was_paused: bool = False
    # Its end: None while it is open. `close_code` is what the client saw, 1006 where the line was cut.
    ended_s: float | None = None
    ended_order: int | None = None
    close_code: int | None = None


class Right(NamedTuple):
    """A right was given or taken in the database."""

    order: int
    tenant: str
    user: int
    topic: Topic
    is_given: bool


class Stored(NamedTuple):
    """What the store answered for a publication that it took."""

    epoch: str
    offset: int


class Begun(NamedTuple):
    """An epoch of a topic: its first offset, and the newest publication before it (None: it lost what was there)."""

    first: int
    before: Stored | None


@dataclass(slots=True)
class Checkpoint:
    """The world at rest: faults healed, time given. Only open sessions on living nodes are asked about."""

    name: str
    order: int
    at_s: float
    positions: dict[Key, Stored] = field(default_factory=dict)
    # By node: who is present in each topic, with the number of connections.
    presence: dict[str, dict[Key, dict[int | str, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """All that the judge needs."""

    # Topics that remember nothing: what is missed there is not owed.
    forgetful: frozenset[Topic] = frozenset()
    # Seconds for which a user whose socket just ended stays present; None: not judged in this world.
    grace_s: float | None = None
    entries: list[Entry] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    rights: list[Right] = field(default_factory=list)
    # When credentials of a user were revoked: the order and the user.
    revoked: list[tuple[int, int]] = field(default_factory=list)
    # What was published, by topic, epoch and offset.
    truth: dict[Key, dict[tuple[str, int], Any]] = field(default_factory=dict)
    # The epochs of each topic that has publications.
    begun: dict[Key, dict[str, Begun]] = field(default_factory=dict)
    # Whether an epoch may go on where another one ended.
    has_forks: bool = False
    # So many of the newest publications are certainly kept and can be recovered; None: not judged in this world.
    kept: int | None = None
    checkpoints: list[Checkpoint] = field(default_factory=list)
    # What was left behind when everybody was gone.
    leftovers: list[str] = field(default_factory=list)
    # What nobody expected: failed tasks, errors in the log.
    failures: list[str] = field(default_factory=list)
    # How long the world lived, in seconds of its own, and what was injected into it.
    lived_s: float = 0.0
    injected: dict[str, int] = field(default_factory=dict)

    @property
    def order(self) -> int:
        """The order of what happens next."""
        return len(self.entries)

    def add(self, who: str, what: str, *details: Any) -> int:
        """Write a line; gives its order."""
        self.entries.append(Entry(CLOCK.now_s, who, what, details))
        return len(self.entries) - 1

    def digest(self) -> str:
        """Equal for equal runs."""
        hashed = hashlib.blake2b(digest_size=12)
        for entry in self.entries:
            hashed.update(repr(entry).encode())
        return hashed.hexdigest()


def readable(entries: list[Entry], *, last: int | None = None) -> str:
    """The log as text, its last `last` lines or all of it."""
    lines = [
        f"{order:5} {entry.at_s:9.4f} {entry.who:8} {entry.what:14} {' '.join(map(_short, entry.details))}"
        for order, entry in enumerate(entries)
    ]
    return "\n".join(lines[-last:] if last else lines)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else text[:197] + "..."
