"""The end of a connection that is refused: the client can read why, and nothing is kept of what it still sends."""

import asyncio

from uvicorn.server import ServerState

from realtime.protocol.handshake import REFUSAL_HEADERS, encode_answer, refusal_body
from realtime.protocol.http import HttpError
from realtime.server.door import Door

# A transport that is closed with bytes unread resets the connection, and the answer may be lost with it. So for this
# long, and up to so much, what comes is read and thrown away.
LINGER_S = 1.0
LINGER_MAX_BYTES = 1024 * 1024


class Farewell(asyncio.Protocol):
    """What a refused connection becomes. It is gone when the client closes, after LINGER_S, or LINGER_MAX_BYTES."""

    def __init__(self, transport: asyncio.Transport, server_state: ServerState, door: Door) -> None:
        self._transport = transport
        self._server_state = server_state
        self._door = door
        self._answer = b""
        self._left_bytes = LINGER_MAX_BYTES
        self._end = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol
        transport.set_protocol(self)

    def answer_later(self, answer: bytes) -> None:
        """Say it when the client has asked something."""
        self._answer = answer

    def answer(self, answer: bytes) -> None:
        """Say it, and that there is nothing behind it."""
        if not self._transport.is_closing():
            self._transport.write(answer)
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Throw it away."""
        if self._answer:
            self.answer(self._answer)
            self._answer = b""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._end.cancel()
        self._server_state.connections.discard(self)
        self._door.leave(self._transport)

    def shutdown(self) -> None:
        """The server ends."""
        self._transport.abort()


def say_farewell(transport: asyncio.Transport, server_state: ServerState, door: Door, answer: bytes) -> None:
    """Answer and end the connection."""
    if not transport.is_closing():
        Farewell(transport, server_state, door).answer(answer)


def turn_away(
    transport: asyncio.Transport, server_state: ServerState, door: Door, refusal: HttpError
) -> None:
    """As `say_farewell`, for a connection the door did not let in: the client asks first, or is cut at once."""
    if door.may_linger(transport):
        Farewell(transport, server_state, door).answer_later(encode_refusal(server_state, refusal))
    else:
        transport.abort()


def encode_refusal(server_state: ServerState, error: HttpError) -> bytes:
    """The HTTP answer to a request that is not taken: JSON, and the end of the connection."""
    headers = [*server_state.default_headers, *REFUSAL_HEADERS, *error.headers]
    return encode_answer(error.status, headers, refusal_body(error.status, str(error), error.code))
