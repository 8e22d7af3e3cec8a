"""Decides for each message of a batch whether it is stored, as functions of plain values."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from chat import wire
from chat.errors import field_error, no_such_message, no_such_room, not_joined
from chat.payloads import MessageSend
from chat.text import clean_text
from realtime import ErrorCode, Publisher, RequestError, Tenant, UserId

# Identifies a message: the ids of tenant and author, and the author's `client_msg_id`.
MessageName = tuple[int, UserId, UUID]


class MessageDraft(MessageSend, frozen=True, kw_only=True):
    """A message to be sent."""

    tenant: Tenant
    author: Publisher

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
    last_rev: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """Data from the database about a batch of drafts. It may hold more than asked for.

    `rooms` are their rooms, and `names` the display names, by room and user, of the members among authors and those
    who may be mentioned. `earlier` are stored messages with the same names, `quotes` by room and number the
    messages that drafts reply to, and `files` the unattached files by (tenant, uploader, id).
    """

    rooms: Mapping[int, RoomState]
    names: Mapping[tuple[int, UserId], str]
    earlier: Mapping[MessageName, wire.Message]
    quotes: Mapping[tuple[int, int], wire.Quote]
    files: Mapping[tuple[int, UserId, int], wire.File]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message to be stored."""

    seq: int
    text: str
    rev: int


# None is a retry: the message of this name is stored already, or is in this batch.
Verdict = Numbered | RequestError | None


def judge(drafts: Sequence[MessageDraft], known: Known) -> list[Verdict]:
    """Return the verdict on each draft, in order. The numbers of a room continue its last number.

    An error of one draft does not affect the others.
    """
    # None: the text was changed since.
    said = {
        name: (each.room_id, None if each.deleted or each.edited_at else each.text)
        for name, each in known.earlier.items()
    }
    last = {room_id: (room.last_seq, room.last_rev) for room_id, room in known.rooms.items()}
    files = set(known.files)
    verdicts: list[Verdict] = []
    for draft in drafts:
        name = draft.name
        try:
            text = clean_text(draft.text, may_be_empty=bool(draft.file_ids))
            _require_membership(draft, known)
            if name in said:
                verdicts.append(_repeated(said[name], draft.room_id, text))
                continue
            if draft.reply_to_seq is not None or draft.file_ids:
                _require_parts(draft, known.quotes, files)
        except RequestError as refused:
            verdicts.append(refused)
            continue
        said[name] = (draft.room_id, text)
        last_seq, last_rev = last[draft.room_id]
        last[draft.room_id] = seq, rev = last_seq + 1, max(last_seq, last_rev) + 1
        verdicts.append(Numbered(seq, text, rev))
    return verdicts


def _require_membership(draft: MessageDraft, known: Known) -> None:
    room = known.rooms.get(draft.room_id)
    if room is None or room.tenant_id != draft.tenant.id:
        raise no_such_room()
    if (draft.room_id, draft.author.id) not in known.names:
        raise not_joined() if room.is_public else no_such_room()


def _require_parts(
    draft: MessageDraft, quotable: Container[tuple[int, int]], files: set[tuple[int, UserId, int]]
) -> None:
    """Require the quoted message and the files, and take the files out of `files`."""
    if draft.reply_to_seq is not None and (draft.room_id, draft.reply_to_seq) not in quotable:
        raise no_such_message("payload.reply_to")
    wanted = {(draft.tenant.id, draft.author.id, file_id) for file_id in draft.file_ids}
    if not wanted <= files:
        raise field_error("payload.file_ids", _("There is no such file of yours."), ErrorCode.NOT_FOUND)
    files -= wanted


def _repeated(said: tuple[int, str | None], room_id: int, text: str) -> Verdict:
    said_in, said_text = said
    if said_in == room_id and said_text in {None, text}:
        return None
    message = _("This client_msg_id was used for another message.")
    return field_error("payload.client_msg_id", message, ErrorCode.CONFLICT)
