"""The records of a run with faults. Times are seconds since its beginning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Every publication holds another number.
Value = int
Topic = str


@dataclass(frozen=True, slots=True)
class Attempted:
    """A client sent a publication, for the first time."""

    at_s: float
    topic: Topic
    value: Value


@dataclass(frozen=True, slots=True)
class Repeated:
    """It was sent again, with its key, as no answer had come: if a server lost it, another stores it anew."""

    at_s: float
    topic: Topic
    value: Value


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """It was answered `published`."""

    at_s: float
    topic: Topic
    value: Value
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A client was answered `subscribed`; `recovered` and `publications` as on the wire.

    With `recovered` other than None it had asked for what came after the last that it got.
    """

    at_s: float
    client: str
    topic: Topic
    epoch: str
    offset: int
    recovered: bool | None = None
    publications: tuple[tuple[int, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """A client got a push `publication`; `epoch` is the one that it names, if it names one."""

    at_s: float
    client: str
    topic: Topic
    offset: int
    value: Value
    epoch: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A client got a push `unsubscribed`: its position is beyond what is kept."""

    at_s: float
    client: str
    topic: Topic


@dataclass(frozen=True, slots=True)
class Closed:
    """A client's socket ended, and it was not the client who ended it."""

    at_s: float
    client: str
    code: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault begins. The bounds of what it excuses, beside a delay:

    `may_lose`: acknowledged publications that no other server has yet. `may_forget`: everything.
    `closes`: sockets. `victims`: the topics that it concerns, None for all.
    """

    at_s: float
    name: str
    may_lose: bool = False
    may_forget: bool = False
    closes: bool = False
    victims: frozenset[Topic] | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The fault has ended: what was stopped goes on, and what was killed runs again."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Read:
    """The answer of a server to `history`: the newest publications, in order."""

    server: str
    epoch: str
    offset: int
    publications: tuple[tuple[int, Value], ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is published, the fault is over, and everything had time to heal.

    `reads` are of all servers; `clients` are those that are to be subscribed to all topics.
    """

    at_s: float
    reads: Mapping[Topic, Sequence[Read]]
    clients: Sequence[str] = ()


Event = Attempted | Repeated | Acknowledged | Subscribed | Delivered | Told | Closed | Fault | Over | Rest
