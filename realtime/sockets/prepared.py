"""Prepared messages: encoded once, framed once, and shared by all connections they are sent to.

The form depends on the client and the server: `encoded`; `encoded_batch` if a text frame may hold several
messages; both of them compressed; and the same as ASGI events for servers that do not take prepared frames.
Forms that are rarely needed are made at the first request.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, methodcaller
from typing import Any

from realtime.protocol.codec import encode_reply
from realtime.protocol.deflate import Deflate
from realtime.protocol.envelope import Reply, RequestId
from realtime.protocol.frames import BINARY, TEXT, encode_frame

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
        """The compressed frame, made once for all clients with the same parameters;
        `encoded` if that is better."""
        if self._deflated is None:
            self._deflated = {}
        wire = self._deflated.get(deflate)
        if wire is None:
            opcode = BINARY if self.text is None else TEXT
            wire = self._deflated[deflate] = deflate.encode_frame(opcode, self.payload) or self.encoded
        return wire

    def deflated_batch(self, deflate: Deflate) -> bytes:
        """As `deflated`, because this is a single message."""
        return self.deflated(deflate)


def prepared_reply(request_id: RequestId | None, reply: Reply | None) -> PreparedMessage | None:
    """A reply, encoded; None if there is no request id, unless the reply is one that is always sent.

    Raises TypeError for what is no reply, and for what JSON cannot hold.
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
        wire = self._deflated.get(deflate)
        if wire is None:
            wire = b"".join([frame.deflated(deflate) for frame in self.frames])
            self._deflated[deflate] = wire
        return wire

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


# How an outbox gets the bytes or events of an item; each outbox uses one of these for all its life.
EncodedForm = Callable[[PreparedMessage | PreparedBatch], bytes]
EventForm = Callable[[PreparedMessage | PreparedBatch], Sequence[dict[str, Any]]]
AS_ENCODED: EncodedForm = attrgetter("encoded")
AS_ENCODED_BATCH: EncodedForm = attrgetter("encoded_batch")
AS_EVENTS: EventForm = attrgetter("events")
AS_BATCH_EVENTS: EventForm = attrgetter("batch_events")


def as_deflated(deflate: Deflate, *, has_batches: bool) -> EncodedForm:
    """The form for clients that take compressed messages."""
    return methodcaller("deflated_batch" if has_batches else "deflated", deflate)


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
