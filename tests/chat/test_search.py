"""Search: the meaning of queries, and the messages that a user finds."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership
from chat.messages import changing
from chat.models import Message, RoomMembership
from chat.payloads import MessageDelete, MessageEdit, MessageReaction, OneMessage, Search, UserList
from chat.people import profiles
from chat.search import index
from chat.search import selectors as searching
from chat.search.query import SearchQuery, parse_query
from chat.wire import FoundMessages
from realtime.core.history import Publisher
from realtime.protocol.errors import RequestError
from tests.chat.conftest import World, message_send

pytestmark = pytest.mark.django_db(transaction=True)
of_fts5 = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="PostgreSQL keeps its index with the table"
)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", SearchQuery()),
        ('one "two  words" three', SearchQuery(("one", "two  words", "three"))),
        ("from:@Bob in:#General x", SearchQuery(("x",), "Bob", "General")),
        ('FROM:"Bob B." in:"the lounge"', SearchQuery((), "Bob B.", "the lounge")),
        ("has:file has:links", SearchQuery(has=frozenset({"file", "link"}))),
        ("has:money from: before:never", SearchQuery(("has:money", "from:", "before:never"))),
        (
            "before:2026-02-01 after:2026-01-01",
            SearchQuery(before=datetime(2026, 2, 1, tzinfo=UTC), after=datetime(2026, 1, 2, tzinfo=UTC)),
        ),
        (
            "before:2026-02-01T10:00:00Z after:2026-01-01T10:00+02:00",
            SearchQuery(
                before=datetime(2026, 2, 1, 10, tzinfo=UTC), after=datetime(2026, 1, 1, 8, tzinfo=UTC)
            ),
        ),
        ("after:2026-01-01T10:00", SearchQuery(after=datetime(2026, 1, 1, 10, tzinfo=UTC))),
        ("after:0001-01-01T00:00+05:00", SearchQuery(("after:0001-01-01T00:00+05:00",))),
        ("before:9999-12-31", SearchQuery(("before:9999-12-31",))),
        ("https://a.example/b:c", SearchQuery(("https://a.example/b:c",))),
    ],
)
def test_what_a_query_asks_for(text: str, query: SearchQuery) -> None:
    assert parse_query(text) == query


def say(world: World, room_id: int, text: str, by: Publisher | None = None, **more: Any) -> int:
    author = by or world.alice
    sent = message_send(world.acme, author, room_id=room_id, text=text, client_msg_id=uuid.uuid4(), **more)
    return sent.seq


def found(world: World, query: str, by: Publisher | None = None, **more: Any) -> list[str]:
    user = by or world.alice
    page = searching.search(world.acme.id, user.id, Search(query, **more))
    return [message.text for message in page.messages]


def test_words_are_parts_of_the_text_in_any_case(world: World) -> None:
    room_id = world.room()
    for text in ('The "Café" 100%', "the cafeteria_1", "Überfall ÜBER alles", "x"):
        say(world, room_id, text)
    assert found(world, "caf the") == ["the cafeteria_1", 'The "Café" 100%']
    assert found(world, '"café" the') == ['The "Café" 100%']
    assert found(world, "Über") == ["Überfall ÜBER alles"]
    for word in ("über", "üB", "ÜB", "Üb"):
        assert found(world, word) == ["Überfall ÜBER alles"]
    assert found(world, "x") == ["x"]
    for nothing in (
        "",
        "  ",
        "zzz",
        "zz",
        '""',
        "OR",
        "NEAR(",
        "caf*",
        "a%b",
        "cafeteria-1",
        "^the",
        "text:",
    ):
        assert found(world, nothing) == []


def test_people_are_found_in_any_case(world: World) -> None:
    say(world, world.room(), "hello")
    Membership.objects.filter(user_id=world.alice.id).update(name="Özge Ünal")
    for name in ("Özge Ünal", "özge ünal", "ÖZGE ÜNAL"):
        assert found(world, f'from:"{name}"') == ["hello"]
        (person,) = profiles.user_list(world.acme.id, world.alice.id, UserList(name, 5))
        assert person.id == world.alice.id


def test_only_what_one_may_read_is_found(world: World) -> None:
    public, private = world.room(with_bob=True), world.room(name="private", is_public=False)
    for room_id in (public, private):
        say(world, room_id, "needle")
    assert len(found(world, "needle")) == 2
    assert len(found(world, "needle", world.bob)) == 1
    assert found(world, "needle in:private", world.bob) == []
    assert found(world, "needle", world.admin) == []
    with pytest.raises(RequestError):
        found(world, "needle", world.bob, room_id=private)
    RoomMembership.objects.filter(user_id=world.bob.id).delete()
    assert found(world, "needle", world.bob) == []
    assert searching.search(world.globex.id, world.carol.id, Search("needle")) == FoundMessages([], False)


def test_what_is_deleted_or_edited_is_found_no_more(world: World) -> None:
    room_id = world.room()
    for text in ("needle one", "needle two"):
        say(world, room_id, text)
    changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=1))
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=2, text="a thread"))
    assert found(world, "needle") == found(world, "ne") == []
    assert found(world, "thread") == ["a thread"]


def test_filters(world: World) -> None:
    room_id, other = world.room(with_bob=True), world.room(name="Other room", with_bob=True)
    Membership.objects.filter(user_id=world.bob.id).update(name="Bob B.")
    say(world, room_id, "plain @bob")
    say(world, room_id, "see https://a.example", world.bob)
    say(world, other, "an answer elsewhere", world.bob)
    say(world, room_id, "reply", reply_to_seq=1)
    changing.pin_add(world.acme, world.alice, OneMessage(room_id, seq=1))
    changing.reaction_add(world.acme, world.bob, MessageReaction(room_id, seq=2, emoji="👍"))
    assert (
        found(world, "from:BOB")
        == found(world, 'from:"bob b."')
        == ["an answer elsewhere", "see https://a.example"]
    )
    assert found(world, 'in:"other ROOM"') == ["an answer elsewhere"]
    assert found(world, "e", room_id=other) == ["an answer elsewhere"]
    assert found(world, "has:link") == found(world, "has:reaction from:bob") == ["see https://a.example"]
    assert found(world, "has:pin") == found(world, "has:mention") == ["plain @bob"]
    assert found(world, "has:reply") == ["reply"]
    assert found(world, "has:file") == found(world, "has:image") == []
    Message.objects.filter(text="reply").update(sent_at=timezone.now() - timedelta(days=3))
    today = timezone.now().date()
    assert found(world, f"before:{today} e") == ["reply"]
    assert "reply" not in found(world, f"after:{today - timedelta(days=2)} e")


def test_a_search_without_an_index_reads_the_newest_messages_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SCANNED_MAX", 5)
    quiet, busy = world.room(name="quiet"), world.room(with_bob=True)
    say(world, quiet, "quiet https://a.example")
    say(world, busy, "old https://a.example")
    say(world, busy, "old of bob @alice", world.bob)
    for number in range(3):
        say(world, busy, f"new {number}")
    say(world, busy, "newest https://a.example")
    assert found(world, "has:link") == ["newest https://a.example", "quiet https://a.example"]
    assert found(world, "ol") == found(world, "has:mention") == []
    assert len(found(world, "after:2001-01-01")) == 5
    # These have an index.
    changing.pin_add(world.acme, world.alice, OneMessage(busy, seq=1))
    assert found(world, "has:pin") == found(world, "old has:link") == ["old https://a.example"]
    assert found(world, "from:bob") == found(world, "ol from:bob") == ["old of bob @alice"]


@pytest.mark.parametrize(("days", "text"), [(30, None), (29, "0"), (17, "12"), (1, "28"), (0, "29")])
def test_a_day_of_long_ago_is_found_in_a_long_room(
    world: World, monkeypatch: pytest.MonkeyPatch, days: int, text: str | None
) -> None:
    monkeypatch.setattr(searching, "SCANNED_MAX", 3)
    room_id = world.room()
    for number in range(30):
        say(world, room_id, str(number))
    now = timezone.now()
    for message in Message.objects.filter(room_id=room_id):
        message.sent_at = now - timedelta(days=30 - message.seq)
        message.save(update_fields=["sent_at"])
    # As a page jumps to a day: the newest message before it.
    before = now - timedelta(days=days, minutes=-1)
    texts = [] if text is None else [text]
    user = world.alice.id
    queries: list[tuple[str, datetime | None]] = [
        (f"before:{before.isoformat()}", None),
        ("after:2001-01-01", before),
    ]
    for query, moment in queries:
        page = searching.search(world.acme.id, user, Search(query, room_id, moment, limit=1)).messages
        assert [each.text for each in page] == texts


@pytest.mark.parametrize(
    ("counts", "most"),
    [([], 100), ([7], 100), ([300], 100), ([50, 50], 100), ([10, 300, 20], 70), ([90, 90, 90], 33)],
)
def test_quiet_rooms_leave_their_part_of_a_search_to_busy_ones(
    counts: list[int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "SCANNED_MAX", 100)
    assert searching._most_of_each(counts) == most
    assert sum(min(count, most) for count in counts) <= 100


def test_pages(world: World) -> None:
    room_id = world.room()
    for number in range(5):
        say(world, room_id, f"needle {number}")
    user = world.alice.id
    first = searching.search(world.acme.id, user, Search("needle", limit=3))
    assert ([each.text for each in first.messages], first.has_more) == (
        ["needle 4", "needle 3", "needle 2"],
        True,
    )
    before = first.messages[-1].id
    rest = searching.search(world.acme.id, user, Search("needle", before=before, limit=3))
    assert ([each.text for each in rest.messages], rest.has_more) == (["needle 1", "needle 0"], False)
    assert found(world, "needle", before=Message.objects.get(pk=first.messages[0].id).sent_at) == [
        "needle 3",
        "needle 2",
        "needle 1",
        "needle 0",
    ]


def test_pages_of_long_messages_have_fewer_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PAGE_BYTES_MAX", 1)
    room_id = world.room()
    for number in range(2):
        say(world, room_id, f"needle {number}")
    first = searching.search(world.acme.id, world.alice.id, Search("needle", limit=3))
    assert ([each.text for each in first.messages], first.has_more) == (["needle 1"], True)


def test_a_search_costs_the_same_whatever_it_finds(world: World) -> None:
    rooms = [world.room(name=f"room {number}") for number in range(5)]

    def cost(query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            found(world, query)
        return len(queries)

    say(world, rooms[0], "needle")
    few = cost("needle")
    for room_id in rooms * 3:
        say(world, room_id, "needle")
    assert cost("needle") == few <= 10


def test_new_messages_are_found_before_and_after_they_are_indexed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_id = world.room()
    monkeypatch.setattr(index, "_CATCH_UP", index._CATCH_UP.replace(str(index.CATCH_UP_BATCH), "2"))
    monkeypatch.setattr(index, "CATCH_UP_BATCH", 2)
    for number in range(4):
        say(world, room_id, f"needle {number}")
    everything = [f"needle {number}" for number in (3, 2, 1, 0)]
    # Each search indexes some.
    for _ in range(3):
        assert found(world, "needle") == everything
    assert index.catch_up() is False
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=4, text="Needle changed"))
    changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=1))
    say(world, room_id, "another NEEDLE")
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=5, text="the last needle"))
    for _ in range(2):
        assert found(world, "needle") == ["the last needle", "Needle changed", "needle 2", "needle 1"]
        index.catch_up()


@of_fts5
def test_deleted_texts_leave_the_index(world: World) -> None:
    """FTS5 keeps them until it merges, before SQLite 3.42: a sweep merges."""
    room_id = world.room()
    for number in range(3):
        for text in (f"needle {number}", f"zqxjwvk {number}"):
            say(world, room_id, text)
        index.catch_up()
    assert is_in_index("zqxj")
    for seq in (2, 4):
        changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=seq))
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=6, text="a thread"))
    while index.forget():
        pass
    assert not is_in_index("zqxj")
    assert found(world, "needle") == ["needle 2", "needle 1", "needle 0"]
    assert found(world, "thread") == ["a thread"]
    with CaptureQueriesContext(connection) as queries:
        assert index.forget() is False
    assert len(queries) == 1


@of_fts5
def test_an_index_of_an_older_release_forgets_too(world: World) -> None:
    room_id = world.room()
    for text in ("needle", "zqxjwvk"):
        say(world, room_id, text)
        index.catch_up()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE chat_message_text_stale")
        for name, event in {"update": "UPDATE OF text", "delete": "DELETE"}.items():
            cursor.execute(f"DROP TRIGGER chat_message_text_{name}")
            cursor.execute(
                f"CREATE TRIGGER chat_message_text_{name} AFTER {event} ON chat_message BEGIN"
                " INSERT INTO chat_message_text(chat_message_text, rowid, text) VALUES ('delete', old.id, old.text);"
                " END"
            )
    changing.message_delete(world.acme, world.alice, MessageDelete(room_id, seq=2))
    index.ensure_index()
    while index.forget():
        pass
    assert not is_in_index("zqxj")
    assert found(world, "needle") == ["needle"]


def is_in_index(word: str) -> bool:
    """Whether the trigrams of a word that shares none with other texts are in the stored index."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT block FROM chat_message_text_data")
        blocks = b"".join(block for (block,) in cursor.fetchall())
    return any(word[at : at + 3].encode() in blocks for at in range(len(word) - 2))


@of_fts5
def test_the_index_is_made_again_where_a_migration_dropped_it(world: World) -> None:
    room_id = world.room()
    say(world, room_id, "needle")
    index.catch_up()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER chat_message_text_update")
    changing.message_edit(world.acme, world.alice, MessageEdit(room_id, seq=1, text="a thread"))
    call_command("migrate", verbosity=0)
    assert (found(world, "needle"), found(world, "thread")) == ([], ["a thread"])
    index.catch_up()
    assert (found(world, "needle"), found(world, "thread")) == ([], ["a thread"])
    with CaptureQueriesContext(connection) as queries:
        index.ensure_index()
    assert not any("CREATE" in each["sql"] for each in queries.captured_queries)


@pytest.mark.parametrize("before", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_no_database_holds_is_told(world: World, before: str) -> None:
    """In UTC it would be before the year 1, or after 9999."""
    with pytest.raises(RequestError) as refused:
        found(world, "word", before=datetime.fromisoformat(before))
    assert (refused.value.code, refused.value.details) == ("invalid_message", {"field": "payload.before"})
