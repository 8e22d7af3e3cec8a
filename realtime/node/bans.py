"""The bans in force, kept in memory: read at start, when an operator changes them, and by the poll."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic, time

from django.db.models import Count, Max
from django.utils import timezone

from realtime import tables
from realtime.core.bans import Ban, Bans
from realtime.core.identity import Identity, Tenant
from realtime.node.old_rows import delete_some
from realtime.node.slices import in_slices
from realtime.protocol.close_codes import CloseCode, operator_reason
from realtime.protocol.errors import Refusal, forbidden
from realtime.sockets.connection import Connection

# The most bans that are kept in memory: the newest.
BANS_MAX = 50_000
# Seconds that a ban stays in force after a node was told of it, even if a read that began before does not find it.
TOLD_S = 5.0
# Expired bans are shown to operators for this long, and then deleted.
KEPT_AFTER = timedelta(days=30)


class BanBook:
    """Implements `realtime.node.credentials.Table`. Used on the loop, except `read` and `sweep`."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections
        self._bans = Bans()
        self._version: tuple[int, int | None] | None = None
        self._read: list[Ban] | None = None
        # Bans that other nodes told of, each with the monotonic second until which a read may miss it.
        self._told: dict[Ban, float] = {}
        # By id of a ban, the connections that it ended here: those that the poll closed too.
        self._ended: Counter[int] = Counter()

    @property
    def bans(self) -> Bans:
        """The bans in force. Do not change them."""
        return self._bans

    def read(self) -> None:
        """Read the bans if they have changed, or may differ from what this node was told. If not, this takes one query."""
        rows = tables.Ban.objects.filter(until__gt=timezone.now())
        found = rows.aggregate(count=Count("id"), newest=Max("id"))
        version = (found["count"], found["newest"])
        if version != self._version or self._told:
            self._read = [ban_value(row) for row in rows.order_by("-id")[:BANS_MAX]]
            self._version = version

    async def apply(self) -> None:
        """Apply the bans that were read, and close the connections that they ban."""
        if self._read is None:
            return
        read, self._read = self._read, None
        now_s = monotonic()
        self._told = {ban: until_s for ban, until_s in self._told.items() if until_s > now_s}
        self._bans = Bans([*read, *self._told])
        in_force = {ban.id for ban in self._bans}
        self._ended = Counter({ban_id: count for ban_id, count in self._ended.items() if ban_id in in_force})
        await self._close_banned()

    async def add(self, ban: Ban) -> int:
        """Take a ban that an operator has just made; returns how many connections it ends here."""
        self._told[ban] = monotonic() + TOLD_S
        self._bans.add(ban)
        await self._close_banned(ban)
        return self._ended[ban.id]

    def remove(self, ban_id: int) -> None:
        """Lift a ban that an operator has just deleted."""
        self._told = {ban: until_s for ban, until_s in self._told.items() if ban.id != ban_id}
        self._bans = Bans(each for each in self._bans if each.id != ban_id)
        self._version = None

    def sweep(self) -> bool:
        """Delete some bans that have expired; return whether some may be left."""
        rows = tables.Ban.objects.filter(until__lte=timezone.now() - KEPT_AFTER)
        return delete_some(rows)

    def close_if_banned(self, connection: Connection) -> bool:
        """Close a connection with 4409 if its user or address is banned; return whether it is banned."""
        ban = self._of(connection.tenant, connection.address, connection.identity)
        if ban is not None:
            self._ended[ban.id] += connection.close_code is None
            connection.close(CloseCode.ENDED_BY_OPERATOR, operator_reason(ban.reason, reconnect=False))
        return ban is not None

    async def _close_banned(self, only: Ban | None = None) -> None:
        if not self._bans:
            return
        of_one = Bans([only]) if only is not None else None
        async for some in in_slices(list(self._connections.values())):
            for each in some:
                if of_one is None or _find(of_one, each.tenant, each.address, each.identity):
                    self.close_if_banned(each)

    def require_address(self, tenant: Tenant, address: str) -> None:
        """Raise Refusal(403) if the address is banned. Makes no query."""
        if self._bans and self._bans.of_address(tenant.slug, address, time()):
            raise banned()

    def require_user(self, identity: Identity | None) -> None:
        """Raise Refusal(403) if the user is banned. Makes no query."""
        if self._bans and self._bans.of_user(identity, time()):
            raise banned()

    def _of(self, tenant: Tenant, address: str, identity: Identity | None) -> Ban | None:
        return _find(self._bans, tenant, address, identity) if self._bans else None


def _find(bans: Bans, tenant: Tenant, address: str, identity: Identity | None) -> Ban | None:
    now_s = time()
    return bans.of_user(identity, now_s) or bans.of_address(tenant.slug, address, now_s)


def banned() -> Refusal:
    """403: the user or the address is banned."""
    return forbidden("banned", "An operator has banned this user or address.")


def ban_value(row: "tables.Ban") -> Ban:
    """Return a row as the value that is kept in memory."""
    return Ban(row.pk, row.tenant, row.user_id, row.address, row.until.timestamp(), row.reason)
