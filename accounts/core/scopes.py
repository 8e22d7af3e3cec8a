"""The scopes of members by role, and how a credential is limited to some of them."""

import re
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

MEMBER_SCOPES = frozenset({"chat:read", "chat:write", "pubsub:publish", "websocket:access"})
STAFF_SCOPES = frozenset({"metrics:read", "control:read", "control:write"})
MAX_EXTRA_SCOPES = 32

_SCOPE = re.compile(r"[a-z0-9_.-]{1,32}:[a-z0-9_.-]{1,32}")


def validate_scopes(scopes: object) -> None:
    """Raise ValidationError unless `scopes` is a list of at most 32 names such as `reports:read`."""
    if not isinstance(scopes, list) or len(scopes) > MAX_EXTRA_SCOPES:
        message = _("Expected a list of at most {most} scopes.")
        raise ValidationError(message.format(most=MAX_EXTRA_SCOPES))
    for scope in scopes:
        if not isinstance(scope, str) or not _SCOPE.fullmatch(scope):
            raise ValidationError(_('Expected scopes such as "reports:read".'))


def member_scopes(extra: Iterable[str], *, is_staff: bool) -> frozenset[str]:
    """Return all scopes that a credential of a member may have."""
    return MEMBER_SCOPES.union(STAFF_SCOPES if is_staff else (), extra)


def narrow(held: frozenset[str], requested: Iterable[str] | None) -> frozenset[str]:
    """Return the requested scopes that are in `held`; all of `held` if none are requested."""
    return held if requested is None else held & frozenset(requested)
