"""The one place that writes to a socket: a queue bounded in bytes."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from realtime.frame import Frame
from realtime.types import Send

# While a connection owes its client more than this, it takes no further request from it.
LOW_WATER_BYTES = 64 * 1024


class Outbox:
    """What a connection still has to send, at most `limit_bytes` of it (0: no bound).

    `overflowed` is called once when a frame would go beyond the bound; that frame and all that wait are dropped.
    A frame larger than the bound passes when nothing waits before it.
    """

    __slots__ = (
        "_drained",
        "_is_closed",
        "_is_sending",
        "_last",
        "_limit_bytes",
        "_overflowed",
        "_queue",
        "_send",
        "_task",
        "dropped",
        "pending_bytes",
    )

    def __init__(self, send: Send, limit_bytes: int, overflowed: Callable[[], None]) -> None:
        self._send = send
        self._limit_bytes = limit_bytes
        self._overflowed = overflowed
        self._queue: deque[Frame] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._is_closed = False
        self._last: dict[str, Any] | None = None
        self._drained: asyncio.Event | None = None
        self.pending_bytes = 0
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Send `frame` after all before it; returns at once."""
        if self._is_closed:
            self.dropped += 1
            return
        if (
            self._limit_bytes
            and self.pending_bytes
            and self.pending_bytes + frame.size_bytes > self._limit_bytes
        ):
            self.dropped += 1 + len(self._queue)
            self._overflowed()
            return
        self._queue.append(frame)
        self.pending_bytes += frame.size_bytes
        if not self._is_sending:
            self._start()

    async def send(self, frame: Frame) -> None:
        """`put`, then wait while too much is pending: what a connection does with its own replies."""
        if self._is_sending or self._is_closed or self._queue:
            self.put(frame)
        else:
            self.pending_bytes += frame.size_bytes
            self._is_sending = True
            await self._write(frame)
            self._is_sending = False
            if self._queue or self._last is not None:
                self._start()
        if self.pending_bytes > LOW_WATER_BYTES:
            await self.drained()

    async def drained(self) -> None:
        """Wait until nothing is pending, or the socket is closed."""
        while self.pending_bytes and not self._is_closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """End the socket with `code` after what waits, or instead of it (`discard`)."""
        if self._is_closed:
            return
        self._is_closed = True
        self._last = {"type": "websocket.close", "code": code, "reason": reason}
        if discard:
            self._forget()
            if self._task is not None:
                self._task.cancel()
                self._is_sending = False
        if not self._is_sending:
            self._start()
        self._wake()

    def abandon(self) -> None:
        """The socket is gone: drop what waits and stop."""
        self._is_closed = True
        self._last = None
        self.dropped += len(self._queue)
        self._forget()
        if self._task is not None:
            self._task.cancel()
        self._wake()

    def _start(self) -> None:
        self._is_sending = True
        self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._queue:
            await self._write(self._queue.popleft())
        if self._last is not None:
            last, self._last = self._last, None
            await self._write_event(last)
        self._is_sending = False
        self._task = None

    async def _write(self, frame: Frame) -> None:
        await self._write_event(frame.event)
        self.pending_bytes = max(self.pending_bytes - frame.size_bytes, 0)
        if not self.pending_bytes:
            self._wake()

    async def _write_event(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
        except (OSError, RuntimeError):
            # Servers raise one or the other when the client left first; the reader hears of it as a disconnect.
            self.abandon_from_writer()

    def abandon_from_writer(self) -> None:
        """As `abandon`, from within the writing task itself."""
        self._is_closed = True
        self._last = None
        self.dropped += 1 + len(self._queue)
        self._forget()
        self._wake()

    def _forget(self) -> None:
        self._queue.clear()
        self.pending_bytes = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
