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

from chat.batches import MessageDraft, Numbered
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
    """Select and lock (id, tenant, is public, last number) of open rooms until the transaction ends.

    They are locked in one order, so that two processes cannot deadlock. SQLite has no row locks and needs
    none: its transactions take the write lock when they begin.
    """
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
    rooms, tenants = _among("id", "bigint", room_ids), _among("tenant_id", "bigint", tenant_ids)
    return Statement(
        "SELECT id, tenant_id, is_public, last_seq FROM chat_room"
        f" WHERE {rooms.sql} AND {tenants.sql} AND archived_at IS NULL ORDER BY id{lock}",
        [*rooms.params, *tenants.params],
    )


def members_among(room_ids: Collection[int], user_ids: Collection[UserId]) -> Statement:
    """Select (room, user) of these users' memberships in these rooms."""
    rooms, users = _among("room_id", "bigint", room_ids), _among("user_id", "bigint", user_ids)
    return Statement(
        f"SELECT room_id, user_id FROM chat_roommembership WHERE {rooms.sql} AND {users.sql}",
        [*rooms.params, *users.params],
    )


def messages_named(drafts: Iterable[MessageDraft]) -> Statement:
    """Select (id,) of the stored messages that have these drafts' names. It may find more, never fewer."""
    tenants = _among("tenant_id", "bigint", {draft.tenant.id for draft in drafts})
    names = _among("client_msg_id", "uuid", _uuids([draft.client_msg_id for draft in drafts]))
    return Statement(
        f"SELECT id FROM chat_message WHERE {tenants.sql} AND {names.sql}", [*tenants.params, *names.params]
    )


def messages_insert(new: Collection[tuple[MessageDraft, Numbered]], sent_at: datetime) -> Statement:
    """Insert the messages and return (id, room, number) of each."""
    names = _uuids([draft.client_msg_id for draft, _ in new])
    rows = [
        (draft.tenant.id, numbered.room_id, numbered.seq, draft.author.id, numbered.text, name)
        for (draft, numbered), name in zip(new, names, strict=True)
    ]
    types = ("bigint", "bigint", "bigint", "bigint", "text", "uuid")
    columns = "tenant_id, room_id, seq, author_id, text, client_msg_id"
    table = _table(types, rows)
    return Statement(
        f"WITH new({columns}) AS ({table.sql}) INSERT INTO chat_message ({columns}, sent_at)"
        f" SELECT {columns}, %s FROM new RETURNING id, room_id, seq",
        [*table.params, connection.ops.adapt_datetimefield_value(sent_at)],
    )


def rooms_move(last_seqs: Mapping[int, int]) -> Statement:
    """Update the last number of each room."""
    table = _table(("bigint",) * 2, list(last_seqs.items()))
    return Statement(
        f"WITH moved(room_id, seq) AS ({table.sql})"
        " UPDATE chat_room AS room SET last_seq = moved.seq FROM moved WHERE room.id = moved.room_id",
        table.params,
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
    return list(values) if column_type == "text" else f"{{{','.join(map(str, values))}}}"


def _uuids(values: Sequence[UUID]) -> Sequence[UUID | str]:
    return values if connection.features.has_native_uuid_field else [value.hex for value in values]


def _rows(cursor: Any) -> list[Row]:
    return list(cursor.fetchall()) if cursor.description else []
