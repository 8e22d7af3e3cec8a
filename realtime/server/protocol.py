"""A WebSocket protocol class for uvicorn: `--ws realtime.server.protocol:WebSocketProtocol`.

Leaner than uvicorn's own, and with what an outbox needs: the ASGI scope extension `rockstar.transport` is this object,
which takes ready frames and says when the client is not reading.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from realtime.outbox import TRANSPORT_EXTENSION
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.frames import (
    BAD_DATA,
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
    encode_close,
    encode_frame,
)
from realtime.protocol.handshake import (
    HandshakeError,
    accept_key,
    offered_subprotocols,
    read_request,
)
from realtime.server.heartbeat import Heartbeat
from realtime.types import Event, Scope

logger = logging.getLogger(__name__)

# Messages that wait for the application before the socket is read no further.
QUEUE_MAX_MESSAGES = 64
QUEUE_MAX_BYTES = 256 * 1024
# How long a peer may take to answer our close, and a closing transport to hand over its last bytes.
CLOSE_TIMEOUT_S = 10.0
ABNORMAL = 1006
RESTART = int(CloseCode.RESTART)


class ClientGoneError(OSError):
    """The application sends to a client that has left."""


class State(IntEnum):
    """Where a socket is in its life."""

    CONNECTING = 0
    ANSWERING = 1
    OPEN = 2
    CLOSING = 3
    CLOSED = 4


class WebSocketProtocol(asyncio.Protocol):
    """One socket, from the request that HTTP handed over to its end."""

    __slots__ = (
        "_accept",
        "_answer",
        "_close_timer",
        "_config",
        "_drained",
        "_heartbeat",
        "_is_paused",
        "_loop",
        "_parser",
        "_queue",
        "_queued_bytes",
        "_server_state",
        "_state",
        "_task",
        "_waiter",
        "_writable",
        "is_writable",
        "on_writable",
        "ping_due",
        "scope",
        "transport",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server_state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = FrameParser(config.ws_max_size)
        self._state = State.CONNECTING
        self._queue: deque[Event] = deque()
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_paused = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._heartbeat: Heartbeat | None = None
        self._answer: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._accept = b""
        self._task: asyncio.Task[None] | None = None
        self.scope: Scope = {}
        self.is_writable = True
        # Called when the client reads again.
        self.on_writable: Callable[[], None] | None = None
        self.ping_due = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """HTTP hands its transport over."""
        self.transport = cast("asyncio.Transport", transport)
        self._server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol

    def data_received(self, data: bytes) -> None:
        """The request first, frames from then on."""
        if self._accept:
            self._frames_received(data)
        elif self._state is State.CONNECTING:
            self._request_received(data)

    def eof_received(self) -> None:
        """The peer will send no more: end, as TCP has it."""

    def connection_lost(self, error: Exception | None) -> None:
        """The transport is gone, for whatever reason."""
        self._server_state.connections.discard(self)
        if self._state is not State.CLOSED:
            self._closed(ABNORMAL, "")
        self._stop_timers()
        self.is_writable = True
        self._wake_writer()

    def pause_writing(self) -> None:
        """The client is not reading."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """The client reads again."""
        self.is_writable = True
        self._wake_writer()
        if self.on_writable is not None:
            self.on_writable()

    # uvicorn

    def shutdown(self) -> None:
        """The server ends: tell the client and the application."""
        if self._state is State.OPEN:
            self.transport.write(encode_close(RESTART, "service restart"))
            self._closed(RESTART, "service restart")
        elif self._state is State.CONNECTING and self._task is not None:
            self._refuse(503, "This server is going away.")
        self.transport.close()

    # The extension: what an outbox uses instead of ASGI's `send`

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self._state is State.OPEN

    @property
    def has_queued(self) -> bool:
        """Whether more messages of this client wait for the application."""
        return bool(self._queue)

    def write(self, frames: bytes) -> None:
        """Send ready frames, in one write; what the client does not read stays in the transport's buffer."""
        if self._state is State.OPEN:
            self.transport.write(frames)

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; the frame goes behind whatever the client has not taken yet."""
        if self._state is State.OPEN:
            self._begin_close(code, reason)

    # Receiving

    def _request_received(self, request: bytes) -> None:
        try:
            target, headers = read_request(request)
            self._accept = accept_key(headers)
        except HandshakeError as error:
            self._refuse(error.status, str(error), error.headers)
            return
        raw_path, _, query_string = target.partition(b"?")
        self.scope = {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(self.transport) else "ws",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "root_path": self._config.root_path,
            "path": unquote(raw_path.decode("latin-1")),
            "raw_path": raw_path,
            "query_string": query_string,
            "headers": headers,
            "subprotocols": offered_subprotocols(headers),
            "state": {},
            "extensions": {"websocket.http.response": {}, TRANSPORT_EXTENSION: self},
        }
        self._queue.append({"type": "websocket.connect"})
        self._task = self._loop.create_task(self._run())
        self._server_state.tasks.add(self._task)
        self._task.add_done_callback(self._server_state.tasks.discard)

    def _frames_received(self, data: bytes) -> None:
        if self._state is State.CLOSED:
            return
        try:
            for message in self._parser.feed(data):
                self._message_received(message)
        except FrameError as error:
            self._fail(error.code, error.reason)

    def _message_received(self, message: Message) -> None:
        opcode, data = message
        if opcode == TEXT:
            self._enqueue({"type": "websocket.receive", "text": _text(data)}, len(data))
        elif opcode == BINARY:
            self._enqueue({"type": "websocket.receive", "bytes": data}, len(data))
        elif opcode == PING:
            self._ping_received(data)
        elif opcode == PONG:
            self.ping_due = False
        elif opcode == CLOSE:
            self._close_received(*decode_close(data))

    def _ping_received(self, data: bytes) -> None:
        if self._state is not State.OPEN:
            return
        self.transport.write(encode_frame(PONG, data))
        if not self.is_writable:
            # It pings and does not read the answers: take no more until it does.
            self._pause_reading()

    def _enqueue(self, event: Event, size_bytes: int) -> None:
        if self._state is not State.OPEN:
            return
        self._queue.append(event)
        self._queued_bytes += size_bytes
        self._wake_reader()
        if len(self._queue) >= QUEUE_MAX_MESSAGES or self._queued_bytes >= QUEUE_MAX_BYTES:
            self._pause_reading()

    def _close_received(self, code: int, reason: str) -> None:
        if self._state is State.OPEN:
            self.transport.write(encode_close(code, "") if code != NO_CODE else encode_frame(CLOSE, b""))
            self._closed(code, reason)
        self._end()

    def _fail(self, code: int, reason: str) -> None:
        """The peer broke the protocol, or is not there: close with `code`, and wait for nothing."""
        if self._state is State.OPEN:
            self.transport.write(encode_close(code, reason))
            self._closed(code, reason)
        self._end()

    def no_pong(self) -> None:
        """The heartbeat was not answered. Uvicorn would say 1011, which clients cannot tell from a crash."""
        self._fail(int(CloseCode.TIMEOUT), "no pong")

    def send_ping(self) -> None:
        """Ask for a sign of life; a peer that does not read its socket gets no second ping into its buffer."""
        self.ping_due = True
        if self._state is State.OPEN and self.is_writable:
            self.transport.write(_PING)

    def _pause_reading(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    # The application

    async def _run(self) -> None:
        try:
            await self._config.loaded_app(self.scope, self.receive, self.send)
        except ClientGoneError:
            pass
        except Exception:
            logger.exception("The application failed")
        finally:
            if self._state is State.CONNECTING:
                self._refuse(500, "Internal Server Error")
            elif self._state is State.OPEN:
                self._closed(ABNORMAL, "")
            if self._close_timer is None:
                self._end()

    async def receive(self) -> Event:
        """ASGI's `receive`."""
        while not self._queue:
            self._waiter = self._loop.create_future()
            await self._waiter
        event = self._queue.popleft()
        if self._is_paused and not self._queue and self.is_writable:
            self._resume_reading()
        if not self._queue:
            self._queued_bytes = 0
        return event

    async def send(self, event: Event) -> None:
        """ASGI's `send`: waits while the client is not reading."""
        while not self.is_writable:
            if self._writable is None:
                self._writable = self._loop.create_future()
            await asyncio.shield(self._writable)
        kind = event["type"]
        if kind == "websocket.send" and self._state is State.OPEN:
            text = event.get("text")
            opcode, payload = (TEXT, text.encode()) if text is not None else (BINARY, event["bytes"])
            self.transport.write(encode_frame(opcode, payload))
        elif kind == "websocket.close" and self._state is State.OPEN:
            self.close(event.get("code", 1000), event.get("reason") or "")
        elif self._state is State.CONNECTING:
            self._send_handshake(event)
        elif self._state is State.ANSWERING:
            self._send_answer(event)
        else:
            raise ClientGoneError("The client has left.")

    def _send_handshake(self, event: Event) -> None:
        kind = event["type"]
        if kind == "websocket.accept":
            self._send_accept(event)
        elif kind == "websocket.close":
            self._refuse(403, "Forbidden")
        elif kind == "websocket.http.response.start":
            self._state = State.ANSWERING
            self._answer = (event["status"], list(event.get("headers", [])))
        else:
            raise RuntimeError(f"Expected websocket.accept or a refusal, received {kind}.")

    def _send_accept(self, event: Event) -> None:
        lines = [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"]
        lines.append(b"Sec-WebSocket-Accept: " + self._accept + b"\r\n")
        subprotocol = event.get("subprotocol")
        headers = list(event.get("headers", []))
        if subprotocol:
            headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
        lines += [name + b": " + value + b"\r\n" for name, value in headers]
        self._state = State.OPEN
        self.transport.write(b"".join(lines) + b"\r\n")
        if self._config.ws_ping_interval:
            self._heartbeat = self._shared_heartbeat()
            self._heartbeat.add(self)

    def _shared_heartbeat(self) -> Heartbeat:
        # Uvicorn's state of a server is the one thing that all its sockets share.
        shared: dict[str, Any] = vars(self._server_state)
        if "heartbeat" not in shared:
            interval_s, timeout_s = self._config.ws_ping_interval, self._config.ws_ping_timeout
            shared["heartbeat"] = Heartbeat(self._loop, interval_s or 0.0, timeout_s or 0.0)
        heartbeat: Heartbeat = shared["heartbeat"]
        return heartbeat

    def _send_answer(self, event: Event) -> None:
        if event["type"] != "websocket.http.response.body":
            raise RuntimeError(f"Expected websocket.http.response.body, received {event['type']}.")
        assert self._answer is not None
        status, headers = self._answer
        self._write_answer(status, headers, event.get("body", b""))
        self._closed(ABNORMAL, "")
        self._end()

    # Ending

    def _begin_close(self, code: int, reason: str) -> None:
        self._state = State.CLOSING
        self.transport.write(encode_close(code, reason))
        self._queue.clear()
        self._queue.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._wake_reader()
        self._resume_reading()
        self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self._end)

    def _closed(self, code: int, reason: str) -> None:
        """No frame goes out any more; the application hears of it after what it has not yet taken."""
        self._state = State.CLOSED
        self._queue.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._wake_reader()

    def _end(self) -> None:
        """Close the transport, and cut it where its last bytes are not taken."""
        self._state = State.CLOSED
        self._stop_timers()
        if not self.transport.is_closing():
            self.transport.close()
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.transport.abort)

    def _refuse(self, status: int, message: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self._write_answer(status, [(b"content-type", b"text/plain"), *(headers or [])], message.encode())
        self._closed(ABNORMAL, "")
        self._end()

    def _write_answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {status} {phrase}\r\n".encode()]
        lines += [name + b": " + value + b"\r\n" for name, value in headers]
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        self.transport.write(b"".join(lines) + body)

    def _stop_timers(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._heartbeat is not None:
            self._heartbeat.discard(self)
            self._heartbeat = None

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wake_writer(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
        if self._is_paused and not self._queue:
            self._resume_reading()


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "not UTF-8") from None


_PING = encode_frame(PING, b"")
