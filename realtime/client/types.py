"""The values that the client hands out."""

from enum import StrEnum
from typing import Any, Literal

import msgspec

from realtime.core.position import Position


class User(msgspec.Struct, frozen=True):
    """A user of the site."""

    id: int | str
    username: str


class PresentUser(msgspec.Struct, frozen=True):
    """A user that follows a topic, with the number of their open sockets."""

    id: int | str
    username: str
    connections: int = 1


class Presence(msgspec.Struct, frozen=True):
    """The users who follow a topic. `users` is empty if the server names nobody: not signed in, or a large topic."""

    users: list[PresentUser]
    count: int


class Publication(msgspec.Struct, frozen=True):
    """A publication of a topic. `offset` is its number: 1, 2, 3 … `publisher` is None for the server.

    `epoch` is set if the history goes on under another one from here on, with nothing lost.
    """

    topic: str
    offset: int
    data: Any
    publisher: User | None = None
    time: str = ""
    epoch: str | None = None


class History(msgspec.Struct, frozen=True):
    """Publications of a topic, and its position."""

    topic: str
    epoch: str
    offset: int
    publications: list[Publication]

    @property
    def position(self) -> Position:
        """The position of the topic when this was read."""
        return Position(self.epoch, self.offset)


class StreamValue(msgspec.Struct, frozen=True):
    """A value of a stream. `timestamp` is in seconds of Unix time."""

    stream: str
    source: str
    timestamp: float
    value: Any


class Rows(msgspec.Struct, frozen=True):
    """All rows of a live query: the first event, and one after each reconnect."""

    items: list[Any]


class Change(msgspec.Struct, frozen=True):
    """A row of a live query that is new, has changed, or is no longer in it: `insert`, `update` or `remove`."""

    op: Literal["insert", "update", "remove"]
    item: Any


class StateName(StrEnum):
    """The states of a client."""

    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"
    STOPPED = "stopped"


class State(msgspec.Struct, frozen=True):
    """The state of a client. `retry_after_s`: it waits this long before it tries again. `code` and `reason` are
    those of the last close: 1006 without a close frame, and the code that stands for the status of an HTTP refusal."""

    name: StateName
    retry_after_s: float = 0.0
    code: int = 0
    reason: str = ""
