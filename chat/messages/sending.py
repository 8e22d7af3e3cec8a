"""Sending: stores messages of several users in one transaction. The tuned path of the chat.

A plain message costs three reads and three writes for its whole batch. A reply, a mention of all or a file adds
a statement to the same round trips; attached files add one more round trip, and mentions one before the transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from msgspec.structs import asdict

from chat import announcements, payloads, sql, wire
from chat.batches import Known, MessageDraft, MessageName, Numbered, RoomState, judge
from chat.messages.composing import (
    MENTIONS_MAX,
    ROOM_MENTIONS_MAX,
    Composed,
    composed_drafts,
)
from chat.messages.reading import messages_by_name
from chat.rendering.markdown import HERE, RENDERER_VERSION, ROOM
from chat.rows import grouped
from realtime import Publisher, RequestError, Tenant, UserId


@dataclass(frozen=True, slots=True)
class Sent:
    """A draft and its stored message. If `is_new`, it was stored now and still has to be announced."""

    draft: MessageDraft
    message: wire.Message
    is_new: bool


# The result of a draft; a DatabaseError if its own transaction failed.
Outcome = Sent | RequestError | DatabaseError


@dataclass(frozen=True, slots=True)
class WriteAccess:
    """Rows for a batch: `known` for the decision, stored messages by name, and what new messages refer to.

    It may hold more than asked for. `everyone` are the members of rooms with a message to all, `names` the display
    names by room and user of authors, and of those who are mentioned or present.
    """

    known: Known
    earlier: Mapping[MessageName, wire.Message]
    names: Mapping[tuple[int, UserId], str]
    quotes: Mapping[tuple[int, int], wire.Quote]
    files: Mapping[tuple[int, UserId, int], wire.File]
    everyone: Mapping[int, Sequence[int]]


def message_post(tenant: Tenant, user: Publisher, payload: payloads.MessageSend) -> tuple[wire.Message, bool]:
    """Store and publish a message.

    Return it, and whether it is new: the same `client_msg_id` and text return the first message. Sending marks the
    room as read up to the message. Raises RequestError(invalid_message | not_found | permission_denied | conflict).
    """
    (outcome,) = messages_send([MessageDraft(tenant, user, **asdict(payload))])
    if not isinstance(outcome, Sent):
        raise outcome
    if outcome.is_new:
        announcements.announce_message(tenant, user, outcome.message)
    return outcome.message, outcome.is_new


def messages_send(drafts: Sequence[MessageDraft]) -> list[Outcome]:
    """Store messages of several users in one transaction, in order, and return the result of each.

    The caller announces them after the commit. Raises DatabaseError if nothing could be stored.
    """
    # Before the transaction, because the rooms are locked in it.
    composed = list(zip(drafts, composed_drafts(drafts), strict=True))
    try:
        return _messages_store(composed)
    except IntegrityError:
        # Another process used one of the names meanwhile, or an author was deleted. Only that draft must
        # fail.
        return [_message_store_alone(each) for each in composed]


def access_to_write(composed: Sequence[tuple[MessageDraft, Composed]]) -> WriteAccess:
    """Read what decides which drafts of a batch are allowed, and what their messages refer to.

    The rooms stay locked until the transaction ends, so that the numbers of messages have no gaps.
    """
    drafts = [draft for draft, _ in composed]
    room_ids, tenant_ids = {draft.room_id for draft in drafts}, {draft.tenant.id for draft in drafts}
    statements = {
        # The rooms come first, so that members and names are read after the rooms are locked.
        "rooms": sql.rooms_lock(room_ids, tenant_ids),
        "members": sql.members_among(
            room_ids,
            {draft.author.id for draft in drafts}.union(
                *(parts.present.union(parts.people.values()) for _, parts in composed)
            ),
        ),
        "repeated": sql.messages_named(drafts),
        **_references(composed),
    }
    rows = dict(zip(statements, sql.run(*statements.values()), strict=True))
    rooms = {room_id: RoomState(*state) for room_id, *state in rows["rooms"]}
    names = {(room_id, user_id): name or "" for room_id, user_id, name in rows["members"]}
    quotes = {
        (room_id, seq): wire.quote_of(seq, wire.author_of(*author), text, is_deleted=bool(is_deleted))
        for room_id, seq, *author, text, is_deleted in rows.get("quoted", ())
    }
    files = {row[:3]: wire.file_of(*row[2:]) for row in rows.get("files", ())}
    earlier = messages_by_name([message_id for (message_id,) in rows["repeated"]])
    said = {
        name: (each.room_id, None if each.deleted or each.edited_at else each.text)
        for name, each in earlier.items()
    }
    known = Known(rooms, names.keys(), said, quotes.keys(), files.keys())
    everyone = grouped((room_id, user_id) for room_id, user_id in rows.get("everyone", ()))
    return WriteAccess(known, earlier, names, quotes, files, everyone)


def mentioned(
    names: frozenset[str],
    people: Mapping[str, int],
    groups: Mapping[str, Collection[int]],
    author_id: UserId,
) -> tuple[int, ...]:
    """Return the sorted ids of the users that a text mentions, without its author.

    `groups` are the users whom the names for several people stand for.
    """
    ids = {people[name] for name in sorted(names)[:MENTIONS_MAX] if name in people}
    for name in names & groups.keys():
        if len(groups[name]) <= ROOM_MENTIONS_MAX:
            ids.update(groups[name])
    return tuple(sorted(ids - {author_id}))


def _references(composed: Sequence[tuple[MessageDraft, Composed]]) -> dict[str, sql.Statement]:
    """Return the further reads of a batch: what its replies, mentions and files refer to."""
    statements: dict[str, sql.Statement] = {}
    drafts = [draft for draft, _ in composed]
    if replies := [(each.room_id, each.reply_to_seq) for each in drafts if each.reply_to_seq is not None]:
        statements["quoted"] = sql.messages_quoted({room for room, _ in replies}, {seq for _, seq in replies})
    if file_ids := {file_id for draft in drafts for file_id in draft.file_ids}:
        statements["files"] = sql.files_lock(file_ids)
    if rooms := {draft.room_id for draft, parts in composed if ROOM in parts.names}:
        statements["everyone"] = sql.members_of(rooms, (ROOM_MENTIONS_MAX + 1) * len(rooms))
    return statements


def _message_store_alone(composed: tuple[MessageDraft, Composed]) -> Outcome:
    try:
        return _messages_store([composed])[0]
    except DatabaseError as error:
        return error


@transaction.atomic
def _messages_store(composed: Sequence[tuple[MessageDraft, Composed]]) -> list[Outcome]:
    if not composed:
        return []
    access = access_to_write(composed)
    verdicts = judge([draft for draft, _ in composed], access.known)
    new = [
        _new(draft, verdict, parts, access)
        for (draft, parts), verdict in zip(composed, verdicts, strict=True)
        if isinstance(verdict, Numbered)
    ]
    stored = {**access.earlier, **_messages_insert(new, access)}
    return [
        verdict
        if isinstance(verdict, RequestError)
        else Sent(draft, stored[draft.name], is_new=isinstance(verdict, Numbered))
        for (draft, _), verdict in zip(composed, verdicts, strict=True)
    ]


def _new(draft: MessageDraft, numbered: Numbered, parts: Composed, access: WriteAccess) -> sql.NewMessage:
    if not parts.names:
        return sql.NewMessage(draft, numbered, parts.html, ())
    people = {name: each for name, each in parts.people.items() if (draft.room_id, each) in access.names}
    here = {each for each in parts.present if (draft.room_id, each) in access.names}
    groups = {ROOM: access.everyone.get(draft.room_id, ()), HERE: here}
    ids = mentioned(parts.names, people, groups, draft.author.id)
    return sql.NewMessage(draft, numbered, parts.html_of(numbered.text, people), ids)


def _messages_insert(new: list[sql.NewMessage], access: WriteAccess) -> dict[MessageName, wire.Message]:
    """Insert new messages, and update the rooms' last numbers and the authors' read marks."""
    if not new:
        return {}
    # The numbers of a room rise, so the last one stays.
    last = {each.numbered.room_id: (each.numbered.seq, each.numbered.rev) for each in new}
    read_seqs = {(each.numbered.room_id, each.draft.author.id): each.numbered.seq for each in new}
    # In the order of the index of names, so that two processes with the same names cannot deadlock.
    new.sort(key=lambda each: (each.draft.tenant.id, each.draft.client_msg_id, each.draft.author.id))
    sent_at = timezone.now()
    statements = [
        sql.messages_insert(new, sent_at, RENDERER_VERSION),
        sql.rooms_move(last, sent_at),
        sql.marks_move(read_seqs),
    ]
    if named := [(each.numbered.room_id, each.numbered.seq, one) for each in new for one in each.mentions]:
        statements.append(sql.mentions_insert(named))
    inserted, *_ = sql.run(*statements)
    ids = {(room_id, seq): message_id for message_id, room_id, seq in inserted}
    views = {each.draft.name: _view(each, ids, sent_at, access) for each in new}
    if attached := [(file.id, view.id, at) for view in views.values() for at, file in enumerate(view.files)]:
        sql.run(sql.files_attach(attached))
    return views


def _view(
    new: sql.NewMessage, ids: Mapping[tuple[int, int], int], sent_at: datetime, access: WriteAccess
) -> wire.Message:
    draft, numbered = new.draft, new.numbered
    reply_to = draft.reply_to_seq
    return wire.Message(
        id=ids[numbered.room_id, numbered.seq],
        room_id=numbered.room_id,
        seq=numbered.seq,
        rev=numbered.rev,
        author=wire.author_of(
            draft.author.id, draft.author.username, access.names[draft.room_id, draft.author.id]
        ),
        text=numbered.text,
        html=new.html,
        sent_at=wire.time_of(sent_at),
        edited_at=None,
        deleted=False,
        reply_to=None if reply_to is None else access.quotes[draft.room_id, reply_to],
        files=[
            access.files[draft.tenant.id, draft.author.id, each] for each in dict.fromkeys(draft.file_ids)
        ],
        mentions=list(new.mentions),
        client_msg_id=draft.client_msg_id,
        reactions=[],
    )
