"""Identification by token, ticket or session. A bad credential is refused, even if another one is valid."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from django.conf import settings as django_settings
from django.db import InterfaceError, OperationalError
from django.http.cookie import parse_cookie

from realtime.core.credential_reading import bearer_credentials
from realtime.core.identity import Credential, CredentialKind, Identity, Tenant
from realtime.core.slots import Owner
from realtime.endpoints.routing import Route
from realtime.middleware.headers import header_values, limit_key
from realtime.node.database_faults import UNAVAILABLE, log_database_fault
from realtime.node.node import Node
from realtime.node.ports import Authenticator, LoadedSession
from realtime.protocol.errors import RequestError, forbidden, unauthenticated, unavailable
from realtime.sockets.types import Application, Receive, Scope, Send

R = TypeVar("R")

# The user that a handshake's database work counts for. It is not the anonymous one, so that requests of anonymous
# connections do not hold up handshakes.
HANDSHAKES = "handshakes"


class Identify:
    """Adds `identity` (None: not signed in) and `session` (None: no session was used) to the scope.

    Removes the Authorization header: the scope lives as long as the socket, and the token is not needed
    again.
    """

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app
        self._node = node

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Check every credential of the request; raises Refusal(401 | 403 | 503).

        A token alone needs no waiting.
        """
        authorization = header_values(scope, b"authorization")
        given = bearer_credentials(
            authorization, scope["query_string"].decode("latin-1"), scope["subprotocols"]
        )
        if authorization:
            scope["headers"] = [each for each in scope["headers"] if each[0].lower() != b"authorization"]
        route: Route = scope["route"]
        scope["session"] = scope["identity"] = None
        node = self._node
        is_token = len(given) == 1 and given[0].kind is CredentialKind.TOKEN
        if is_token and not route.needs_session and not _reads_tokens_in_db(node.authenticator):
            identity = node.authenticator.verify_token(given[0].secret, scope["tenant"])
            scope["identity"] = node.credentials.require_live(identity)
            return self._app(scope, receive, send)
        if not given and not self._session_key(scope, route):
            return self._app(scope, receive, send)
        return self._look_up(given, scope, receive, send)

    async def _look_up(self, given: list[Credential], scope: Scope, receive: Receive, send: Send) -> None:
        route: Route = scope["route"]
        identities = [await self._check(credential, scope) for credential in given]
        session = await self._session(scope, route) if route.needs_session or not identities else None
        owner = session.identity if session is not None else None
        if owner is not None:
            # A connection that uses a session ends with it, also if a token says who it is.
            identities = [replace(each, session_key_hash=owner.session_key_hash) for each in identities] or [
                owner
            ]
        if len({each.user_id for each in (*identities, owner) if each is not None}) > 1:
            raise unauthenticated("The credentials given belong to different users.")
        scope["session"] = session
        scope["identity"] = identities[0] if identities else None
        await self._app(scope, receive, send)

    async def _check(self, credential: Credential, scope: Scope) -> Identity:
        authenticator = self._node.authenticator
        if credential.kind is CredentialKind.TOKEN:
            if _reads_tokens_in_db(authenticator):
                identity = await self._in_db(authenticator.verify_token, credential.secret, scope)
            else:
                identity = authenticator.verify_token(credential.secret, scope["tenant"])
            return self._node.credentials.require_live(identity)
        return await self._in_db(authenticator.redeem_ticket, credential.secret, scope)

    async def _session(self, scope: Scope, route: Route) -> LoadedSession | None:
        key = self._session_key(scope, route)
        return await self._in_db(self._node.authenticator.load_session, key, scope) if key else None

    @staticmethod
    def _session_key(scope: Scope, route: Route) -> str | None:
        cookies = parse_cookie("; ".join(header_values(scope, b"cookie")))
        key = cookies.get(django_settings.SESSION_COOKIE_NAME)
        if not key or header_values(scope, b"origin"):
            return key
        # Without an Origin the client is not a browser page. A session cookie is only for pages of the
        # tenant.
        if route.is_open:
            return None
        raise forbidden(
            "origin_denied", "A session cookie needs an Origin header; without one, use a token or a ticket."
        )

    async def _in_db(self, work: Callable[[str, Tenant], R], secret: str, scope: Scope) -> R:
        try:
            owner = Owner(scope["tenant"].slug, HANDSHAKES, limit_key(scope))
            return await self._node.database.run_for(owner, work, secret, scope["tenant"])
        except RequestError as error:
            raise unavailable("busy", error.message, retry_after_s=1) from error
        except (InterfaceError, OperationalError) as error:
            log_database_fault("The check of a credential", error)
            raise unavailable("busy", UNAVAILABLE, retry_after_s=1) from error


def _reads_tokens_in_db(authenticator: Authenticator) -> bool:
    return getattr(authenticator, "tokens_in_db", False) is True


class Authorize:
    """Checks that the identity may use the route."""

    def __init__(self, app: Application, node: Node) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass on the request if the route admits the identity; otherwise raise Refusal(401 | 403)."""
        route: Route = scope["route"]
        identity: Identity | None = scope["identity"]
        if route.needs_session and scope["session"] is None:
            raise unauthenticated("This needs a session: open it from a page of this site.")
        route.require(identity)
        return self._app(scope, receive, send)
