"""The bases of every consumer: Channels' interface over one connection.

`RealtimeConsumer` counts and limits what the client sends. `JsonConsumer` decodes envelopes, runs verbs and
sends replies.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Mapping
from time import monotonic, time_ns
from typing import Any, ClassVar

from channels.generic.websocket import AsyncWebsocketConsumer

from realtime.core.scopes import require_scopes
from realtime.core.sliding_window import SlidingWindowLimiter
from realtime.endpoints.calls import Calls, handler_of, was_cancelled
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.publishing import Publishing
from realtime.endpoints.verbs import Answered, Call, PublishedLater, TooFastError, Verb
from realtime.node.failures import request_error
from realtime.node.logs import log_verb
from realtime.node.node import Node
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.codec import (
    JSON_MESSAGE_MAX_BYTES,
    RAW_MESSAGE_MAX_BYTES,
    FlatForm,
    decode_request,
    payload_as,
    request_id_in,
    time_text,
)
from realtime.protocol.envelope import Reply, Request, RequestId
from realtime.protocol.errors import BAD_MESSAGE_CODES, ErrorCode, RequestError
from realtime.sockets.completed import COMPLETED
from realtime.sockets.connection import Connection
from realtime.sockets.labels import label
from realtime.sockets.outbox import PreparedMessage, prepared_reply
from realtime.sockets.transport import socket_transport
from realtime.sockets.types import Receive, Scope, Send

logger = logging.getLogger(__name__)

# More bad messages than this within the window, or more refused ones, end the connection.
BAD_MESSAGES_MAX = 20
REFUSED_MESSAGES_MAX = 20
WINDOW_S = 5.0
# A raw endpoint cannot answer `rate_limited`. It reads more slowly instead, and closes a client that stays
# too fast for longer than this.
TOO_FAST_AFTER_S = 3.0
ABNORMAL_CLOSURE = 1006
# RFC 6455 section 7.4.1: the server failed.
INTERNAL_CLOSURE = 1011
# The close codes for errors that refuse a greeting.
_CLOSE_CODES = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.PERMISSION_DENIED: CloseCode.FORBIDDEN,
    ErrorCode.NOT_FOUND: CloseCode.NOT_FOUND,
    ErrorCode.INVALID_MESSAGE: CloseCode.BAD_MESSAGES,
    ErrorCode.RATE_LIMITED: CloseCode.TOO_FAST,
    ErrorCode.LIMIT_EXCEEDED: CloseCode.UNAVAILABLE,
    ErrorCode.TIMEOUT: CloseCode.UNAVAILABLE,
}


class RealtimeConsumer(AsyncWebsocketConsumer):  # type: ignore[misc] # Channels has no types
    """A consumer of raw frames. Override `opened`, `receive` and `disconnect`.

    Unlike its parent, it uses no thread hop and no task for each message, and no channel in the channel layer
    for each connection (the process has one, in the hub).
    """

    is_json = False
    # Whether a client that sends too fast is read more slowly. A JSON endpoint answers `rate_limited`
    # instead.
    is_paced = True
    max_message_bytes = RAW_MESSAGE_MAX_BYTES
    # An attribute of Channels. Connections join no groups, so they can share one empty tuple.
    groups = ()
    connection: Connection
    # Set at the first bad message. Most connections never send one, and an instance attribute takes memory.
    _bad: SlidingWindowLimiter | None = None
    _fast_since_s: float | None = None
    # Set if `is_paced` is False: the seconds by which the message in `receive` came too early.
    _early_s = 0.0

    def __init__(self, idle_timeout_s: float = 0.0) -> None:
        """`idle_timeout_s`: seconds without a message before close 4408; 0 switches it off."""
        super().__init__()
        self._idle_timeout_s = idle_timeout_s
        self._last_frame_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket from its handshake to its end."""
        self.scope = scope
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocol"]})
        connection = self.connection = self.node.open(scope, send, is_json=self.is_json)
        code = ABNORMAL_CLOSURE
        try:
            if self._idle_timeout_s:
                self._last_frame_s = connection.opened_s
                connection.spawn(self._watch_idle())
            await self._open()
            code = await self._serve(receive)
        except asyncio.CancelledError:
            # We cancel ourselves if the client does not answer our close in time. Any other cancellation is
            # the server's.
            if not connection.is_closing:
                raise
        except Exception as failure:
            request_error(failure, "The consumer", connection)
            connection.close(INTERNAL_CLOSURE, "the server failed")
        finally:
            code = connection.close_code or code
            await self._end(code)

    @property
    def node(self) -> Node:
        """The node of this process: hub, engine, settings, database threads."""
        node: Node = self.scope["endpoints"].node
        return node

    async def opened(self) -> None:
        """Called when the socket is open. Send a greeting here."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> Awaitable[None]:
        """Handle one message. Either `text_data` or `bytes_data` is given.

        It may be `async`, or a plain function that returns an awaitable (COMPLETED if nothing is left to do).
        """
        raise NotImplementedError

    async def disconnect(self, code: int) -> None:
        """Called when the socket has ended, for any reason."""

    def send(
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> Awaitable[None]:
        """Send one message. Await the result, as in Channels: it waits while the client does not read."""
        sending = self.connection.outbox.send(PreparedMessage(text_data, bytes_data))
        return self._close_after(sending) if close else sending

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection after everything sent so far."""
        self.connection.close(code or CloseCode.NORMAL, reason or "")

    async def _close_after(self, sending: Awaitable[None]) -> None:
        await sending
        await self.close()

    async def bad_message(self, error: RequestError) -> None:
        """Answer a bad message with an error. Too many of them end the connection."""
        await self.connection.send_error(error)
        if error.code not in BAD_MESSAGE_CODES:
            return
        if self._bad is None:
            self._bad = SlidingWindowLimiter(BAD_MESSAGES_MAX, WINDOW_S)
        if self._bad.add(monotonic()):
            self.connection.close(CloseCode.BAD_MESSAGES, "too many bad messages")

    def fits(self, size_bytes: int) -> bool:
        """Return whether a message of this size is handled.

        A raw endpoint closes at the first message that is too large.
        """
        if size_bytes <= self.max_message_bytes:
            return True
        self.connection.close(CloseCode.TOO_LARGE, f"larger than {self.max_message_bytes} bytes")
        return False

    def _take(self, now_s: float, size_bytes: int) -> float:
        """Count a message and its bytes. Return 0.0, or the seconds by which it came too early."""
        connection = self.connection
        return (
            connection.message_bucket.take(now_s)
            or connection.byte_bucket.take(now_s, size_bytes)
            or _early_for_tenant(connection, now_s)
        )

    async def _slow_down(self, wait_s: float, size_bytes: int) -> bool:
        """Wait until the message is due.

        Return False, and close, if the client has been too fast for too long.
        """
        now_s = monotonic()
        if self._fast_since_s is None:
            self._fast_since_s = now_s
        while wait_s:
            await asyncio.sleep(wait_s)
            wait_s = self._take(monotonic(), size_bytes)
        if monotonic() - self._fast_since_s <= TOO_FAST_AFTER_S:
            return True
        self.connection.close(CloseCode.TOO_FAST, "too fast for too long")
        return False

    async def _serve(self, receive: Receive) -> int:
        transport = socket_transport(self.scope)
        if transport is not None:
            # A message that arrives while this coroutine waits in `receive` goes to `received` directly.
            transport.receiver = self
        while True:
            event = await receive()
            if event["type"] == "websocket.receive":
                await self.received(event.get("text"), event.get("bytes"))
            elif event["type"] == "websocket.disconnect":
                return int(event.get("code") or ABNORMAL_CLOSURE)
            # Otherwise an idle connection would keep its last message in memory.
            event = None

    def received(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        """Handle a message. Return an awaitable for the rest of the work, or COMPLETED if nothing is left.

        Neither the call nor the awaitable raises. A plain function, because most messages need no coroutine.
        """
        try:
            handling = self._handling(text, data)
        except Exception as error:
            return self._failed(error)
        return COMPLETED if handling is COMPLETED else self._guarded(handling)

    async def _guarded(self, handling: Awaitable[None]) -> None:
        try:
            # The handlers of a JSON endpoint are measured by their verbs.
            if not self.is_json and (watch := self.node.block_watch) is not None:
                handling = watch.work(handling, "The handler of a message", self.connection)
            await handling
        except Exception as error:
            await self._failed(error)

    def _failed(self, error: Exception) -> Awaitable[None]:
        return self.bad_message(request_error(error, "The handler of a message", self.connection))

    async def _open(self) -> None:
        try:
            await self.opened()
        except Exception as failure:
            error = request_error(failure, "The greeting", self.connection)
            self.connection.close(_CLOSE_CODES.get(error.code, INTERNAL_CLOSURE), error.message)

    def _handling(self, text: str | None, data: bytes | None) -> Awaitable[None]:
        connection = self.connection
        if connection.close_code is not None:
            return COMPLETED
        if text is not None:
            data = None
        size_bytes = _size(text) if text is not None else len(data or b"")
        connection.messages_in += 1
        connection.metrics.messages_in += 1
        connection.metrics.bytes_in += size_bytes
        now_s = self._last_frame_s = monotonic()
        if not self.fits(size_bytes):
            return COMPLETED
        # This is `_take`, inlined because every message passes here.
        wait_s = connection.message_bucket.take(now_s) or connection.byte_bucket.take(now_s, size_bytes)
        if connection.tenant_rate.bucket is not None and not wait_s:
            wait_s = _early_for_tenant(connection, now_s)
        if not self.is_paced:
            self._early_s = wait_s
        elif wait_s:
            return self._receive_later(wait_s, size_bytes, text, data)
        else:
            self._fast_since_s = None
        return self.receive(text, data)

    async def _receive_later(
        self, wait_s: float, size_bytes: int, text: str | None, data: bytes | None
    ) -> None:
        if await self._slow_down(wait_s, size_bytes):
            await self.receive(text, data)

    async def _watch_idle(self) -> None:
        while True:
            left_s = self._last_frame_s + self._idle_timeout_s - monotonic()
            if left_s <= 0:
                self.connection.close(CloseCode.TIMEOUT, "idle")
                return
            await asyncio.sleep(left_s)

    async def _end(self, code: int) -> None:
        try:
            await self.disconnect(code)
        except Exception:
            logger.exception("Clean-up of %s failed", label(self.connection))
        finally:
            await self.node.release(self.connection, code)


def _early_for_tenant(connection: Connection, now_s: float) -> float:
    bucket = connection.tenant_rate.bucket
    return 0.0 if bucket is None else bucket.take(now_s)


class JsonConsumer(RealtimeConsumer):
    """A consumer with a table of verbs. A subclass adds its own verbs: `verbs = CORE_VERBS | MY_VERBS`."""

    is_json = True
    is_paced = False
    max_message_bytes = JSON_MESSAGE_MAX_BYTES
    verbs: ClassVar[Mapping[str, Verb]] = CORE_VERBS
    # The types of the payloads that `call.push` sends, by the type of the message.
    pushes: ClassVar[Mapping[str, Any]] = {}
    # Converts requests in the original guide's form, if the endpoint accepts that.
    flat_form: FlatForm | None = None
    _refused: SlidingWindowLimiter | None = None
    _calls: Calls | None = None
    # The request that is handled, and when it must have ended.
    _deadline: tuple[Call[Any], asyncio.Timeout] | None = None
    # The publications that wait for the broker; set at the first one.
    _publishing: Publishing | None = None

    @property
    def calls(self) -> Calls:
        """The calls in flight.

        Created at the first call, because most connections of a large site make none.
        """
        if self._calls is None:
            deadlines = self.scope["endpoints"].deadlines
            times = self.node.metrics.request_times
            self._calls = Calls(self.connection, self.node.settings.MAX_CALLS, deadlines, times)
        return self._calls

    async def opened(self) -> None:
        """Greet with `welcome`."""
        self.connection.has_topics = "subscribe" in self.verbs
        self.connection.push("welcome", self._welcome())
        await self.welcomed()

    async def _serve(self, receive: Receive) -> int:
        code = await super()._serve(receive)
        if self._publishing is not None:
            await self._publishing.finish()
        return code

    async def welcomed(self) -> None:
        """Called after `welcome`. Start the work of the endpoint that needs no request here."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> Awaitable[None]:
        """Decode one message, find its verb, check its payload and run it."""
        wait_s = self._early_s
        request_id: RequestId | None = None
        request: Request | None = None
        try:
            if text_data is None:
                raise RequestError(ErrorCode.INVALID_MESSAGE, "Expected a text frame, received a binary one.")
            if wait_s:
                # Most of a message's cost is decoding it, so only the id is read.
                request_id = request_id_in(text_data)
                raise TooFastError(wait_s)
            flat_form = type(self).flat_form
            request = decode_request(text_data, max_bytes=self.max_message_bytes, flat_form=flat_form)
            request_id = request.id
            return self._run(request)
        except Exception as failure:
            # Only the handlers of known verbs fail unexpectedly, and those have a request.
            verb = None if request is None else request.type
            return self._refuse(failure, request_id, verb, is_too_fast=wait_s > 0)

    def fits(self, size_bytes: int) -> bool:
        """Always True: a message that is too large is answered with an error."""
        return True

    async def _refuse(
        self,
        failure: BaseException,
        request_id: RequestId | None,
        verb: str | None,
        *,
        is_too_fast: bool = False,
    ) -> None:
        error = request_error(failure, handler_of(verb), self.connection, verb)
        if error.request_id is None:
            error.request_id = request_id
        await self.bad_message(error)
        if not is_too_fast and not isinstance(error, TooFastError):
            return
        if self._refused is None:
            self._refused = SlidingWindowLimiter(REFUSED_MESSAGES_MAX, WINDOW_S)
        if self._refused.add(monotonic()):
            self.connection.close(CloseCode.TOO_FAST, "too fast for too long")

    def _run(self, request: Request) -> Awaitable[None]:
        """Return an awaitable for this request, or COMPLETED if it is answered or runs as its own task."""
        verb = self.verbs.get(request.type)
        if verb is None:
            raise RequestError(
                ErrorCode.UNKNOWN_TYPE, "This endpoint has no verb of this type.", details={"field": "type"}
            )
        connection = self.connection
        if verb.scopes:
            require_scopes(connection.identity, verb.scopes)
        call = Call(self, request, connection, self.node)
        payload = payload_as(verb.payload, request.payload)
        handle, watch = verb.handle, call.node.block_watch
        if call.node.checks_contracts:
            handle = verb.checked(handle)
        if watch is not None:
            handle = watch.handler(handle, handler_of(request.type), connection)
        if verb.is_slow:
            self.calls.start(call, handle, payload)
            return COMPLETED
        in_order = handle if self._publishing is None else self._publishing.before(verb, handle)
        handling = in_order(call, payload)
        if isinstance(handling, Answered):
            sending = self._reply(request.id, handling.reply)
            # The time of the message's arrival is there already.
            call.node.metrics.request_times.observe(monotonic() - self._last_frame_s)
            return sending
        if isinstance(handling, PublishedLater):
            return self.publish_later(call, handling)
        return self._answer(call, self._in_time(call, handling), self._last_frame_s)

    async def _in_time(self, call: Call[Any], handling: Awaitable[Reply | None]) -> Reply | None:
        """Return the reply. Raises TimeoutError after CALL_TIMEOUT_S: the messages behind it wait, a `refresh` too.

        A handler that catches its cancellation takes longer.
        """
        deadline = asyncio.timeout(self.node.settings.CALL_TIMEOUT_S or None)
        self._deadline = call, deadline
        try:
            async with deadline:
                return await handling
        finally:
            self._deadline = None

    def publish_later(self, call: Call[Any], later: PublishedLater) -> Awaitable[None]:
        """As `Caller.publish_later`."""
        if self._deadline is not None and self._deadline[0] is call:
            # From here on the publication answers the request.
            self._deadline[1].reschedule(None)
        if self._publishing is None:
            in_bytes = self.scope["endpoints"].publishing_bytes
            self._publishing = Publishing(self.connection, self.node.settings.MAX_PUBLISHING, in_bytes)
        began_s = self._last_frame_s

        def publish() -> Coroutine[Any, Any, None]:
            handling: Awaitable[Reply | None] = later.publish()
            if call.node.checks_contracts:
                handling = self.verbs[call.request.type].checked_reply(handling)
            return self._answer(call, handling, began_s)

        return self._publishing.start(later.topic, publish, later.size_bytes)

    def _reply(self, request_id: RequestId | None, reply: Reply | None) -> Awaitable[None]:
        frame = prepared_reply(request_id, reply)
        return COMPLETED if frame is None else self.connection.outbox.send(frame)

    async def _answer(self, call: Call[Any], handling: Awaitable[Reply | None], began_s: float) -> None:
        log_verb.set(call.request.type)
        try:
            sending = self._reply(call.request.id, await handling)
            call.node.metrics.request_times.observe(monotonic() - began_s)
            await sending
        except asyncio.CancelledError as failure:
            if was_cancelled():
                raise
            # Otherwise the handler awaited something that was cancelled: the connection goes on.
            await self._refuse(failure, call.request.id, call.request.type)
        except Exception as failure:
            await self._refuse(failure, call.request.id, call.request.type)
        finally:
            log_verb.set("")

    def _welcome(self) -> dict[str, Any]:
        connection = self.connection
        settings, identity = self.node.settings, connection.identity
        return {
            "connection_id": connection.id,
            "tenant": connection.tenant.slug,
            "user": identity and {"id": identity.user_id, "username": identity.username},
            "scopes": sorted(identity.scopes) if identity else [],
            "node": self.node.id,
            "server_time": time_text(time_ns()),
            "heartbeat": {"interval_s": settings.PING_INTERVAL_S, "timeout_s": settings.PING_TIMEOUT_S},
            "limits": {
                "message_bytes": self.max_message_bytes,
                "messages_per_s": settings.MESSAGES_PER_S,
                "messages_burst": settings.MESSAGES_BURST,
                "bytes_per_s": settings.BYTES_PER_S,
                "bytes_burst": settings.BYTES_BURST,
                "subscriptions": settings.MAX_SUBSCRIPTIONS,
                "calls": settings.MAX_CALLS,
                "call_timeout_s": settings.CALL_TIMEOUT_S,
                "outbox_bytes": settings.OUTBOX_BYTES,
            },
        }


def _size(text: Any) -> int:
    return len(text) if text.isascii() else len(text.encode())
