"""Access to the live page: for staff of the tenant with the permission of the page."""

from django.contrib.auth import get_user_model
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _

from realtime.core.actors import VIEW
from realtime.core.identity import Identity, UserId
from realtime.node.database import Database
from realtime.protocol.errors import RequestError, unavailable

PERMISSION = VIEW


async def may_view(database: Database, identity: Identity | None) -> bool:
    """Return whether `identity` has the permission: one query, unless it is a superuser.

    Raises Refusal(503) if the database cannot be asked. The route checks that the user is staff.
    """
    if identity is None or identity.is_superuser:
        return identity is not None
    try:
        return await database.run(_holds_permission, identity.user_id)
    except (RequestError, InterfaceError, OperationalError) as error:
        raise unavailable(
            "busy", _("The database is unavailable now; try again."), retry_after_s=1
        ) from error


def _holds_permission(user_id: UserId) -> bool:
    user = get_user_model()._default_manager.filter(pk=user_id).first()  # noqa: SLF001 Django's public name
    # `has_perm` is False for an inactive user.
    has_perm = getattr(user, "has_perm", None)
    return has_perm is not None and has_perm(PERMISSION) is True
