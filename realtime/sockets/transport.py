"""The ASGI scope extension `rockstar.transport`: what a server of ours gives beside ASGI's `receive` and `send`.

Outwards it takes ready frames; inwards it hands messages over the moment they come. A stock server has none of it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from realtime.sockets.types import Scope

TRANSPORT_EXTENSION = "rockstar.transport"


class FrameWriter(Protocol):
    """What the bytes of a socket are written to."""

    def write(self, data: bytes) -> None:
        """Send at once what the client takes, keep the rest."""
        ...


class Receiver(Protocol):
    """An application that takes messages while it waits in `receive`: no event, no queue and no turn of its task."""

    def received(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        """Handle one message. What is left to be awaited is awaited in `receive`; neither raises anything."""
        ...


class SocketTransport(Protocol):
    """A socket, as the application sees it."""

    # Whether the client reads; true again after the end, so that nobody waits for what never comes.
    is_writable: bool
    # Where frames may be written right now: None unless the socket is open and its client reads.
    direct: FrameWriter | None
    # Called whenever one of the two has changed.
    on_flow: Callable[[], None] | None
    # Who is given messages; None: they are for `receive`.
    receiver: Receiver | None

    @property
    def buffered_bytes(self) -> int:
        """What was written and has not been taken by the kernel yet."""
        ...

    @property
    def deflate_bits(self) -> int:
        """The window that messages may be compressed with; 0: the client takes none that are."""
        ...

    def write(self, frames: bytes) -> None:
        """One write, also while the client does not read; nothing where the socket is not open."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and begin the closing handshake."""
        ...

    def abort(self) -> None:
        """End it now, without a close frame; what was not taken is dropped."""
        ...


def socket_transport(scope: Scope) -> SocketTransport | None:
    """The extension, where the server has it."""
    wire: SocketTransport | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    return wire
