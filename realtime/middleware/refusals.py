"""The outermost middleware of a WebSocket: sets its id, and sends refusals in a form the client can read."""

import logging
from time import monotonic

from realtime.core.credential_reading import choose_subprotocol
from realtime.middleware.headers import limit_key
from realtime.middleware.tenant import encode_refusal, refusal_headers
from realtime.node.failures import refusal_of
from realtime.node.logs import log_scope
from realtime.node.node import Node
from realtime.protocol.close_codes import fitting_reason
from realtime.protocol.errors import Refusal
from realtime.protocol.handshake import SUBPROTOCOLS
from realtime.sockets.connection import new_connection_id
from realtime.sockets.types import Application, Receive, Scope, Send

logger = logging.getLogger(__name__)

# Seconds that a refused socket may take to answer the close frame.
REFUSED_CLOSE_TIMEOUT_S = 1.0
# Refusals that the handshake limiter counts as failed handshakes of the address.
ATTEMPT_STATUSES = frozenset({401, 403})


class Refusals:
    """Adds `connection_id` and `subprotocol` to the scope. Releases the connection's quotas at the end.

    A refusal is an HTTP answer before the upgrade. A browser cannot read that answer. So if the client offers
    one of our subprotocols, or the server has no such answers, the socket is accepted and closed with the
    matching close code.
    """

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application and answer a Refusal that it raises before accepting the socket."""
        connection_id = scope["connection_id"] = new_connection_id()
        log_scope.set(scope)
        offered = scope.get("subprotocols", [])
        scope["subprotocol"] = choose_subprotocol(offered, has_batches=False)
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            # A consumer answers its own failures, so this comes from before the socket was accepted.
            if isinstance(error, OSError):
                # The client has left: a server raises this for a message that is sent afterwards.
                raise
            await self._refuse(scope, receive, send, refusal_of(error) or _failed(scope, error))
        finally:
            self._node.quota.release(connection_id)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        self._node.observer.refused(scope, refusal)
        if refusal.status in ATTEMPT_STATUSES:
            self._node.handshakes.failed(limit_key(scope), monotonic())
        can_answer = "websocket.http.response" in scope.get("extensions", {})
        if not SUBPROTOCOLS.isdisjoint(scope.get("subprotocols", [])) or not can_answer:
            await _accept_and_close(scope, receive, send, refusal)
        else:
            await _answer(receive, send, refusal)


def _failed(scope: Scope, error: Exception) -> Refusal:
    """Log, once, a failure that no handler expected; the refusal says nothing of it."""
    tenant, identity, route = scope.get("tenant"), scope.get("identity"), scope.get("route")
    logger.error(
        "A connection to %s failed before it was accepted: connection %s (tenant %s, user %s)",
        route.path if route else "no route",
        scope["connection_id"],
        tenant.slug if tenant else None,
        repr(identity.user_id) if identity else "nobody",
        exc_info=error,
    )
    return Refusal(
        500, "internal", f"Something went wrong here; it has been logged ({scope['connection_id']})."
    )


async def _accept_and_close(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    await receive()
    await send({"type": "websocket.accept", "subprotocol": scope["subprotocol"]})
    await send(
        {
            "type": "websocket.close",
            "code": int(refusal.close_code),
            "reason": fitting_reason(refusal.message),
            # Read by our own server; other servers ignore unknown keys.
            "timeout_s": REFUSED_CLOSE_TIMEOUT_S,
        }
    )


async def _answer(receive: Receive, send: Send, refusal: Refusal) -> None:
    await receive()
    headers = refusal_headers(refusal)
    await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": encode_refusal(refusal)})
