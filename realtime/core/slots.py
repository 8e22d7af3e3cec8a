"""Who may use one of a few slots next: turns between tenants, and between the users of each."""

from collections.abc import Hashable
from enum import StrEnum
from typing import Any, NamedTuple

from realtime.core.identity import Identity, Tenant


class Owner(NamedTuple):
    """Whose work it is. `user` is anything that tells the users of a tenant apart; None for those not signed in."""

    tenant: str
    user: Hashable = None


# The process's own work, in the place of a tenant.
PROCESS = Owner("")


def owner_of(tenant: Tenant, identity: Identity | None) -> Owner:
    """Whose work the requests of a connection are."""
    return Owner(tenant.slug, identity.user_id if identity is not None else None)


class Entry(StrEnum):
    """What becomes of work that asks for a slot."""

    RUN = "run"
    WAIT = "wait"
    FULL = "full"


class Slots:
    """`total` slots. A user holds at most a quarter of them, at least one.

    A tenant holds at most half of them while others wait, and leaves one to the others when nobody waits: work that
    comes then begins at once. `waiting_max` and `waiting_per_tenant_max` bound what waits (0: no bound).
    Plain values: the caller runs what it is told to run, and says when that has ended.
    """

    def __init__(self, total: int, waiting_max: int, waiting_per_tenant_max: int) -> None:
        self._total = total
        self._per_user = max(total // 4, 1)
        self._shared = max(total // 2, 1)
        self._alone = max(total - 1, 1)
        self._waiting_max = waiting_max
        self._waiting_per_tenant_max = waiting_per_tenant_max
        # What runs, by tenant and by owner; no key without any.
        self._running = 0
        self._of_tenant: dict[str, int] = {}
        self._of_owner: dict[Owner, int] = {}
        # What waits, by tenant and user. Whoever had a turn goes to the end of its dict.
        self._waiting: dict[str, dict[Hashable, dict[Hashable, None]]] = {}
        self._waiting_count = 0
        self._waiting_of_tenant: dict[str, int] = {}

    @property
    def waiting(self) -> int:
        """How much waits."""
        return self._waiting_count

    def enter(self, owner: Owner, work: Hashable) -> Entry:
        """Ask for a slot: RUN has taken one, WAIT keeps `work` until `next` names it, FULL forgets it."""
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
        """Work of this owner has ended; `next` says what may run for it."""
        self._running -= 1
        _count_down(self._of_tenant, owner.tenant)
        _count_down(self._of_owner, owner)

    def withdraw(self, owner: Owner, work: Hashable) -> None:
        """`work` waits no more; `next` says what may run for it."""
        users = self._waiting[owner.tenant]
        del users[owner.user][work]
        if not users[owner.user]:
            del users[owner.user]
        if not users:
            del self._waiting[owner.tenant]
        self._waiting_count -= 1
        _count_down(self._waiting_of_tenant, owner.tenant)

    def next(self) -> Hashable | None:
        """What may run now, its slot taken; None for nothing. To be asked until then."""
        # No more tenants and users are passed over than hold slots: those that hold none may run.
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
