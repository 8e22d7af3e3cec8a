"""The one place where scopes are compared."""

from collections.abc import Iterable

from realtime.core.identity import Identity
from realtime.protocol.errors import ErrorCode, RequestError


def has_scopes(identity: Identity | None, required: Iterable[str]) -> bool:
    """Whether `identity` holds every scope in `required`. Without an identity, only an
    empty `required` passes."""
    needed = frozenset(required)
    if identity is None:
        return not needed
    return needed <= identity.scopes


def require_scopes(identity: Identity | None, required: Iterable[str]) -> None:
    """Raises RequestError(unauthenticated) without an identity,
    RequestError(permission_denied) if a scope is missing."""
    needed = frozenset(required)
    if not needed:
        return
    if identity is None:
        raise RequestError(ErrorCode.UNAUTHENTICATED, "This needs a signed-in user.")
    missing = sorted(needed - identity.scopes)
    if missing:
        raise RequestError(
            ErrorCode.PERMISSION_DENIED,
            f"This needs the scope {missing[0]}.",
            details={"missing_scopes": missing},
        )
