"""Decides whose work gets the next free slot: tenants take turns, and so do the users of each tenant."""

from collections.abc import Hashable
from enum import StrEnum
from typing import Any, NamedTuple

from realtime.core.identity import Identity, Tenant


class Owner(NamedTuple):
    """The owner of some work. `user` is any value that identifies a user in the tenant;
    None if not signed in."""

    tenant: str
    user: Hashable = None


# The owner of the process's own work; no tenant has an empty slug.
PROCESS = Owner("")


def owner_of(tenant: Tenant, identity: Identity | None) -> Owner:
    """The owner of the requests of a connection."""
    return Owner(tenant.slug, identity.user_id if identity is not None else None)


class Entry(StrEnum):
    """The answer to work that asks for a slot."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class Slots:
    """Divides `total` slots. A user holds at most a quarter of them, but may always hold one.

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
        # The number of running works: all, by tenant and by owner. Keys with none are removed.
        self._running = 0
        self._of_tenant: dict[str, int] = {}
        self._of_owner: dict[Owner, int] = {}
        # The waiting works, by tenant and user. A tenant or user that had a turn moves to
        # the end of its dict.
        self._waiting: dict[str, dict[Hashable, dict[Hashable, None]]] = {}
        self._waiting_count = 0
        self._waiting_of_tenant: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """The number of waiting works."""
        return self._waiting_count

    def enter(self, owner: Owner, work: Hashable) -> Entry:
        """Ask for a slot. RUN: it is taken. WAIT: `work` is kept until `next` returns it.
        FULL: `work` is refused."""
        if self._may_run(owner):
            self._begin(owner)
            return Entry.RUN
        waiting_of_tenant = self._waiting_of_tenant.get(owner.tenant, 0)
        if 0 < self._waiting_max <= self._waiting_count:
            return Entry.FULL
        if 0 < self._waiting_per_tenant_max <= waiting_of_tenant:
            return Entry.FULL
        self._waiting.setdefault(owner.tenant, {}).setdefault(owner.user, {})[work] = None
        self._waiting_of_tenant[owner.tenant] = waiting_of_tenant + 1
        self._waiting_count += 1
        return Entry.WAIT

    def leave(self, owner: Owner) -> None:
        """Give back a slot when work of this owner has ended; call `next` afterwards."""
        self._running -= 1
        _count_down(self._of_tenant, owner.tenant)
        _count_down(self._of_owner, owner)

    def withdraw(self, owner: Owner, work: Hashable) -> None:
        """Remove waiting `work`; call `next` afterwards."""
        users = self._waiting[owner.tenant]
        del users[owner.user][work]
        if not users[owner.user]:
            del users[owner.user]
        if not users:
            del self._waiting[owner.tenant]
        self._waiting_count -= 1
        _count_down(self._waiting_of_tenant, owner.tenant)

    def next(self) -> Hashable | None:
        """Take a slot for the next waiting work and return it; None if none may run. Call
        it until it returns None."""
        # The loops are short: only owners that hold slots are passed over, and those are at most `total`.
        for tenant, users in self._waiting.items():
            for user, works in users.items():
                owner = Owner(tenant, user)
                if self._may_run(owner):
                    work = next(iter(works))
                    self._take_turn(owner, work)
                    return work
        return None

    def _take_turn(self, owner: Owner, work: Hashable) -> None:
        self.withdraw(owner, work)
        self._begin(owner)
        users = self._waiting.pop(owner.tenant, None)
        if users is not None:
            works = users.pop(owner.user, None)
            if works is not None:
                users[owner.user] = works
            self._waiting[owner.tenant] = users

    def _begin(self, owner: Owner) -> None:
        self._running += 1
        self._of_tenant[owner.tenant] = self._of_tenant.get(owner.tenant, 0) + 1
        self._of_owner[owner] = self._of_owner.get(owner, 0) + 1

    def _may_run(self, owner: Owner) -> bool:
        if self._running >= self._total or self._of_owner.get(owner, 0) >= self._per_user:
            return False
        do_others_wait = len(self._waiting) > (owner.tenant in self._waiting)
        return self._of_tenant.get(owner.tenant, 0) < (self._shared if do_others_wait else self._alone)


def _count_down(counts: dict[Any, int], key: Hashable) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
