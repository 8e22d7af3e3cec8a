"""PresenceTable over several nodes, by cases and against a simple model."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.core import presence_table as presence_module
from realtime.core.presence_table import (
    LAPSE_STEP_S,
    PRESENCE_GRACE_S,
    Changed,
    Held,
    Key,
    PresenceTable,
    PresentUser,
    User,
)

NEWS = ("acme", "news")
OTHER = ("acme", "other")
ALICE = User(1, "alice")
BOB = User(2, "bob")
MANY = 1_000_000


def held(user: User, connections: int, key: Key = NEWS, lingers_s: float = 0.0) -> Held:
    return Held(*key, user.id, user.username, connections, lingers_s)


def here(presence: PresenceTable, key: Key = NEWS) -> list[tuple[str, int]]:
    users = [(user.username, user.connections) for user in presence.users(key)]
    assert presence.count(key) == len(users)
    return users


def test_a_user_joins_once_and_leaves_once() -> None:
    presence = PresenceTable("a")
    assert presence.join(NEWS, ALICE)
    assert not presence.join(NEWS, ALICE)
    assert presence.users(NEWS) == [PresentUser(1, "alice", 2)]
    assert not presence.leave(NEWS, ALICE, at_once=True, now_s=0)
    assert presence.leave(NEWS, ALICE, at_once=True, now_s=0)
    assert not presence.leave(NEWS, ALICE, at_once=True, now_s=0)
    assert here(presence) == []
    assert presence.is_empty


def test_users_come_by_username_whatever_their_ids_are() -> None:
    presence = PresenceTable("a")
    for user in (BOB, User("9", "alice"), ALICE):
        presence.join(NEWS, user)
    assert [(user.id, user.username) for user in presence.users(NEWS)] == [
        (1, "alice"),
        ("9", "alice"),
        (2, "bob"),
    ]


def test_topics_and_tenants_are_apart() -> None:
    presence = PresenceTable("a")
    presence.join(NEWS, ALICE)
    assert here(presence, ("globex", "news")) == []
    assert here(presence, OTHER) == []
    assert presence.join(("globex", "news"), ALICE)


def test_without_a_word_a_user_stays_for_the_grace() -> None:
    presence = PresenceTable("a")
    presence.join(NEWS, ALICE)
    assert not presence.leave(NEWS, ALICE, at_once=False, now_s=5)
    assert here(presence) == [("alice", 0)]
    assert presence.next_lapse_s() == 15
    assert presence.lapse(14.9, MANY) == {}
    assert presence.lapse(15, MANY) == {NEWS: None}
    assert here(presence) == []
    assert presence.is_empty


def test_who_comes_back_in_the_grace_was_never_away() -> None:
    presence = PresenceTable("a")
    presence.join(NEWS, ALICE)
    presence.leave(NEWS, ALICE, at_once=False, now_s=0)
    assert not presence.join(NEWS, ALICE)
    assert presence.next_lapse_s() is None
    assert presence.lapse(100, MANY) == {}
    assert here(presence) == [("alice", 1)]
    assert presence.leave(NEWS, ALICE, at_once=True, now_s=100)
    assert presence.is_empty


def test_graces_end_a_few_at_a_time() -> None:
    presence = PresenceTable("a")
    for number in range(10):
        user = User(number, f"u{number}")
        presence.join(NEWS, user)
        presence.leave(NEWS, user, at_once=False, now_s=0)
    assert presence.lapse(20, 4) == {NEWS: None}
    assert presence.count(NEWS) == 6
    presence.lapse(20, 4)
    presence.lapse(20, 4)
    assert presence.is_empty


@pytest.mark.parametrize("limit", ["MAX_LINGERING", "MAX_LINGERING_PER_USER"])
def test_beyond_the_bound_an_end_is_told_at_once(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(presence_module, limit, 2)
    presence = PresenceTable("a")
    keys = [("acme", f"t{number}") for number in range(4)]
    for key in keys:
        presence.join(key, ALICE)
    assert [presence.leave(key, ALICE, at_once=False, now_s=0) for key in keys] == [False, False, True, True]
    presence.join(keys[0], ALICE)
    presence.join(keys[3], ALICE)
    assert not presence.leave(keys[3], ALICE, at_once=False, now_s=0)


def test_one_user_takes_no_grace_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "MAX_LINGERING_PER_USER", 1)
    presence = PresenceTable("a")
    for user in (ALICE, BOB):
        for key in (NEWS, OTHER):
            presence.join(key, user)
            presence.leave(key, user, at_once=False, now_s=0)
    assert here(presence) == [("alice", 0), ("bob", 0)]
    assert here(presence, OTHER) == []


def test_a_removed_user_has_no_grace_left() -> None:
    presence = PresenceTable("a")
    presence.join(NEWS, ALICE)
    assert not presence.end_grace(NEWS, ALICE.id)
    assert here(presence) == [("alice", 1)]
    presence.leave(NEWS, ALICE, at_once=False, now_s=0)
    assert presence.end_grace(NEWS, ALICE.id)
    assert not presence.end_grace(NEWS, ALICE.id)
    assert presence.is_empty


def test_leaving_with_a_word_ends_the_grace_on_other_nodes_too() -> None:
    presence = PresenceTable("a")
    presence.merge("b", 0, [held(ALICE, 0, lingers_s=8.0)], 0)
    presence.join(NEWS, ALICE)
    assert presence.leave(NEWS, ALICE, at_once=True, now_s=1)
    assert here(presence) == []
    presence.merge("b", 0, [held(ALICE, 0, lingers_s=8.0), held(BOB, 1)], 0)
    presence.merge("c", 0, [held(ALICE, 1), held(BOB, 1)], 0)
    assert presence.apply("c", 1, [held(ALICE, 0), held(BOB, 0)], 0) == {NEWS: None}
    assert here(presence) == [("bob", 1)]


def test_no_node_can_ask_for_more_than_the_grace() -> None:
    presence = PresenceTable("a")
    presence.merge("b", 0, [held(ALICE, 0, lingers_s=1e9), held(BOB, -3)], 0)
    assert here(presence) == [("alice", 0)]
    assert presence.next_lapse_s() == PRESENCE_GRACE_S


def test_the_users_of_a_node_that_is_gone_stay_for_the_grace_after_its_last_beat() -> None:
    presence = PresenceTable("a")
    presence.join(NEWS, ALICE)
    presence.merge("b", 3, [held(ALICE, 1), held(BOB, 2), held(BOB, 0, OTHER, lingers_s=2.0)], 4)
    presence.node_gone("b", 5, 6)
    assert here(presence) == [("alice", 1), ("bob", 0)]
    assert presence.needs_resync("b", 4)
    assert presence.apply("b", 4, [held(BOB, 1)], 6) == {}
    assert presence.lapse(6, MANY) == {OTHER: None}
    assert presence.lapse(14.9, MANY) == {}
    assert presence.lapse(15, MANY) == {NEWS: None}
    assert here(presence) == [("alice", 1)]
    presence.node_gone("b", 20, 20)
    presence.leave(NEWS, ALICE, at_once=True, now_s=20)
    assert presence.is_empty


def test_a_node_that_comes_back_tells_anew() -> None:
    presence = PresenceTable("a")
    presence.merge("b", 3, [held(ALICE, 1), held(BOB, 2)], 0)
    presence.node_gone("b", 0, 0)
    assert presence.merge("b", 3, [held(BOB, 2)], 1) == {NEWS: None}
    assert here(presence) == [("bob", 2)]
    assert presence.next_lapse_s() is None
    assert not presence.needs_resync("b", 4)


def test_messages_are_taken_in_order_only() -> None:
    presence = PresenceTable("a")
    assert presence.needs_resync("b", 1)
    assert presence.apply("b", 1, [held(ALICE, 1)], 0) == {}
    presence.merge("b", 4, [held(ALICE, 1)], 0)
    assert not presence.needs_resync("b", 5)
    assert presence.needs_resync("b", 6)
    assert presence.apply("b", 6, [held(BOB, 1)], 0) == {}
    assert presence.apply("b", 4, [held(BOB, 1)], 0) == {}
    assert presence.apply("b", 5, [held(BOB, 1)], 0) == {NEWS: None}
    assert presence.apply("b", 5, [held(BOB, 0)], 0) == {}
    assert here(presence) == [("alice", 1), ("bob", 1)]


def test_a_snapshot_replaces_what_was_known() -> None:
    presence = PresenceTable("a")
    presence.merge("b", 3, [held(ALICE, 2)], 0)
    assert presence.merge("b", 2, [held(BOB, 1)], 0) == {}
    assert presence.merge("b", 9, [held(BOB, 1)], 0) == {NEWS: None}
    assert presence.merge("b", 9, [held(BOB, 1)], 0) == {}
    assert here(presence) == [("bob", 1)]
    assert not presence.needs_resync("b", 10)


def test_a_snapshot_given_to_another_node_makes_it_the_same() -> None:
    one, two = PresenceTable("a"), PresenceTable("b")
    one.join(NEWS, ALICE)
    one.join(NEWS, ALICE)
    one.join(OTHER, BOB)
    one.leave(OTHER, BOB, at_once=False, now_s=0)
    assert one.snapshot(4) == [held(ALICE, 2), held(BOB, 0, OTHER, lingers_s=6.0)]
    two.merge("a", 4, one.snapshot(4), 104)
    assert two.users(NEWS) == one.users(NEWS)
    assert two.users(OTHER) == one.users(OTHER)
    assert two.lapse(110, MANY) == {OTHER: None}


def test_what_others_tell_is_taken_in_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "TAKEN_AT_ONCE", 2)
    presence = PresenceTable("a")
    presence.merge("b", 0, [held(User(number, f"u{number}"), 1) for number in range(6)], 0)
    assert presence.count(NEWS) == 2
    assert presence.has_news
    presence.take_in(0)
    assert presence.count(NEWS) == 4
    presence.merge("b", 1, [held(User(9, "u9"), 1)], 0)
    while presence.has_news:
        presence.take_in(0)
    assert here(presence) == [("u9", 1)]
    presence.merge("b", 2, [held(User(number, f"u{number}"), 1) for number in range(6, 10)], 0)
    presence.node_gone("b", 0, 0)
    while presence.has_news:
        presence.take_in(0)
    assert here(presence) == [(f"u{number}", 0) for number in range(6, 10)]


def test_a_node_may_be_over_before_its_end_is_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_module, "TAKEN_AT_ONCE", 1)
    presence = PresenceTable("a")
    presence.merge("c", 0, [held(BOB, 0, lingers_s=1.0)], 0)
    presence.merge("b", 0, [held(User(number, f"u{number}"), 1, OTHER) for number in range(3, 6)], 0)
    presence.node_gone("c", 0, 0)
    assert presence.lapse(2, MANY) == {NEWS: None}
    while presence.has_news:
        presence.take_in(2)
    assert here(presence, OTHER) == [("u3", 1), ("u4", 1), ("u5", 1)]


NODES = ("a", "b", "c")
KEYS = (NEWS, OTHER)
USERS = (ALICE, BOB, User("3", "carol"))
Place = tuple[str, Key, User]


@dataclass
class Nodes:
    """Nodes that tell each other as the cluster has them do, and the truth beside them."""

    now_s: float = 0.0
    seen: dict[str, PresenceTable] = field(
        default_factory=lambda: {node: PresenceTable(node) for node in NODES}
    )
    seqs: Counter[str] = field(default_factory=Counter)
    unsaid: dict[str, dict[tuple[Key, int | str], None]] = field(
        default_factory=lambda: {node: {} for node in NODES}
    )
    open: Counter[Place] = field(default_factory=Counter)
    # When the last connection of a user ended without a word, by topic.
    ended_s: dict[tuple[Key, User], float] = field(default_factory=dict)

    def members(self, node: str) -> dict[Key, set[int | str]]:
        return {key: {user.id for user in self.seen[node].users(key)} for key in KEYS}

    def join(self, node: str, key: Key, user: User, _lost: int) -> Changed:
        self.open[node, key, user] += 1
        self.unsaid[node][key, user.id] = None
        return {key: None} if self.seen[node].join(key, user) else {}

    def end(self, node: str, key: Key, user: User, lost: int) -> Changed:
        self.ended_s[key, user] = self.now_s
        return self._leave(node, key, user, at_once=False)

    def leave(self, node: str, key: Key, user: User, lost: int) -> Changed:
        return self._leave(node, key, user, at_once=True)

    def _leave(self, node: str, key: Key, user: User, *, at_once: bool) -> Changed:
        if not self.open[node, key, user]:
            return {}
        self.open[node, key, user] -= 1
        self.unsaid[node][key, user.id] = None
        has_changed = self.seen[node].leave(key, user, at_once=at_once, now_s=self.now_s)
        return {key: None} if has_changed else {}

    def say(self, node: str, _key: Key, _user: User, lost: int) -> Changed:
        """What has changed, to those others to whom it is not lost."""
        self.seqs[node] += 1
        changes = [self.seen[node].held(key, user_id, self.now_s) for key, user_id in self.unsaid[node]]
        self.unsaid[node] = {}
        for number, other in enumerate(NODES):
            if other != node and not lost >> number & 1:
                self.checked(other, self.seen[other].apply, node, self.seqs[node], changes, self.now_s)
        return {}

    def ask(self, node: str, _key: Key, _user: User, _lost: int) -> Changed:
        """A snapshot to each that misses something."""
        self.say(node, _key, _user, 0)
        for other in NODES:
            if other != node and self.seen[other].needs_resync(node, self.seqs[node] + 1):
                snapshot = self.seen[node].snapshot(self.now_s)
                self.checked(other, self.seen[other].merge, node, self.seqs[node], snapshot, self.now_s)
        return {}

    def silent(self, node: str, _key: Key, _user: User, lost: int) -> Changed:
        """Some of the others have not heard of it for a while."""
        for number, other in enumerate(NODES):
            if other != node and lost >> number & 1:
                self.checked(other, self.seen[other].node_gone, node, self.now_s - 6, self.now_s)
        return {}

    def take_in(self, node: str, _key: Key, _user: User, _lost: int) -> Changed:
        self.checked(node, self.seen[node].take_in, self.now_s)
        return {}

    def take_in_all(self) -> None:
        for node in NODES:
            while self.seen[node].has_news:
                self.take_in(node, NEWS, ALICE, 0)

    def wait(self, node: str, key: Key, user: User, lost: int) -> Changed:
        self.take_in_all()
        self.now_s += lost
        for each in NODES:
            self.checked(each, self.seen[each].lapse, self.now_s, MANY)
        return {}

    def checked(self, node: str, change: Callable[..., Changed], *arguments: object) -> None:
        """The topics whose members a change says it changed are those in which they did.

        Of several users that are taken in at once, one may come and go: that topic is named, and is as before.
        """
        before = self.members(node)
        changed = change(*arguments)
        after = self.members(node)
        differ = {key for key in KEYS if before[key] != after[key]}
        assert differ <= set(changed)
        if presence_module.TAKEN_AT_ONCE == 1:
            assert differ == set(changed)

    def step(self, verb: str, node: str, key: Key, user: User, lost: int) -> None:
        before = self.members(node)
        changed = getattr(self, verb)(node, key, user, lost)
        if verb in {"join", "end", "leave"}:
            after = self.members(node)
            assert {each for each in KEYS if before[each] != after[each]} == set(changed)

    def heal(self) -> None:
        for node in NODES:
            self.ask(node, NEWS, ALICE, 0)
        self.take_in_all()

    def check_connections(self) -> None:
        """All know the open connections; whoever is there without one is in the grace."""
        for key in KEYS:
            for presence in self.seen.values():
                connections = {user.id: user.connections for user in presence.users(key)}
                assert {id_: count for id_, count in connections.items() if count} == self.truth(key)
                for user in [user for user in USERS if connections.get(user.id) == 0]:
                    since_s = self.now_s - self.ended_s[key, user]
                    assert since_s <= PRESENCE_GRACE_S + LAPSE_STEP_S

    def truth(self, key: Key) -> Counter[int | str]:
        totals: Counter[int | str] = Counter()
        for (_, of_key, user), count in self.open.items():
            if of_key == key and count:
                totals[user.id] += count
        return totals


VERBS = ("join", "join", "end", "leave", "say", "ask", "silent", "take_in", "wait")
steps = st.lists(
    st.tuples(
        st.sampled_from(VERBS),
        st.sampled_from(NODES),
        st.sampled_from(KEYS),
        st.sampled_from(USERS),
        st.integers(0, 7),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 2, 500]), steps)
@example(
    2,
    [
        ("join", "a", NEWS, ALICE, 0),
        ("join", "a", NEWS, BOB, 0),
        ("join", "a", OTHER, ALICE, 0),
        ("ask", "a", NEWS, ALICE, 0),
        ("leave", "a", OTHER, ALICE, 0),
    ],
)
def test_after_healing_all_nodes_know_the_truth(
    at_once: int, steps: list[tuple[str, str, Key, User, int]]
) -> None:
    with mock.patch.object(presence_module, "TAKEN_AT_ONCE", at_once):
        run(steps)


def run(steps: list[tuple[str, str, Key, User, int]]) -> None:
    nodes = Nodes()
    for step in steps:
        nodes.step(*step)
    nodes.heal()
    nodes.check_connections()
    nodes.wait("", NEWS, ALICE, 11)
    for key in KEYS:
        for presence in nodes.seen.values():
            assert {user.id: user.connections for user in presence.users(key)} == nodes.truth(key)
    for node, key, user in list(nodes.open.elements()):
        nodes.step("leave", node, key, user, 0)
    nodes.heal()
    assert all(presence.is_empty for presence in nodes.seen.values())
