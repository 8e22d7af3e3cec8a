"""Who may look at the live page: staff of the tenant who hold a permission of its own."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import PermissionsMixin
from django.db import InterfaceError, OperationalError

from realtime.core.identity import Identity
from realtime.node.database import Database
from realtime.protocol.errors import RequestError, unavailable

PERMISSION = "realtime.view_live"


async def may_view(database: Database, identity: Identity | None) -> bool:
    """Whether `identity` holds the permission: a query, unless it is a superuser's.

    Raises Refusal(503) where the database cannot say. That somebody is staff is the route's to ask.
    """
    if identity is None or identity.is_superuser:
        return identity is not None
    try:
        return await database.run(_holds_permission, identity.user_id)
    except (RequestError, InterfaceError, OperationalError) as error:
        raise unavailable("busy", "The database cannot be asked now.", retry_after_s=1) from error


def _holds_permission(user_id: int) -> bool:
    user = get_user_model()._default_manager.filter(pk=user_id).first()  # noqa: SLF001 Django's public name
    # Its answer for somebody who is switched off is no.
    return isinstance(user, PermissionsMixin) and user.has_perm(PERMISSION)
