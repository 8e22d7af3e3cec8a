"""Sending: stores messages of several users in one transaction. The tuned path of the chat.

A plain message costs three reads and three writes for its whole batch. A reply, a mention or a file adds
a statement to the same round trips; attached files add one more round trip, and mentions one before the transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from msgspec.structs import asdict, replace

from chat import announcements, payloads, sql, wire
from chat.batches import Known, MessageDraft, MessageName, Numbered, RoomState, judge
from chat.messages.composing import Composed, composed
from chat.messages.reading import messages_by_name
from chat.rendering.markdown import RENDERER_VERSION
from realtime import Publisher, RequestError, Tenant


class Sent(NamedTuple):
    """A stored message. If `is_new`, it was stored now and still has to be announced."""

    message: wire.Message
    is_new: bool


# The result of a draft; a DatabaseError if its own transaction failed.
Outcome = Sent | RequestError | DatabaseError


def message_post(tenant: Tenant, user: Publisher, payload: payloads.MessageSend) -> Sent:
    """Store and publish a message.

    Return it, and whether it is new: the same `client_msg_id` and text return the first message. Sending marks the
    room as read up to the message. Raises RequestError(invalid_message | not_found | permission_denied | conflict).
    """
    (outcome,) = messages_send([MessageDraft(**asdict(payload), tenant=tenant, author=user)])
    if not isinstance(outcome, Sent):
        raise outcome
    if outcome.is_new:
        announcements.announce_message(tenant, outcome.message)
    return outcome


def messages_send(drafts: Sequence[MessageDraft]) -> list[Outcome]:
    """Store messages of several users in one transaction, in order, and return the result of each.

    The caller announces them after the commit. Raises DatabaseError if nothing could be stored.
    """
    # Before the transaction, because the rooms are locked in it.
    parts = composed([(each.tenant, each.room_id, each.author.id, each.text) for each in drafts])
    batch = list(zip(drafts, parts, strict=True))
    try:
        return _messages_store(batch)
    except IntegrityError:
        # Another process used one of the names meanwhile, or an author was deleted. Only that draft must
        # fail.
        return [_message_store_alone(each) for each in batch]


def access_to_write(batch: Sequence[tuple[MessageDraft, Composed]]) -> Known:
    """Read what decides which drafts of a batch are allowed, and what their messages refer to.

    The rooms stay locked until the transaction ends, so that the numbers of messages have no gaps.
    """
    drafts = [draft for draft, _ in batch]
    room_ids, tenant_ids = {draft.room_id for draft in drafts}, {draft.tenant.id for draft in drafts}
    statements = {
        # The rooms come first, so that members and names are read after the rooms are locked.
        "rooms": sql.rooms_lock(room_ids, tenant_ids),
        "members": sql.members_among(
            room_ids,
            {draft.author.id for draft in drafts}.union(*(parts.named for _, parts in batch)),
        ),
        "repeated": sql.messages_named(drafts),
        **_references(drafts),
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
    return Known(rooms, names, earlier, quotes, files)


def _references(drafts: Sequence[MessageDraft]) -> dict[str, sql.Statement]:
    """Return the further reads of a batch: what its replies and files refer to."""
    statements: dict[str, sql.Statement] = {}
    if replies := [(each.room_id, each.reply_to_seq) for each in drafts if each.reply_to_seq is not None]:
        statements["quoted"] = sql.messages_quoted({room for room, _ in replies}, {seq for _, seq in replies})
    if file_ids := {file_id for draft in drafts for file_id in draft.file_ids}:
        statements["files"] = sql.files_lock(file_ids)
    return statements


def _message_store_alone(each: tuple[MessageDraft, Composed]) -> Outcome:
    try:
        return _messages_store([each])[0]
    except DatabaseError as error:
        return error


@transaction.atomic
def _messages_store(batch: Sequence[tuple[MessageDraft, Composed]]) -> list[Outcome]:
    if not batch:
        return []
    known, sent_at = access_to_write(batch), timezone.now()
    time = wire.time_of(sent_at)
    verdicts = judge([draft for draft, _ in batch], known)
    new = [
        (draft, _new(draft, verdict, parts, known, time))
        for (draft, parts), verdict in zip(batch, verdicts, strict=True)
        if isinstance(verdict, Numbered)
    ]
    stored = {**known.earlier, **_messages_insert(new, sent_at)}
    return [
        verdict
        if isinstance(verdict, RequestError)
        else Sent(stored[draft.name], is_new=isinstance(verdict, Numbered))
        for (draft, _), verdict in zip(batch, verdicts, strict=True)
    ]


def _new(
    draft: MessageDraft, numbered: Numbered, parts: Composed, known: Known, time: wire.Time
) -> wire.Message:
    """Return a message to be stored. It has no id yet."""
    room_id, author, reply_to = draft.room_id, draft.author, draft.reply_to_seq
    html, mentions = parts.settled(
        numbered.text, author.id, lambda user_id: (room_id, user_id) in known.names
    )
    return wire.Message(
        id=0,
        room_id=room_id,
        seq=numbered.seq,
        rev=numbered.rev,
        author=wire.author_of(author.id, author.username, known.names[room_id, author.id]),
        text=numbered.text,
        html=html,
        sent_at=time,
        edited_at=None,
        deleted=False,
        reply_to=None if reply_to is None else known.quotes[room_id, reply_to],
        files=[known.files[draft.tenant.id, author.id, each] for each in dict.fromkeys(draft.file_ids)],
        mentions=mentions,
        client_msg_id=draft.client_msg_id,
        reactions=[],
    )


def _messages_insert(
    new: list[tuple[MessageDraft, wire.Message]], sent_at: datetime
) -> dict[MessageName, wire.Message]:
    """Insert new messages, and update the rooms' last numbers and the authors' read marks."""
    if not new:
        return {}
    # The numbers of a room rise, so the last one stays.
    last = {each.room_id: (each.seq, each.rev) for _, each in new}
    read_seqs = {(each.room_id, draft.author.id): each.seq for draft, each in new}
    # In the order of the index of names, so that two processes with the same names cannot deadlock.
    new.sort(key=lambda each: (each[0].tenant.id, each[0].client_msg_id, each[0].author.id))
    statements = [
        sql.messages_insert(new, sent_at, RENDERER_VERSION),
        sql.rooms_move(last, sent_at),
        sql.marks_move(read_seqs),
    ]
    if named := [(each.room_id, each.seq, one) for _, each in new for one in each.mentions]:
        statements.append(sql.mentions_insert(named))
    inserted, *_ = sql.run(*statements)
    ids = {(room_id, seq): message_id for message_id, room_id, seq in inserted}
    stored = {draft.name: replace(each, id=ids[each.room_id, each.seq]) for draft, each in new}
    if attached := [(file.id, each.id, at) for each in stored.values() for at, file in enumerate(each.files)]:
        # Not `bulk_update`: it takes 20 times as long, with the rooms locked.
        sql.run(sql.files_attach(attached))
    return stored
