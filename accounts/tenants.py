"""The tenants by host, in memory."""

from typing import Any

from django.conf import settings
from django.db.models import FilteredRelation, Q

from accounts.models import Tenant as TenantRow
from realtime import Tenant


class Directory:
    """All active hosts of all active tenants, read as one snapshot. A lookup needs no query, hit or miss.

    In development the first tenant also answers to `REALTIME["DEVELOPMENT_HOSTS"]`.
    """

    def __init__(self) -> None:
        self._by_host: dict[str, Tenant] | None = None
        self._slugs: frozenset[str] = frozenset()

    def lookup(self, host: str) -> Tenant | None:
        """Return the active tenant of `host` (lower case, no port).

        Reads the table only if it was never read.
        """
        if self._by_host is None:
            self.refresh()
        return (self._by_host or {}).get(host)

    def has_slug(self, slug: str) -> bool:
        """Return whether there is a tenant of this slug, active or not.

        A slug of an active tenant with a host is known from memory; for any other the table is asked.
        """
        if slug not in self._slugs and TenantRow.objects.filter(slug=slug).exists():
            self._slugs |= {slug}
        return slug in self._slugs

    def search_tenants(self, text: str, limit: int) -> list[dict[str, Any]]:
        """Return the first `limit` tenants with `text` in slug or name, active or not."""
        rows = TenantRow.objects.filter(Q(slug__icontains=text) | Q(name__icontains=text)).order_by("slug")
        return [dict(row) for row in rows.values("slug", "name", "is_active")[:limit]]

    def set_active(self, slug: str, *, is_active: bool) -> bool:
        """Suspend a tenant or let it go on. False if there is no such tenant."""
        return TenantRow.objects.filter(slug=slug).update(is_active=is_active) > 0

    def refresh(self) -> None:
        """Read the table again, with one query. Do not call it on the loop."""
        by_host: dict[str, Tenant] = {}
        for tenant in _read_tenants(tuple(settings.REALTIME.get("DEVELOPMENT_HOSTS", ()))):
            by_host.update(dict.fromkeys(tenant.hosts, tenant))
        if by_host != self._by_host:
            # Without a change, keep the old objects, which the connections share.
            self._by_host = by_host
            self._slugs = frozenset(tenant.slug for tenant in by_host.values())


def _read_tenants(development_hosts: tuple[str, ...]) -> list[Tenant]:
    rows = (
        TenantRow.objects.filter(is_active=True)
        .annotate(live=FilteredRelation("domains", condition=Q(domains__is_active=True)))
        .order_by("id")
        .values_list("id", "slug", "name", "live__host")
    )
    names: dict[int, tuple[str, str]] = {}
    hosts: dict[int, set[str]] = {}
    for tenant_id, slug, name, host in rows:
        names[tenant_id] = (slug, name)
        hosts.setdefault(tenant_id, set()).update({host} if host else ())
    taken = set().union(*hosts.values())
    for first_id in list(names)[:1]:
        hosts[first_id].update(set(development_hosts) - taken)
    return [
        Tenant(id=tenant_id, slug=slug, name=name, hosts=frozenset(hosts[tenant_id]))
        for tenant_id, (slug, name) in names.items()
    ]
