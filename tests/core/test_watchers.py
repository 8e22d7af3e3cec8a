"""What watchers are told of presence, by cases and against clients that apply it to what they know."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.core import watchers as watchers_module
from realtime.core.identity import UserId
from realtime.core.presence_table import PresentUser
from realtime.core.watchers import COUNT_INTERVAL_S, Push, Roster, Watchers

LIMIT = 3


def roster(ids: Collection[int], limit: int = LIMIT) -> Roster:
    if len(ids) > limit:
        return Roster(len(ids), None)
    return Roster(len(ids), {id_: PresentUser(id_, f"u{id_}", 1) for id_ in sorted(ids)})


@dataclass(eq=False)
class Client:
    """A watcher that applies what it is told. `forgets`: a count makes it forget its list, as the page says."""

    is_named: bool = True
    forgets: bool = True
    users: set[UserId] = field(default_factory=set)
    count: int | None = None
    counted_s: list[float] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)

    def subscribed(self, now: Roster) -> None:
        self.users, self.count = set(), None
        if self.is_named and now.users is not None:
            self.users = set(now.users)
        else:
            self.count = now.count

    def take(self, payload: dict[str, Any], now_s: float) -> None:
        self.told.append(payload)
        if "count" in payload:
            assert payload.keys() == {"count"}
            self.counted_s.append(now_s)
            self.count = payload["count"]
            if self.forgets:
                self.users = set()
            return
        assert self.is_named
        joined = [user["id"] for user in payload["joined"]]
        left = [user["id"] for user in payload["left"]]
        if self.count is None:
            # Nothing twice, nothing that was not known.
            assert not self.users & set(joined)
            assert self.users >= set(left)
        self.count = None
        self.users = (self.users - set(left)) | set(joined)

    def knows(self, now: Roster) -> bool:
        if self.is_named and now.users is not None:
            return self.count is None and self.users == set(now.users)
        return self.count == now.count


class Room:
    """One topic, its users and its watchers, told as the shell tells them."""

    def __init__(self) -> None:
        self.watchers: Watchers[Client] = Watchers()
        self.ids: set[int] = set()
        self.version = 0
        self.now_s = 100.0
        self.undelivered: list[tuple[Push[Client], list[Client]]] = []

    def change(self, ids: set[int]) -> None:
        if ids != self.ids:
            self.ids = ids
            self.version += 1

    def watch(self, client: Client) -> None:
        now = roster(self.ids)
        client.subscribed(now)
        self.watchers.watch(client, now, self.version, is_named=client.is_named)

    def tick(self) -> list[Push[Client]]:
        """A tick, delivered whole."""
        pushes = self.begin()
        self.deliver()
        return pushes

    def begin(self) -> list[Push[Client]]:
        assert not self.undelivered
        pushes = self.watchers.pushes(roster(self.ids), self.now_s)
        self.undelivered = [(push, list(push.to)) for push in pushes]
        return pushes

    def deliver(self, count: int = 1_000) -> None:
        """To the next `count` watchers."""
        while self.undelivered and count:
            push, to = self.undelivered[0]
            payload = push.payload()
            while to and count:
                count -= 1
                client = to.pop(0)
                if payload is not None and self.watchers.is_in(client, push.group):
                    client.take(payload, self.now_s)
            if not to:
                self.undelivered.pop(0)

    def settle(self) -> None:
        self.deliver()
        self.tick()
        self.now_s += COUNT_INTERVAL_S
        self.tick()
        assert not self.watchers.has_more(roster(self.ids))


def test_a_push_is_the_difference_and_one_for_all() -> None:
    room, clients = Room(), [Client(), Client()]
    room.change({1, 2})
    for client in clients:
        room.watch(client)
    assert [push.payload() for push in room.tick()] == [None]
    room.change({2, 3})
    (push,) = room.tick()
    assert push.payload() == {
        "joined": [{"id": 3, "username": "u3", "connections": 1}],
        "left": [{"id": 1, "username": "u1", "connections": 0}],
    }
    assert push.to == clients


def test_who_left_and_came_back_in_between_was_not_away() -> None:
    room, client = Room(), Client()
    room.change({1, 2})
    room.watch(client)
    room.tick()
    room.change({1})
    room.change({1, 2})
    room.tick()
    assert client.told == []


def test_a_reply_between_two_pushes_is_continued_exactly() -> None:
    room, early, late, latest = Room(), Client(), Client(), Client()
    room.change({1})
    room.watch(early)
    room.tick()
    room.change({1, 2})
    room.watch(late)
    room.change({2, 3})
    room.watch(latest)
    room.tick()
    assert [len(client.told) for client in (early, late, latest)] == [1, 1, 0]
    assert all(client.knows(roster(room.ids)) for client in (early, late, latest))


def test_a_watcher_that_asks_anew_before_its_push_arrives_gets_nothing_twice() -> None:
    room, clients = Room(), [Client() for _ in range(3)]
    for client in clients:
        room.watch(client)
    room.tick()
    room.change({1})
    room.begin()
    room.deliver(1)
    room.watch(clients[1])
    room.watchers.forget(clients[2])
    room.deliver()
    assert [len(client.told) for client in clients] == [1, 0, 0]
    assert clients[1].knows(roster({1}))


def test_strangers_are_told_how_many_at_most_once_a_second() -> None:
    room, stranger = Room(), Client(is_named=False)
    room.watch(stranger)
    for number in range(1, 31):
        room.change(set(range(number % 3)))
        room.tick()
        room.now_s += 0.1
    room.settle()
    assert stranger.knows(roster(room.ids))
    assert 3 <= len(stranger.told) <= 5
    gaps_s = [
        later - earlier for earlier, later in zip(stranger.counted_s, stranger.counted_s[1:], strict=False)
    ]
    assert min(gaps_s) >= COUNT_INTERVAL_S - 1e-9


def test_lists_become_counts_above_the_limit_and_come_back_whole() -> None:
    room, forgetful, keeping = Room(), Client(), Client(forgets=False)
    room.change({1, 2, 3})
    room.watch(forgetful)
    room.watch(keeping)
    room.change({2, 3, 4, 5})
    room.tick()
    assert forgetful.told == keeping.told == [{"count": 4}]
    room.change({3, 4})
    room.tick()
    assert len(keeping.told) == 1
    room.now_s += COUNT_INTERVAL_S
    room.tick()
    for client in (forgetful, keeping):
        assert [user["id"] for user in client.told[1]["joined"]] == [3, 4]
        assert {user["id"] for user in client.told[1]["left"]} == {1, 2}
        assert client.knows(roster({3, 4}))


def test_a_list_goes_on_exactly_until_a_count_was_told() -> None:
    room, stranger, client = Room(), Client(is_named=False), Client()
    room.watch(stranger)
    room.change({1})
    room.tick()
    room.watch(client)
    room.change({1, 2, 3, 4})
    room.tick()
    room.change({1, 2})
    room.tick()
    assert [sorted(payload) for payload in client.told] == [["joined", "left"]]
    assert client.knows(roster({1, 2}))


def test_a_stranger_that_asks_anew_before_its_count_arrives_ends_up_right() -> None:
    room, stranger = Room(), Client(is_named=False)
    room.watch(stranger)
    room.change({1})
    room.begin()
    room.change(set())
    room.watch(stranger)
    room.settle()
    assert stranger.knows(roster(set()))


@pytest.mark.parametrize("others", [0, 1])
def test_a_stranger_that_leaves_and_comes_back_before_its_count_arrives_ends_up_right(others: int) -> None:
    room, stranger = Room(), Client(is_named=False)
    for client in [stranger, *(Client(is_named=False) for _ in range(others))]:
        room.watch(client)
    room.change({1})
    room.begin()
    room.change(set())
    room.watchers.forget(stranger)
    room.watch(stranger)
    room.settle()
    assert stranger.knows(roster(set()))


def test_former_lists_are_bounded() -> None:
    room, client = Room(), Client()
    crowd = set(range(-9, 0))
    room.watch(client)
    room.change(crowd)
    room.tick()
    for number in range(watchers_module.MAX_FORMER_USERS + 10):
        room.change({number})
        room.watch(Client())
        room.change(crowd)
        room.tick()
        assert len(room.watchers._counted.users) <= watchers_module.MAX_FORMER_USERS


def test_a_watcher_that_comes_and_goes_leaves_no_list_behind() -> None:
    room = Room()
    for number in range(100):
        client = Client()
        room.change({number})
        room.watch(client)
        room.watchers.forget(client)
    assert len(room.watchers) == 0
    assert not room.watchers._fresh


steps = st.lists(
    st.tuples(
        st.sampled_from(["change", "change", "watch", "forget", "begin", "deliver", "wait"]),
        st.integers(0, 63),
    ),
    max_size=80,
)


@settings(max_examples=500, deadline=None)
@given(steps)
def test_every_client_ends_up_right(steps: list[tuple[str, int]]) -> None:
    room = Room()
    clients = [Client(is_named=n % 3 > 0, forgets=n % 2 > 0) for n in range(6)]
    watching: set[Client] = set()
    for verb, number in steps:
        take(room, clients[number % 6], watching, verb, number)
    room.settle()
    assert len(room.watchers) == len(watching)
    assert [client for client in watching if not client.knows(roster(room.ids))] == []


def take(room: Room, client: Client, watching: set[Client], verb: str, number: int) -> None:
    if verb == "change":
        room.change({each for each in range(6) if number >> each & 1})
    elif verb == "watch":
        room.watch(client)
        watching.add(client)
    elif verb == "forget":
        room.watchers.forget(client)
        watching.discard(client)
    elif verb == "begin" and not room.undelivered:
        room.begin()
    elif verb == "deliver":
        room.deliver(number % 4)
    elif verb == "wait":
        room.now_s += number / 32
