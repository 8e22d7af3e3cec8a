"""The positions of the listeners of a topic. No sockets, no tasks: the client drives it."""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any

import msgspec

from realtime.client.types import Publication
from realtime.core.position import Position

# Publications that are held back at most while a subscription begins. Those after them are recovered.
HELD_MAX = 1000


class Outcome(Enum):
    """The outcome of a publication."""

    APPLIED = auto()
    DUPLICATE = auto()
    HELD = auto()
    # Earlier ones are missing: subscribe again.
    GAP = auto()
    # The listener has no room; it subscribes again when it has.
    FULL = auto()


class Listener:
    """A place in a topic: everything after it is handed on, once and in order.

    `put` takes a publication and returns False if it has no room. `is_paused` says that it had none.
    """

    def __init__(
        self, put: Callable[[Publication], bool], *, since: Position | None = None, recover: bool = True
    ) -> None:
        self._put = put
        self.wants_recovery = recover
        self.epoch = since.epoch if since else None
        self.offset = since.offset if since else 0
        self.is_paused = False
        self._held: list[Publication] | None = []
        self._lost_some = False

    @property
    def position(self) -> Position | None:
        """The position to recover from; None at the first `subscribe`, and where no history is needed."""
        return Position(self.epoch, self.offset) if self.wants_recovery and self.epoch is not None else None

    def hold(self) -> None:
        """Hold publications back until `accept`."""
        self._held = []
        self._lost_some = False
        self.is_paused = False

    def accept(self, reply: "Subscribed", *, recovered: bool | None) -> bool:
        """Go live with the server's answer. Return False if it must be subscribed again."""
        held, self._held = self._held or [], None
        goes_on = recovered is True or (self.epoch == reply.epoch and not self.wants_recovery)
        self.epoch = reply.epoch
        if not goes_on:
            self.offset = reply.offset
        missed = reply.publications if recovered else []
        outcomes = [self.take(each) for each in missed]
        if recovered and not self.is_paused:
            self.offset = max(self.offset, reply.offset)
        outcomes += [self.take(each) for each in held]
        if not self.is_paused and Outcome.GAP not in outcomes:
            self.offset = max(self.offset, reply.offset)
        return Outcome.GAP not in outcomes and not self._lost_some

    def take(self, publication: Publication) -> Outcome:
        """Take a publication that was pushed."""
        if self._held is not None:
            if len(self._held) < HELD_MAX:
                self._held.append(publication)
            else:
                self._lost_some = True
            return Outcome.HELD
        if publication.offset <= self.offset:
            return Outcome.DUPLICATE
        if self.is_paused:
            return Outcome.FULL
        if self.wants_recovery and publication.offset > self.offset + 1:
            return Outcome.GAP
        if not self._put(publication):
            self.is_paused = True
            return Outcome.FULL
        self.offset = publication.offset
        self.epoch = publication.epoch or self.epoch
        return Outcome.APPLIED


class Subscribed(msgspec.Struct, frozen=True):
    """The server's answer to `subscribe`, for one topic. `error` is set instead of the rest if it was refused."""

    topic: str
    epoch: str = ""
    offset: int = 0
    recovered: bool | None = None
    publications: list[Publication] = []
    presence: Any = None
    error: dict[str, Any] | None = None


def oldest(listeners: Iterable[Listener]) -> Position | None:
    """Return the oldest position of the listeners; those of another epoch than the first one's are left out."""
    positions = [each.position for each in listeners if each.position is not None]
    same = [each for each in positions if each.epoch == positions[0].epoch]
    return min(same, key=lambda each: each.offset, default=None)
