"""The chat's use cases: what they store, what they announce, and whom they refuse."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from chat import announcements, selectors, services, wire
from chat.models import Message, Room, RoomMembership
from chat.payloads import InRoom, Read, RoomCreate, RoomDirect
from realtime.api import publish_soon
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.protocol.errors import ErrorCode, RequestError
from tests.chat.conftest import Announced, World, message_send

pytestmark = pytest.mark.django_db(transaction=True)

MISSING_ROOM = 2**63 - 1
Use = Callable[[Tenant, Publisher, int], object]


def send(
    world: World, room_id: int, text: str = "hello", *, author: Publisher | None = None, name: str = ""
) -> wire.Message:
    client_msg_id = uuid.uuid5(uuid.NAMESPACE_URL, name) if name else uuid.uuid4()
    return message_send(
        world.acme, author or world.alice, room_id=room_id, text=text, client_msg_id=client_msg_id
    )


def assert_refused(code: ErrorCode, use: Callable[[], object]) -> RequestError:
    with pytest.raises(RequestError) as refused:
        use()
    assert refused.value.code is code
    return refused.value


def topics(announced: list[Announced]) -> list[tuple[str, str]]:
    return [(each.topic, each.data["event"]) for each in announced]


def test_who_makes_a_room_is_in_it(world: World, announced: list[Announced]) -> None:
    view = services.room_create(world.acme, world.alice, RoomCreate(name="  Coffee   break "))[0]
    assert (view.name, view.is_public, view.is_member, view.member_count) == ("Coffee break", True, True, 1)
    assert topics(announced) == [
        (f"room:{view.id}", "member"),
        (f"user:{world.alice.id}", "room"),
        ("rooms:public", "room"),
    ]
    assert {each.tenant for each in announced} == {"acme"}


def test_a_name_is_taken_once_in_a_tenant_whatever_its_case(world: World, announced: list[Announced]) -> None:
    services.room_create(world.acme, world.alice, RoomCreate(name="Ümlaut"))[0]
    announced.clear()
    refused = assert_refused(
        ErrorCode.CONFLICT,
        lambda: services.room_create(world.acme, world.bob, RoomCreate(name="ÜMLAUT", is_public=False))[0],
    )
    assert refused.details == {"field": "payload.name"}
    assert announced == []
    assert services.room_create(world.globex, world.carol, RoomCreate(name="ümlaut"))[0].name == "ümlaut"


@pytest.mark.parametrize(
    "name", ["\u0261eneral", "gener\u0430l", "GENERAL", "g\u0435n\u0435r\u0430l", "\uff27eneral"]
)
def test_a_name_that_looks_like_an_open_room_s_is_taken(world: World, name: str) -> None:
    world.room(name="general")
    assert_refused(
        ErrorCode.CONFLICT, lambda: services.room_create(world.acme, world.bob, RoomCreate(name=name))[0]
    )


def test_rooms_of_a_tenant_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROOMS_MAX", 1)
    world.room()
    assert_refused(ErrorCode.LIMIT_EXCEEDED, lambda: world.room(name="one too many"))
    services.room_create(world.globex, world.carol, RoomCreate(name="of another tenant"))[0]


def test_one_person_does_not_fill_a_tenant(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROOMS_OF_CREATOR_MAX", 2)
    rooms = [world.room(name=f"room {n}") for n in range(2)]
    assert_refused(ErrorCode.LIMIT_EXCEEDED, lambda: world.room(name="one too many"))
    services.room_create(world.acme, world.bob, RoomCreate(name="of another person"))[0]
    # Admin is in both tenants: each counts its own.
    for tenant in (world.acme, world.globex):
        for n in range(2):
            services.room_create(tenant, world.admin, RoomCreate(name=f"admin {n}"))[0]
    Room.objects.filter(pk=rooms[0]).update(archived_at=timezone.now())
    world.room(name="in its place")


def test_direct_rooms_which_nobody_can_close_fill_no_tenant(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def direct(*others: Publisher) -> None:
        services.room_direct(world.acme, world.alice, RoomDirect([int(each.id) for each in others]))

    for limit in ("ROOMS_MAX", "ROOMS_OF_CREATOR_MAX", "DIRECT_ROOMS_OF_CREATOR_MAX"):
        monkeypatch.setattr(services, limit, 2)
    world.room(name="one")
    direct(world.bob)
    direct(world.admin)
    world.room(name="two")
    assert_refused(ErrorCode.LIMIT_EXCEEDED, lambda: world.room(name="one too many"))
    assert_refused(ErrorCode.LIMIT_EXCEEDED, lambda: direct(world.bob, world.admin))
    direct(world.bob)


def test_one_person_makes_so_many_rooms_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROOMS_PER_MINUTE", 3)
    rooms = [world.room(name=f"room {n}", is_public=False) for n in range(3)]
    # Leaving a private room archives it, and makes no place.
    for room_id in rooms:
        services.room_leave(world.acme, world.alice, InRoom(room_id))
    refused = assert_refused(ErrorCode.RATE_LIMITED, lambda: world.room(name="too soon"))
    assert 55_000 < (refused.retry_after_ms or 0) <= 60_000
    assert not Room.objects.filter(name="too soon").exists()
    services.room_create(world.acme, world.bob, RoomCreate(name="of another person"))[0]
    services.room_create(world.globex, world.alice, RoomCreate(name="of another tenant"))[0]
    oldest = Room.objects.filter(pk=rooms[0])
    oldest.update(created_at=timezone.now() - timedelta(seconds=50))
    refused = assert_refused(ErrorCode.RATE_LIMITED, lambda: world.room(name="too soon"))
    assert 5_000 < (refused.retry_after_ms or 0) <= 10_000
    oldest.update(created_at=timezone.now() - timedelta(seconds=61))
    world.room(name="a minute later")


@pytest.mark.parametrize("limit", ["ROOMS_MAX", "ROOMS_OF_CREATOR_MAX", "ROOMS_PER_MINUTE"])
def test_a_limit_of_rooms_that_is_0_is_off(world: World, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(services, limit, 0)
    world.room()


def test_joining_takes_all_so_far_as_read_and_happens_once(world: World, announced: list[Announced]) -> None:
    room_id = world.room()
    send(world, room_id)
    announced.clear()
    view = services.room_join(world.acme, world.bob, InRoom(room_id))
    assert (view.is_member, view.member_count, view.unread) == (True, 2, 0)
    bob = {"id": world.bob.id, "username": "bob"}
    assert announced[0].data == {"event": "member", "rev": 3, "joined": bob}
    assert announced[1].data["room"]["is_member"] is True
    announced.clear()
    assert services.room_join(world.acme, world.bob, InRoom(room_id)) == view
    assert announced == []


def test_leaving_ends_reading_and_happens_once(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    announced.clear()
    services.room_leave(world.acme, world.bob, InRoom(room_id))
    left = {"id": world.bob.id, "username": "bob"}
    assert announced[0].data == {"event": "member", "rev": 2, "left": left}
    assert announced[1].topic == f"user:{world.bob.id}"
    assert announced[1].data["room"]["is_member"] is False
    assert announced[1].data["room"]["member_count"] == 1
    announced.clear()
    services.room_leave(world.acme, world.bob, InRoom(room_id))
    assert announced == []
    assert_refused(ErrorCode.PERMISSION_DENIED, lambda: send(world, room_id, author=world.bob))


def test_a_private_room_that_nobody_is_left_in_frees_its_name(world: World) -> None:
    room_id = world.room(is_public=False)
    services.room_leave(world.acme, world.alice, InRoom(room_id))
    assert Room.objects.get(pk=room_id).archived_at is not None
    assert world.room(is_public=False) != room_id


def test_messages_are_numbered_and_announced(world: World, announced: list[Announced]) -> None:
    room_id, other_id = world.room(), world.room(name="other")
    announced.clear()
    assert [send(world, room_id, f" {n} ").seq for n in range(3)] == [1, 2, 3]
    assert send(world, other_id).seq == 1
    assert topics(announced) == [(f"room:{room_id}", "message")] * 3 + [(f"room:{other_id}", "message")]
    message = announced[1].data["message"]
    assert message["text"] == "1"
    assert message["author"] == {"id": world.alice.id, "username": "alice", "name": "alice"}
    assert (message["room_id"], message["seq"]) == (room_id, 2)
    assert selectors.room_get(world.acme.id, world.alice.id, InRoom(room_id)).unread == 0


def test_a_message_sent_again_is_the_same_message(world: World, announced: list[Announced]) -> None:
    room_id = world.room()
    announced.clear()
    first, again = (send(world, room_id, text, name="m") for text in ("hello", " hello\n"))
    assert first == again
    assert (again.text, again.seq, again.author.name) == ("hello", 1, "alice")
    assert len(announced) == 1
    assert Room.objects.get(pk=room_id).last_seq == 1


def test_a_name_of_another_message_is_a_conflict(world: World, announced: list[Announced]) -> None:
    room_id, other_id = world.room(with_bob=True), world.room(name="other")
    send(world, room_id, "hello", name="m")
    announced.clear()
    assert_refused(ErrorCode.CONFLICT, lambda: send(world, room_id, "another text", name="m"))
    assert_refused(ErrorCode.CONFLICT, lambda: send(world, other_id, "hello", name="m"))
    assert announced == []
    assert send(world, room_id, "hello", author=world.bob, name="m").seq == 2


def test_the_same_name_in_two_tenants_is_two_messages(world: World) -> None:
    name = uuid.uuid4()
    acme = services.room_join(world.acme, world.admin, InRoom(world.room()))
    globex = services.room_create(world.globex, world.admin, RoomCreate(name="lounge"))[0]
    sent = [
        message_send(tenant, world.admin, room_id=room.id, text=tenant.slug, client_msg_id=name)
        for tenant, room in ((world.acme, acme), (world.globex, globex))
    ]
    assert sent[0] != sent[1]


@pytest.mark.parametrize("text", ["", "   ", "nul\0", "x" * 4001])
def test_a_bad_text_takes_no_number(world: World, text: str) -> None:
    room_id = world.room()
    assert_refused(ErrorCode.INVALID_MESSAGE, lambda: send(world, room_id, text))
    assert send(world, room_id).seq == 1


def test_nothing_is_announced_of_what_was_rolled_back(world: World, announced: list[Announced]) -> None:
    room_id = world.room()
    announced.clear()
    with transaction.atomic():
        send(world, room_id)
        assert announced == []
        transaction.set_rollback(True)
    assert announced == []
    assert not Message.objects.exists()
    assert send(world, room_id).seq == 1


def test_a_message_stands_even_where_nobody_could_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    room_id = world.room()
    # This process serves no sockets, and there is no broker.
    monkeypatch.setattr(announcements, "publish_soon", publish_soon)
    assert send(world, room_id).seq == 1
    assert "publish of topic" in caplog.text


def test_a_read_mark_never_goes_back_nor_past_the_end(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    for _ in range(5):
        send(world, room_id)
    announced.clear()
    marks = [services.read(world.acme, world.bob, Read(room_id, seq=seq)).seq for seq in (3, 1, 3, 99, 5)]
    assert marks == [3, 3, 3, 5, 5]
    room, user = f"room:{room_id}", f"user:{world.bob.id}"
    assert [(each.topic, each.data["seq"]) for each in announced] == [
        (room, 3),
        (user, 3),
        (room, 5),
        (user, 5),
    ]
    assert announced[0].data == {"event": "read", "user_id": world.bob.id, "seq": 3}
    assert announced[1].data == {"event": "read", "room_id": room_id, "seq": 3}


def _send(tenant: Tenant, user: Publisher, room_id: int) -> object:
    return message_send(tenant, user, room_id=room_id, text="hi", client_msg_id=uuid.uuid4())


USES: dict[str, Use] = {
    "join": lambda tenant, user, room_id: services.room_join(tenant, user, InRoom(room_id)),
    "leave": lambda tenant, user, room_id: services.room_leave(tenant, user, InRoom(room_id)),
    "send": _send,
    "read": lambda tenant, user, room_id: services.read(tenant, user, Read(room_id, seq=1)).seq,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_a_member_may_do_nobody_of_another_tenant_may(
    world: World, announced: list[Announced], use: Use
) -> None:
    room_id = world.room(is_public=False, with_bob=True)
    # Being in the room does not help on another tenant's host.
    RoomMembership.objects.create(room_id=room_id, user_id=world.admin.id)
    use(world.acme, world.bob, room_id)
    announced.clear()
    missing = assert_refused(ErrorCode.NOT_FOUND, lambda: use(world.acme, world.alice, MISSING_ROOM))
    for tenant, user in ((world.globex, world.carol), (world.globex, world.admin)):
        refused = assert_refused(ErrorCode.NOT_FOUND, lambda t=tenant, u=user: use(t, u, room_id))  # type: ignore[misc]
        assert refused.payload() == missing.payload()
    assert announced == []


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_private_room_is_unknown_to_those_outside(
    world: World, announced: list[Announced], use: Use
) -> None:
    room_id = world.room(is_public=False)
    announced.clear()
    missing = assert_refused(ErrorCode.NOT_FOUND, lambda: use(world.acme, world.bob, MISSING_ROOM))
    refused = assert_refused(ErrorCode.NOT_FOUND, lambda: use(world.acme, world.bob, room_id))
    assert refused.payload() == missing.payload()
    assert announced == []


@pytest.mark.parametrize("name", ["send", "read"])
def test_a_public_room_is_used_by_its_members_only(
    world: World, announced: list[Announced], name: str
) -> None:
    room_id = world.room()
    use = USES[name]
    use(world.acme, world.alice, room_id)
    announced.clear()
    assert_refused(ErrorCode.PERMISSION_DENIED, lambda: use(world.acme, world.bob, room_id))
    assert announced == []
