"""Editing, deleting, reacting, replying, pinning: rights, stored rows and announcements."""

import uuid
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership, User
from chat import services, wire
from chat.announcements import shared_payload
from chat.messages import changing, numbering, reading
from chat.models import Mention, Message, Reaction, Room, RoomMembership
from chat.payloads import (
    InRoom,
    MessageChanges,
    MessageDelete,
    MessageEdit,
    MessageList,
    MessageReaction,
    OneMessage,
    RoomDirect,
)
from realtime.core.history import Publisher
from realtime.models import AuditEntry
from realtime.protocol.errors import RequestError
from tests.chat.conftest import Announced, World, edit, message_send, send

pytestmark = pytest.mark.django_db(transaction=True)

MISSING = 2**63 - 1


def code_of(use: Callable[[], object]) -> str:
    with pytest.raises(RequestError) as refused:
        use()
    return refused.value.code.value


def delete(world: World, user: Publisher, room_id: int, seq: int) -> wire.Message:
    return changing.message_delete(world.acme, user, MessageDelete(room_id, seq=seq))


def react(world: World, user: Publisher, room_id: int, seq: int, emoji: str) -> changing.Changed:
    return changing.reaction_add(world.acme, user, MessageReaction(room_id, seq=seq, emoji=emoji))


def pin(world: World, user: Publisher, room_id: int, seq: int, *, is_pinned: bool = True) -> changing.Changed:
    return changing.pin_add(world.acme, user, OneMessage(room_id, seq=seq))


def changes(
    world: World, room_id: int, after_rev: int, limit: int = 100
) -> tuple[list[tuple[int, int]], int, bool]:
    found = reading.message_changes(
        world.acme.id, world.bob.id, MessageChanges(room_id, after_rev=after_rev, limit=limit)
    )
    return [(each.seq, each.rev) for each in found.messages], found.last_rev, found.has_more


def test_an_edit_is_stored_rendered_and_announced(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    first = send(world, room_id, "one")
    announced.clear()
    view = edit(world, world.alice, room_id, 1, " **two** ")
    assert (view.text, view.html, view.seq) == ("**two**", "<p><strong>two</strong></p>\n", 1)
    assert view.edited_at is not None
    assert view.rev == first.rev + 1
    (told,) = announced
    assert (told.topic, told.data["event"], told.data["rev"]) == (f"room:{room_id}", "edited", view.rev)
    assert told.data["message"] == shared_payload(view)
    announced.clear()
    assert edit(world, world.alice, room_id, 1, "**two**").rev == view.rev
    assert announced == []


def test_a_deleted_message_is_nowhere(world: World, announced: list[Announced]) -> None:
    room_id = world.room(with_bob=True)
    send(world, room_id, "secret @bob")
    react(world, world.bob, room_id, 1, "👍")
    send(world, room_id, "an answer", reply_to_seq=1)
    pin(world, world.alice, room_id, 1)
    announced.clear()
    view = delete(world, world.alice, room_id, 1)
    assert (view.text, view.html, view.deleted, view.files, view.reactions) == ("", "", True, [], [])
    assert [each.data["event"] for each in announced] == ["deleted"]
    assert not Mention.objects.exists()
    assert not Reaction.objects.exists()
    page = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=10)).messages
    assert page[1].reply_to is not None
    assert (page[1].reply_to.text, page[1].reply_to.deleted) == ("", True)
    assert "secret" not in str([msgspec.to_builtins(message) for message in page])
    assert reading.pin_list(world.acme.id, world.bob.id, InRoom(room_id)).messages == []
    assert delete(world, world.alice, room_id, 1).rev == view.rev
    assert code_of(lambda: edit(world, world.alice, room_id, 1)) == "conflict"
    assert code_of(lambda: react(world, world.alice, room_id, 1, "👍")) == "conflict"
    assert code_of(lambda: pin(world, world.alice, room_id, 1)) == "conflict"


@pytest.mark.parametrize("change", [edit, delete])
def test_ones_own_messages_and_those_of_others_as_a_moderator(
    world: World, change: Callable[[World, Publisher, int, int], wire.Message]
) -> None:
    room_id = world.room(with_bob=True)
    for _ in range(3):
        send(world, room_id)
    assert code_of(lambda: change(world, world.bob, room_id, 1)) == "permission_denied"
    assert code_of(lambda: change(world, world.admin, room_id, 1)) == "permission_denied"
    RoomMembership.objects.filter(user_id=world.bob.id).update(role="moderator")
    change(world, world.bob, room_id, 1)
    # Staff need not be in a room that they may see.
    Membership.objects.filter(user_id=world.admin.id).update(role="staff")
    change(world, world.admin, room_id, 2)
    for tenant, user in ((world.globex, world.carol), (world.globex, world.admin)):
        with pytest.raises(RequestError) as refused:
            changing.message_edit(tenant, user, MessageEdit(room_id, seq=3, text="x"))
        assert refused.value.code == "not_found"
    assert code_of(lambda: change(world, world.alice, room_id, 99)) == "not_found"
    assert code_of(lambda: change(world, world.alice, MISSING, 1)) == "not_found"


def test_only_what_moderators_delete_is_in_the_audit_log(world: World) -> None:
    room_id = world.room(with_bob=True)
    for author in (world.alice, world.bob):
        send(world, room_id, "secret", by=author)
    delete(world, world.alice, room_id, 1)
    changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=2, reason="rude"))
    (entry,) = AuditEntry.objects.all()
    assert (entry.action, entry.actor_id, entry.reason) == ("message_delete", str(world.alice.id), "rude")
    assert entry.target == {"room_id": room_id, "seq": 2, "author_id": world.bob.id}


def test_what_moderators_write_in_another_s_name_is_in_the_audit_log(world: World) -> None:
    room_id = world.room(with_bob=True)
    for author in (world.alice, world.bob):
        send(world, room_id, "said", by=author)
    for seq in (1, 2):
        changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=seq, text="never said"))
    # The same text changes nothing.
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=2, text="never said"))
    (entry,) = AuditEntry.objects.all()
    assert (entry.action, entry.actor_id) == ("message_edit", str(world.alice.id))
    assert entry.target == {"room_id": room_id, "seq": 2, "author_id": world.bob.id}


def test_staff_moderate_no_room_that_they_do_not_see_and_no_direct_one(world: World) -> None:
    Membership.objects.filter(user_id=world.admin.id).update(role="staff")
    private = world.room(is_public=False)
    send(world, private)
    assert code_of(lambda: delete(world, world.admin, private, 1)) == "not_found"
    direct, _ = services.room_direct(world.acme, world.alice, RoomDirect([int(world.admin.id)]))
    send(world, direct.id)
    assert code_of(lambda: delete(world, world.admin, direct.id, 1)) == "permission_denied"


def test_reactions_are_counted_once_a_person_and_bounded(
    world: World, announced: list[Announced], monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(with_bob=True)
    rev = send(world, room_id).rev
    announced.clear()
    react(world, world.alice, room_id, 1, "❤")
    view, is_new = react(world, world.bob, room_id, 1, "❤️")
    assert is_new
    assert [(each.emoji, each.count, each.mine) for each in view.reactions] == [("❤️", 2, True)]
    assert react(world, world.bob, room_id, 1, "❤️") == (view, False)
    assert view.rev == rev + 2
    told = announced[1].data
    assert (told["emoji"], told["user_id"], told["is_added"]) == ("❤️", world.bob.id, True)
    assert told["message"]["reactions"] == [{"emoji": "❤️", "count": 2}]
    view, _ = changing.reaction_remove(world.acme, world.bob, MessageReaction(room_id, seq=1, emoji="❤️"))
    assert [(each.count, each.mine) for each in view.reactions] == [(1, False)]
    for text in ("x", "", "❤️❤️", "<b>"):
        assert code_of(lambda text=text: react(world, world.bob, room_id, 1, text)) == "invalid_message"  # type: ignore[misc]
    monkeypatch.setattr(changing, "REACTIONS_MAX", 2)
    react(world, world.bob, room_id, 1, "👍")
    assert code_of(lambda: react(world, world.alice, room_id, 1, "🎉")) == "limit_exceeded"
    monkeypatch.setattr(changing, "REACTIONS_MAX", 0)
    monkeypatch.setattr(changing, "REACTIONS_OF_USER_MAX", 1)
    assert code_of(lambda: react(world, world.bob, room_id, 1, "🎉")) == "limit_exceeded"


def test_a_reply_quotes_what_is_there(world: World) -> None:
    room_id = world.room(with_bob=True)
    Membership.objects.filter(user_id=world.alice.id).update(name="Alice A.")
    send(world, room_id, "question " + "x" * 500)
    reply = send(world, room_id, "answer", by=world.bob, reply_to_seq=1)
    assert reply.reply_to is not None
    assert (reply.reply_to.seq, reply.reply_to.author.name) == (1, "Alice A.")
    assert len(reply.reply_to.text) == 300
    assert reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).messages == [
        reply
    ]
    assert code_of(lambda: send(world, room_id, reply_to_seq=99)) == "not_found"
    edit(world, world.alice, room_id, 1, "another question")
    (shown,) = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).messages
    assert shown.reply_to is not None
    assert shown.reply_to.text == "another question"


def test_pins_are_bounded_and_announced(
    world: World, announced: list[Announced], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "PINS_MAX", 1)
    room_id = world.room(with_bob=True)
    for _ in range(2):
        send(world, room_id)
    announced.clear()
    assert pin(world, world.bob, room_id, 1)[1]
    assert not pin(world, world.bob, room_id, 1)[1]
    assert [(each.data["event"], each.data["is_pinned"]) for each in announced] == [("pinned", True)]
    assert code_of(lambda: pin(world, world.bob, room_id, 2)) == "limit_exceeded"
    assert [each.seq for each in reading.pin_list(world.acme.id, world.bob.id, InRoom(room_id)).messages] == [
        1
    ]
    pin(world, world.bob, room_id, 1, is_pinned=False)
    RoomMembership.objects.filter(user_id=world.bob.id).update(role="guest")
    assert code_of(lambda: pin(world, world.bob, room_id, 1)) == "permission_denied"


def test_long_pinned_messages_are_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = world.room()
    for seq in (1, 2, 3):
        send(world, room_id, "x" * 1000, by=world.alice)
        pin(world, world.alice, room_id, seq)

    def pins() -> tuple[list[int], bool]:
        listed = reading.pin_list(world.acme.id, world.alice.id, InRoom(room_id))
        return [each.seq for each in listed.messages], listed.has_more

    assert pins() == ([3, 2, 1], False)
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", 5000)
    assert pins() == ([3, 2], True)


def test_changes_bring_each_message_once_in_its_newest_state(world: World) -> None:
    room_id = world.room(with_bob=True)
    for number in range(3):
        send(world, room_id, f"{number}")
    start = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).last_rev
    assert changes(world, room_id, start) == ([], start, False)
    edit(world, world.alice, room_id, 1)
    react(world, world.bob, room_id, 1, "👍")
    delete(world, world.alice, room_id, 2)
    services.room_join(world.acme, world.admin, InRoom(room_id))
    send(world, room_id)
    everything = [(1, start + 2), (2, start + 3), (4, start + 5)]
    assert changes(world, room_id, start) == (everything, start + 5, False)
    assert changes(world, room_id, start, limit=2) == (everything[:2], start + 3, True)
    assert changes(world, room_id, start + 3, limit=2) == (everything[2:], start + 5, False)
    for after_rev in (start + 6, MISSING):
        assert code_of(lambda after=after_rev: changes(world, room_id, after)) == "unrecoverable_position"  # type: ignore[misc]
    Message.objects.filter(room_id=room_id, seq__lte=2).delete()
    assert code_of(lambda: changes(world, room_id, 1)) == "unrecoverable_position"


def test_changes_of_long_messages_come_in_more_pages(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", 1)
    room_id = world.room(with_bob=True)
    start = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).last_rev
    for number in range(2):
        send(world, room_id, f"{number}")
    assert changes(world, room_id, start) == ([(1, start + 1)], start + 1, True)
    assert changes(world, room_id, start + 1) == ([(2, start + 2)], start + 2, False)


def test_rows_of_a_release_without_changes_are_numbered_and_rendered(world: World) -> None:
    room_id = world.room(with_bob=True)
    send(world, room_id, "*old*")
    Message.objects.update(rev=0, html="", renderer=0)
    with CaptureQueriesContext(connection) as first:
        (view,) = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).messages
    assert (view.rev, view.html) == (1, "<p><em>old</em></p>\n")
    with CaptureQueriesContext(connection) as second:
        assert reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=1)).messages == [
            view
        ]
    assert len(second) < len(first)


def test_messages_that_an_older_release_still_sends_are_found_as_changes(world: World) -> None:
    room_id = world.room(with_bob=True)
    for number in range(3):
        send(world, room_id, f"{number}")
    edit(world, world.alice, room_id, 1)
    known = Room.objects.get(pk=room_id).last_rev
    Message.objects.filter(room_id=room_id, seq__gt=1).update(rev=0)
    Room.objects.filter(pk=room_id).update(last_message_at=None)
    assert changes(world, room_id, known) == ([], known, False)
    assert numbering.sweep() is False
    assert changes(world, room_id, known) == ([(2, known + 1), (3, known + 2)], known + 2, False)
    assert send(world, room_id).rev == known + 3
    assert Room.objects.get(pk=room_id).last_message_at is not None


def test_existing_messages_get_the_numbers_of_their_order(world: World) -> None:
    room_id = world.room()
    for _ in range(3):
        send(world, room_id)
    Message.objects.update(rev=0)
    Room.objects.update(last_rev=0, last_message_at=None)
    migration = import_module("chat.migrations.0005_number_changes")
    migration.number(apps, None)
    assert list(Message.objects.order_by("seq").values_list("rev", flat=True)) == [1, 2, 3]
    room = Room.objects.get(pk=room_id)
    assert (room.last_rev, room.last_message_at) == (3, Message.objects.get(seq=3).sent_at)


def test_a_page_costs_the_same_whatever_is_on_it(world: World) -> None:
    room_id = world.room(with_bob=True)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=50))
        return len(queries)

    send(world, room_id, "@bob")
    send(world, room_id, reply_to_seq=1)
    few = cost()
    for number in range(20):
        send(world, room_id, f"@bob {number}", reply_to_seq=number + 1)
        react(world, world.bob, room_id, number + 1, "👍")
    assert cost() == few <= 7


def test_messages_of_a_deleted_account_stay_without_a_name(world: World) -> None:
    room_id = world.room(with_bob=True)
    send(world, room_id, by=world.bob)
    send(world, room_id, reply_to_seq=1)
    User.objects.get(pk=world.bob.id).delete()
    page = reading.message_list(world.acme.id, world.alice.id, MessageList(room_id, limit=5)).messages
    payloads = [msgspec.to_builtins(message) for message in page]
    gone = {"id": None, "username": None, "name": "former member"}
    assert payloads[0]["author"] == payloads[1]["reply_to"]["author"] == gone


def test_a_message_sent_again_after_a_change_is_still_the_same(world: World) -> None:
    room_id = world.room()
    again: dict[str, Any] = {"room_id": room_id, "text": "once", "client_msg_id": uuid.uuid4()}
    first = message_send(world.acme, world.alice, **again)
    edit(world, world.alice, room_id, 1)
    assert message_send(world.acme, world.alice, **again).text == "changed"
    delete(world, world.alice, room_id, 1)
    assert message_send(world.acme, world.alice, **again).id == first.id
