"""What a member may do, by role, and how a credential asks for less of it."""

import re
from collections.abc import Iterable

from django.core.exceptions import ValidationError

MEMBER_SCOPES = frozenset({"chat:read", "chat:write", "pubsub:publish", "websocket:access"})
STAFF_SCOPES = frozenset({"metrics:read", "control:write"})
MAX_EXTRA_SCOPES = 32

_SCOPE = re.compile(r"[a-z0-9_.-]{1,32}:[a-z0-9_.-]{1,32}")


def validate_scopes(scopes: object) -> None:
    """Raises ValidationError unless `scopes` is a list of at most 32 names such as `reports:read`."""
    if not isinstance(scopes, list) or len(scopes) > MAX_EXTRA_SCOPES:
        raise ValidationError(f"Expected a list of at most {MAX_EXTRA_SCOPES} scopes.")
    for scope in scopes:
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            raise ValidationError('Expected scopes such as "reports:read".')


def member_scopes(extra: Iterable[str], *, is_staff: bool) -> frozenset[str]:
    """Everything a credential of a member may be given."""
    return MEMBER_SCOPES.union(STAFF_SCOPES if is_staff else (), extra)


def narrow(held: frozenset[str], requested: Iterable[str] | None) -> frozenset[str]:
    """What of `held` was asked for; all of it when nothing was. Never more than `held`."""
    return held if requested is None else held & frozenset(requested)
