"""The base of every JSON endpoint: decodes envelopes, runs verbs, sends replies."""

import asyncio
from collections.abc import Awaitable, Mapping
from time import monotonic, time_ns
from typing import Any, ClassVar

import msgspec

from realtime.core.identity import Identity
from realtime.core.scopes import require_scopes
from realtime.core.sliding_window import SlidingWindowLimiter
from realtime.endpoints.calls import Calls, handler_of, was_cancelled
from realtime.endpoints.consumers.base import WINDOW_S, RealtimeConsumer
from realtime.endpoints.shared import Endpoints
from realtime.endpoints.verbs import Answered, Call, NoPayload, TooFastError, Verb
from realtime.node.failures import request_error
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.codec import (
    JSON_MESSAGE_MAX_BYTES,
    FlatForm,
    decode_request,
    payload_as,
    request_id_in,
    time_text,
)
from realtime.protocol.envelope import Reply, Request, RequestId
from realtime.protocol.errors import ErrorCode, Refusal, RequestError
from realtime.sockets.completed import COMPLETED
from realtime.sockets.prepared import prepared_reply

# More refused messages than this within the window end the connection.
REFUSED_MESSAGES_MAX = 20


class Refresh(msgspec.Struct, frozen=True):
    """A new token for this connection."""

    token: str


class Cancel(msgspec.Struct, frozen=True):
    """The id of the call to end."""

    id: str | int


async def on_ping(call: Call, payload: NoPayload) -> Reply:
    """Answer `pong`, for clients that cannot see protocol pings."""
    return Reply("pong", {}, always=True)


async def on_refresh(call: Call["JsonConsumer"], payload: Refresh) -> Reply:
    """Replace the credential with a new token of the same user."""
    identity = call.require_identity()
    try:
        verified = call.node.authenticator.verify_token(payload.token, call.tenant)
        fresh = call.node.credentials.require_live(verified)
    except Refusal as refusal:
        raise RequestError(ErrorCode.UNAUTHENTICATED, refusal.message) from None
    if fresh.user_id != identity.user_id:
        raise RequestError(ErrorCode.PERMISSION_DENIED, "The token belongs to another user.")
    try:
        call.consumer.scope["route"].require(fresh)
    except Refusal as refusal:
        # The connection goes on with the credential that it has.
        raise RequestError(ErrorCode.PERMISSION_DENIED, refusal.message) from None
    call.connection.renew(fresh)
    if _lacks_some_of(fresh, identity):
        await call.node.joiner.judge_again(call.connection, is_strict=True)
    return Reply("refreshed", {"expires_at": fresh.expires_at and fresh.expires_at.isoformat()})


def _lacks_some_of(fresh: Identity, former: Identity) -> bool:
    """Whether the newer credential allows less than the one before."""
    return (
        not former.scopes <= fresh.scopes
        or (former.is_staff and not fresh.is_staff)
        or (former.is_superuser and not fresh.is_superuser)
    )


async def on_cancel(call: Call["JsonConsumer"], payload: Cancel) -> Reply:
    """End a call in flight. The call itself is answered with the error `cancelled`."""
    if not call.consumer.calls.cancel(payload.id):
        raise RequestError(ErrorCode.NOT_FOUND, "No call with this id is in flight.")
    return Reply("cancelled", {"id": payload.id})


# Verbs of every JSON endpoint.
CORE_VERBS: Mapping[str, Verb] = {
    "ping": Verb(NoPayload, on_ping),
    "refresh": Verb(Refresh, on_refresh),
    "cancel": Verb(Cancel, on_cancel),
}


class JsonConsumer(RealtimeConsumer):
    """A consumer with a table of verbs. A subclass adds its own verbs: `verbs = CORE_VERBS | MY_VERBS`."""

    is_json = True
    is_paced = False
    max_message_bytes = JSON_MESSAGE_MAX_BYTES
    verbs: ClassVar[Mapping[str, Verb]] = CORE_VERBS
    # Converts requests in the original guide's form, if the endpoint accepts that.
    flat_form: FlatForm | None = None
    _refused: SlidingWindowLimiter | None = None
    _calls: Calls | None = None

    @property
    def endpoints(self) -> Endpoints:
        """What the endpoints of this process share."""
        endpoints: Endpoints = self.scope["endpoints"]
        return endpoints

    @property
    def calls(self) -> Calls:
        """The calls in flight.

        Created at the first call, because most connections of a large site make none.
        """
        if self._calls is None:
            self._calls = Calls(self.connection, self.node.settings.MAX_CALLS, self.endpoints.deadlines)
        return self._calls

    async def opened(self) -> None:
        """Greet with `welcome`."""
        self.connection.push("welcome", self._welcome())
        await self.welcomed()

    async def welcomed(self) -> None:
        """Called after `welcome`. Start here what the endpoint does without a request."""

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
            what = "The handler of a message" if request is None else f"The handler of {request.type!r}"
            return self._refuse(failure, request_id, what, is_too_fast=wait_s > 0)

    def fits(self, size_bytes: int) -> bool:
        """Always True: a message that is too large is answered with an error."""
        return True

    async def _refuse(
        self, failure: BaseException, request_id: RequestId | None, what: str, *, is_too_fast: bool = False
    ) -> None:
        error = request_error(failure, what, self.connection)
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
                ErrorCode.UNKNOWN_TYPE, "Nothing here has this type.", details={"field": "type"}
            )
        connection = self.connection
        if verb.scopes:
            require_scopes(connection.identity, verb.scopes)
        call = Call(self, request, connection, self.node)
        payload = payload_as(verb.payload, request.payload)
        if verb.is_slow:
            self.calls.start(call, verb.handle, payload)
            return COMPLETED
        handling = verb.handle(call, payload)
        if isinstance(handling, Answered):
            return self._reply(request.id, handling.reply)
        return self._answer(call, handling)

    def _reply(self, request_id: RequestId | None, reply: Reply | None) -> Awaitable[None]:
        frame = prepared_reply(request_id, reply)
        return COMPLETED if frame is None else self.connection.outbox.send(frame)

    async def _answer(self, call: Call[Any], handling: Awaitable[Reply | None]) -> None:
        try:
            await self._reply(call.request.id, await handling)
        except asyncio.CancelledError as failure:
            if was_cancelled():
                raise
            # Otherwise the handler awaited something that was cancelled: the connection goes on.
            await self._refuse(failure, call.request.id, handler_of(call))
        except Exception as failure:
            await self._refuse(failure, call.request.id, handler_of(call))

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
