"""Whether a user or an address is banned, for code that lets users sign in."""

from time import time

from django.db.models import Q
from django.utils import timezone

from realtime import tables
from realtime.core.bans import Bans
from realtime.node import node as nodes
from realtime.node.bans import BANS_MAX, ban_value, banned


def require_not_banned(tenant: str, *, user_id: int | str | None = None, address: str = "") -> None:
    """Raise Refusal(403, "banned") if the user or the address is banned on `tenant`, a slug.

    Call it where users sign in. A process that serves sockets has the bans in memory; another one makes a query.
    """
    if is_banned(tenant, user_id=user_id, address=address):
        raise banned()


def is_banned(tenant: str, *, user_id: int | str | None = None, address: str = "") -> bool:
    """Return whether the user or the address is banned on `tenant`; as `require_not_banned`."""
    node = nodes.current_node()
    bans = node.bans.bans if node.serves_here else _read(tenant)
    now_s = time()
    is_user_banned = user_id is not None and bans.of_user_id(tenant, str(user_id), now_s) is not None
    return is_user_banned or (address != "" and bans.of_address(tenant, address, now_s) is not None)


def _read(tenant: str) -> Bans:
    rows = tables.Ban.objects.filter(Q(tenant=tenant) | Q(tenant=""), until__gt=timezone.now())
    return Bans(ban_value(row) for row in rows.order_by("-id")[:BANS_MAX])
