"""Slots: turns between tenants and users, over any course of work."""

from collections import Counter
from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from realtime.core.identity import Tenant
from realtime.core.slots import PROCESS, STRANGERS, Entry, Owner, Slots, owner_of

ACME, GLOBEX = "acme", "globex"


class Desk:
    """Slots, and what runs in them."""

    def __init__(self, total: int, waiting_max: int = 0, waiting_per_tenant_max: int = 0) -> None:
        self.slots = Slots(total, waiting_max, waiting_per_tenant_max)
        self.running: list[tuple[Owner, int]] = []
        self.waiting: list[tuple[Owner, int]] = []
        self.began: list[tuple[Owner, int]] = []
        self._number = 0

    def ask(self, owner: Owner) -> Entry:
        self._number += 1
        work = (owner, self._number)
        entry = self.slots.enter(owner, work)
        if entry is Entry.RUN:
            self._begin(work)
        elif entry is Entry.WAIT:
            self.waiting.append(work)
        return entry

    def end(self, at: int = 0) -> None:
        self.slots.leave(self.running.pop(at)[0])
        self._go_on()

    def give_up(self, at: int) -> None:
        work = self.waiting.pop(at)
        self.slots.withdraw(work[0], work)
        self._go_on()

    def _go_on(self) -> None:
        while (work := self.slots.next()) is not None:
            assert isinstance(work, tuple)
            self.waiting.remove(work)
            self._begin(work)

    def _begin(self, work: tuple[Owner, int]) -> None:
        self.running.append(work)
        self.began.append(work)

    def of_tenants(self) -> Counter[str]:
        return Counter(owner.tenant for owner, _ in self.running)


def users(tenant: str, count: int) -> list[Owner]:
    return [Owner(tenant, number) for number in range(count)]


def test_a_user_has_a_quarter() -> None:
    desk = Desk(8)
    assert [desk.ask(Owner(ACME, 1)) for _ in range(3)] == [Entry.RUN, Entry.RUN, Entry.WAIT]
    assert desk.ask(Owner(ACME, 2)) is Entry.RUN
    desk.end()
    assert desk.waiting == []


def strangers(*addresses: str) -> list[Owner]:
    return [Owner(ACME, STRANGERS, address) for address in addresses]


def test_all_strangers_of_a_tenant_have_half() -> None:
    desk = Desk(8)
    for owner in strangers("a", "b", "a", "c", "d"):
        desk.ask(owner)
    assert len(desk.running) == 4
    assert desk.ask(Owner(ACME, 1)) is Entry.RUN
    assert desk.ask(Owner(GLOBEX)) is Entry.RUN


def test_strangers_take_turns_by_their_address() -> None:
    desk = Desk(2)
    for owner in strangers("a", "a", "a", "a", "b", "c"):
        desk.ask(owner)
    for _ in range(5):
        desk.end()
    assert [owner.address for owner, _ in desk.began] == ["a", "a", "b", "c", "a", "a"]


def test_strangers_take_turns_with_users_as_one() -> None:
    desk = Desk(1)
    for owner in [*strangers(*"abcdef"), Owner(ACME, 1), Owner(ACME, 2)]:
        desk.ask(owner)
    for _ in range(4):
        desk.end()
    assert [owner.user for owner, _ in desk.began] == [None, None, 1, 2, None]


def test_strangers_who_wait_leave_room_for_users() -> None:
    desk = Desk(1, waiting_per_tenant_max=4)
    assert [desk.ask(each) for each in strangers(*"abcd")] == [Entry.RUN, Entry.WAIT, Entry.WAIT, Entry.FULL]
    assert [desk.ask(Owner(ACME, 1)) for _ in range(3)] == [Entry.WAIT, Entry.WAIT, Entry.FULL]
    desk.end()
    assert desk.ask(strangers("e")[0]) is Entry.WAIT


def test_strangers_are_told_apart_as_limits_do() -> None:
    tenant = Tenant(1, ACME, "Acme")
    assert owner_of(tenant, None, "2001:db8::1") == owner_of(tenant, None, "2001:db8::2")
    assert owner_of(tenant, None, "::ffff:192.0.2.1") == owner_of(tenant, None, "192.0.2.1")
    assert owner_of(tenant, None, "192.0.2.1") != owner_of(tenant, None, "192.0.2.2")


def test_a_tenant_alone_leaves_one_slot_to_the_others() -> None:
    desk = Desk(8)
    for owner in users(ACME, 20):
        desk.ask(owner)
    assert len(desk.running) == 7
    assert desk.ask(Owner(GLOBEX, 1)) is Entry.RUN


def test_while_others_wait_a_tenant_has_half() -> None:
    desk = Desk(8)
    for owner in users(ACME, 20) + users(GLOBEX, 20):
        desk.ask(owner)
    for _ in range(12):
        desk.end()
    assert desk.of_tenants() == {ACME: 4, GLOBEX: 4}


def test_users_of_a_tenant_take_turns() -> None:
    desk = Desk(1)
    for owner in [Owner(ACME, 1)] * 5 + [Owner(ACME, 2), Owner(ACME, 3)]:
        desk.ask(owner)
    for _ in range(6):
        desk.end()
    assert [owner.user for owner, _ in desk.began] == [1, 1, 2, 3, 1, 1, 1]


def test_tenants_take_turns_whatever_they_have_waiting() -> None:
    desk = Desk(2)
    for owner in [*users(ACME, 50), PROCESS, *users(GLOBEX, 2)]:
        desk.ask(owner)
    for _ in range(6):
        desk.end()
    began = [owner.tenant for owner, _ in desk.began]
    # One of another tenant and the process's own are never behind more than one of the crowd.
    assert began[:7] == [ACME, "", ACME, GLOBEX, ACME, GLOBEX, ACME]


def test_what_waits_is_bounded_for_a_tenant_and_for_all() -> None:
    desk = Desk(1, waiting_max=3, waiting_per_tenant_max=2)
    entries = [desk.ask(Owner(ACME, number)) for number in range(4)]
    assert entries == [Entry.RUN, Entry.WAIT, Entry.WAIT, Entry.FULL]
    assert desk.ask(Owner(GLOBEX, 1)) is Entry.WAIT
    assert desk.ask(Owner(GLOBEX, 1)) is Entry.FULL
    desk.give_up(0)
    assert desk.ask(Owner(GLOBEX, 1)) is Entry.WAIT


OWNERS = st.builds(
    Owner,
    st.sampled_from([ACME, GLOBEX, "", "third"]),
    st.sampled_from([STRANGERS, 1, 2, 3]),
    st.sampled_from(["", "a"]),
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "end", "give up"]), OWNERS, st.integers(0, 30)), max_size=120
)


@given(st.integers(1, 9), STEPS)
def test_whatever_happens(total: int, steps: list[tuple[str, Owner, int]]) -> None:
    desk = Desk(total, waiting_max=25, waiting_per_tenant_max=15)
    for step, owner, at in steps:
        if step == "ask":
            desk.ask(owner)
        elif step == "end" and desk.running:
            desk.end(at % len(desk.running))
        elif step == "give up" and desk.waiting:
            desk.give_up(at % len(desk.waiting))
        assert_fair(desk, total)
    while desk.running:
        desk.end()
    assert desk.waiting == []
    assert desk.slots.waiting == 0
    slots = desk.slots
    counts = (slots._of_tenant, slots._of_user, slots._waiting_of_tenant, slots._waiting_strangers)
    assert not any((*counts, slots._waiting))


def most_of(user: Hashable, total: int) -> int:
    return max(total // (2 if user is STRANGERS else 4), 1)


def assert_fair(desk: Desk, total: int) -> None:
    assert desk.slots.waiting == len(desk.waiting) <= 25
    assert len(desk.running) <= total
    of_users = Counter((owner.tenant, owner.user) for owner, _ in desk.running)
    assert all(count <= most_of(user, total) for (_, user), count in of_users.items())
    of_tenants = desk.of_tenants()
    assert max(of_tenants.values(), default=0) <= max(total - 1, 1)
    if len(desk.running) < total:
        # Nothing waits for a slot that is there, but for what holds its share already.
        others = {owner.tenant for owner, _ in desk.waiting}
        for owner, _ in desk.waiting:
            share = max(total // 2, 1) if others - {owner.tenant} else max(total - 1, 1)
            of_user = of_users[owner.tenant, owner.user]
            assert of_user >= most_of(owner.user, total) or of_tenants[owner.tenant] >= share
    # In the order in which each owner asked.
    numbers: dict[Owner, int] = {}
    for owner, number in desk.began:
        assert number > numbers.get(owner, 0)
        numbers[owner] = number
