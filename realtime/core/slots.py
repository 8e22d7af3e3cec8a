"""Decides whose work gets the next free slot: tenants take turns, and so do the users of each tenant."""

from collections.abc import Hashable
from enum import StrEnum
from typing import Any, NamedTuple

from realtime.core.addresses import address_key
from realtime.core.identity import Identity, Tenant

# The `user` of all people of a tenant who are not signed in.
STRANGERS = None


class Owner(NamedTuple):
    """The owner of some work. `user` is any value that identifies a user in the tenant. Where it stands for many people,
    as STRANGERS does, they take turns by their `address`."""

    tenant: str
    user: Hashable = STRANGERS
    address: str = ""


# The owner of the process's own work; no tenant has an empty slug.
PROCESS = Owner("", "process")


def owner_of(tenant: Tenant, identity: Identity | None, address: str) -> Owner:
    """The owner of the requests of a connection from `address`."""
    if identity is None:
        return Owner(tenant.slug, STRANGERS, address_key(address))
    return Owner(tenant.slug, identity.user_id)


class Entry(StrEnum):
    """The answer to work that asks for a slot."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class Slots:
    """Divides `total` slots. A user holds at most a quarter of them, but may always hold one. All STRANGERS of a tenant
    take turns with its users as if they were one, but hold up to half, and are at most half of what waits.

    A tenant holds at most half of them while others wait. If no other tenant waits, it may hold all except
    one, so that new work of another tenant begins at once. `waiting_max` and `waiting_per_tenant_max` bound
    the waiting work (0: no bound). This class only decides: the caller runs the work, and
    calls `leave` when it has ended.
    """

    def __init__(self, total: int, waiting_max: int, waiting_per_tenant_max: int) -> None:
        self._total = total
        self._per_user = max(total // 4, 1)
        self._shared = max(total // 2, 1)
        self._alone = max(total - 1, 1)
        self._waiting_max = waiting_max
        self._waiting_per_tenant_max = waiting_per_tenant_max
        # The number of running works: all, by tenant and by user. Keys with none are removed.
        self._running = 0
        self._of_tenant: dict[str, int] = {}
        self._of_user: dict[tuple[str, Hashable], int] = {}
        # The waiting works, by tenant, user and address. One that had a turn moves to the end of its dict.
        self._waiting: dict[str, dict[Hashable, dict[str, dict[Hashable, None]]]] = {}
        self._waiting_count = 0
        self._waiting_of_tenant: dict[str, int] = {}
        self._waiting_strangers: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """The number of waiting works."""
        return self._waiting_count

    def enter(self, owner: Owner, work: Hashable) -> Entry:
        """Ask for a slot. RUN: it is taken. WAIT: `work` is kept until `next` returns it.
        FULL: `work` is refused."""
        if self._may_run(owner.tenant, owner.user):
            self._begin(owner)
            return Entry.RUN
        if self._is_full(owner):
            return Entry.FULL
        users = self._waiting.setdefault(owner.tenant, {})
        users.setdefault(owner.user, {}).setdefault(owner.address, {})[work] = None
        self._count_waiting(owner, 1)
        return Entry.WAIT

    def leave(self, owner: Owner) -> None:
        """Give back a slot when work of this owner has ended; call `next` afterwards."""
        self._running -= 1
        _count(self._of_tenant, owner.tenant, -1)
        _count(self._of_user, owner[:2], -1)

    def withdraw(self, owner: Owner, work: Hashable) -> None:
        """Remove waiting `work`; call `next` afterwards."""
        users = self._waiting[owner.tenant]
        addresses = users[owner.user]
        del addresses[owner.address][work]
        if not addresses[owner.address]:
            del addresses[owner.address]
        if not addresses:
            del users[owner.user]
        if not users:
            del self._waiting[owner.tenant]
        self._count_waiting(owner, -1)

    def next(self) -> Hashable | None:
        """Take a slot for the next waiting work and return it; None if none may run. Call
        it until it returns None."""
        # The loops are short: only users that hold slots are passed over, and those are at most `total`.
        for tenant, users in self._waiting.items():
            for user, addresses in users.items():
                if self._may_run(tenant, user):
                    address, works = next(iter(addresses.items()))
                    work = next(iter(works))
                    self._take_turn(Owner(tenant, user, address), work)
                    return work
        return None

    def _take_turn(self, owner: Owner, work: Hashable) -> None:
        self.withdraw(owner, work)
        self._begin(owner)
        waiting: Any = self._waiting
        for key in owner:
            if key not in waiting:
                return
            waiting[key] = waiting.pop(key)
            waiting = waiting[key]

    def _begin(self, owner: Owner) -> None:
        self._running += 1
        _count(self._of_tenant, owner.tenant, 1)
        _count(self._of_user, owner[:2], 1)

    def _may_run(self, tenant: str, user: Hashable) -> bool:
        most = self._shared if user is STRANGERS else self._per_user
        if self._running >= self._total or self._of_user.get((tenant, user), 0) >= most:
            return False
        do_others_wait = len(self._waiting) > (tenant in self._waiting)
        return self._of_tenant.get(tenant, 0) < (self._shared if do_others_wait else self._alone)

    def _is_full(self, owner: Owner) -> bool:
        of_tenant = self._waiting_of_tenant.get(owner.tenant, 0)
        strangers = self._waiting_strangers.get(owner.tenant, 0) if owner.user is STRANGERS else 0
        return (
            0 < self._waiting_max <= self._waiting_count
            or 0 < self._waiting_per_tenant_max <= of_tenant
            or 0 < self._waiting_per_tenant_max <= 2 * strangers
        )

    def _count_waiting(self, owner: Owner, change: int) -> None:
        self._waiting_count += change
        _count(self._waiting_of_tenant, owner.tenant, change)
        if owner.user is STRANGERS:
            _count(self._waiting_strangers, owner.tenant, change)


def _count(counts: dict[Any, int], key: Hashable, change: int) -> None:
    counts[key] = counts.get(key, 0) + change
    if not counts[key]:
        del counts[key]
