"""Mentions: who is meant, which rows are stored, and what the HTML shows."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from chat import services
from chat.messages import changing, composing, reading, sending
from chat.messages.composing import Composed
from chat.models import Mention, Message, RoomMembership
from chat.payloads import (
    InRoom,
    MessageList,
)
from chat.rendering import markdown
from tests.chat.conftest import World, edit, send

pytestmark = pytest.mark.django_db(transaction=True)


def test_mentions_are_rows_and_follow_the_text(world: World) -> None:
    room_id = world.room(with_bob=True)
    services.room_join(world.acme, world.admin, InRoom(room_id))
    bob, admin = world.bob.id, world.admin.id
    view = send(world, room_id, "@Bob, @carol @alice `@admin`")
    assert view.mentions == [bob]
    assert f'<span class="mention" data-user-id="{bob}">@Bob</span>, @carol' in view.html
    assert edit(world, world.alice, room_id, 1, "@admin").mentions == [admin]
    assert send(world, room_id, "@room").mentions == sorted([bob, admin])
    stored = sorted(Mention.objects.values_list("seq", "user_id"))
    assert stored == sorted([(1, admin), (2, bob), (2, admin)])


@pytest.mark.parametrize("username", ["Özge", "ÖZGE", "Иван", "Ивана.Петрова", "émile"])
def test_names_of_other_letters_are_mentioned_in_any_case(world: World, username: str) -> None:
    room_id = world.room(with_bob=True)
    User.objects.filter(pk=world.bob.id).update(username=username)
    for name in (username, username.lower(), username.upper()):
        assert send(world, room_id, f"@{name}!").mentions == [world.bob.id]


def test_of_names_that_differ_in_case_the_written_one_is_mentioned(world: World) -> None:
    room_id = world.room(with_bob=True)
    services.room_join(world.acme, world.admin, InRoom(room_id))
    people = {"éva": int(world.bob.id), "Éva": int(world.admin.id)}
    for name, user_id in people.items():
        User.objects.filter(pk=user_id).update(username=name)
    for name, user_id in [*people.items(), ("ÉVA", min(people.values()))]:
        assert send(world, room_id, f"@{name}!").mentions == [user_id]


def test_no_text_is_rendered_while_a_room_is_locked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room_id = world.room(with_bob=True)
    locked: list[bool] = []

    def render(*given: Any) -> str:
        locked.append(connection.in_atomic_block)
        return markdown.render(*given)

    for module in (composing, reading):
        monkeypatch.setattr(module, "render", render)
    for text in ("plain *text*", "@bob and @room", "@nobody"):
        send(world, room_id, text)
        edit(world, world.alice, room_id, 1, f"{text} again")
    Message.objects.update(renderer=0)
    reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=10))
    assert locked == [False] * 9
    assert "data-user-id" in send(world, room_id, "@bob").html


def test_html_that_is_made_again_shows_the_names_of_those_who_were_mentioned(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(with_bob=True)
    texts = ["@room", "@bob"]
    with monkeypatch.context() as patched:
        patched.setattr(composing, "ROOM_MENTIONS_MAX", 1)
        large = send(world, room_id, "@room with @bob")
    htmls = [send(world, room_id, text).html for text in texts]
    Message.objects.update(renderer=0, html="")
    page = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=10))
    assert [each.html for each in page.messages] == [large.html, *htmls]


def test_html_of_an_older_renderer_shows_no_mention_that_nobody_got(world: World) -> None:
    room_id = world.room(with_bob=True)
    send(world, room_id, "@room")
    # So a release stored it for a room of more people than one name mentions.
    Message.objects.update(renderer=1)
    Mention.objects.all().delete()
    page = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=10))
    assert [each.html for each in page.messages] == ["<p>@room</p>\n"]
    assert Message.objects.get().renderer == markdown.RENDERER_VERSION


def test_html_is_made_again_with_as_many_queries_for_a_page_as_for_one(world: World) -> None:
    room_id = world.room(with_bob=True)
    counts = []
    for _ in range(2):
        send(world, room_id, "*hello*")
        Message.objects.update(renderer=0, html="")
        with CaptureQueriesContext(connection) as queries:
            page = reading.message_list(world.acme.id, world.bob.id, MessageList(room_id, limit=10))
        counts.append(len(queries))
        assert {each.html for each in page.messages} == {"<p><em>hello</em></p>\n"}
    assert counts[0] == counts[1]


def test_a_name_that_mentions_nobody_is_text(world: World) -> None:
    room_id = world.room()
    assert "mention" not in send(world, room_id, "@room").html
    assert "mention" not in send(world, room_id, "@here").html


def test_an_edit_of_here_shows_a_mention_if_those_who_got_it_keep_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are present by then."""
    room_id = world.room(with_bob=True)
    nobody, bob = frozenset[int](), frozenset({int(world.bob.id)})
    for present, later in ((bob, nobody), (nobody, bob)):
        monkeypatch.setattr(composing, "present_in", lambda *_, now=present: now)
        said = send(world, room_id, "@here")
        monkeypatch.setattr(composing, "present_in", lambda *_, now=later: now)
        edited = edit(world, world.alice, room_id, said.seq, "@here again")
        assert edited.mentions == said.mentions == sorted(present)
        assert ("mention" in edited.html) == ("mention" in said.html) == bool(present)


def test_html_names_those_who_are_in_the_room_when_it_is_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(with_bob=True)

    def composed_early(*given: Any) -> list[Composed]:
        parts = composing.composed(*given)
        RoomMembership.objects.filter(room_id=room_id, user_id=world.bob.id).delete()
        return parts

    for module in (changing, sending):
        monkeypatch.setattr(module, "composed", composed_early)
    for is_edit in (False, True):
        said = edit(world, world.alice, room_id, 1, "well, @bob") if is_edit else send(world, room_id, "@bob")
        assert (said.mentions, "data-user-id" in said.html) == ([], False)
        RoomMembership.objects.create(room_id=room_id, user_id=world.bob.id)


def test_a_piece_of_code_keeps_its_first_indentation_in_html_too(world: World) -> None:
    room_id, code = world.room(with_bob=True), "    if @bob:\n        pass"
    said = send(world, room_id, code)
    assert (said.text, said.mentions) == (code, [])
    assert said.html == "<pre><code>if @bob:\n    pass\n</code></pre>\n"


def test_an_edit_asks_who_is_present_before_it_locks_the_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room(with_bob=True)
    send(world, room_id)
    locked: list[bool] = []

    def present_in(*_: Any) -> frozenset[int]:
        locked.append(connection.in_atomic_block)
        return frozenset({int(world.bob.id)})

    monkeypatch.setattr(composing, "present_in", present_in)
    assert edit(world, world.alice, room_id, 1, "@here").mentions == [world.bob.id]
    assert edit(world, world.alice, room_id, 1, "nobody").mentions == []
    assert locked == [False]
