"""Access to the control endpoints: the operators that may use them, and the tenants that they act on."""

from threading import Lock
from time import monotonic

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from realtime.conf import RealtimeSettings
from realtime.control.bans import require_not_banned
from realtime.control.keys import KEY_START, find_key
from realtime.control.operators import actor_of_identity, address_of, session_actor
from realtime.core.actors import READ_SCOPE, VIEW, WRITE_SCOPE, Actor, ActorKind
from realtime.core.identity import Identity
from realtime.core.token_bucket import TokenBucket
from realtime.models import ApiKey
from realtime.node import node as nodes
from realtime.node.staff import tenant_of
from realtime.protocol.errors import forbidden, unauthenticated

# Operators whose request rates are remembered at most.
BUCKETS_MAX = 10_000


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer rk_…`; `request.auth` is the key's Actor. Leaves other values to the next class."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, Actor] | None:
        """Return the key's actor. Raises Refusal: 401 for a bad key, 403 for one of another tenant."""
        words = get_authorization_header(request).decode("latin-1").split()
        if len(words) != 2 or words[0].lower() != "bearer" or not words[1].startswith(KEY_START):  # noqa: PLR2004
            return None
        key = find_key(words[1])
        if key is None:
            raise unauthenticated("This API key is not valid, or has expired.")
        tenant = tenant_of(request)
        if key.tenant and (tenant is None or tenant.slug != key.tenant):
            raise forbidden("tenant_denied", "This API key belongs to another tenant.")
        return AnonymousUser(), actor_of_key(key, address_of(request))

    def authenticate_header(self, request: Request) -> str:
        """Return a challenge, so that a request without credentials is answered with 401."""
        return "Bearer"


def actor_of_key(key: ApiKey, address: str) -> Actor:
    """Return the actor that holds a key."""
    scopes = frozenset(map(str, key.scopes))
    return Actor(ActorKind.KEY, str(key.pk), key.name, key.tenant or None, scopes, address)


def actor_of(request: Request) -> Actor | None:
    """Return the operator of a request: an API key, a token or a staff session; None for any other session."""
    if isinstance(request.auth, Actor):
        return request.auth
    if isinstance(request.auth, Identity):
        return actor_of_identity(request.auth, ActorKind.TOKEN, address_of(request))
    return session_actor(request)


class MayControl(BasePermission):
    """Admits credentials with `control:read` for reading and `control:write` for everything else.

    Staff who act by their session need the permission of the live page for reading, and that of the order, too.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the request may go on. `request.actor` is its operator. Raises Refusal(403) for a banned one."""
        actor = actor_of(request)
        is_reading = request.method in SAFE_METHODS
        scope = READ_SCOPE if is_reading else WRITE_SCOPE
        self.message = f"This needs a staff session, or a token or an API key, with the scope {scope}."
        if actor is None or scope not in actor.scopes:
            return False
        if actor.tenant is not None and actor.kind is not ActorKind.KEY:
            # Otherwise banned staff would lift their own ban.
            require_not_banned(actor.tenant, user_id=actor.id)
        # A batch names its orders in its body.
        order = "" if is_reading else getattr(view, "operation", "")
        self.message = _fault_of_reader(actor) if is_reading else order and actor.fault_of(order)
        if self.message:
            return False
        request.actor = actor  # type: ignore[attr-defined]
        return True


def _fault_of_reader(actor: Actor) -> str:
    may_view = actor.permissions is None or VIEW in actor.permissions
    return "" if may_view else f"This needs the permission {VIEW}."


class ControlThrottle(BaseThrottle):
    """Limits the requests of one operator or key in this process (CONTROL_REQUESTS_PER_S)."""

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count one request."""
        self._wait_s = nodes.current_node().shared(ControlRates, ControlRates).take(request.actor)  # type: ignore[attr-defined]
        return self._wait_s == 0.0

    def wait(self) -> float | None:
        """Return the seconds until the next request is allowed."""
        return self._wait_s


class ControlRates:
    """The request rates of operators in this process. The longest unused one is forgotten first."""

    def __init__(self) -> None:
        self._buckets: dict[str, TokenBucket] = {}
        # Requests are handled in threads.
        self._lock = Lock()

    def take(self, actor: Actor, count: int = 1) -> float:
        """Take `count` requests; returns 0.0, or the seconds to wait."""
        settings, now_s = nodes.current_node().settings, monotonic()
        with self._lock:
            bucket = self._bucket(actor, settings, now_s)
            return bucket.take(now_s, count)

    def _bucket(self, actor: Actor, settings: RealtimeSettings, now_s: float) -> TokenBucket:
        bucket = self._buckets.pop(actor.key, None) or TokenBucket(
            settings.CONTROL_REQUESTS_PER_S, settings.CONTROL_REQUESTS_BURST, now_s
        )
        self._buckets[actor.key] = bucket
        if len(self._buckets) > BUCKETS_MAX:
            del self._buckets[next(iter(self._buckets))]
        return bucket
