"""Many threads in one room: numbers without holes, one message for one name."""

import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from django.db import connection

from chat import services
from chat.models import Message, Room, RoomMembership
from chat.operations import OPERATIONS
from chat.payloads import InRoom, RoomCreate
from realtime import Publisher
from realtime.protocol.errors import ErrorCode, RequestError
from tests.chat.conftest import Announced, World, message_send

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 8
SENDS = 200


def in_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What `work` gives for each item, each in a thread with a connection of its own."""

    def run(item: Any) -> Any:
        try:
            return work(item)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(run, items))


def test_many_senders_number_their_messages_without_holes(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    announced.clear()

    def send_many(thread: int) -> list[int]:
        author = (world.alice, world.bob)[thread % 2]
        return [
            message_send(
                world.acme, author, room_id=room_id, text=f"{thread} {n}", client_msg_id=uuid.uuid4()
            ).seq
            for n in range(SENDS)
        ]

    given = in_threads(send_many, range(THREADS))
    everything = list(range(1, THREADS * SENDS + 1))
    assert all(seqs == sorted(seqs) for seqs in given)
    assert sorted(seq for seqs in given for seq in seqs) == everything
    stored = Message.objects.filter(room_id=room_id).order_by("seq").values_list("seq", flat=True)
    assert list(stored) == everything
    assert Room.objects.get(pk=room_id).last_seq == len(everything)
    assert sorted(each.data["message"]["seq"] for each in announced) == everything
    assert RoomMembership.objects.get(room_id=room_id, user_id=world.bob.id).read_seq > 0


def test_one_name_sent_from_many_threads_is_one_message(world: World, announced: list[Announced]) -> None:
    room_id, name = world.room(), uuid.uuid4()
    announced.clear()

    def send(_: int) -> int:
        return message_send(world.acme, world.alice, room_id=room_id, text="once", client_msg_id=name).id

    assert len(set(in_threads(send, range(THREADS * 4)))) == 1
    assert len(announced) == 1


def test_one_name_sent_to_many_rooms_at_once_is_in_one_of_them(world: World) -> None:
    rooms, name = [world.room(name=f"room {n}") for n in range(THREADS)], uuid.uuid4()

    def send(room_id: int) -> ErrorCode | None:
        try:
            message_send(world.acme, world.alice, room_id=room_id, text="x", client_msg_id=name)
        except RequestError as error:
            return error.code
        return None

    outcomes = in_threads(send, rooms)
    assert sorted(outcomes, key=str) == [None, *[ErrorCode.CONFLICT] * (THREADS - 1)]
    assert Message.objects.count() == 1
    assert sorted(Room.objects.values_list("last_seq", flat=True)) == [0] * (THREADS - 1) + [1]


def test_one_room_name_from_many_threads_is_one_room(world: World) -> None:
    def create(_: int) -> ErrorCode | None:
        try:
            services.room_create(world.acme, world.alice, RoomCreate(name="Only one"))[0]
        except RequestError as error:
            return error.code
        return None

    assert in_threads(create, range(THREADS)).count(None) == 1
    assert Room.objects.count() == RoomMembership.objects.count() == 1


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ("ROOMS_MAX", ErrorCode.LIMIT_EXCEEDED),
        ("ROOMS_OF_CREATOR_MAX", ErrorCode.LIMIT_EXCEEDED),
        ("ROOMS_PER_MINUTE", ErrorCode.RATE_LIMITED),
    ],
)
def test_limits_of_rooms_hold_over_many_threads(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str, code: ErrorCode
) -> None:
    """Threads with connections of their own, as processes have."""
    monkeypatch.setattr(services, limit, 5)

    def create(number: int) -> ErrorCode | None:
        try:
            services.room_create(world.acme, world.alice, RoomCreate(name=f"room {number}"))[0]
        except RequestError as error:
            return error.code
        return None

    outcomes = in_threads(create, range(THREADS * 4))
    assert sorted(outcomes, key=str) == sorted([None] * 5 + [code] * (THREADS * 4 - 5), key=str)
    assert Room.objects.count() == 5


def test_joining_from_many_threads_is_joining_once(world: World) -> None:
    room_id = world.room()
    views = in_threads(lambda _: services.room_join(world.acme, world.bob, InRoom(room_id)), range(THREADS))
    assert {view.member_count for view in views} == {2}


@pytest.mark.parametrize("verb", ["room.direct", "room.invite"])
def test_a_person_who_is_deleted_before_the_commit_is_no_such_member(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    room_id, gone = world.room(), Publisher(10**9, "gone")
    found, present = [[world.alice, gone]], services.people_present
    monkeypatch.setattr(services, "people_present", lambda *asked: found.pop() if found else present(*asked))
    values = {"user_ids": [gone.id]} | ({"room_id": room_id} if verb == "room.invite" else {})
    operation = OPERATIONS[verb]
    with pytest.raises(RequestError) as refused:
        operation.answer(world.acme, world.alice, msgspec.convert(values, operation.payload))
    assert refused.value.code == ErrorCode.NOT_FOUND
