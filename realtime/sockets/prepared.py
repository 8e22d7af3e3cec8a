"""Messages ready to be sent: encoded once, framed once, shared by everybody they go to.

They go out in several forms, by what the client takes: `wire` and, where a text frame may hold several messages,
`encoded_batch`; both compressed; the same as ASGI events for servers that take no ready frames. What is not always there
is made when it is first asked for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, methodcaller
from typing import Any

from realtime.protocol.deflate import Deflate
from realtime.protocol.frames import BINARY, TEXT, encode_frame

# Between the messages of one frame: JSON without spaces, as the codec writes it, holds none.
SEPARATOR = "\n"
# The largest payload that several messages share; a single message may be larger.
SHARED_FRAME_MAX_BYTES = 64 * 1024


class PreparedMessage:
    """One text or binary message. `size_bytes` is its payload's size."""

    __slots__ = ("_deflated", "_event", "encoded", "encoded_batch", "payload", "size_bytes", "text")

    count = 1

    def __init__(self, text: str | None = None, data: bytes | None = None) -> None:
        self.text = text
        self.payload = text.encode() if text is not None else data or b""
        self.size_bytes = len(self.payload)
        # As it stands on the wire; one message has nothing to share a frame with.
        self.encoded = self.encoded_batch = encode_frame(BINARY if text is None else TEXT, self.payload)
        self._event: dict[str, Any] | None = None
        # By the agreement: nearly all clients have the same.
        self._deflated: dict[Deflate, bytes] | None = None

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """As ASGI sends it."""
        if self._event is None:
            if self.text is not None:
                self._event = {"type": "websocket.send", "text": self.text}
            else:
                self._event = {"type": "websocket.send", "bytes": self.payload}
        return (self._event,)

    @property
    def batch_events(self) -> Sequence[dict[str, Any]]:
        """As `events`: one message has nothing to share a frame with."""
        return self.events

    def deflated(self, deflate: Deflate) -> bytes:
        """Compressed, once for all with the same agreement; as `wire` where that is better."""
        if self._deflated is None:
            self._deflated = {}
        wire = self._deflated.get(deflate)
        if wire is None:
            opcode = BINARY if self.text is None else TEXT
            wire = self._deflated[deflate] = deflate.encode_frame(opcode, self.payload) or self.encoded
        return wire

    def deflated_batch(self, deflate: Deflate) -> bytes:
        """As `deflated`: one message has nothing to share a frame with."""
        return self.deflated(deflate)


class PreparedBatch:
    """Several messages that go out together: each a frame of its own, or in few frames where the client takes it."""

    __slots__ = ("_deflated", "_joined", "count", "encoded", "frames", "size_bytes")

    def __init__(self, frames: Sequence[PreparedMessage]) -> None:
        self.frames = frames
        self.count = len(frames)
        self.size_bytes = sum(frame.size_bytes for frame in frames)
        # As they stand on the wire.
        self.encoded = b"".join([frame.encoded for frame in frames])
        self._joined: PreparedBatch | None = None
        self._deflated: dict[Deflate, bytes] | None = None

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """As ASGI sends them."""
        return [frame.events[0] for frame in self.frames]

    @property
    def batch_events(self) -> Sequence[dict[str, Any]]:
        """As ASGI sends them, several messages in one."""
        return self.joined.events

    @property
    def encoded_batch(self) -> bytes:
        """As they stand on the wire, several messages a frame."""
        return self.joined.encoded

    def deflated(self, deflate: Deflate) -> bytes:
        """As `wire`, each message compressed by itself."""
        if self._deflated is None:
            self._deflated = {}
        wire = self._deflated.get(deflate)
        if wire is None:
            wire = b"".join([frame.deflated(deflate) for frame in self.frames])
            self._deflated[deflate] = wire
        return wire

    def deflated_batch(self, deflate: Deflate) -> bytes:
        """As `encoded_batch`, each frame compressed by itself: the better, the more messages share one."""
        return self.joined.deflated(deflate)

    @property
    def joined(self) -> "PreparedBatch":
        """The same messages in as few text frames as hold them in order; a binary message stays a frame of its own."""
        if self._joined is None:
            self._joined = PreparedBatch(list(_join(self.frames)))
        return self._joined


# How an outbox asks for what it sends: one of these for as long as it lives.
EncodedForm = Callable[[PreparedMessage | PreparedBatch], bytes]
EventForm = Callable[[PreparedMessage | PreparedBatch], Sequence[dict[str, Any]]]
AS_ENCODED: EncodedForm = attrgetter("encoded")
AS_ENCODED_BATCH: EncodedForm = attrgetter("encoded_batch")
AS_EVENTS: EventForm = attrgetter("events")
AS_BATCH_EVENTS: EventForm = attrgetter("batch_events")


def as_deflated(deflate: Deflate, *, has_batches: bool) -> EncodedForm:
    """The form for a client that takes compressed messages."""
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
