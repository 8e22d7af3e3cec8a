"""Presence over several nodes, by cases and against a simple model."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from realtime.core.presence import Diff, Held, Presence, PresentUser, User

NEWS = ("acme", "news")
ALICE = User(1, "alice")
BOB = User(2, "bob")


def held(user: User, connections: int, key: tuple[str, str] = NEWS) -> Held:
    return Held(*key, user.id, user.username, connections)


def test_a_user_joins_once_and_leaves_once_over_all_nodes() -> None:
    presence = Presence()
    assert presence.join("a", NEWS, ALICE) == Diff(NEWS, [PresentUser(1, "alice", 1)], [])
    assert presence.join("a", NEWS, ALICE) is None
    assert presence.join("b", NEWS, ALICE) is None
    assert presence.users(NEWS) == [PresentUser(1, "alice", 3)]
    assert presence.leave("a", NEWS, ALICE) is None
    assert presence.leave("b", NEWS, ALICE) is None
    assert presence.leave("a", NEWS, ALICE) == Diff(NEWS, [], [PresentUser(1, "alice", 0)])
    assert presence.users(NEWS) == []


def test_users_come_by_username() -> None:
    presence = Presence()
    for user in (BOB, User(9, "alice"), ALICE):
        presence.join("a", NEWS, user)
    assert [(user.id, user.username) for user in presence.users(NEWS)] == [
        (1, "alice"),
        (9, "alice"),
        (2, "bob"),
    ]


def test_topics_and_tenants_are_apart() -> None:
    presence = Presence()
    presence.join("a", NEWS, ALICE)
    assert presence.users(("globex", "news")) == []
    assert presence.users(("acme", "other")) == []
    assert presence.join("a", ("globex", "news"), ALICE) is not None


def test_leaving_without_having_joined_is_nothing() -> None:
    presence = Presence()
    assert presence.leave("a", NEWS, ALICE) is None
    presence.join("b", NEWS, ALICE)
    assert presence.leave("a", NEWS, ALICE) is None
    assert presence.users(NEWS) == [PresentUser(1, "alice", 1)]


def test_a_dropped_node_takes_its_connections_along() -> None:
    presence = Presence()
    presence.join("a", NEWS, ALICE)
    presence.join("b", NEWS, ALICE)
    presence.join("b", NEWS, BOB)
    presence.join("b", ("acme", "other"), BOB)
    diffs = presence.drop_node("b")
    bob = [PresentUser(2, "bob", 0)]
    assert sorted(diffs, key=lambda diff: diff.key) == [Diff(NEWS, [], bob), Diff(("acme", "other"), [], bob)]
    assert presence.users(NEWS) == [PresentUser(1, "alice", 1)]
    assert presence.drop_node("b") == []


def test_messages_are_taken_in_order_only() -> None:
    presence = Presence()
    assert presence.needs_resync("b", 1)
    assert presence.apply("b", 1, [held(ALICE, 1)]) == []
    presence.merge("b", 4, [held(ALICE, 1)])
    assert not presence.needs_resync("b", 5)
    assert presence.needs_resync("b", 6)
    assert presence.apply("b", 6, [held(BOB, 1)]) == []
    assert presence.apply("b", 4, [held(BOB, 1)]) == []
    assert presence.apply("b", 5, [held(BOB, 1)]) == [Diff(NEWS, [PresentUser(2, "bob", 1)], [])]
    assert presence.apply("b", 5, [held(BOB, 1)]) == []
    assert presence.users(NEWS) == [PresentUser(1, "alice", 1), PresentUser(2, "bob", 1)]


def test_a_message_counts_by_its_outcome() -> None:
    presence = Presence()
    presence.merge("b", 0, [])
    assert presence.apply("b", 1, [held(ALICE, 1), held(ALICE, -1)]) == []
    presence.apply("b", 2, [held(ALICE, 1)])
    assert presence.apply("b", 3, [held(ALICE, -1), held(ALICE, 1)]) == []
    assert presence.users(NEWS) == [PresentUser(1, "alice", 1)]


def test_a_snapshot_replaces_what_was_known() -> None:
    presence = Presence()
    presence.merge("b", 3, [held(ALICE, 2)])
    assert presence.merge("b", 2, [held(BOB, 1)]) == []
    diff = Diff(NEWS, [PresentUser(2, "bob", 1)], [PresentUser(1, "alice", 0)])
    assert presence.merge("b", 9, [held(BOB, 1)]) == [diff]
    assert presence.merge("b", 9, [held(BOB, 1)]) == []
    assert not presence.needs_resync("b", 10)


def test_a_snapshot_given_to_another_node_makes_it_the_same() -> None:
    one, two = Presence(), Presence()
    one.join("a", NEWS, ALICE)
    one.join("a", NEWS, ALICE)
    one.join("a", ("acme", "other"), BOB)
    one.leave("a", ("acme", "other"), BOB)
    two.merge("a", 4, one.snapshot("a"))
    assert two.users(NEWS) == one.users(NEWS)
    assert two.snapshot("a") == [held(ALICE, 2)]


steps = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "drop", "merge"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([NEWS, ("acme", "x"), ("globex", "news")]),
        st.sampled_from([ALICE, BOB, User(3, "carol")]),
    ),
    max_size=60,
)


Step = tuple[str, str, tuple[str, str], User]
Model = Counter[tuple[str, tuple[str, str], User]]


def take(presence: Presence, model: Model, seq: int, step: Step) -> list[Diff]:
    """Take one step in both; gives what presence says of it."""
    verb, node, key, user = step
    if verb == "join":
        model[node, key, user] += 1
        return [diff for diff in [presence.join(node, key, user)] if diff]
    if verb == "leave":
        model[node, key, user] = max(model[node, key, user] - 1, 0)
        return [diff for diff in [presence.leave(node, key, user)] if diff]
    for each in [each for each in model if each[0] == node]:
        del model[each]
    if verb == "drop":
        return presence.drop_node(node)
    model[node, key, user] = 2
    return presence.merge(node, seq, [held(user, 2, key)])


@given(steps)
def test_it_counts_as_a_plain_counter_does(steps: list[Step]) -> None:
    presence = Presence()
    model: Model = Counter()
    present: set[tuple[tuple[str, str], User]] = set()
    for seq, step in enumerate(steps, start=1):
        for diff in take(presence, model, seq, step):
            joined = {(diff.key, User(each.id, each.username)) for each in diff.joined}
            left = {(diff.key, User(each.id, each.username)) for each in diff.left}
            assert not joined & present
            assert left <= present
            present = (present | joined) - left
        assert present == {(key, user) for (_, key, user), count in model.items() if count}
    assert all(presence.users(key) == users_of(model, key) for _, key, _ in model)
    for node in ("a", "b", "c"):
        presence.drop_node(node)
    assert presence._totals == {}
    assert presence._parts == {}


def users_of(model: Model, key: tuple[str, str]) -> list[PresentUser]:
    """Who is in the topic, by the model."""
    totals: Counter[User] = Counter()
    for (_, of_key, user), count in model.items():
        totals[user] += count if of_key == key else 0
    users = [PresentUser(*user, count) for user, count in totals.items() if count]
    return sorted(users, key=lambda user: user.username)
