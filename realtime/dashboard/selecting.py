"""The part of the figures that an operator asks for, and may see."""

from django.utils.translation import gettext as _

from realtime.core.points import Selection
from realtime.protocol.errors import ErrorCode, RequestError


def select(
    own_tenant: str | None, *, tenant: str | None = None, route: str | None = None, node: str | None = None
) -> Selection:
    """Return the selection; None or "" is all. `own_tenant` is the tenant that the operator is bound to.

    Raises RequestError(not_found) for another tenant than their own, whether it exists or not.
    """
    if own_tenant is not None and tenant not in {None, "", own_tenant}:
        raise RequestError(
            ErrorCode.NOT_FOUND, _("There is no such tenant."), details={"field": "payload.tenant"}
        )
    return Selection(
        tenant=own_tenant or tenant or None,
        route=route or None,
        node=node or None,
        is_whole=own_tenant is None,
    )
