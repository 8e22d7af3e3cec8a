"""Messages ready to be sent: encoded once, framed once, shared by everybody they go to."""

from collections.abc import Sequence
from typing import Any

from realtime.protocol.frames import BINARY, TEXT, encode_frame


class Frame:
    """One text or binary message. `size_bytes` is its payload's size."""

    __slots__ = ("_event", "_wire", "payload", "size_bytes", "text")

    count = 1

    def __init__(self, text: str | None = None, data: bytes | None = None) -> None:
        self.text = text
        self.payload = text.encode() if text is not None else data or b""
        self.size_bytes = len(self.payload)
        self._event: dict[str, Any] | None = None
        self._wire: bytes | None = None

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
    def wire(self) -> bytes:
        """As it stands on the wire."""
        if self._wire is None:
            self._wire = encode_frame(BINARY if self.text is None else TEXT, self.payload)
        return self._wire


class Batch:
    """Several messages that go out together, each still a message of its own."""

    __slots__ = ("_wire", "count", "frames", "size_bytes")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.count = len(frames)
        self.size_bytes = sum(frame.size_bytes for frame in frames)
        self._wire: bytes | None = None

    @property
    def events(self) -> Sequence[dict[str, Any]]:
        """As ASGI sends them."""
        return [frame.events[0] for frame in self.frames]

    @property
    def wire(self) -> bytes:
        """As they stand on the wire, joined once for all receivers."""
        if self._wire is None:
            self._wire = b"".join([frame.wire for frame in self.frames])
        return self._wire
