"""Decides for each message of a batch whether it is stored, as functions of plain values."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from chat.text import clean_text
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId

# Identifies a message: the ids of tenant and author, and the author's `client_msg_id`.
MessageName = tuple[int, UserId, UUID]


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message to be sent. `client_msg_id` is chosen by the sender and the same in every retry."""

    tenant: Tenant
    author: Publisher
    room_id: int
    text: str
    client_msg_id: UUID

    @property
    def name(self) -> MessageName:
        """The unique name of the message."""
        return (self.tenant.id, self.author.id, self.client_msg_id)


@dataclass(frozen=True, slots=True)
class RoomState:
    """The part of an open room that decides about sending."""

    tenant_id: int
    is_public: bool
    last_seq: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows about a batch of drafts.

    `rooms` are their rooms, `members` the (room, user) of memberships, and `said` the room and text of stored
    messages with the same names.
    """

    rooms: Mapping[int, RoomState]
    members: Set[tuple[int, UserId]]
    said: Mapping[MessageName, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message to be stored."""

    room_id: int
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """A retry: the message of this name is stored already, or is in this batch."""


Verdict = Numbered | Repeated | RequestError


def judge(drafts: Sequence[MessageDraft], known: Known) -> list[Verdict]:
    """Return the verdict on each draft, in order. The numbers of a room continue its last number.

    An error of one draft does not affect the others.
    """
    said = dict(known.said)
    last_seqs = {room_id: room.last_seq for room_id, room in known.rooms.items()}
    verdicts: list[Verdict] = []
    for draft in drafts:
        try:
            text = clean_text(draft.text)
            _require_membership(draft, known)
        except RequestError as refused:
            verdicts.append(refused)
            continue
        content = (draft.room_id, text)
        if draft.name not in said:
            said[draft.name] = content
            last_seqs[draft.room_id] += 1
            verdicts.append(Numbered(draft.room_id, last_seqs[draft.room_id], text))
        elif said[draft.name] == content:
            verdicts.append(Repeated())
        else:
            verdicts.append(_name_taken())
    return verdicts


def no_such_room() -> RequestError:
    """Return the one error for a missing room, a room of another tenant and a private room."""
    return RequestError(ErrorCode.NOT_FOUND, "There is no such room.")


def not_joined() -> RequestError:
    """Return the error for a public room that the user is not in."""
    return RequestError(ErrorCode.PERMISSION_DENIED, "Join this room first.")


def _require_membership(draft: MessageDraft, known: Known) -> None:
    room = known.rooms.get(draft.room_id)
    if room is None or room.tenant_id != draft.tenant.id:
        raise no_such_room()
    if (draft.room_id, draft.author.id) not in known.members:
        raise not_joined() if room.is_public else no_such_room()


def _name_taken() -> RequestError:
    return RequestError(
        ErrorCode.CONFLICT,
        "This client_msg_id was used for another message.",
        details={"field": "payload.client_msg_id"},
    )
