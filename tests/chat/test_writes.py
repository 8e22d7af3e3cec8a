"""Messages in groups, in a real database: one transaction, each message judged by itself."""

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from datetime import datetime

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from chat import realtime as chat_realtime
from chat import services, sql, wire
from chat.batches import Known, MessageDraft, MessageName
from chat.messages import sending
from chat.messages.composing import Composed
from chat.messages.sending import Outcome, Sent, messages_send
from chat.models import Message, Room, RoomMembership
from chat.payloads import InRoom, RoomCreate
from chat.realtime import WRITER, writers_of
from chat.writer import MessageWriter, MessageWriters
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.core.slots import Owner
from realtime.node.database import Database
from realtime.protocol.errors import ErrorCode, RequestError
from tests.chat.conftest import World
from tests.chat.sockets import Chat
from tests.chat.test_concurrency import THREADS, in_threads

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = 200
MISSING_ROOM = 2**63 - 1


def draft(
    world: World, room_id: int, text: str = "hello", *, author: Publisher | None = None, name: str = ""
) -> MessageDraft:
    client_msg_id = uuid.uuid5(uuid.NAMESPACE_URL, name) if name else uuid.uuid4()
    return MessageDraft(room_id, client_msg_id, text, tenant=world.acme, author=author or world.alice)


def brief(outcomes: Sequence[sending.Outcome]) -> list[object]:
    return [
        (outcome.message.seq, outcome.is_new)
        if isinstance(outcome, Sent)
        else getattr(outcome, "code", outcome)
        for outcome in outcomes
    ]


def seqs_stored(room_id: int) -> list[int]:
    return list(Message.objects.filter(room_id=room_id).order_by("seq").values_list("seq", flat=True))


def test_a_batch_is_numbered_in_its_order_by_six_statements(world: World) -> None:
    rooms = [world.room(with_bob=True), world.room(name="other", with_bob=True)]
    messages_send([draft(world, rooms[1])])
    people = (world.alice, world.bob)
    drafts = [draft(world, rooms[n % 2], f"{n}", author=people[n // 2 % 2]) for n in range(100)]
    with CaptureQueriesContext(connection) as queries:
        outcomes = messages_send(drafts)
    asked = [each["sql"] for each in queries.captured_queries]
    statements = [each.split()[0] for joined in asked for each in joined.split("; ")]
    assert [each for each in statements if each not in {"BEGIN", "COMMIT"}] == ["SELECT"] * 3 + ["WITH"] * 3
    # Beginning, reading, writing and committing: PostgreSQL is waited for four times.
    assert connection.vendor == "sqlite" or len(asked) == 4
    assert [each.message.text for each in outcomes if isinstance(each, Sent)] == [f"{n}" for n in range(100)]
    assert brief(outcomes) == [(n // 2 + 1 + n % 2, True) for n in range(100)]
    assert [Room.objects.get(pk=room_id).last_seq for room_id in rooms] == [50, 51]
    marks = {(each.room_id, each.user_id): each.read_seq for each in RoomMembership.objects.all()}
    assert marks == {
        (rooms[0], world.alice.id): 49,
        (rooms[0], world.bob.id): 50,
        (rooms[1], world.alice.id): 50,
        (rooms[1], world.bob.id): 51,
    }


def test_what_a_batch_returns_is_what_is_stored(world: World) -> None:
    room_id = world.room(with_bob=True)
    outcomes = messages_send([draft(world, room_id, " a "), draft(world, room_id, "b", author=world.bob)])
    for outcome in outcomes:
        assert isinstance(outcome, Sent)
        stored = Message.objects.select_related("author").get(pk=outcome.message.id)
        for field in ("id", "room_id", "seq", "rev", "text", "html", "client_msg_id"):
            assert getattr(stored, field) == getattr(outcome.message, field)
        assert wire.time_of(stored.sent_at) == outcome.message.sent_at
        assert stored.author is not None
        assert (outcome.message.author.id, outcome.message.author.username) == (
            stored.author.pk,
            stored.author.username,
        )
        assert stored.tenant_id == world.acme.id


@pytest.mark.parametrize("takes_several", [True, False])
def test_texts_are_stored_to_the_letter(
    world: World, monkeypatch: pytest.MonkeyPatch, *, takes_several: bool
) -> None:
    if not takes_several:
        monkeypatch.setattr(sql, "_takes_several", lambda: False)
    room_id = world.room()
    texts = [
        "NULL",
        "{a,b}",
        "it's; --",
        'a "quote"',
        "back\\slash",
        "%s %% :x ?",
        "tab\tand\nline",
        "ünï 🚀",
        "1",
    ]
    outcomes = messages_send([draft(world, room_id, text) for text in texts])
    assert [each.message.text for each in outcomes if isinstance(each, Sent)] == texts
    assert list(Message.objects.filter(room_id=room_id).values_list("text", flat=True)) == texts


def test_each_message_of_a_batch_fails_alone(world: World) -> None:
    room_id, gone_id = world.room(), world.room(name="gone", is_public=False)
    services.room_leave(world.acme, world.alice, InRoom(gone_id))
    drafts = [
        draft(world, room_id),
        draft(world, room_id, author=world.bob),
        draft(world, gone_id),
        draft(world, MISSING_ROOM),
        draft(world, room_id, "nul\0"),
        MessageDraft(room_id, uuid.uuid4(), "hi", tenant=world.globex, author=world.carol),
        draft(world, room_id),
    ]
    not_found = ErrorCode.NOT_FOUND
    refused = [ErrorCode.PERMISSION_DENIED, not_found, not_found, ErrorCode.INVALID_MESSAGE, not_found]
    assert brief(messages_send(drafts)) == [(1, True), *refused, (2, True)]
    assert seqs_stored(room_id) == [1, 2]


def test_nothing_is_written_where_all_are_refused(world: World) -> None:
    room_id = world.room()
    assert brief(messages_send([draft(world, room_id, author=world.bob)])) == [ErrorCode.PERMISSION_DENIED]
    assert messages_send([]) == []
    assert Room.objects.get(pk=room_id).last_seq == 0


def test_names_are_kept_inside_and_across_batches(world: World) -> None:
    room_id, other_id = world.room(), world.room(name="other")
    again = draft(world, room_id, "once", name="m")
    batch = [again, again, draft(world, room_id, "twice", name="m"), draft(world, other_id, "once", name="m")]
    conflicts = [ErrorCode.CONFLICT] * 2
    assert brief(messages_send(batch)) == [(1, True), (1, False), *conflicts]
    assert brief(messages_send(batch)) == [(1, False), (1, False), *conflicts]
    assert Message.objects.count() == 1
    assert [Room.objects.get(pk=each).last_seq for each in (room_id, other_id)] == [1, 0]


def test_a_name_taken_meanwhile_is_found_out_and_hurts_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room()
    taken = draft(world, room_id, "first", name="m")
    messages_send([taken])
    look = sending.access_to_write

    def look_too_early(batch: Sequence[tuple[MessageDraft, Composed]]) -> Known:
        monkeypatch.setattr(sending, "access_to_write", look)
        return replace(look(batch), earlier={})

    monkeypatch.setattr(sending, "access_to_write", look_too_early)
    drafts = [draft(world, room_id), taken, draft(world, room_id, "second", name="m"), draft(world, room_id)]
    assert brief(messages_send(drafts)) == [(2, True), (1, False), ErrorCode.CONFLICT, (3, True)]
    assert seqs_stored(room_id) == [1, 2, 3]


def test_what_fails_for_one_message_only_is_that_one_s_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room()
    insert = sending._messages_insert

    def refuse_some(
        new: list[tuple[MessageDraft, wire.Message]], sent_at: datetime
    ) -> dict[MessageName, wire.Message]:
        if any(each.text == "bad" for _, each in new):
            raise IntegrityError("its author is gone")
        return insert(new, sent_at)

    monkeypatch.setattr(sending, "_messages_insert", refuse_some)
    outcomes = messages_send([draft(world, room_id, text) for text in ("1", "bad", "2")])
    assert [type(outcome) for outcome in outcomes] == [Sent, IntegrityError, Sent]
    assert seqs_stored(room_id) == [1, 2]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases take several writers")
async def test_with_sqlite_one_thread_stores_at_a_time(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = 0, 0

    def store(drafts: Sequence[MessageDraft]) -> list[Outcome]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return [RequestError(ErrorCode.NOT_FOUND, "") for _ in drafts]

    monkeypatch.setattr(chat_realtime, "messages_send", store)
    author, writers = Publisher(1, "alice"), writers_of(chat.node)
    drafts = [
        MessageDraft(1, uuid.uuid4(), "hi", tenant=Tenant(each, f"t{each}", ""), author=author)
        for each in range(20)
    ]
    results = await asyncio.gather(*map(writers.send, drafts), return_exceptions=True)
    assert [type(each) for each in results] == [RequestError] * 20
    assert most == 1


def test_a_failing_commit_stores_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = world.room()
    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", _fail)
        with pytest.raises(DatabaseError):
            messages_send([draft(world, room_id) for _ in range(3)])
    assert seqs_stored(room_id) == []
    assert Room.objects.get(pk=room_id).last_seq == 0
    assert brief(messages_send([draft(world, room_id)])) == [(1, True)]


def test_batches_of_many_threads_number_their_messages_without_holes(world: World) -> None:
    rooms = [world.room(name=f"room {n}", with_bob=True) for n in range(3)]

    def send_many(thread: int) -> list[tuple[int, int]]:
        author = (world.alice, world.bob)[thread % 2]
        given = []
        for start in range(0, TASKS, 20):
            # Every thread names the rooms in another order.
            chosen = [rooms[(thread * n) % 3] for n in range(start, start + 20)]
            outcomes = messages_send([draft(world, room_id, author=author) for room_id in chosen])
            given += [(each.message.room_id, each.message.seq) for each in outcomes if isinstance(each, Sent)]
        return given

    given = in_threads(send_many, range(THREADS))
    assert sum(len(each) for each in given) == THREADS * TASKS
    for room_id in rooms:
        stored = seqs_stored(room_id)
        assert stored == list(range(1, len(stored) + 1))
        assert sorted(seq for each in given for room, seq in each if room == room_id) == stored
        assert all(
            seqs == sorted(seqs)
            for seqs in ([seq for room, seq in each if room == room_id] for each in given)
        )
        assert Room.objects.get(pk=room_id).last_seq == len(stored)


def test_the_same_names_from_many_batches_at_once_are_one_message_each(world: World) -> None:
    room_id = world.room()
    drafts = [draft(world, room_id, f"{n}", name=f"{n}") for n in range(20)]

    def send(thread: int) -> list[int]:
        outcomes = messages_send(drafts if thread % 2 else drafts[::-1])
        return sorted(each.message.id for each in outcomes if isinstance(each, Sent))

    given = in_threads(send, range(THREADS * 2))
    assert len(given[0]) == 20
    assert all(each == given[0] for each in given)
    assert seqs_stored(room_id) == list(range(1, 21))


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    made = Database(THREADS, 20.0)
    yield made
    await made.close()


def _writer(database: Database, announced: list[int]) -> MessageWriter:
    async def announce(messages: Sequence[wire.Message]) -> None:
        announced.extend(each.seq for each in messages)

    def store(drafts: Sequence[MessageDraft]) -> Awaitable[list[sending.Outcome]]:
        return database.run_for(Owner(drafts[0].tenant.slug, WRITER), messages_send, drafts)

    return MessageWriter(store, announce, asyncio.create_task)


async def test_tasks_that_send_at_once_share_transactions_and_keep_their_order(
    world: World, database: Database
) -> None:
    room_id = await database.run(world.room, with_bob=True)
    announced: list[int] = []
    writer = _writer(database, announced)

    async def send_some(sender: int) -> list[int]:
        author = (world.alice, world.bob)[sender % 2]
        return [(await writer.send(draft(world, room_id, author=author))).seq for _ in range(5)]

    given = await asyncio.gather(*(send_some(sender) for sender in range(TASKS)))
    everything = list(range(1, TASKS * 5 + 1))
    # The last batch is announced after its senders were answered.
    await asyncio.sleep(0)
    assert all(seqs == sorted(seqs) for seqs in given)
    assert sorted(seq for seqs in given for seq in seqs) == everything
    assert announced == everything
    assert await database.run(seqs_stored, room_id) == everything


async def test_a_locked_room_holds_up_its_tenant_only(world: World, database: Database) -> None:
    if not connection.features.has_select_for_update:
        pytest.skip("SQLite locks no rows")
    room_id = await database.run(world.room)
    elsewhere, _ = await database.run(services.room_create, world.globex, world.carol, RoomCreate("lounge"))
    writers = MessageWriters(lambda _: _writer(database, []))
    is_locked, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        with transaction.atomic():
            Room.objects.select_for_update().get(pk=room_id)
            loop.call_soon_threadsafe(is_locked.set)
            may_end.wait(10)

    holding = asyncio.create_task(database.run(hold))
    await is_locked.wait()
    stuck = [asyncio.create_task(writers.send(draft(world, room_id))) for _ in range(20)]
    await asyncio.sleep(0.05)
    for number in range(20):
        name = uuid.uuid4()
        other = MessageDraft(elsewhere.id, name, f"{number}", tenant=world.globex, author=world.carol)
        async with asyncio.timeout(5):
            assert (await writers.send(other)).seq == number + 1
    assert not any(task.done() for task in stuck)
    may_end.set()
    await holding
    assert sorted(message.seq for message in await asyncio.gather(*stuck)) == list(range(1, 21))


async def test_a_failing_commit_acknowledges_and_announces_nobody(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = await database.run(world.room)
    announced: list[int] = []
    writer = _writer(database, announced)
    with monkeypatch.context() as patch:
        patch.setattr(BaseDatabaseWrapper, "commit", _fail)
        sending = [writer.send(draft(world, room_id)) for _ in range(10)]
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
    assert [outcome.code for outcome in outcomes if isinstance(outcome, RequestError)] == ["timeout"] * 10
    assert announced == await database.run(seqs_stored, room_id) == []
    assert (await writer.send(draft(world, room_id))).seq == 1


def _fail(self: BaseDatabaseWrapper) -> None:
    raise OperationalError("the disk is full")
