"""The HTTP part of the server: recognises WebSocket handshakes early and serves all other requests."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from httptools import HttpParserError
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from realtime.core.hosts import origin_form
from realtime.protocol.errors import Refusal
from realtime.protocol.handshake import asks_for_close, asks_for_websocket
from realtime.protocol.http import Body, Head, HeadReader, HttpError, body_of
from realtime.server.http_quota import shared_http_quota
from realtime.server.lingering import answer_and_close, encode_refusal, refuse_connection
from realtime.server.protocol import WebSocketProtocol
from realtime.server.scheduler import shared_scheduler
from realtime.server.scope import Address, Request

# Seconds between two checks of a request, and the bytes of a body that must arrive in between: 1 KiB/s.
LOOK_S = 10.0
BODY_MIN_BYTES_PER_LOOK = 10 * 1024

# Header names of every handshake. All scopes share one object of each name, to save memory.
_NAMES = {
    name: name
    for name in (
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"cache-control",
        b"connection",
        b"cookie",
        b"host",
        b"origin",
        b"pragma",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"upgrade",
        b"user-agent",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    )
}


class HttpProtocol(asyncio.Protocol):
    """A new connection, until the head of its first request is read.

    A WebSocket handshake is handed to our WebSocket class, so that no RequestsProtocol is set up for it. Any
    other request is handed to a RequestsProtocol.
    """

    __slots__ = (
        "_app_state",
        "_client",
        "_config",
        "_deadline",
        "_http_quota",
        "_loop",
        "_reader",
        "_server_state",
        "_transport",
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
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._http_quota = shared_http_quota(server_state, config)
        self._reader = HeadReader()
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the new connection, or refuse it."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = get_remote_addr(self._transport)
        refusal = self._http_quota.enter(transport, self._client)
        if refusal is not None:
            refuse_connection(self._transport, self._server_state, self._http_quota, refusal)
            return
        self._server_state.connections.add(self)  # type: ignore[arg-type] # uvicorn's set of any protocol
        if timeout_s := self._http_quota.limits.head_timeout_s:
            self._deadline = self._loop.call_later(timeout_s, self._too_slow)

    def connection_lost(self, error: Exception | None) -> None:
        """The client disconnected before its first request."""
        self._done()
        self._http_quota.leave(self._transport)

    def shutdown(self) -> None:
        """The server ends."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Read more of the head."""
        try:
            end = self._reader.feed(data)
            if end is not None:
                self._head_received(data[end:])
        except HttpError as error:
            self._refuse(error)

    def _head_received(self, rest: bytes) -> None:
        ours = _websocket_class(self._config)
        if asks_for_websocket(self._reader.head.headers) and ours is not None:
            request = read_handshake(self._reader, self._transport, self._client)
            self._done()
            socket = ours(self._config, self._server_state, self._app_state, self._loop)
            _hand_over(socket, self._transport, request, rest)
        else:
            self._done()
            protocol = RequestsProtocol(self._config, self._server_state, self._app_state, self._loop)
            protocol.connection_made(self._transport)
            self._transport.set_protocol(protocol)
            protocol.begin(self._reader, rest)

    def _too_slow(self) -> None:
        if self._reader.has_begun:
            self._refuse(_slow_head())
        else:
            self._transport.close()

    def _refuse(self, error: HttpError) -> None:
        self._done()
        answer = encode_refusal(self._server_state, error)
        answer_and_close(self._transport, self._server_state, self._http_quota, answer)

    def _done(self) -> None:
        self._server_state.connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class RequestsProtocol(HttpToolsProtocol):
    """Requests that we parse and uvicorn answers: one at a time, with limits on the head and the body.

    A request that arrives before the last one is answered waits, and the socket is not read meanwhile. So at
    most one read is buffered for pipelined requests. A handshake after other requests also reaches our
    WebSocket class.
    """

    flow: "HeldFlow"

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._http_quota = shared_http_quota(server_state, config)
        self._scheduler = shared_scheduler(server_state, self.loop)
        self._is_turn_due = False
        self._reader = HeadReader()
        # Received bytes that are not parsed yet.
        self._waiting = b""
        # The rest of the current request's body, and the bytes of it that are kept.
        self._body: Body | None = None
        self._body_bytes = 0
        self._bytes_since_look = 0
        self._unsent_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Prepare the connection. HttpProtocol has read the head of the first request."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.flow = HeldFlow(self.transport)

    def begin(self, reader: HeadReader, rest: bytes) -> None:
        """Continue with the first head, which is complete, and the bytes after it."""
        self._reader, self._waiting = reader, rest
        try:
            self._head_received()
        except HttpError as error:
            self._refuse(error)
        else:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Receive more of this request or of the next ones."""
        self._unset_keepalive_if_required()
        self._waiting += data
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has disconnected."""
        self._unset_keepalive_if_required()
        self._leave()
        super().connection_lost(exc)
        self._http_quota.leave(self.transport)

    # Reading

    def _go_on(self) -> None:
        try:
            while self._waiting and self._is_mine() and not self._is_turn_due and self._step():
                pass
        except HttpError as error:
            self._refuse(error)
        if self._waiting and (self._is_answering() or self._is_turn_due):
            self.flow.hold()
        else:
            self.flow.release()

    def _step(self) -> bool:
        """Parse some of the waiting bytes. Return False if the rest has to wait."""
        if self._body is not None:
            end = self._body.feed(self._waiting, self._content_received)
            self._waiting = self._waiting[end:]
            if self._body.is_complete:
                self._request_received()
            elif self._waiting:
                self._ask_for_turn()
            return True
        if self._is_answering():
            return False
        if not self._reader.has_begun and self._http_quota.limits.head_timeout_s:
            self._set_timer(self._http_quota.limits.head_timeout_s, self._head_too_slow)
        end_of_head = self._reader.feed(self._waiting)
        if end_of_head is None:
            self._waiting = b""
            return False
        self._waiting = self._waiting[end_of_head:]
        self._head_received()
        return True

    def _ask_for_turn(self) -> None:
        """Continue with the body in a later turn: it has so many chunks that others get a turn first."""
        self._is_turn_due = True
        self._scheduler.add(self._take_turn)

    def _take_turn(self) -> bool:
        self._is_turn_due = False
        self._go_on()
        return False

    def _head_received(self) -> None:
        reader, self._reader = self._reader, HeadReader()
        ours = _websocket_class(self.config)
        if asks_for_websocket(reader.head.headers) and ours is not None:
            self._upgrade(reader, ours)
            return
        target = own_target(reader.head)
        self._body = body_of(reader, self._http_quota.limits.body_bytes_of(target))
        self.parser = reader.parser
        self.on_message_begin()
        self.url = target
        for name, value in reader.head.headers:
            self.on_header(name, value)
        if asks_for_websocket(reader.head.headers) and self.ws_protocol_class is not None:
            self._upgrade_by_uvicorn()
            return
        try:
            self.on_headers_complete()
        except (HttpParserError, ValueError):
            self._body = None
            raise HttpError(400, "The request's target is malformed.") from None
        # At the end of the head, the parser no longer knows of `Connection: close`.
        if asks_for_close(reader.head.headers):
            self.cycle.keep_alive = False
        self._watch()
        if self._body is None:
            self._request_received()

    def _content_received(self, content: bytes) -> None:
        self._bytes_since_look += len(content)
        if self._is_answering():
            self._http_quota.hold_body(self.transport, len(content))
            self._body_bytes += len(content)
        self.on_body(content)

    def _request_received(self) -> None:
        self._body = None
        self.on_message_complete()
        if not self._is_answering():
            # The request was answered before its body was complete.
            self._rest()

    def _upgrade(self, reader: HeadReader, ours: type[WebSocketProtocol]) -> None:
        request = read_handshake(reader, self.transport, self.client)
        rest, self._waiting = self._waiting, b""
        self._leave()
        _hand_over(ours(self.config, self.server_state, self.app_state), self.transport, request, rest)

    def _upgrade_by_uvicorn(self) -> None:
        """Hand over to a WebSocket class that is not ours. It does not receive the bytes after the head."""
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self._leave()
        self._http_quota.leave(self.transport)
        self.handle_websocket_upgrade()

    # Answering

    def _should_upgrade(self) -> bool:
        """Always False: upgrades are handled before uvicorn asks."""
        return False

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_mine(self) -> bool:
        return not self.transport.is_closing() and self.transport.get_protocol() is self

    def on_response_complete(self) -> None:
        """Called when the application has sent its whole answer."""
        super().on_response_complete()
        self._drop_body()
        if not self._is_mine():
            return
        if self._body is None:
            self._rest()
        if self._waiting:
            self._unset_keepalive_if_required()
            # Not immediately: other clients get a turn between two requests of one client.
            self.loop.call_soon(self._go_on)

    def _rest(self) -> None:
        """Start uvicorn's keep-alive timeout, which runs between two requests."""
        self._cancel_timer()
        if not self._waiting and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def timeout_keep_alive_handler(self) -> None:
        """No further request came: close. A client that does not read its last answer is aborted later."""
        super().timeout_keep_alive_handler()
        self._watch()

    def _refuse(self, error: HttpError) -> None:
        """Send the refusal, unless the application already answers, and end the connection."""
        cycle, is_answering = self.cycle, self._is_answering()
        is_answered = self._body is not None and (not is_answering or cycle.response_started)
        if is_answering:
            cycle.disconnected = True
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        self._leave()
        answer = b"" if is_answered else encode_refusal(self.server_state, error)
        answer_and_close(self.transport, self.server_state, self._http_quota, answer)

    def _leave(self) -> None:
        """Stop serving this connection here."""
        self._unset_keepalive_if_required()
        self._cancel_timer()
        self._drop_body()
        self._waiting, self._body = b"", None
        self.connections.discard(self)
        if self.flow is not None:
            self.flow.release()
            self.flow.resume_reading()
            self.flow.resume_writing()

    def _drop_body(self) -> None:
        if self._body_bytes:
            self._http_quota.drop_body(self.transport, self._body_bytes)
            self._body_bytes = 0

    # Deadlines

    def _head_too_slow(self) -> None:
        self._refuse(_slow_head())

    def _watch(self) -> None:
        """Start checking that the client makes progress."""
        self._bytes_since_look = self._unsent_bytes = 0
        self._set_timer(LOOK_S, self._look)

    def _look(self) -> None:
        """Refuse a body that arrives too slowly; abort a client that does not read.

        Runs every LOOK_S seconds.
        """
        self._timer = None
        if self.transport.get_protocol() is not self:
            return
        if self._body is not None and not self.flow.read_paused:
            if self._bytes_since_look < BODY_MIN_BYTES_PER_LOOK:
                self._refuse(HttpError(408, "The request's body came too slowly."))
                return
            self._bytes_since_look = 0
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes and unsent_bytes == self._unsent_bytes:
            self.transport.abort()
            return
        self._unsent_bytes = unsent_bytes
        self._set_timer(LOOK_S, self._look)

    def _set_timer(self, wait_s: float, callback: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self.loop.call_later(wait_s, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HeldFlow(FlowControl):
    """Uvicorn's flow control with a hold: the application cannot resume reading while it is held."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_held = False

    def hold(self) -> None:
        """Pause reading until `release`, even if the application asks for more."""
        self._is_held = True
        self.pause_reading()

    def release(self) -> None:
        """End the hold and resume reading."""
        if self._is_held:
            self._is_held = False
            self.resume_reading()

    def pause_reading(self) -> None:
        """Pause reading, unless the transport is closing."""
        if not self._transport.is_closing():
            super().pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless held or the transport is closing."""
        if not self._is_held and not self._transport.is_closing():
            super().resume_reading()


def _websocket_class(config: Config) -> type[WebSocketProtocol] | None:
    """Return our WebSocket class, or None if another class or none is configured."""
    ours = config.ws_protocol_class
    return ours if ours is not None and issubclass(ours, WebSocketProtocol) else None


def read_handshake(reader: HeadReader, transport: asyncio.Transport, client: Address) -> Request:
    """Return the handshake request of a complete head.

    Raises HttpError(400) if it is not a GET with HTTP/1.1.
    """
    if reader.parser.get_method() != b"GET" or reader.version != "1.1":
        raise HttpError(400, "A WebSocket handshake needs GET and HTTP/1.1.")
    shared = [(_NAMES.get(name, name), value.strip()) for name, value in reader.head.headers]
    return Request(own_target(reader.head), shared, get_local_addr(transport), client)


def own_target(head: Head) -> bytes:
    """Return the path and query. Raises HttpError(400) for a malformed target or one with another host."""
    try:
        return origin_form(head.target, head.headers)
    except Refusal as refusal:
        raise HttpError(refusal.status, refusal.message, code=refusal.code) from None


def _hand_over(
    protocol: WebSocketProtocol, transport: asyncio.Transport, request: Request, rest: bytes
) -> None:
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    protocol.upgrade(request)
    if rest:
        protocol.data_received(rest)


def _slow_head() -> HttpError:
    return HttpError(408, "The request's headers came too slowly.")
