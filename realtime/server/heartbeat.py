"""Pings for all sockets of a loop with one timer: a timer wheel."""

import asyncio
import random
from typing import Protocol

# Slots of the wheel. A ping is early or late by one slot at most.
SLOTS = 32


class Pinged(Protocol):
    """A socket that receives pings.

    `ping_due` is the tick by which a pong must arrive (0: none awaited). The socket sets it to 0 at a pong.
    """

    ping_due: int

    def send_ping(self) -> None:
        """Send a ping."""
        ...

    def no_pong(self) -> None:
        """End the socket: no pong arrived in time."""
        ...


class Heartbeat:
    """Pings each socket every `interval_s` seconds. Ends it if no pong arrives within `timeout_s` (0: never).

    A socket starts at a random slot, so that sockets that connect together are not pinged together.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float, timeout_s: float) -> None:
        self._loop = loop
        self._tick_s = interval_s / SLOTS
        self._timeout_ticks = max(round(timeout_s / self._tick_s), 1) if timeout_s else 0
        self._wheel: list[set[Pinged]] = [set() for _ in range(SLOTS)]
        self._slots: dict[Pinged, int] = {}
        self._awaited: dict[int, list[Pinged]] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, socket: Pinged) -> None:
        """Start pinging the socket. The first ping comes after half to one interval."""
        ahead = SLOTS // 2 + int(random.random() * (SLOTS // 2 + 1))  # noqa: S311 spreads load
        slot = (self._ticks + ahead) % SLOTS
        self._wheel[slot].add(socket)
        self._slots[socket] = slot
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_s, self._tick)

    def discard(self, socket: Pinged) -> None:
        """Stop pinging the socket."""
        slot = self._slots.pop(socket, None)
        if slot is not None:
            self._wheel[slot].discard(socket)

    def _tick(self) -> None:
        self._ticks += 1
        for socket in self._awaited.pop(self._ticks, ()):
            if socket.ping_due == self._ticks and socket in self._slots:
                socket.no_pong()
        pinged = list(self._wheel[self._ticks % SLOTS])
        due = self._ticks + self._timeout_ticks if self._timeout_ticks else 0
        if due and pinged:
            self._awaited[due] = pinged
        for socket in pinged:
            # A socket that has not answered its last ping keeps that deadline.
            if not socket.ping_due:
                socket.ping_due = due
                socket.send_ping()
        is_needed = self._slots or self._awaited
        self._timer = self._loop.call_later(self._tick_s, self._tick) if is_needed else None


def shared_heartbeat(
    server: object, loop: asyncio.AbstractEventLoop, interval_s: float, timeout_s: float
) -> Heartbeat:
    """Return the server's one Heartbeat. It is kept on uvicorn's ServerState, which all protocols share."""
    shared: dict[str, Heartbeat] = vars(server)
    if "heartbeat" not in shared:
        shared["heartbeat"] = Heartbeat(loop, interval_s, timeout_s)
    return shared["heartbeat"]
