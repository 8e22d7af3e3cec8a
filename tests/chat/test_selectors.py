"""Who sees which rooms, messages and members."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Membership, User
from chat import selectors, services
from chat.batches import MessageDraft
from chat.messages import reading, sending
from chat.models import Room, RoomMembership
from chat.payloads import InRoom, MessageList, RoomCreate, RoomDirect
from chat.text import TEXT_MAX_CHARS
from realtime.protocol.errors import ErrorCode, RequestError
from tests.chat.conftest import World, message_send

MISSING_ROOM = 2**63 - 1


def refusal(gatekeeper: object, *args: object, **kwargs: object) -> RequestError:
    with pytest.raises(RequestError) as refused:
        gatekeeper(*args, **kwargs)  # type: ignore[operator]
    return refused.value


def send(world: World, room_id: int, count: int) -> None:
    for number in range(1, count + 1):
        message_send(
            world.acme, world.alice, room_id=room_id, text=f"message {number}", client_msg_id=uuid.uuid4()
        )


def seqs(world: World, room_id: int, **page: int) -> tuple[list[int], bool]:
    found = reading.message_list(world.acme.id, world.alice.id, MessageList(room_id, **{"limit": 3, **page}))
    return [message.seq for message in found.messages], found.has_more


def test_the_list_holds_public_rooms_and_own_private_ones(world: World) -> None:
    world.room(name="Lounge")
    world.room(name="secret", is_public=False)
    alice, bob = (selectors.room_list(world.acme.id, user.id) for user in (world.alice, world.bob))
    assert [(room.name, room.is_member) for room in alice] == [("Lounge", True), ("secret", True)]
    assert [(room.name, room.is_member) for room in bob] == [("Lounge", False)]
    assert selectors.room_list(world.globex.id, world.carol.id) == []


def test_lists_of_rooms_and_members_are_bounded_in_number_and_in_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may open any number of direct rooms with somebody, and names are long in some languages."""
    for name in ("a", "b", "c"):
        send(world, world.room(name=name), 1)
    services.room_create(world.acme, world.bob, RoomCreate(name="public of bob"))[0]

    def names() -> list[str]:
        return [room.name for room in selectors.room_list(world.acme.id, world.alice.id)]

    assert names() == ["a", "b", "c", "public of bob"]
    monkeypatch.setattr(selectors, "ROOMS_LISTED_MAX", 3)
    assert names() == ["a", "b", "c"]
    size = len(msgspec.json.encode(selectors.room_list(world.acme.id, world.alice.id)))
    monkeypatch.setattr(selectors, "LISTED_BYTES_MAX", size * 3 // 4)
    assert names() == ["b", "c"]
    room_id = world.room(name="d", with_bob=True)
    assert len(selectors.member_list(world.acme.id, world.alice.id, InRoom(room_id)).members) == 2
    monkeypatch.setattr(selectors, "LISTED_BYTES_MAX", 1)
    assert len(selectors.member_list(world.acme.id, world.alice.id, InRoom(room_id)).members) == 1


def test_the_query_that_reads_a_room_decides_whether_the_user_may_see_it(
    world: World, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    """Between two queries the user could lose the room."""
    room_id = world.room(is_public=False)
    with django_assert_num_queries(2):  # type: ignore[operator]  # the room, and its members
        assert selectors.room_get(world.acme.id, world.alice.id, InRoom(room_id)).is_member
    with django_assert_num_queries(1):  # type: ignore[operator]
        refused = refusal(selectors.room_get, world.acme.id, world.bob.id, InRoom(room_id))
    assert refused.code == ErrorCode.NOT_FOUND


def test_the_list_costs_two_queries(world: World, django_assert_num_queries: pytest.FixtureRequest) -> None:
    for number in range(5):
        world.room(name=f"room {number}")
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert len(selectors.room_list(world.acme.id, world.bob.id)) == 5


def test_a_view_counts_members_and_unread_messages(world: World) -> None:
    room_id = world.room(with_bob=True)
    services.room_join(world.acme, world.admin, InRoom(room_id))
    send(world, room_id, 3)
    view = selectors.room_get(world.acme.id, world.bob.id, InRoom(room_id))
    assert (view.member_count, view.last_seq, view.read_seq, view.unread) == (3, 3, 0, 3)
    assert selectors.room_get(world.acme.id, world.alice.id, InRoom(room_id)).unread == 0


def test_who_left_the_tenant_is_no_longer_shown(world: World) -> None:
    room_id = world.room(with_bob=True)
    Membership.objects.filter(user_id=world.bob.id).update(is_active=False)
    members = selectors.member_list(world.acme.id, world.alice.id, InRoom(room_id)).members
    assert [(member.username, member.status) for member in members] == [("alice", "alice here")]
    assert selectors.room_get(world.acme.id, world.alice.id, InRoom(room_id)).member_count == 1


@pytest.mark.parametrize("lock", [False, True])
def test_a_member_passes_every_gatekeeper(world: World, *, lock: bool) -> None:
    room_id = world.room(is_public=False)
    assert selectors.access_room(world.acme.id, world.alice.id, room_id, lock=lock).pk == room_id
    assert selectors.access_joined_room(world.acme.id, world.alice.id, room_id).room_id == room_id


def test_a_public_room_may_be_seen_but_not_read_from_outside(world: World) -> None:
    room_id = world.room()
    assert selectors.access_room(world.acme.id, world.bob.id, room_id).pk == room_id
    refused = refusal(selectors.access_joined_room, world.acme.id, world.bob.id, room_id)
    assert refused.code is ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize("gatekeeper", [selectors.access_room, selectors.access_joined_room])
def test_what_one_may_not_know_of_is_answered_as_what_does_not_exist(
    world: World, gatekeeper: object
) -> None:
    public, private = world.room(), world.room(name="secret", is_public=False)
    archived = world.room(name="old")
    Room.objects.filter(pk=archived).update(archived_at=timezone.now())
    # A room membership is worth nothing on another tenant.
    RoomMembership.objects.create(room_id=private, user_id=world.admin.id)
    missing = refusal(gatekeeper, world.acme.id, world.bob.id, MISSING_ROOM)
    assert missing.code is ErrorCode.NOT_FOUND
    for tenant, user, room_id in (
        (world.acme, world.bob, private),
        (world.acme, world.alice, archived),
        (world.globex, world.carol, public),
        (world.globex, world.admin, public),
        (world.globex, world.admin, private),
    ):
        assert refusal(gatekeeper, tenant.id, user.id, room_id).payload() == missing.payload()


def test_pages_of_messages(world: World) -> None:
    room_id = world.room()
    assert seqs(world, room_id) == ([], False)
    for start in ({"after_seq": 5}, {"before_seq": 0}, {"around_seq": 3}):
        empty = reading.message_list(world.acme.id, world.alice.id, MessageList(room_id, **start))
        assert (empty.has_older, empty.has_newer, empty.has_more) == (False, False, False)
    send(world, room_id, 7)
    assert seqs(world, room_id) == ([5, 6, 7], True)
    assert seqs(world, room_id, before_seq=5) == ([2, 3, 4], True)
    assert seqs(world, room_id, before_seq=4) == ([1, 2, 3], False)
    assert seqs(world, room_id, after_seq=0) == ([1, 2, 3], True)
    assert seqs(world, room_id, after_seq=4) == ([5, 6, 7], False)
    assert seqs(world, room_id, after_seq=7) == ([], False)
    assert seqs(world, room_id, after_seq=2, before_seq=5) == ([3, 4], False)


def test_a_page_of_long_messages_has_fewer_of_them(world: World) -> None:
    room_id = world.room()
    texts = ["👋" * TEXT_MAX_CHARS] * 40
    sending.messages_send(
        [MessageDraft(room_id, uuid.uuid4(), text, tenant=world.acme, author=world.alice) for text in texts]
    )
    # The nearest to the reader are there; the rest is asked for with the next page.
    assert seqs(world, room_id, limit=40) == (list(range(25, 41)), True)
    assert seqs(world, room_id, limit=40, before_seq=25) == (list(range(9, 25)), True)
    assert seqs(world, room_id, limit=40, before_seq=9) == (list(range(1, 9)), False)
    assert seqs(world, room_id, limit=40, after_seq=0) == (list(range(1, 17)), True)
    assert seqs(world, room_id, limit=40, around_seq=20) == (list(range(12, 28)), True)


def test_a_message_that_is_longer_than_a_page_is_read_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", 1)
    room_id = world.room()
    send(world, room_id, 3)
    assert seqs(world, room_id) == ([3], True)
    assert seqs(world, room_id, after_seq=0) == ([1], True)
    assert seqs(world, room_id, before_seq=2) == ([1], False)


def test_messages_and_members_are_for_those_in_the_room(world: World) -> None:
    room_id = world.room()
    for code, tenant, user in (
        (ErrorCode.PERMISSION_DENIED, world.acme, world.bob),
        (ErrorCode.NOT_FOUND, world.globex, world.carol),
    ):
        assert refusal(reading.message_list, tenant.id, user.id, MessageList(room_id)).code is code
        assert refusal(selectors.member_list, tenant.id, user.id, InRoom(room_id)).code is code


def test_the_list_of_rooms_costs_the_same_whatever_is_in_it(
    world: World, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        room_id = world.room(name=f"room {number}", with_bob=True)
        message_send(world.acme, world.bob, room_id=room_id, text="@alice", client_msg_id=uuid.uuid4())
        services.room_direct(
            world.acme,
            world.alice,
            RoomDirect(user_ids=[int(world.bob.id), int(world.admin.id)][: number % 2 + 1]),
        )
    with django_assert_max_num_queries(3):
        rooms = selectors.room_list(world.acme.id, world.alice.id)
    assert len(rooms) == 7
    assert [room.mentions for room in rooms if room.kind == "public"] == [1] * 5


def sqlite_steps(work: Callable[[], object]) -> int:
    """The steps of SQLite's machine that `work` takes, in hundreds."""
    steps = [0]
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1), 100)
    try:
        work()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps[0]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="counts the steps of SQLite")
def test_the_list_of_rooms_looks_for_no_member_of_the_tenant_in_every_room(world: World) -> None:
    people = User.objects.bulk_create([User(username=f"u{number}") for number in range(200)])
    rooms = [Room(tenant_id=world.acme.id, name=f"r{number}", name_key=f"r{number}") for number in range(50)]
    rooms = Room.objects.bulk_create(rooms)
    RoomMembership.objects.bulk_create([RoomMembership(room=room, user=people[0]) for room in rooms])

    def steps() -> int:
        return sqlite_steps(lambda: selectors.room_list(world.acme.id, world.alice.id))

    few = steps()
    Membership.objects.bulk_create([Membership(user=user, tenant_id=world.acme.id) for user in people])
    assert (steps() - few) * 100 / len(people) < 50


def test_those_who_left_are_not_counted(world: World) -> None:
    rooms = [world.room(name=name, with_bob=True) for name in ("one", "two")]

    def counts() -> set[int]:
        listed = selectors.room_list(world.acme.id, world.alice.id)
        one = selectors.room_get(world.acme.id, world.alice.id, InRoom(rooms[0]))
        return {room.member_count for room in listed} | {one.member_count}

    bob = Membership.objects.get(user_id=world.bob.id)
    assert counts() == {2}
    User.objects.filter(pk=world.bob.id).update(is_active=False)
    assert counts() == {1}
    User.objects.filter(pk=world.bob.id).update(is_active=True)
    Membership.objects.filter(pk=bob.pk).update(is_active=False)
    assert counts() == {1}
    bob.delete()
    assert counts() == {1}
