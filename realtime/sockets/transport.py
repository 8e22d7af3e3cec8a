"""The ASGI scope extension `rockstar.transport`, which our servers offer in addition to
ASGI's `receive` and `send`.

It takes prepared frames to be sent, and hands over each received message at once. Other
servers do not have it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from realtime.sockets.types import Scope

TRANSPORT_EXTENSION = "rockstar.transport"


class FrameWriter(Protocol):
    """The object that the bytes of a socket are written to."""

    def write(self, data: bytes) -> None:
        """Send at once what the client takes, and buffer the rest."""
        ...


class Receiver(Protocol):
    """An application that is handed messages while it waits in `receive`, without an event,
    a queue or a task switch."""

    def received(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        """Handle one message. The result is awaited in `receive`. Neither the call nor the
        result may raise."""
        ...


class SocketTransport(Protocol):
    """A socket as the application sees it."""

    # Whether the client reads. True again after the end, so that nobody waits forever.
    is_writable: bool
    # The writer for frames; None unless the socket is open and its client reads.
    direct: FrameWriter | None
    # Called when `is_writable` or `direct` has changed.
    on_flow: Callable[[], None] | None
    # Is handed received messages; if None, `receive` returns them.
    receiver: Receiver | None
    # How long the client's last pong took, in milliseconds; None before the first.
    rtt_ms: float | None

    @property
    def buffered_bytes(self) -> int:
        """Bytes that were written and that the kernel has not taken yet."""
        ...

    @property
    def deflate_bits(self) -> int:
        """The window size, in bits, that messages may be compressed with; 0 if the client
        takes no compressed ones."""
        ...

    def write(self, frames: bytes) -> None:
        """Write `frames`, even while the client does not read; does nothing if the socket is not open."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and begin the closing handshake."""
        ...

    def abort(self) -> None:
        """End the socket now, without a close frame; unsent bytes are dropped."""
        ...


def socket_transport(scope: Scope) -> SocketTransport | None:
    """The extension, or None if the server does not have it."""
    transport: SocketTransport | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    return transport
