"""The outbox that writes through ASGI's `send`, for servers that do not take prepared messages; and the choice
of a connection's outbox."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter, methodcaller
from typing import Any

from realtime.protocol.deflate import Deflate
from realtime.sockets.backlogs import Backlogs, Bounds, nobody
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import (
    AS_ENCODED,
    LOW_WATER_BYTES,
    EncodedForm,
    Outbox,
    PreparedBatch,
    PreparedMessage,
    TransportOutbox,
    WriteCoalescer,
)
from realtime.sockets.transport import socket_transport
from realtime.sockets.types import Scope, Send

# Gives the events or bytes of an item to an outbox; each outbox uses one form for all its life.
EventForm = Callable[[PreparedMessage | PreparedBatch], Sequence[dict[str, Any]]]
AS_EVENTS: EventForm = attrgetter("events")
AS_BATCH_EVENTS: EventForm = attrgetter("batch_events")
AS_ENCODED_BATCH: EncodedForm = attrgetter("encoded_batch")


def as_deflated(deflate: Deflate, *, has_batches: bool) -> EncodedForm:
    """Return the form for clients that take compressed messages."""
    return methodcaller("deflated_batch" if has_batches else "deflated", deflate)


def make_outbox(
    scope: Scope,
    send: Send,
    limit_bytes: int,
    overflowed: Callable[[], None],
    metrics: RouteMetrics,
    coalescer: WriteCoalescer,
    *,
    has_batches: bool = False,
    deflate_min_bytes: int = 0,
    backlogs: Backlogs | None = None,
    cut: Callable[[], None] = nobody,
) -> Outbox:
    """Return the outbox that fits a socket's server and client. A `limit_bytes` of 0 is no bound.

    Waiting bytes are counted in `backlogs`, which calls `cut` if all outboxes together hold too much.

    `has_batches`: the client takes several messages in one text frame. `deflate_min_bytes`: if the client
    takes compressed messages, smaller ones are still sent plain.
    """
    bounds = Bounds(limit_bytes, overflowed, cut, backlogs or Backlogs())
    transport = socket_transport(scope)
    if transport is not None:
        form = AS_ENCODED_BATCH if has_batches else AS_ENCODED
        if transport.deflate_bits:
            deflate = Deflate(transport.deflate_bits, deflate_min_bytes)
            form = as_deflated(deflate, has_batches=has_batches)
        return TransportOutbox(transport, form, bounds, metrics, coalescer)
    return AsgiOutbox(send, AS_BATCH_EVENTS if has_batches else AS_EVENTS, bounds, metrics)


class AsgiOutbox(Outbox):
    """Writes through ASGI's `send`, in a task that exists only while messages wait."""

    __slots__ = (
        "_drained",
        "_events",
        "_is_closed",
        "_is_sending",
        "_last",
        "_queue",
        "_send",
        "_task",
        "_writes",
    )

    def __init__(
        self,
        send: Send,
        events: EventForm,
        bounds: Bounds,
        metrics: RouteMetrics,
    ) -> None:
        super().__init__(None, AS_ENCODED, metrics, bounds)
        self._send = send
        self._events = events
        # Counts the events that the server has accepted.
        self._writes = 0
        # A list, because an empty deque takes more memory and the queue is empty for most connections.
        self._queue: list[PreparedMessage | PreparedBatch] = []
        self._task: asyncio.Task[None] | None = None
        self._is_sending = False
        self._is_closed = False
        self._last: dict[str, Any] | None = None
        self._drained: asyncio.Event | None = None

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`."""
        return self.pending_bytes > 0

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """As `Outbox.put`."""
        self._count(item)
        if self._is_closed:
            self.dropped += item.count
        elif not self._overflows(self.pending_bytes, item):
            self._queue.append(item)
            self.pending_bytes += item.size_bytes
            if self._is_sending:
                self._backlogs.note(self, self.pending_bytes)
            else:
                self._start()

    async def send(self, frame: PreparedMessage) -> None:
        """As `Outbox.send`; the message is sent when the result is awaited."""
        if self._is_sending or self._is_closed or self._queue:
            self.put(frame)
        else:
            self._count(frame)
            self.pending_bytes += frame.size_bytes
            await self._send_now(frame)
        if self.pending_bytes > LOW_WATER_BYTES:
            await self.drained()

    async def drained(self) -> None:
        """As `Outbox.drained`."""
        while self.pending_bytes and not self._is_closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """As `Outbox.close`."""
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
        """As `Outbox.abandon`."""
        self._overflowed = self._cut = nobody
        self._gone()
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """As `Outbox.abort`. ASGI has no event for it: the server closes the socket when
        the application returns."""
        self.abandon()

    def mark(self) -> Hashable | None:
        """As `Outbox.mark`; progress is visible only if the server's `send` waits for the client."""
        return self._writes if self.pending_bytes else None

    async def _send_now(self, frame: PreparedMessage) -> None:
        self._is_sending = True
        try:
            await self._write(frame)
        finally:
            # The caller may have been cancelled; the queued messages must still be sent.
            self._is_sending = False
            if self._queue or self._last is not None:
                self._start()

    def _start(self) -> None:
        self._is_sending = True
        self._task = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        while self._queue:
            await self._write(self._queue.pop(0))
        if self._last is not None:
            last, self._last = self._last, None
            await self._write_event(last)
        self._is_sending = False
        self._task = None

    async def _write(self, item: PreparedMessage | PreparedBatch) -> None:
        try:
            for event in self._events(item):
                await self._write_event(event)
        finally:
            self.pending_bytes = max(self.pending_bytes - item.size_bytes, 0)
            if not self.pending_bytes:
                self._backlogs.note(self, 0)
                self._wake()

    async def _write_event(self, event: dict[str, Any]) -> None:
        try:
            await self._send(event)
            self._writes += 1
        except (OSError, RuntimeError):
            # Servers raise one of these if the client has left; the reader sees it as a disconnect.
            self._gone()

    def _gone(self) -> None:
        self._is_closed = True
        self._last = None
        self._forget()
        self._wake()

    def _forget(self) -> None:
        self.dropped += sum(item.count for item in self._queue)
        self._queue.clear()
        self.pending_bytes = 0
        self._backlogs.note(self, 0)

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
