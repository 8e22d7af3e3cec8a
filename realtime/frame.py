"""A message ready to be sent: encoded once, shared by everybody it goes to."""

from typing import Any


class Frame:
    """One text or binary message. `size_bytes` is its payload's size (for text an estimate where it is not ASCII)."""

    __slots__ = ("event", "size_bytes")

    def __init__(self, text: str | None = None, data: bytes | None = None) -> None:
        self.event: dict[str, Any]
        if text is not None:
            self.event = {"type": "websocket.send", "text": text}
            self.size_bytes = len(text) if text.isascii() else len(text.encode())
        else:
            assert data is not None
            self.event = {"type": "websocket.send", "bytes": data}
            self.size_bytes = len(data)
