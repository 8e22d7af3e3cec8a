"""Ending a refused connection: the answer is sent, and further input is read and discarded."""

import asyncio
import secrets

from uvicorn.server import ServerState

from realtime.protocol.handshake import REFUSAL_HEADERS, encode_answer, refusal_body
from realtime.protocol.http import HttpError
from realtime.server.http_quota import HttpQuota
from realtime.sockets.access_log import log_access

# Closing a transport with unread bytes resets the connection, and the client may lose the answer. So input is
# read and discarded for this many seconds, up to this many bytes.
LINGER_S = 1.0
LINGER_MAX_BYTES = 1024 * 1024


class LingeringClose(asyncio.Protocol):
    """The protocol of a refused connection.

    It ends when the client closes, after LINGER_S or LINGER_MAX_BYTES.
    """

    def __init__(
        self, transport: asyncio.Transport, server_state: ServerState, http_quota: HttpQuota
    ) -> None:
        self._transport = transport
        self._server_state = server_state
        self._http_quota = http_quota
        self._answer = b""
        self._left_bytes = LINGER_MAX_BYTES
        self._end = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)
        server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol
        transport.set_protocol(self)

    def answer_later(self, answer: bytes) -> None:
        """Send the answer when the first bytes of a request arrive."""
        self._answer = answer

    def answer(self, answer: bytes) -> None:
        """Send the answer and close the writing half of the connection."""
        if not self._transport.is_closing():
            self._transport.write(answer)
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Discard the bytes; send an answer that waits for them."""
        if self._answer:
            self.answer(self._answer)
            self._answer = b""
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        self._end.cancel()
        self._server_state.connections.discard(self)
        self._http_quota.leave(self._transport)

    def shutdown(self) -> None:
        """The server stops."""
        self._transport.abort()


def answer_and_close(
    transport: asyncio.Transport, server_state: ServerState, http_quota: HttpQuota, answer: bytes
) -> None:
    """Answer and end the connection."""
    if not transport.is_closing():
        LingeringClose(transport, server_state, http_quota).answer(answer)


def refuse_connection(
    transport: asyncio.Transport, server_state: ServerState, http_quota: HttpQuota, refusal: HttpError
) -> None:
    """Refuse a connection beyond a limit: answer its first request, or abort it if too many wait for that."""
    if http_quota.may_linger(transport):
        LingeringClose(transport, server_state, http_quota).answer_later(
            encode_refusal(server_state, refusal)
        )
    else:
        transport.abort()


def encode_refusal(server_state: ServerState, error: HttpError) -> bytes:
    """Return the HTTP answer to a request that the application never saw: JSON and `Connection: close`.

    It has a line in the access log, as every answer.
    """
    request_id = secrets.token_hex(8)
    log_access({"event": "request", "request_id": request_id, "status": error.status, "code": error.code})
    own = (b"x-request-id", request_id.encode())
    headers = [*server_state.default_headers, *REFUSAL_HEADERS, own, *error.headers]
    return encode_answer(error.status, headers, refusal_body(error.status, str(error), error.code))
