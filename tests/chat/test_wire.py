"""The types of the chat's replies and events: each verb and each topic has one."""

import msgspec
import pytest
from msgspec.structs import fields

from chat.announcements import shared_payload
from chat.operations import OPERATIONS
from chat.rest.schema import schema_of
from chat.topics import ROOM_TOPICS
from chat.verbs import CHAT_VERBS
from chat.wire import REPLIES, Member, Room, RoomData
from realtime.core.contracts import Contract, ContractError

ROOM = {
    "id": 7,
    "name": "general",
    "topic": "room:7",
    "kind": "public",
    "is_public": True,
    "topic_line": "",
    "archived": False,
    "member_count": 2,
    "last_seq": 3,
    "last_rev": 3,
    "last_message_at": None,
    "is_member": False,
    "read_seq": 0,
    "unread": 0,
    "mentions": 0,
    "level": "all",
    "is_favourite": False,
    "role": None,
}


def test_every_verb_and_every_topic_has_a_type() -> None:
    assert {name for name, verb in CHAT_VERBS.items() if verb.contract is None} == set()
    assert {prefix for prefix, rule in ROOM_TOPICS.items() if rule.contract is None} == set()
    assert {operation.reply for operation in OPERATIONS.values()} | {"typing"} == set(REPLIES)


def test_what_depends_on_the_viewer_is_not_for_all() -> None:
    own = {"is_member", "read_seq", "unread", "mentions", "level", "is_favourite", "role"}
    assert shared_payload(msgspec.convert(ROOM, Room)).keys() == ROOM.keys() - own


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"event": "room", "rev": 1, "room": ROOM}, "data.room.is_member"),
        ({"event": "read", "user_id": 1}, "data.seq"),
        ({"event": "left"}, "data.event"),
        (
            {"event": "member", "rev": 1, "joined": {"id": 1, "username": "a", "email": ""}},
            "data.joined.email",
        ),
    ],
)
def test_an_event_that_nobody_declared_is_refused(data: dict[str, object], field: str) -> None:
    """A viewer's own fields in a room's topic, for example: the topic is for all."""
    with pytest.raises(ContractError) as refused:
        Contract(RoomData, "An event", "data").check(data)
    assert refused.value.details == {"field": field}


def test_the_reference_of_the_rest_api_has_the_same_types() -> None:
    members = schema_of(REPLIES["member.list"])["properties"]["members"]["items"]
    assert members["properties"].keys() == {field.name for field in fields(Member)}
    assert members["required"] == [field.name for field in fields(Member) if field.required]
    quote = schema_of(REPLIES["message.sent"])["properties"]["message"]["properties"]["reply_to"]
    assert (quote["nullable"], quote["properties"]["author"]["properties"]["id"]) == (
        True,
        {"type": "integer", "nullable": True},
    )
