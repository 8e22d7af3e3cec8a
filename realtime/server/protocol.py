"""A WebSocket protocol class for uvicorn: `--ws realtime.server.protocol:WebSocketProtocol`.

It does less than uvicorn's own class, and offers an interface for an outbox: the ASGI scope extension
`rockstar.transport` is this object. It accepts encoded frames and tells when the client is not reading.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from realtime.protocol.close_codes import CloseCode
from realtime.protocol.frames import (
    BINARY,
    CLOSE,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameParser,
    Message,
    decode_close,
    decode_text,
    encode_close,
    encode_frame,
)
from realtime.protocol.handshake import (
    REFUSAL_HEADERS,
    HandshakeError,
    accept_key,
    encode_answer,
    encode_upgrade,
    read_request,
    refusal_body,
)
from realtime.server.heartbeat import Heartbeat, shared_heartbeat
from realtime.server.http_quota import shared_http_quota
from realtime.server.inbox import ClientGoneError, Inbox
from realtime.server.scheduler import shared_scheduler
from realtime.server.scope import Request, websocket_scope
from realtime.server.states import ANSWERING, CLOSED, CLOSING, CONNECTING, ENDED, OPEN
from realtime.sockets.transport import TRANSPORT_EXTENSION, FrameWriter
from realtime.sockets.types import Event, Scope

logger = logging.getLogger(__name__)

# Seconds that a peer may take to answer our close frame, and that a closing transport may take to send its last bytes.
CLOSE_TIMEOUT_S = 10.0
ABNORMAL = 1006
NORMAL_CLOSURE = int(CloseCode.NORMAL)
INTERNAL_ERROR = 1011
RESTART = int(CloseCode.RESTART)


class WebSocketProtocol(Inbox):
    """One socket, from the request that the HTTP protocol hands over until the end."""

    __slots__ = (
        "_accept",
        "_answer",
        "_app_state",
        "_close_timer",
        "_config",
        "_heartbeat",
        "_http_quota",
        "_parser",
        "_pinged_s",
        "_server_state",
        "_state",
        "_writable",
        "direct",
        "is_writable",
        "on_flow",
        "ping_due",
        "rtt_ms",
    )

    # Window bits with which messages may be compressed; 0: the client accepts no compressed messages.
    deflate_bits = 0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        loop = _loop or asyncio.get_running_loop()
        super().__init__(loop, shared_scheduler(server_state, loop))
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._http_quota = shared_http_quota(server_state, config)
        self._parser = FrameParser(config.ws_max_size)
        self._state = CONNECTING
        self._writable: asyncio.Future[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._heartbeat: Heartbeat | None = None
        self._answer: tuple[int, list[tuple[bytes, bytes]], bytearray] | None = None
        self._accept = b""
        self.is_writable = True
        # The transport, while the socket is open and the client reads; otherwise None.
        self.direct: FrameWriter | None = None
        # Called when `direct` or `is_writable` has changed.
        self.on_flow: Callable[[], None] | None = None
        self.ping_due = 0
        # The loop's time of the last ping (0.0: answered), and how long the last pong took.
        self._pinged_s = 0.0
        self.rtt_ms: float | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport from the HTTP protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol

    def data_received(self, data: bytes) -> None:
        """Receive the request, then frames."""
        message = self._parser.whole(data) if self._state == OPEN else None
        if message is not None:
            # The fast path: nearly every read is exactly one message.
            self._data_received(*message)
        elif self._accept:
            self._frames_received(data)
        elif self._state == CONNECTING:
            self._request_received(data)

    def eof_received(self) -> None:
        """The peer will send no more: end the connection, even if the peer still reads."""
        self._gone()
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """The transport has ended, for any reason."""
        self._server_state.connections.discard(self)
        self._http_quota.leave(self.transport)
        self._http_quota.note_partial(self, 0)
        self._gone()
        self._state = ENDED
        self._stop_timers()
        # Wakes a `send` that waits for the client to read.
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client does not read fast enough: the transport's buffer is full."""
        self.is_writable = False
        self._flow_changed()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_writable = True
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        self._flow_changed()
        if self.ping_due:
            # The ping may have been held back while the client did not read.
            self.send_ping()
        if self._is_paused:
            self._take_more_soon()

    # uvicorn

    def shutdown(self) -> None:
        """The server stops: tell the client and the application."""
        if self._state == OPEN:
            self.transport.write(encode_close(RESTART, "service restart"))
            self._closed(RESTART, "service restart")
        elif self._state < OPEN:
            self._refuse(503, "This server is going away.", [(b"retry-after", b"1")])
        self._end()

    # The scope extension: an outbox uses this instead of ASGI's `send`

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._state == OPEN

    @property
    def buffered_bytes(self) -> int:
        """Bytes that the transport has not sent yet."""
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send encoded frames in one write. What the client does not read stays in the transport's buffer."""
        if self._state == OPEN:
            self.transport.write(frames)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake. The close frame is sent after the bytes that are still buffered."""
        if self._state == OPEN:
            self._begin_close(code, reason)

    def abort(self) -> None:
        """Abort the connection without a close frame. Bytes that are still buffered are lost."""
        self._gone()
        self._state = ENDED
        self._stop_timers()
        self.transport.abort()

    # Receiving

    def _request_received(self, data: bytes) -> None:
        """Read the request from an HTTP protocol of uvicorn, which passes it on as bytes."""
        try:
            target, headers = read_request(data)
        except HandshakeError as error:
            self._refuse(error.status, str(error), error.headers)
        else:
            server, client = get_local_addr(self.transport), get_remote_addr(self.transport)
            self.upgrade(Request(target, headers, server, client))

    def upgrade(self, request: Request) -> None:
        """Start the handshake of this request, or refuse it. Called once, by the HTTP protocol."""
        try:
            self._accept = accept_key(request.headers)
        except HandshakeError as error:
            self._refuse(error.status, str(error), error.headers)
            return
        scope = websocket_scope(
            request,
            self._config,
            self._app_state,
            is_secure=is_ssl(self.transport),
            extensions={"websocket.http.response": {}, TRANSPORT_EXTENSION: self},
        )
        self._queue.append({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def _frames_received(self, data: bytes) -> None:
        """Parse received bytes, at most as many as the parser allows in one turn of the loop."""
        if self._state >= CLOSED:
            return
        parser = self._parser
        if self._state < OPEN:
            # The client sends before the handshake is answered. It is not read until then.
            parser.hold(data)
            self._pause_reading()
            return
        try:
            for message in parser.feed(data):
                self._message_received(message)
            if parser.short_fragments:
                self._count_small_frames(parser.short_fragments, "short fragments")
        except FrameError as error:
            self._fail(error.code, error.reason)
            return
        finally:
            self._take_kept()
            self._http_quota.note_partial(self, parser.held_bytes)
        if parser.has_more:
            self._pause_reading()
            if not self._queue:
                self._take_more_soon()

    def cut(self) -> None:
        """Too much is held for all sockets together, and the most for this one: close it with 4503."""
        self._parser.drop()
        self._fail(int(CloseCode.UNAVAILABLE), "too many large messages under way")

    def _take_more(self) -> None:
        """Parse the bytes that are left, then resume reading the socket.

        Do nothing while messages wait for the application, or while the client does not read its answers.
        """
        self._is_more_due = False
        if self._queue or not (self.is_writable or self._state == CLOSING):
            return
        if self._parser.has_more:
            self._frames_received(b"")
        if not self._parser.has_more and not self._queue:
            self._resume_reading()

    def _message_received(self, message: Message) -> None:
        opcode, data = message
        if opcode <= BINARY and self._state != OPEN:
            return
        if opcode == TEXT:
            self._keep(decode_text(data), None, len(data))
        elif opcode == BINARY:
            self._keep(None, data, len(data))
        elif opcode == PING:
            self._ping_received(data)
        elif opcode == PONG:
            self._pong_received()
        elif opcode == CLOSE:
            self._close_received(*decode_close(data))

    def _ping_received(self, data: bytes) -> None:
        self._count_small_frames(1, "pings or pongs")
        if self._state != OPEN:
            return
        self.transport.write(encode_frame(PONG, data))
        if not self.is_writable:
            # The client sends pings and does not read the pongs. Stop reading until it does.
            self._pause_reading()

    def _pong_received(self) -> None:
        self.ping_due = 0
        if self._pinged_s:
            self.rtt_ms = round((self._loop.time() - self._pinged_s) * 1000, 1)
            self._pinged_s = 0.0
        else:
            self._count_small_frames(1, "pings or pongs")

    def _data_received(self, opcode: int, data: bytes) -> None:
        if opcode == BINARY:
            self._take(None, data, len(data))
            return
        try:
            text = decode_text(data)
        except FrameError as error:
            self._fail(error.code, error.reason)
        else:
            self._take(text, None, len(data))

    def _close_received(self, code: int, reason: str) -> None:
        if self._state == OPEN:
            self.transport.write(encode_close(code, "") if code != NO_CODE else encode_frame(CLOSE, b""))
            self._closed(code, reason)
        self._end()

    def _fail(self, code: int, reason: str) -> None:
        """Close with `code`, without waiting for a close frame: the peer broke the protocol or is gone."""
        if self._state == OPEN:
            self.transport.write(encode_close(code, reason))
            self._closed(code, reason)
        self._end()

    def no_pong(self) -> None:
        """The ping was not answered: close with 4408. Uvicorn uses 1011, which looks like a crash to clients."""
        if self._is_paused and self.is_writable:
            # We have paused reading, so the pong may wait behind messages that the application has not taken yet.
            self.ping_due = 0
        else:
            self._fail(int(CloseCode.TIMEOUT), "no pong")

    def send_ping(self) -> None:
        """Send a ping. While the peer does not read, it is held back until the peer reads again."""
        if self._state == OPEN and self.is_writable:
            self._pinged_s = self._loop.time()
            self.transport.write(_PING)

    # The application

    async def _run(self, scope: Scope) -> None:
        code = INTERNAL_ERROR
        try:
            await self._config.loaded_app(scope, self.receive, self.send)
            code = NORMAL_CLOSURE
        except ClientGoneError:
            logger.debug("The application sent to a client that has disconnected")
        except Exception:
            logger.exception("The application failed")
        finally:
            self._forget_received()
            if self._state < OPEN:
                self._refuse(500, "The handshake was not answered.")
            elif self._state == OPEN:
                self._begin_close(code, "")
            elif self._state == CLOSED:
                self._end()

    async def send(self, event: Event) -> None:
        """ASGI's `send`. It waits while the client does not read. Raises ClientGoneError after the end."""
        while not self.is_writable:
            if self._writable is None:
                self._writable = self._loop.create_future()
            await asyncio.shield(self._writable)
        if self._state == OPEN:
            self._send_message(event)
        elif self._state == CONNECTING:
            self._send_handshake(event)
        elif self._state == ANSWERING:
            self._send_answer(event)
        else:
            raise ClientGoneError("The client has disconnected.")

    def _send_message(self, event: Event) -> None:
        kind = event["type"]
        if kind == "websocket.send":
            text = event.get("text")
            opcode, payload = (TEXT, text.encode()) if text is not None else (BINARY, event["bytes"])
            self.transport.write(encode_frame(opcode, payload))
        elif kind == "websocket.close":
            code, reason = event.get("code", NORMAL_CLOSURE), event.get("reason") or ""
            self._begin_close(code, reason, event.get("timeout_s"))
        else:
            raise RuntimeError(f"Expected websocket.send or websocket.close, received {kind}.")

    def _send_handshake(self, event: Event) -> None:
        kind = event["type"]
        if kind == "websocket.accept":
            self._send_accept(event)
        elif kind == "websocket.close":
            self._refuse(403, "Forbidden")
        elif kind == "websocket.http.response.start":
            self._state = ANSWERING
            self._answer = (event["status"], list(event.get("headers", [])), bytearray())
        else:
            raise RuntimeError(f"Expected websocket.accept or a refusal, received {kind}.")

    def _send_accept(self, event: Event) -> None:
        headers = [*self._server_state.default_headers, *event.get("headers", [])]
        subprotocol = event.get("subprotocol")
        if subprotocol:
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
        self._state = OPEN
        self._http_quota.leave(self.transport)
        self._flow_changed()
        self.transport.write(encode_upgrade(self._accept, headers))
        interval_s, timeout_s = self._config.ws_ping_interval, self._config.ws_ping_timeout
        if interval_s:
            self._heartbeat = shared_heartbeat(self._server_state, self._loop, interval_s, timeout_s or 0.0)
            self._heartbeat.add(self)
        if self._parser.has_more:
            self._take_more_soon()

    def _send_answer(self, event: Event) -> None:
        if event["type"] != "websocket.http.response.body":
            raise RuntimeError(f"Expected websocket.http.response.body, received {event['type']}.")
        assert self._answer is not None
        status, headers, body = self._answer
        body += event.get("body", b"")
        if not event.get("more_body"):
            self._finish_answer(status, headers, bytes(body))

    # Ending

    def _begin_close(self, code: int, reason: str, timeout_s: float | None = None) -> None:
        self._state = CLOSING
        self._http_quota.come_back(self.transport)
        self._flow_changed()
        self.transport.write(encode_close(code, reason))
        self._queue.clear()
        self._say_disconnect(code, reason)
        wait_s = CLOSE_TIMEOUT_S if timeout_s is None else timeout_s
        self._close_timer = self._loop.call_later(wait_s, self._close_unanswered)
        self._take_more()

    def _close_unanswered(self) -> None:
        if self.buffered_bytes:
            # The client has not even read the bytes before the close frame. Do not wait for it a second time.
            self.abort()
        else:
            self._end()

    def _gone(self) -> None:
        """The client has disconnected. If there was no close frame, the close code is 1006."""
        if self._state < CLOSING:
            self._closed(ABNORMAL, "")

    def _closed(self, code: int, reason: str) -> None:
        """Send no more frames. The application hears of it after the messages that still wait for it."""
        self._state = CLOSED
        self._flow_changed()
        self._say_disconnect(code, reason)

    def _flow_changed(self) -> None:
        self.direct = self.transport if self._state == OPEN and self.is_writable else None
        if self.on_flow is not None:
            self.on_flow()

    def _end(self) -> None:
        """Close the transport; abort it if the peer does not read the last bytes within CLOSE_TIMEOUT_S."""
        if self._state == ENDED:
            return
        self._state = ENDED
        self._stop_timers()
        self.transport.close()
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def _refuse(self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._finish_answer(status, [*REFUSAL_HEADERS, *headers], refusal_body(status, message))

    def _finish_answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.transport.write(encode_answer(status, [*self._server_state.default_headers, *headers], body))
        self._closed(ABNORMAL, "")
        self._end()

    def _stop_timers(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._heartbeat is not None:
            self._heartbeat.discard(self)
            self._heartbeat = None


_PING = encode_frame(PING, b"")
