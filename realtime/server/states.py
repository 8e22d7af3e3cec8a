"""The states of a socket, in order. Plain numbers, because they are compared for every message."""

CONNECTING = 0
# The application refuses the handshake and has not sent its whole answer yet.
ANSWERING = 1
OPEN = 2
# Our close frame is sent; the client's is awaited.
CLOSING = 3
# No more frames are sent.
CLOSED = 4
# The transport is closing.
ENDED = 5
