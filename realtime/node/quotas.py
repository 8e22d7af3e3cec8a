"""The quotas of tenants, kept in memory: read at start and then twice a second."""

from dataclasses import dataclass

from realtime import tables
from realtime.core.token_bucket import TokenBucket
from realtime.sockets.connection import TenantRate

# A tenant may send as many messages at once as in this many seconds.
BURST_S = 2.0


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one tenant; 0 is no limit. `max_connections` counts on all nodes, the others on this one."""

    max_connections: int = 0
    max_connections_per_user: int = 0
    messages_per_s: float = 0.0


NO_QUOTA = Quota()


class QuotaBook:
    """Implements `realtime.node.credentials.Table`."""

    def __init__(self) -> None:
        self._quotas: dict[str, Quota] = {}
        self._read: dict[str, Quota] | None = None
        # The message rate that the connections of each tenant share; changed in place, so that it holds for open ones.
        self._rates: dict[str, TenantRate] = {}

    def of(self, tenant: str) -> Quota:
        """Return the quota of a tenant."""
        return self._quotas.get(tenant, NO_QUOTA)

    def rate(self, tenant: str) -> TenantRate:
        """Return the message rate that the connections of a tenant share."""
        return self._rates.get(tenant) or self._rates.setdefault(tenant, TenantRate())

    def read(self) -> None:
        """Read all quotas: one query, of as many rows as there are tenants with a quota."""
        rows = tables.TenantQuota.objects.values_list(
            "tenant", "max_connections", "max_connections_per_user", "messages_per_s"
        )
        self._read = {tenant: Quota(most, each, per_s) for tenant, most, each, per_s in rows}

    async def apply(self) -> None:
        """Apply the quotas that were read."""
        if self._read is None or self._read == self._quotas:
            return
        former, self._quotas = self._quotas, self._read
        for tenant in former.keys() | self._quotas.keys():
            per_s = self.of(tenant).messages_per_s
            if per_s != former.get(tenant, NO_QUOTA).messages_per_s:
                self.rate(tenant).bucket = TokenBucket(per_s, per_s * BURST_S, 0.0) if per_s else None

    def sweep(self) -> bool:
        """Nothing expires."""
        return False
