"""What becomes of each message of a batch: numbers, repetitions, refusals."""

import uuid
from dataclasses import replace

import pytest

from chat import wire
from chat.batches import Known, MessageDraft, Numbered, RoomState, judge
from realtime.core.history import Publisher
from realtime.core.identity import Tenant
from realtime.protocol.errors import ErrorCode, RequestError

ACME, GLOBEX = Tenant(1, "acme", "Acme"), Tenant(2, "globex", "Globex")
ALICE, BOB, STRANGER = Publisher(10, "alice"), Publisher(11, "bob"), Publisher(12, "stranger")
PUBLIC, PRIVATE, OTHER, MISSING = 100, 101, 102, 999
KNOWN = Known(
    rooms={
        PUBLIC: RoomState(ACME.id, is_public=True, last_seq=7),
        PRIVATE: RoomState(ACME.id, is_public=False, last_seq=0),
        OTHER: RoomState(GLOBEX.id, is_public=True, last_seq=3),
    },
    names={(room, user.id): "" for room in (PUBLIC, PRIVATE, OTHER) for user in (ALICE, BOB)},
    earlier={},
    quotes={},
    files={},
)
# A stored message in PUBLIC.
SAID = wire.Message(
    id=1,
    room_id=PUBLIC,
    seq=7,
    rev=7,
    author=wire.Author(10, "alice", "alice"),
    text="hi",
    html="",
    sent_at="2026-01-01T00:00:00.000Z",
    edited_at=None,
    deleted=False,
    reply_to=None,
    files=[],
    mentions=[],
    client_msg_id=uuid.uuid4(),
    reactions=[],
)


def draft(
    text: str = "hi",
    *,
    room_id: int = PUBLIC,
    author: Publisher = ALICE,
    tenant: Tenant = ACME,
    name: str | None = None,
) -> MessageDraft:
    client_msg_id = uuid.uuid5(uuid.NAMESPACE_URL, name) if name else uuid.uuid4()
    return MessageDraft(room_id, client_msg_id, text, tenant=tenant, author=author)


def brief(*drafts: MessageDraft, known: Known = KNOWN) -> list[object]:
    """The verdicts, as short as they can be compared."""
    return [
        verdict.code
        if isinstance(verdict, RequestError)
        else verdict.seq
        if isinstance(verdict, Numbered)
        else "again"
        for verdict in judge(drafts, known)
    ]


def test_messages_are_numbered_in_their_order_room_by_room() -> None:
    drafts = [draft(room_id=room_id) for room_id in (PUBLIC, PRIVATE, PUBLIC, PRIVATE, PUBLIC)]
    assert brief(*drafts) == [8, 1, 9, 2, 10]


def test_the_text_that_is_stored_is_the_clean_one() -> None:
    assert judge([draft(" hi\n")], KNOWN) == [Numbered(8, "hi", 8)]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (draft(""), ErrorCode.INVALID_MESSAGE),
        (draft("nul\0"), ErrorCode.INVALID_MESSAGE),
        (draft(room_id=MISSING), ErrorCode.NOT_FOUND),
        (draft(room_id=OTHER), ErrorCode.NOT_FOUND),
        (draft(room_id=PRIVATE, author=STRANGER), ErrorCode.NOT_FOUND),
        (draft(room_id=PUBLIC, author=STRANGER), ErrorCode.PERMISSION_DENIED),
    ],
)
def test_what_is_refused_takes_no_number_and_no_name(refused: MessageDraft, code: ErrorCode) -> None:
    same_name = MessageDraft(PUBLIC, refused.client_msg_id, "other", tenant=ACME, author=refused.author)
    verdicts = brief(draft(), refused, draft(), same_name)
    last = ErrorCode.PERMISSION_DENIED if refused.author is STRANGER else 10
    assert verdicts == [8, code, 9, last]


def test_rooms_that_are_private_of_others_and_missing_are_answered_alike() -> None:
    drafts = [draft(room_id=PRIVATE, author=STRANGER), draft(room_id=OTHER), draft(room_id=MISSING)]
    payloads = [verdict.payload() for verdict in judge(drafts, KNOWN) if isinstance(verdict, RequestError)]
    assert payloads == [payloads[0]] * 3


def test_a_name_twice_in_a_batch_is_one_message_or_a_conflict() -> None:
    assert brief(
        draft("hi", name="m"),
        draft(" hi ", name="m"),
        draft("ho", name="m"),
        draft("hi", name="m", room_id=PRIVATE),
        draft("hi", name="m", author=BOB),
        draft("hi", name="m", tenant=GLOBEX, room_id=OTHER),
        draft(),
    ) == [8, "again", ErrorCode.CONFLICT, ErrorCode.CONFLICT, 9, 4, 10]


def test_a_name_used_before_is_that_message_or_a_conflict() -> None:
    first = draft("hi", name="m")
    known = replace(KNOWN, earlier={first.name: SAID})
    assert judge([first], known) == [None]
    assert brief(draft("ho", name="m"), draft("hi", name="m", room_id=PRIVATE), draft(), known=known) == [
        ErrorCode.CONFLICT,
        ErrorCode.CONFLICT,
        8,
    ]


def test_each_refusal_is_an_error_of_its_own() -> None:
    one, two = judge([draft(""), draft("")], KNOWN)
    assert one is not two
