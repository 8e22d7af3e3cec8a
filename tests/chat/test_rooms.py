"""Rooms: roles, invitations, direct rooms, settings, archiving, unread counts and announcements."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, User
from chat import announcements, selectors, services, wire
from chat.messages import changing
from chat.models import Room, RoomMembership
from chat.payloads import (
    InRoom,
    MessageDelete,
    Read,
    RoomDirect,
    RoomInvite,
    RoomRemove,
    RoomRole,
    RoomSettings,
    RoomUpdate,
)
from realtime.core.history import Publisher
from realtime.models import AuditEntry
from realtime.protocol.errors import RequestError
from tests.chat.conftest import Announced, World, message_send

pytestmark = pytest.mark.django_db(transaction=True)

OWN = {"unread", "mentions", "level", "is_favourite", "role", "is_member", "read_seq"}


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        use()
    return refused.value.code.value


def say(world: World, room_id: int, by: Publisher, text: str = "hello") -> int:
    sent = message_send(world.acme, by, room_id=room_id, text=text, client_msg_id=uuid.uuid4())
    return sent.seq


def view(world: World, room_id: int, user: Publisher) -> wire.Room:
    return selectors.room_get(world.acme.id, user.id, InRoom(room_id))


def give(world: World, room_id: int, user: Publisher, role: wire.Role) -> None:
    services.room_role(world.acme, world.alice, RoomRole(room_id, user_id=int(user.id), role=role))


def make_staff(world: World, user: Publisher) -> None:
    Membership.objects.filter(user_id=user.id, tenant_id=world.acme.id).update(role="staff")


def update(world: World, user: Publisher, room_id: int, **changes: Any) -> wire.Room:
    return services.room_update(world.acme, user, RoomUpdate(room_id, **changes))


def test_the_creator_owns_a_room_and_gives_roles(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    assert (view(world, room_id, world.alice).role, view(world, room_id, world.bob).role) == (
        "owner",
        "member",
    )
    assert view(world, room_id, world.admin).role is None
    announced.clear()
    give(world, room_id, world.bob, "moderator")
    rev = view(world, room_id, world.alice).last_rev
    changed = {"id": world.bob.id, "username": "bob", "role": "moderator"}
    assert announced[0].data == {"event": "member", "rev": rev, "changed": changed}
    assert announced[1].topic == f"user:{world.bob.id}"
    assert announced[1].data["room"]["role"] == "moderator"
    announced.clear()
    give(world, room_id, world.bob, "moderator")
    assert announced == []
    promote = RoomRole(room_id, user_id=int(world.bob.id), role="owner")
    assert code_of(lambda: services.room_role(world.acme, world.bob, promote)) == "permission_denied"
    assert code_of(lambda: give(world, room_id, world.admin, "guest")) == "not_found"


def test_rooms_of_an_older_release_belong_to_their_creators(world: World) -> None:
    room_id = world.room(with_bob=True)
    RoomMembership.objects.update(role=None)
    assert (view(world, room_id, world.alice).role, view(world, room_id, world.bob).role) == (
        "owner",
        "member",
    )
    members = selectors.member_list(world.acme.id, world.bob.id, InRoom(room_id)).members
    assert [each.role for each in members] == ["owner", "member"]


def test_staff_own_what_nobody_owns_and_moderate_the_rest(world: World) -> None:
    room_id = world.room(with_bob=True)
    make_staff(world, world.admin)
    update(world, world.admin, room_id, topic_line="by staff")
    assert code_of(lambda: update(world, world.admin, room_id, archived=True)) == "permission_denied"
    services.room_leave(world.acme, world.alice, InRoom(room_id))
    assert update(world, world.admin, room_id, archived=True).archived


def test_staff_own_what_only_a_former_member_of_the_tenant_owns(world: World) -> None:
    room_id = world.room(with_bob=True)
    make_staff(world, world.admin)
    Membership.objects.get(user_id=world.alice.id).delete()
    assert update(world, world.admin, room_id, archived=True).archived


def test_a_creator_who_lost_the_role_does_not_get_it_back_by_joining_again(world: World) -> None:
    room_id = world.room(with_bob=True)
    give(world, room_id, world.bob, "owner")
    services.room_role(world.acme, world.bob, RoomRole(room_id, user_id=int(world.alice.id), role="guest"))
    services.room_leave(world.acme, world.alice, InRoom(room_id))
    assert services.room_join(world.acme, world.alice, InRoom(room_id)).role == "member"
    # Without an owner the room is its creator's again.
    services.room_leave(world.acme, world.bob, InRoom(room_id))
    services.room_leave(world.acme, world.alice, InRoom(room_id))
    assert services.room_join(world.acme, world.alice, InRoom(room_id)).role == "owner"


def test_a_room_is_locked_before_it_is_known_whether_a_user_may_join(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room()
    locked: list[bool] = []

    def access_room(*where: Any, lock: bool = False) -> Room:
        locked.append(lock)
        return selectors.access_room(*where, lock=lock)

    monkeypatch.setattr(services, "access_room", access_room)
    services.room_join(world.acme, world.bob, InRoom(room_id))
    assert locked == [True]


@pytest.mark.parametrize(
    ("changes", "least"),
    [
        ({"name": "parlour"}, "moderator"),
        ({"topic_line": "news"}, "moderator"),
        ({"is_public": False}, "owner"),
        ({"archived": True}, "owner"),
        ({"name": "parlour", "archived": False}, "owner"),
    ],
)
def test_who_may_change_a_room(world: World, changes: dict[str, Any], least: wire.Role) -> None:
    room_id = world.room(with_bob=True)
    roles: list[wire.Role] = ["guest", "member", "moderator", "owner"]
    for role in roles:
        give(world, room_id, world.bob, role)
        if roles.index(role) < roles.index(least):
            assert code_of(lambda: update(world, world.bob, room_id, **changes)) == "permission_denied"
        else:
            update(world, world.bob, room_id, **changes)
            break
    assert code_of(lambda: update(world, world.admin, world.room(name="x"), **changes)) == "permission_denied"


def test_a_change_is_told_to_the_room_and_to_those_who_see_public_rooms(
    world: World, announced: list[Announced]
) -> None:
    room_id = world.room()
    rev = view(world, room_id, world.alice).last_rev
    announced.clear()
    renamed = update(world, world.alice, room_id, name="parlour", topic_line=" all  news ")
    assert (renamed.name, renamed.topic_line, renamed.last_rev) == ("parlour", "all news", rev + 1)
    assert [each.topic for each in announced] == [f"room:{room_id}", "rooms:public"]
    for each in announced:
        assert each.data["event"] == "room"
        assert each.data["room"].keys().isdisjoint(OWN)
        assert (each.data["rev"], each.data["room"]["name"]) == (rev + 1, "parlour")
    announced.clear()
    update(world, world.alice, room_id, name="parlour")
    assert announced == []
    update(world, world.alice, room_id, is_public=False)
    assert announced[-1].data == {"event": "gone", "room_id": room_id}
    other = world.room(name="taken")
    assert code_of(lambda: update(world, world.alice, other, name="PARLOUR")) == "conflict"
    for name in ("", "\u3164", "x" * 100):
        assert code_of(lambda name=name: update(world, world.alice, other, name=name)) == "invalid_message"  # type: ignore[misc]
    assert code_of(lambda: update(world, world.alice, other, topic_line="a\u202eb")) == "invalid_message"


def test_members_are_told_that_their_room_was_archived_and_that_it_is_back(
    world: World, announced: list[Announced], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not that they were removed. Their subscriptions to the room may end before its topic tells them."""
    room_id = world.room(is_public=False, with_bob=True)
    say(world, room_id, world.alice)
    users = [f"user:{user.id}" for user in (world.alice, world.bob)]
    announced.clear()
    update(world, world.alice, room_id, archived=True)
    told = {each.topic: each.data["room"] for each in announced}
    # The other windows of who archives it, too.
    assert told.keys() == {f"room:{room_id}", *users}
    assert [[told[user][key] for key in ("archived", "is_member")] for user in users] == [[True, False]] * 2
    announced.clear()
    services.room_amend(world.acme, world.alice, RoomUpdate(room_id, name="Renamed"))
    assert [each.topic for each in announced] == [f"room:{room_id}"]
    announced.clear()
    update(world, world.alice, room_id, archived=False)
    told = {each.topic: each.data["room"] for each in announced}
    back = [[told[user][key] for key in ("archived", "is_member", "unread", "role")] for user in users]
    assert back == [[False, True, 0, "owner"], [False, True, 1, "member"]]
    monkeypatch.setattr(services, "TOLD_MAX", 1)
    for archived in (True, False):
        announced.clear()
        update(world, world.alice, room_id, archived=archived)
        assert [each.topic for each in announced] == [f"room:{room_id}", users[0]]


def test_an_archived_room_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(announcements, "end_subscriptions", lambda *_, user_id, **__: ended.append(user_id))
    room_id = world.room(with_bob=True)
    say(world, room_id, world.alice)
    assert update(world, world.alice, room_id, archived=True).archived
    assert set(ended) == {world.alice.id, world.bob.id}
    assert code_of(lambda: say(world, room_id, world.alice)) == "not_found"
    assert selectors.room_list(world.acme.id, world.alice.id) == []
    assert code_of(lambda: update(world, world.alice, room_id, name="x")) == "not_found"
    assert code_of(lambda: update(world, world.bob, room_id, archived=False)) == "permission_denied"
    assert not update(world, world.alice, room_id, archived=False).archived
    assert say(world, room_id, world.bob) == 2
    update(world, world.alice, room_id, archived=True)
    world.room()
    assert code_of(lambda: update(world, world.alice, room_id, archived=False)) == "conflict"


def test_a_room_comes_back_though_a_member_goes_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(is_public=False, with_bob=True)
    update(world, world.alice, room_id, archived=True)
    room_as_members = selectors.room_as_members

    def without_bob(*given: Any) -> dict[int, wire.Room]:
        RoomMembership.objects.filter(user_id=world.bob.id).delete()
        return room_as_members(*given)

    monkeypatch.setattr(services, "room_as_members", without_bob)
    assert not update(world, world.alice, room_id, archived=False).archived


def test_all_are_told_that_a_room_is_back_with_as_many_queries_as_one(
    world: World, announced: list[Announced]
) -> None:
    room_id, counts = world.room(is_public=False), []
    for size in (1, 150):
        people = User.objects.bulk_create([User(username=f"{size}-{number}") for number in range(size)])
        Membership.objects.bulk_create([Membership(user=user, tenant_id=world.acme.id) for user in people])
        RoomMembership.objects.bulk_create([RoomMembership(room_id=room_id, user=user) for user in people])
        update(world, world.alice, room_id, archived=True)
        announced.clear()
        with CaptureQueriesContext(connection) as queries:
            update(world, world.alice, room_id, archived=False)
        counts.append(len(queries))
        told = {each.topic: each.data["room"] for each in announced}
        assert {told[f"user:{user.pk}"]["role"] for user in people} == {"member"}
    assert counts[0] == counts[1]


def test_a_room_comes_back_only_if_there_is_space(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = world.room(with_bob=True)
    give(world, room_id, world.bob, "owner")
    update(world, world.alice, room_id, archived=True)
    world.room(name="parlour")
    monkeypatch.setattr(services, "ROOMS_PER_MINUTE", 1)
    for limit in ("ROOMS_MAX", "ROOMS_OF_CREATOR_MAX"):
        with monkeypatch.context() as patched:
            patched.setattr(services, limit, 1)
            assert code_of(lambda: update(world, world.alice, room_id, archived=False)) == "limit_exceeded"
    monkeypatch.setattr(services, "ROOMS_OF_CREATOR_MAX", 1)
    # It counts for the creator, not for another owner.
    assert not update(world, world.bob, room_id, archived=False).archived


def test_members_invite_into_private_rooms(world: World, announced: list[Announced]) -> None:
    room_id = world.room(is_public=False, with_bob=True)
    say(world, room_id, world.alice)
    announced.clear()

    def invite(by: Publisher, *people: Publisher) -> wire.Room:
        ids = [int(person.id) for person in people]
        return services.room_invite(world.acme, by, RoomInvite(room_id, user_ids=ids))

    assert code_of(lambda: invite(world.admin, world.admin)) == "not_found"
    assert code_of(lambda: invite(world.bob, world.carol)) == "not_found"
    assert invite(world.bob, world.admin, world.alice).member_count == 3
    joined = {"id": world.admin.id, "username": "admin"}
    assert [each.data.get("joined") for each in announced] == [joined, None]
    assert {each.publisher for each in announced} == {world.bob}
    assert announced[1].topic == f"user:{world.admin.id}"
    assert (announced[1].data["room"]["role"], announced[1].data["room"]["unread"]) == ("member", 0)
    give(world, room_id, world.bob, "guest")
    assert code_of(lambda: invite(world.bob, world.admin)) == "permission_denied"


def test_people_are_invited_with_as_many_queries_as_one(
    world: World, announced: list[Announced], django_assert_max_num_queries: Any
) -> None:
    people = User.objects.bulk_create([User(username=f"u{number}") for number in range(50)])
    Membership.objects.bulk_create([Membership(user=user, tenant_id=world.acme.id) for user in people])
    room_id = world.room()
    announced.clear()
    ids = [int(world.alice.id), *(user.pk for user in people)]
    with django_assert_max_num_queries(14):
        room = services.room_invite(world.acme, world.alice, RoomInvite(room_id, user_ids=ids))
    assert (room.member_count, room.last_rev) == (51, 51)
    joined = [each for each in announced if each.topic == f"room:{room_id}"]
    assert [each.data["rev"] for each in joined] == list(range(2, 52))
    for user, told in zip(people, [each for each in announced if each not in joined], strict=True):
        seen = view(world, room_id, Publisher(user.pk, user.username))
        assert told.topic == f"user:{user.pk}"
        assert msgspec.convert(told.data["room"], wire.Room).last_rev <= seen.last_rev
        assert told.data["room"] | {"last_rev": 51} == msgspec.to_builtins(seen)


def test_a_role_is_published_by_who_gave_it(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    announced.clear()
    give(world, room_id, world.bob, "moderator")
    assert [(each.topic, each.publisher) for each in announced] == [
        (f"room:{room_id}", world.alice),
        (f"user:{world.bob.id}", world.alice),
    ]
    announced.clear()
    services.room_direct(world.acme, world.alice, RoomDirect(user_ids=[int(world.bob.id)]))
    assert {each.publisher for each in announced} == {world.alice}


def test_moderators_remove_those_below_them(world: World, announced: list[Announced]) -> None:
    room_id = world.room(is_public=False, with_bob=True)
    services.room_invite(world.acme, world.alice, RoomInvite(room_id, user_ids=[int(world.admin.id)]))

    def remove(by: Publisher, user: Publisher) -> wire.Room:
        return services.room_remove(world.acme, by, RoomRemove(room_id, user_id=int(user.id), reason="spam"))

    assert code_of(lambda: remove(world.bob, world.admin)) == "permission_denied"
    give(world, room_id, world.bob, "moderator")
    assert code_of(lambda: remove(world.bob, world.alice)) == "permission_denied"
    announced.clear()
    assert remove(world.bob, world.admin).member_count == 2
    assert announced[0].data["left"] == {"id": world.admin.id, "username": "admin"}
    assert {each.publisher for each in announced} == {world.bob}
    assert announced[1].topic == f"user:{world.admin.id}"
    assert announced[1].data["room"]["is_member"] is False
    assert code_of(lambda: view(world, room_id, world.admin)) == "not_found"
    assert code_of(lambda: remove(world.bob, world.admin)) == "not_found"
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.actor, entry.tenant, entry.reason) == ("room_remove", "bob", "acme", "spam")
    assert entry.target == {"room_id": room_id, "user_id": world.admin.id}
    assert not remove(world.bob, world.bob).is_member
    remove(world.alice, world.alice)
    assert Room.objects.get(pk=room_id).archived_at is not None


def test_roles_archiving_and_opening_are_in_the_audit_log(world: World) -> None:
    room_id = world.room(is_public=False, with_bob=True)
    for _ in range(2):
        give(world, room_id, world.bob, "moderator")
        update(world, world.alice, room_id, name="renamed", is_public=True)
    update(world, world.alice, room_id, archived=True)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor", "target")) == [
        ("room_role", "alice", {"room_id": room_id, "user_id": world.bob.id, "role": "moderator"}),
        ("room_update", "alice", {"room_id": room_id, "now": "public"}),
        ("room_update", "alice", {"room_id": room_id, "now": "archived"}),
    ]


def test_a_direct_room_is_one_for_the_same_people(world: World, announced: list[Announced]) -> None:
    Membership.objects.filter(user_id=world.bob.id).update(name="Bob B.")
    announced.clear()
    room, is_new = services.room_direct(world.acme, world.alice, RoomDirect(user_ids=[int(world.bob.id)]))
    assert (room.kind, room.name, room.role, room.is_public, is_new) == (
        "direct",
        "Bob B.",
        "member",
        False,
        True,
    )
    assert sorted(each.topic for each in announced) == sorted(
        f"user:{each.id}" for each in (world.alice, world.bob)
    )
    again, is_new = services.room_direct(
        world.acme, world.bob, RoomDirect(user_ids=[int(world.alice.id), int(world.bob.id)])
    )
    assert (again.id, again.name, is_new) == (room.id, "alice", False)
    say(world, room.id, world.bob)
    assert view(world, room.id, world.alice).unread == 1
    group, _ = services.room_direct(
        world.acme, world.alice, RoomDirect(user_ids=[int(world.bob.id), int(world.admin.id)])
    )
    assert (group.id != room.id, group.member_count) == (True, 3)
    alone, _ = services.room_direct(world.acme, world.alice, RoomDirect(user_ids=[int(world.alice.id)]))
    assert alone.name == "alice"
    make_staff(world, world.alice)
    user_id = int(world.bob.id)
    for use in (
        lambda: services.room_leave(world.acme, world.alice, InRoom(room.id)),
        lambda: services.room_invite(world.acme, world.alice, RoomInvite(room.id, user_ids=[user_id])),
        lambda: services.room_remove(world.acme, world.alice, RoomRemove(room.id, user_id=user_id)),
        lambda: services.room_role(world.acme, world.alice, RoomRole(room.id, user_id=user_id, role="guest")),
        lambda: update(world, world.alice, room.id, name="ours"),
    ):
        assert code_of(use) == "permission_denied"
    assert code_of(lambda: view(world, room.id, world.admin)) == "not_found"
    stranger = [int(world.carol.id)]
    assert (
        code_of(lambda: services.room_direct(world.acme, world.alice, RoomDirect(user_ids=stranger)))
        == "not_found"
    )
    many = list(range(1, 20))
    assert (
        code_of(lambda: services.room_direct(world.acme, world.alice, RoomDirect(user_ids=many)))
        == "invalid_message"
    )


def test_settings_are_one_s_own(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    rev = view(world, room_id, world.bob).last_rev
    announced.clear()
    changed = services.room_settings(
        world.acme, world.bob, RoomSettings(room_id, level="nothing", is_favourite=True)
    )
    assert (changed.level, changed.is_favourite, changed.last_rev) == ("nothing", True, rev)
    assert [each.topic for each in announced] == [f"user:{world.bob.id}"]
    changed = services.room_settings(world.acme, world.bob, RoomSettings(room_id, is_favourite=False))
    assert (changed.level, changed.is_favourite) == ("nothing", False)
    assert view(world, room_id, world.alice).level == "all"


@pytest.mark.parametrize("use", [services.room_settings, services.read])
@pytest.mark.parametrize(("is_public", "code"), [(True, "permission_denied"), (False, "not_found")])
def test_a_member_who_is_removed_meanwhile_is_answered_like_anybody(
    world: World, monkeypatch: pytest.MonkeyPatch, use: Callable[..., object], is_public: bool, code: str
) -> None:
    room_id = world.room(is_public=is_public, with_bob=True)
    say(world, room_id, world.alice)

    def access(*where: Any) -> RoomMembership:
        found = selectors.access_joined_room(*where)
        RoomMembership.objects.filter(room_id=room_id, user_id=world.bob.id).delete()
        return found

    monkeypatch.setattr(services, "access_joined_room", access)
    payload = RoomSettings(room_id, "all") if use is services.room_settings else Read(room_id, 1)
    assert code_of(lambda: use(world.acme, world.bob, payload)) == code


def test_the_admin_s_change_takes_no_name_twice(world: World) -> None:
    one, _two = world.room(name="one"), world.room(name="two")
    rename = RoomUpdate(one, name="Two")
    assert code_of(lambda: services.room_amend(world.acme, world.admin, rename)) == "conflict"


def test_unread_are_messages_of_others_that_are_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(with_bob=True)

    def unread() -> tuple[int, int]:
        room = view(world, room_id, world.bob)
        return room.unread, room.mentions

    for text in ("one", "@bob two", "@bob three"):
        say(world, room_id, world.alice, text)
    assert unread() == (3, 2)
    changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=2))
    assert unread() == (2, 1)
    say(world, room_id, world.bob)
    assert unread() == (0, 0)

    def read(seq: int, *, is_unread: bool = False) -> int:
        return services.read(world.acme, world.bob, Read(room_id, seq=seq, is_unread=is_unread)).seq

    assert read(0) == 4
    assert read(0, is_unread=True) == 0
    assert unread() == (2, 1)
    changing.message_delete(world.acme, world.bob, MessageDelete(room_id, seq=4))
    assert unread() == (2, 1)
    assert read(99, is_unread=True) == 4
    read(0, is_unread=True)
    monkeypatch.setattr(selectors, "UNREAD_MAX", 1)
    assert unread() == (1, 1)
