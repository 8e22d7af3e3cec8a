"""The queries that store a batch of messages, in SQL that works on SQLite and PostgreSQL.

They are written by hand because the ORM sends queries one by one, and each waits for its answer. Here several
are sent in one round trip. All other queries of the chat are less frequent and use the ORM.
"""

# ruff: noqa: S608  # Only our own names are put into the SQL text; values are always parameters.

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from chat import wire
from chat.batches import MessageDraft
from realtime import UserId

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL with one `%s` for each parameter."""

    sql: str
    params: Sequence[Any]


def run(*statements: Statement) -> list[list[Row]]:
    """Return the rows of each statement, in order. One round trip is enough if the database supports that."""
    with connection.cursor() as cursor:
        if not _takes_several():
            return [_rows(cursor.execute(*each)) for each in statements]
        params = list(chain.from_iterable(each.params for each in statements))
        cursor.execute("; ".join(each.sql for each in statements), params)
        found = [_rows(cursor)]
        while cursor.nextset():
            found.append(_rows(cursor))
        return found


def rooms_lock(room_ids: Collection[int], tenant_ids: Collection[int]) -> Statement:
    """Select and lock (id, tenant, is public, last number, last change) of open rooms until the transaction ends.

    They are locked in one order, so that two processes cannot deadlock. SQLite has no row locks and needs
    none: its transactions take the write lock when they begin.
    """
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
    rooms, tenants = _among("id", "bigint", room_ids), _among("tenant_id", "bigint", tenant_ids)
    return Statement(
        "SELECT id, tenant_id, is_public, last_seq, last_rev FROM chat_room"
        f" WHERE {rooms.sql} AND {tenants.sql} AND archived_at IS NULL ORDER BY id{lock}",
        [*rooms.params, *tenants.params],
    )


def members_among(room_ids: Collection[int], user_ids: Collection[UserId]) -> Statement:
    """Select (room, user, display name) of these users' memberships in these rooms."""
    rooms, users = _among("own.room_id", "bigint", room_ids), _among("own.user_id", "bigint", user_ids)
    return Statement(
        "SELECT own.room_id, own.user_id, person.name FROM chat_roommembership AS own"
        " JOIN chat_room AS room ON room.id = own.room_id"
        " LEFT JOIN accounts_membership AS person"
        " ON person.user_id = own.user_id AND person.tenant_id = room.tenant_id"
        f" WHERE {rooms.sql} AND {users.sql}",
        [*rooms.params, *users.params],
    )


def members_named(room_ids: Collection[int], names: Collection[str]) -> Statement:
    """Select (room, user, user name) of the rooms' members with these user names, which are in lower case."""
    forms = {form for name in names for form in _lowered(name)}
    rooms, called = _among("own.room_id", "bigint", room_ids), _among("LOWER(person.username)", "text", forms)
    return Statement(
        "SELECT own.room_id, own.user_id, person.username FROM chat_roommembership AS own"
        f" JOIN accounts_user AS person ON person.id = own.user_id WHERE {rooms.sql} AND {called.sql}",
        [*rooms.params, *called.params],
    )


def _lowered(name: str) -> set[str]:
    """Return what LOWER may make of a name: SQLite and PostgreSQL's locale "C" change ASCII letters only."""
    forms = {name} if name.isascii() else {name, name.upper(), name.title()}
    return {"".join(char.lower() if char.isascii() else char for char in form) for form in forms}


def members_of(room_id: int, limit: int) -> Statement:
    """Select (room, user) of the members of a room, at most `limit`."""
    sql = "SELECT room_id, user_id FROM chat_roommembership WHERE room_id = %s LIMIT %s"
    return Statement(sql, [room_id, limit])


def messages_quoted(room_ids: Collection[int], seqs: Collection[int]) -> Statement:
    """Select (room, number, author, user name, display name, text, is deleted) of messages to reply to."""
    rooms, numbers = _among("said.room_id", "bigint", room_ids), _among("said.seq", "bigint", seqs)
    return Statement(
        "SELECT said.room_id, said.seq, said.author_id, author.username, person.name, said.text,"
        " said.deleted_at IS NOT NULL FROM chat_message AS said"
        " LEFT JOIN accounts_user AS author ON author.id = said.author_id"
        " LEFT JOIN accounts_membership AS person"
        " ON person.user_id = said.author_id AND person.tenant_id = said.tenant_id"
        f" WHERE {rooms.sql} AND {numbers.sql}",
        [*rooms.params, *numbers.params],
    )


def files_lock(file_ids: Collection[int]) -> Statement:
    """Select and lock (tenant, uploader, id, name, type, size, width, height) of unattached files."""
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    files = _among("id", "bigint", file_ids)
    return Statement(
        "SELECT tenant_id, uploader_id, id, name, type, size, width, height FROM chat_file"
        f" WHERE {files.sql} AND message_id IS NULL AND NOT is_profile_picture ORDER BY id{lock}",
        files.params,
    )


def messages_named(drafts: Iterable[MessageDraft]) -> Statement:
    """Select (id,) of the stored messages that have these drafts' names. It may find more, never fewer."""
    tenants = _among("tenant_id", "bigint", {draft.tenant.id for draft in drafts})
    names = _among("client_msg_id", "uuid", _uuids([draft.client_msg_id for draft in drafts]))
    return Statement(
        f"SELECT id FROM chat_message WHERE {tenants.sql} AND {names.sql}", [*tenants.params, *names.params]
    )


def messages_insert(
    new: Collection[tuple[MessageDraft, wire.Message]], sent_at: datetime, renderer: int
) -> Statement:
    """Insert the messages and return (id, room, number) of each."""
    names = _uuids([draft.client_msg_id for draft, _ in new])
    rows = [
        (
            draft.tenant.id,
            each.room_id,
            each.seq,
            each.rev,
            draft.author.id,
            each.text,
            each.html,
            draft.reply_to_seq,
            name,
        )
        for (draft, each), name in zip(new, names, strict=True)
    ]
    types = ("bigint", "bigint", "bigint", "bigint", "bigint", "text", "text", "bigint", "uuid")
    columns = "tenant_id, room_id, seq, rev, author_id, text, html, reply_to_seq, client_msg_id"
    table = _table(types, rows)
    return Statement(
        f"WITH new({columns}) AS ({table.sql}) INSERT INTO chat_message ({columns}, sent_at, renderer)"
        f" SELECT {columns}, %s, %s FROM new RETURNING id, room_id, seq",
        [*table.params, connection.ops.adapt_datetimefield_value(sent_at), renderer],
    )


def mentions_insert(mentioned: Collection[tuple[int, int, UserId]]) -> Statement:
    """Insert mentions: (room, number of the message, user)."""
    table = _table(("bigint",) * 3, list(mentioned))
    return Statement(
        f"WITH new(room_id, seq, user_id) AS ({table.sql})"
        " INSERT INTO chat_mention (room_id, seq, user_id) SELECT room_id, seq, user_id FROM new",
        table.params,
    )


def files_attach(attached: Sequence[tuple[int, int, int]]) -> Statement:
    """Attach files to messages: (file, message, place among the files of the message)."""
    table = _table(("bigint",) * 3, attached)
    return Statement(
        f"WITH used(file_id, message_id, place) AS ({table.sql})"
        " UPDATE chat_file AS file SET message_id = used.message_id, place = used.place"
        " FROM used WHERE file.id = used.file_id",
        table.params,
    )


def rooms_move(last: Mapping[int, tuple[int, int]], sent_at: datetime) -> Statement:
    """Update the last message's number, the last change's number and the time of each room."""
    table = _table(("bigint",) * 3, [(room_id, *numbers) for room_id, numbers in last.items()])
    return Statement(
        f"WITH moved(room_id, seq, rev) AS ({table.sql})"
        " UPDATE chat_room AS room SET last_seq = moved.seq, last_rev = moved.rev, last_message_at = %s"
        " FROM moved WHERE room.id = moved.room_id",
        [*table.params, connection.ops.adapt_datetimefield_value(sent_at)],
    )


def marks_move(read_seqs: Mapping[tuple[int, UserId], int]) -> Statement:
    """Move the read mark of each (room, user) forward, never back."""
    table = _table(("bigint",) * 3, [(*member, seq) for member, seq in read_seqs.items()])
    return Statement(
        f"WITH moved(room_id, user_id, seq) AS ({table.sql})"
        " UPDATE chat_roommembership AS member SET read_seq = moved.seq FROM moved"
        " WHERE member.room_id = moved.room_id AND member.user_id = moved.user_id AND member.read_seq < moved.seq",
        table.params,
    )


def _takes_several() -> bool:
    # PostgreSQL's simple protocol supports that. With server-side parameters it is one statement at a time.
    return _has_arrays() and not getattr(connection.features, "uses_server_side_binding", False)


def _has_arrays() -> bool:
    # With arrays a statement has few parameters and always the same text, so psycopg can cache its parsed
    # form.
    return connection.vendor == "postgresql"


def _among(column: str, column_type: str, values: Collection[object]) -> Statement:
    if _has_arrays():
        return Statement(f"{column} = ANY(%s::{column_type}[])", [_array(column_type, values)])
    return Statement(f"{column} IN ({', '.join(['%s'] * len(values))})", list(values))


def _table(types: Sequence[str], rows: Sequence[Row]) -> Statement:
    """Return a query with these rows as its result; there must be at least one row."""
    if _has_arrays():
        arrays = ", ".join([f"%s::{column_type}[]" for column_type in types])
        columns = [_array(*column) for column in zip(types, zip(*rows, strict=True), strict=True)]
        return Statement(f"SELECT * FROM UNNEST({arrays})", columns)
    marks = f"({', '.join(['%s'] * len(types))})"
    return Statement(f"VALUES {', '.join([marks] * len(rows))}", list(chain.from_iterable(rows)))


def _array(column_type: str, values: Collection[object]) -> object:
    # psycopg would convert an array element by element. Numbers and UUIDs need no quoting.
    if column_type == "text":
        return list(values)
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


def _uuids(values: Sequence[UUID]) -> Sequence[UUID | str]:
    return values if connection.features.has_native_uuid_field else [value.hex for value in values]


def _rows(cursor: Any) -> list[Row]:
    return list(cursor.fetchall()) if cursor.description else []
