"""The one place where scopes are compared."""

from collections.abc import Iterable

from realtime.core.identity import Identity
from realtime.protocol.errors import ErrorCode, RequestError


def has_scopes(identity: Identity | None, required: Iterable[str]) -> bool:
    """Whether `identity` holds every scope of `required`; nobody holds none but the empty list."""
    needed = frozenset(required)
    if identity is None:
        return not needed
    return needed <= identity.scopes


def require_scopes(identity: Identity | None, required: Iterable[str]) -> None:
    """Raises RequestError(unauthenticated) for nobody, (permission_denied) for a lacking scope."""
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
