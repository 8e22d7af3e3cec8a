"""The messages to a connection, and the one place that writes to a socket.

A prepared message is encoded once, framed once, and shared by all connections it is sent to. Its form depends on
the client and the server: `encoded`; `encoded_batch` if a text frame may hold several messages; both of them
compressed; and the same as ASGI events for servers that do not take prepared messages. Forms that are rarely
needed are made at the first request.

An outbox counts the messages sent, and bounds the bytes that wait. `TransportOutbox` is for servers that
take prepared messages. `asgi_outbox` has the one for other servers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from realtime.protocol.codec import encode_reply
from realtime.protocol.deflate import Deflate
from realtime.protocol.envelope import Reply, RequestId
from realtime.protocol.frames import BINARY, TEXT, encode_frame
from realtime.sockets.backlogs import Bounds, nobody
from realtime.sockets.completed import COMPLETED
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.transport import FrameWriter, SocketTransport

logger = logging.getLogger(__name__)

# While more bytes than this wait for a client, its connection takes no further request from it.
LOW_WATER_BYTES = 64 * 1024
# Separates the messages of one frame. JSON without white space, as the codec writes it, never contains it.
SEPARATOR = "\n"
# The largest payload of a frame with several messages; a single message may be larger.
SHARED_FRAME_MAX_BYTES = 64 * 1024


class PreparedMessage:
    """One text or binary message. `size_bytes` is the size of its payload."""

    __slots__ = ("_deflated", "_event", "encoded", "encoded_batch", "payload", "size_bytes", "text")

    count = 1

    def __init__(self, text: str | None = None, data: bytes | None = None) -> None:
        self.text = text
        self.payload = text.encode() if text is not None else data or b""
        self.size_bytes = len(self.payload)
        # The frame's bytes. A single message is the same in both forms.
        self.encoded = self.encoded_batch = encode_frame(BINARY if text is None else TEXT, self.payload)
        self._event: dict[str, Any] | None = None
        # By compression parameters; nearly all clients have the same.
        self._deflated: dict[Deflate, bytes] | None = None

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """The message as an ASGI event."""
        if self._event is None:
            if self.text is not None:
                self._event = {"type": "websocket.send", "text": self.text}
            else:
                self._event = {"type": "websocket.send", "bytes": self.payload}
        return (self._event,)

    @property
    def batch_events(self) -> Sequence[dict[str, Any]]:
        """As `events`, because this is a single message."""
        return self.events

    def deflated(self, deflate: Deflate) -> bytes:
        """Return the compressed frame, made once for all clients with the same parameters;
        `encoded` if that is better."""
        if self._deflated is None:
            self._deflated = {}
        encoded = self._deflated.get(deflate)
        if encoded is None:
            opcode = BINARY if self.text is None else TEXT
            encoded = self._deflated[deflate] = deflate.encode_frame(opcode, self.payload) or self.encoded
        return encoded

    def deflated_batch(self, deflate: Deflate) -> bytes:
        """As `deflated`, because this is a single message."""
        return self.deflated(deflate)


def prepared_reply(request_id: RequestId | None, reply: Reply | None) -> PreparedMessage | None:
    """Return a reply, encoded; None if there is no request id, unless the reply is one that is always sent.

    Raises TypeError for a value that is not a reply, or that JSON cannot hold.
    """
    if reply is None:
        return None
    if not isinstance(reply, Reply):
        raise TypeError(f"Expected a Reply or None, received {type(reply).__name__}.")
    if request_id is None and not reply.always:
        return None
    return PreparedMessage(encode_reply(request_id, reply.type, reply.payload))


class PreparedBatch:
    """Several messages sent together: one frame each, or several in a frame if the client takes that."""

    __slots__ = ("_deflated", "_joined", "count", "encoded", "frames", "size_bytes")

    def __init__(self, frames: Sequence[PreparedMessage]) -> None:
        self.frames = frames
        self.count = len(frames)
        self.size_bytes = sum(frame.size_bytes for frame in frames)
        # The bytes of all frames.
        self.encoded = b"".join([frame.encoded for frame in frames])
        self._joined: PreparedBatch | None = None
        self._deflated: dict[Deflate, bytes] | None = None

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """One ASGI event for each message."""
        return [frame.events[0] for frame in self.frames]

    @property
    def batch_events(self) -> Sequence[dict[str, Any]]:
        """ASGI events with several messages each."""
        return self.joined.events

    @property
    def encoded_batch(self) -> bytes:
        """The bytes of frames with several messages each."""
        return self.joined.encoded

    def deflated(self, deflate: Deflate) -> bytes:
        """As `encoded`, with each message compressed by itself."""
        if self._deflated is None:
            self._deflated = {}
        encoded = self._deflated.get(deflate)
        if encoded is None:
            encoded = b"".join([frame.deflated(deflate) for frame in self.frames])
            self._deflated[deflate] = encoded
        return encoded

    def deflated_batch(self, deflate: Deflate) -> bytes:
        """As `encoded_batch`, with each frame compressed by itself; more messages in a
        frame compress better."""
        return self.joined.deflated(deflate)

    @property
    def joined(self) -> "PreparedBatch":
        """The same messages, in order, in as few text frames as possible; a binary message
        keeps its own frame."""
        if self._joined is None:
            self._joined = PreparedBatch(list(_join(self.frames)))
        return self._joined


# Gives the bytes or events of an item to an outbox; each outbox uses one of these for all its life.
EncodedForm = Callable[[PreparedMessage | PreparedBatch], bytes]
AS_ENCODED: EncodedForm = attrgetter("encoded")


def _join(frames: Iterable[PreparedMessage]) -> Iterator[PreparedMessage]:
    group: list[PreparedMessage] = []
    size_bytes = 0
    for frame in frames:
        if group and (frame.text is None or size_bytes + frame.size_bytes > SHARED_FRAME_MAX_BYTES):
            yield _shared(group)
            group, size_bytes = [], 0
        if frame.text is None:
            yield frame
        else:
            group.append(frame)
            size_bytes += frame.size_bytes + len(SEPARATOR)
    if group:
        yield _shared(group)


def _shared(group: Sequence[PreparedMessage]) -> PreparedMessage:
    return (
        group[0]
        if len(group) == 1
        else PreparedMessage(SEPARATOR.join([frame.text or "" for frame in group]))
    )


class Outbox:
    """The messages to one connection, in order.

    `pending_bytes` is the size of the messages that wait here, before compression and including replies.
    Together with what the transport holds it is at most the limit. `dropped` counts messages that were never
    sent. `messages_out` counts all messages, including dropped ones; the route's figures count them too.

    A message above the limit is dropped together with all that wait, and `overflowed` is called once. If no
    other message waits here, a message passes whatever its size.

    While `direct` is not None, `put` counts the item and calls `direct.write(form(item))`; `put_to_all` does
    both itself. `direct` is None while earlier messages wait or the client does not read.
    """

    __slots__ = (
        "_backlogs",
        "_cut",
        "_limit_bytes",
        "_overflowed",
        "direct",
        "dropped",
        "form",
        "messages_out",
        "metrics",
        "pending_bytes",
    )

    def __init__(
        self, direct: FrameWriter | None, form: EncodedForm, metrics: RouteMetrics, bounds: Bounds
    ) -> None:
        self.direct = direct
        self.form = form
        self.metrics = metrics
        self._limit_bytes, self._overflowed, self._cut, self._backlogs = bounds
        self.messages_out = 0
        self.dropped = 0
        self.pending_bytes = 0

    @property
    def is_behind(self) -> bool:
        """Whether the client has not yet taken everything that was sent to it."""
        raise NotImplementedError

    @property
    def held_bytes(self) -> int:
        """`pending_bytes`, and the bytes that the kernel has not taken yet."""
        return self.pending_bytes

    @property
    def rtt_ms(self) -> float | None:
        """The milliseconds that the client's last pong took; None if the server does not measure it."""
        return None

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """Send `item` after those put before it; returns at once."""
        raise NotImplementedError

    def send(self, frame: PreparedMessage) -> Awaitable[None]:
        """`put`, then wait while the client is not reading; used for replies.

        The result must be awaited; it is COMPLETED if there is nothing to wait for.
        """
        raise NotImplementedError

    async def drained(self) -> None:
        """Wait until nothing is pending, or the socket is closed."""
        raise NotImplementedError

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """Close the socket after the waiting messages; `discard` drops them."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Drop the waiting messages, because the socket is gone."""
        raise NotImplementedError

    def abort(self) -> None:
        """End the socket now, without a close frame, and drop what waits here and in the transport."""
        raise NotImplementedError

    def mark(self) -> Hashable | None:
        """Return a value that changes when the client takes a byte, if the server can tell; None if nothing waits."""
        raise NotImplementedError

    def cut(self) -> None:
        """As `Holder.cut`."""
        self._cut()

    def _overflows(self, held_bytes: int, item: PreparedMessage | PreparedBatch) -> bool:
        """Return whether `item` exceeds the limit in addition to `held_bytes`; it is then dropped
        and the connection is told."""
        if not (
            self._limit_bytes and self.pending_bytes and held_bytes + item.size_bytes > self._limit_bytes
        ):
            return False
        self.dropped += item.count
        self._overflowed()
        return True

    def _count(self, item: PreparedMessage | PreparedBatch) -> None:
        self.messages_out += item.count
        count_on(self.metrics, item, 1)


def count_on(metrics: RouteMetrics | None, item: PreparedMessage | PreparedBatch, deliveries: int) -> None:
    """Count `deliveries` deliveries of an item in the figures of a route."""
    if metrics is not None:
        metrics.messages_out += item.count * deliveries
        metrics.bytes_out += item.size_bytes * deliveries


class WriteCoalescer:
    """Write coalescing: replies of one loop iteration are written together at its end, one
    write for each client.

    docs/performance.md has the reason and the effect ("Why it is so").
    """

    def __init__(self) -> None:
        self._waiting: list[TransportOutbox] = []

    def add(self, outbox: "TransportOutbox") -> None:
        """Flush `outbox` at the end of this loop iteration."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(outbox)

    def flush(self) -> None:
        """Flush all waiting outboxes now."""
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            try:
                outbox.flush()
            except Exception:  # a failure of one socket does not affect the others
                logger.exception("Replies could not be sent")


class TransportOutbox(Outbox):
    """Writes prepared frames to the server's transport. Messages wait here only for the end of the loop
    iteration, or while the client is not reading."""

    __slots__ = (
        "_coalescer",
        "_drained",
        "_flow_changes",
        "_is_closed",
        "_is_coalescing",
        "_transport",
        "_waiting",
        "_waiting_count",
    )

    def __init__(
        self,
        transport: SocketTransport,
        form: EncodedForm,
        bounds: Bounds,
        metrics: RouteMetrics,
        coalescer: WriteCoalescer,
    ) -> None:
        super().__init__(transport.direct, form, metrics, bounds)
        self._transport = transport
        self._coalescer = coalescer
        self._is_coalescing = False
        self._flow_changes = 0
        self._waiting: list[bytes] = []
        self._waiting_count = 0
        self._is_closed = False
        self._drained: asyncio.Event | None = None
        transport.on_flow = self._flow_changed

    @property
    def is_behind(self) -> bool:
        """As `Outbox.is_behind`. Replies held for write coalescing do not count."""
        return not self._transport.is_writable or (self.pending_bytes > 0 and not self._is_coalescing)

    @property
    def held_bytes(self) -> int:
        """As `Outbox.held_bytes`."""
        return self.pending_bytes + self._transport.buffered_bytes

    @property
    def rtt_ms(self) -> float | None:
        """As `Outbox.rtt_ms`."""
        return self._transport.rtt_ms

    def put(self, item: PreparedMessage | PreparedBatch) -> None:
        """As `Outbox.put`."""
        self._count(item)
        if self.direct is not None:
            self.direct.write(self.form(item))
        elif self._is_closed:
            self.dropped += item.count
        elif not self._transport.is_writable:
            self._wait(item)
        else:
            self._hold(item)
            self.flush()

    def send(self, frame: PreparedMessage) -> Awaitable[None]:
        """As `Outbox.send`; the frame is written at the end of the loop iteration, or with a later `put`."""
        if self.direct is not None:
            self._is_coalescing = True
            self._coalescer.add(self)
        if self._is_coalescing and self.pending_bytes + frame.size_bytes < LOW_WATER_BYTES:
            self._count(frame)
            self._hold(frame)
            return COMPLETED
        self.put(frame)
        return COMPLETED if self._transport.is_writable else self.drained()

    async def drained(self) -> None:
        """As `Outbox.drained`."""
        while (self.pending_bytes or not self._transport.is_writable) and not self._is_closed:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    def close(self, code: int, reason: str, *, discard: bool) -> None:
        """As `Outbox.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        self.direct = None
        if discard:
            self._forget()
        elif self._waiting:
            self._transport.write(b"".join(self._waiting))
            self._take_all()
        self._transport.close(code, reason)
        self._wake()

    def abandon(self) -> None:
        """As `Outbox.abandon`."""
        self._overflowed = self._cut = nobody
        self._is_closed = True
        self.direct = None
        self._transport.on_flow = None
        self._forget()
        self._backlogs.note(self, 0)
        self._wake()

    def abort(self) -> None:
        """As `Outbox.abort`."""
        self.abandon()
        self._transport.abort()

    def mark(self) -> Hashable | None:
        """As `Outbox.mark`. Nothing is written to a full transport, so its buffer only shrinks. Every write
        to a transport that is not full changes `messages_out`."""
        buffered_bytes = self._transport.buffered_bytes
        if not buffered_bytes and not self.pending_bytes:
            return None
        return buffered_bytes, self._flow_changes, self._transport.is_writable and self.messages_out

    def _wait(self, item: PreparedMessage | PreparedBatch) -> None:
        held_bytes = self.pending_bytes + self._transport.buffered_bytes
        if not self._overflows(held_bytes, item):
            self._hold(item)
            self._backlogs.note(self, held_bytes + item.size_bytes)

    def _hold(self, item: PreparedMessage | PreparedBatch) -> None:
        # Later messages must not overtake this one.
        self.direct = None
        self._waiting.append(self.form(item))
        self._waiting_count += item.count
        self.pending_bytes += item.size_bytes

    def _flow_changed(self) -> None:
        self._flow_changes += 1
        is_behind = not self._transport.is_writable
        self._backlogs.note(self, self.pending_bytes + self._transport.buffered_bytes if is_behind else 0)
        if not self._waiting and not self._is_closed:
            self.direct = self._transport.direct
        self.flush()

    def flush(self) -> None:
        """Write the waiting messages if the client is reading."""
        self._is_coalescing = False
        if self._waiting and self._transport.is_writable and not self._is_closed:
            waiting = self._waiting
            self._take_all()
            self._transport.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
            self.direct = self._transport.direct
        if self._transport.is_writable:
            self._wake()

    def _forget(self) -> None:
        self.dropped += self._waiting_count
        self._take_all()

    def _take_all(self) -> None:
        self._waiting = []
        self._waiting_count = 0
        self.pending_bytes = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
