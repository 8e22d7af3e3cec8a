"""Messages that are stored together: what becomes of each. Plain values in, plain values out."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from chat.text import clean_text
from realtime import ErrorCode, Publisher, RequestError, Tenant

# Of all messages: the ids of tenant and author, and the author's own name of it.
MessageName = tuple[int, int, UUID]


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """A message somebody wants to send; `client_msg_id` is their own name of it, the same in every retry."""

    tenant: Tenant
    author: Publisher
    room_id: int
    text: str
    client_msg_id: UUID

    @property
    def name(self) -> MessageName:
        """What no other message is called."""
        return (self.tenant.id, self.author.id, self.client_msg_id)


@dataclass(frozen=True, slots=True)
class RoomState:
    """An open room, as a sender meets it."""

    tenant_id: int
    is_public: bool
    last_seq: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says about a batch of drafts: their rooms, (room, user) of who is in one, and room and text
    of the messages that have one of their names already."""

    rooms: Mapping[int, RoomState]
    members: Set[tuple[int, int]]
    said: Mapping[MessageName, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Numbered:
    """To be stored."""

    room_id: int
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The message of this name, stored before or in this batch."""


Verdict = Numbered | Repeated | RequestError


def judge(drafts: Sequence[MessageDraft], known: Known) -> list[Verdict]:
    """What becomes of each draft, in their order: numbers of a room rise by 1 from its last; nobody's fault is
    another's."""
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
    """The answer for a room that is not there, is of another tenant, or is private: one answer for all three."""
    return RequestError(ErrorCode.NOT_FOUND, "There is no such room.")


def not_joined() -> RequestError:
    """The answer for a public room the user is not in."""
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
        "This client_msg_id is the name of another message.",
        details={"field": "payload.client_msg_id"},
    )
