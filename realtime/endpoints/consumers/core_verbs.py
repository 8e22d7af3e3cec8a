"""The verbs of every JSON endpoint."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from typing import Protocol

import msgspec

from realtime.core.identity import Identity
from realtime.endpoints import wire
from realtime.endpoints.calls import Calls
from realtime.endpoints.verbs import Answered, Call, Caller, NoPayload, Verb
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import ErrorCode, Refusal, RequestError
from realtime.sockets.types import Scope


class Refresh(msgspec.Struct, frozen=True):
    """A new token for this connection."""

    token: str


class Cancel(msgspec.Struct, frozen=True):
    """The id of the call to end."""

    id: str | int


def on_ping(call: Call, payload: NoPayload) -> Awaitable[Reply]:
    """Answer `pong`, for clients that cannot see protocol pings."""
    return Answered(Reply("pong", {}, always=True))


class CoreCaller(Caller, Protocol):
    """A consumer of a JSON endpoint, as these verbs use it."""

    scope: Scope

    @property
    def calls(self) -> Calls:
        """The calls in flight."""
        ...


async def on_refresh(call: Call[CoreCaller], payload: Refresh) -> Reply:
    """Replace the credential with a new token of the same user."""
    identity = call.require_identity()
    try:
        verify = call.node.authenticator.verify_token
        if getattr(call.node.authenticator, "tokens_in_db", False):
            verified = await call.in_db(verify, payload.token, call.tenant)
        else:
            verified = verify(payload.token, call.tenant)
        fresh = call.node.credentials.require_live(verified)
    except Refusal as refusal:
        raise RequestError(ErrorCode.UNAUTHENTICATED, refusal.message) from None
    if fresh.user_id != identity.user_id:
        raise RequestError(ErrorCode.PERMISSION_DENIED, "The token belongs to another user.")
    route = call.consumer.scope["route"]
    if route.needs_session:
        # It goes on using the session, and ends with it.
        fresh = replace(fresh, session_key_hash=identity.session_key_hash)
    try:
        route.require(fresh)
    except Refusal as refusal:
        # The connection goes on with the credential that it has.
        raise RequestError(ErrorCode.PERMISSION_DENIED, refusal.message) from None
    call.connection.renew(fresh)
    if _lacks_some_of(fresh, identity):
        await call.node.joiner.judge_again(call.connection, is_strict=True)
    return Reply("refreshed", {"expires_at": fresh.expires_at and fresh.expires_at.isoformat()})


def _lacks_some_of(fresh: Identity, former: Identity) -> bool:
    """Return whether the newer credential allows less than the former one."""
    return (
        not former.scopes <= fresh.scopes
        or (former.is_staff and not fresh.is_staff)
        or (former.is_superuser and not fresh.is_superuser)
    )


async def on_cancel(call: Call[CoreCaller], payload: Cancel) -> Reply:
    """End a call in flight. The call itself is answered with the error `cancelled`."""
    if not call.consumer.calls.cancel(payload.id):
        raise RequestError(ErrorCode.NOT_FOUND, "No call with this id is in flight.")
    return Reply("cancelled", {"id": payload.id})


# Verbs of every JSON endpoint.
CORE_VERBS: Mapping[str, Verb] = {
    "ping": Verb(NoPayload, on_ping, reply="pong", returns=wire.Empty),
    "refresh": Verb(Refresh, on_refresh, reply="refreshed", returns=wire.Refreshed),
    "cancel": Verb(Cancel, on_cancel, reply="cancelled", returns=wire.Cancelled),
}
