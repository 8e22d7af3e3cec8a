"""What a batch of messages asks of the database and writes to it, in SQL that SQLite and PostgreSQL share.

By hand: the ORM takes longer to build these queries than a database to answer them, and asks them one by one, where
each answer is waited for. The chat's other queries are not asked a hundred times a second, and stay with the ORM.
"""

# ruff: noqa: S608  # What is put into the SQL is names of our own; values are always parameters.

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from chat.batches import MessageDraft, Numbered

Row = tuple[Any, ...]


class Statement(NamedTuple):
    """SQL with a `%s` for each of its parameters."""

    sql: str
    params: Sequence[Any]


def run(*statements: Statement) -> list[list[Row]]:
    """The rows that each gives, in their order; asked in one round trip where the database takes several at once."""
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
    """The open rooms of these: (id, tenant, is public, last number), locked until the transaction ends.

    In one order, so that two processes do not wait for each other. SQLite has no row locks and needs none: its
    transactions take the writer's lock when they begin.
    """
    lock = " FOR NO KEY UPDATE" if connection.features.has_select_for_update else ""
    rooms, tenants = _among("id", "bigint", room_ids), _among("tenant_id", "bigint", tenant_ids)
    return Statement(
        "SELECT id, tenant_id, is_public, last_seq FROM chat_room"
        f" WHERE {rooms.sql} AND {tenants.sql} AND archived_at IS NULL ORDER BY id{lock}",
        [*rooms.params, *tenants.params],
    )


def members_among(room_ids: Collection[int], user_ids: Collection[int]) -> Statement:
    """(room, user) of these users in these rooms."""
    rooms, users = _among("room_id", "bigint", room_ids), _among("user_id", "bigint", user_ids)
    return Statement(
        f"SELECT room_id, user_id FROM chat_roommembership WHERE {rooms.sql} AND {users.sql}",
        [*rooms.params, *users.params],
    )


def messages_named(drafts: Iterable[MessageDraft]) -> Statement:
    """(id,) of the messages that were stored under names of these; may be more, never less."""
    tenants = _among("tenant_id", "bigint", {draft.tenant.id for draft in drafts})
    names = _among("client_msg_id", "uuid", _uuids([draft.client_msg_id for draft in drafts]))
    return Statement(
        f"SELECT id FROM chat_message WHERE {tenants.sql} AND {names.sql}", [*tenants.params, *names.params]
    )


def messages_insert(new: Collection[tuple[MessageDraft, Numbered]], sent_at: datetime) -> Statement:
    """(id, room, number) of each, once it is there."""
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
    """The last number of each room."""
    table = _table(("bigint",) * 2, list(last_seqs.items()))
    return Statement(
        f"WITH moved(room_id, seq) AS ({table.sql})"
        " UPDATE chat_room AS room SET last_seq = moved.seq FROM moved WHERE room.id = moved.room_id",
        table.params,
    )


def marks_move(read_seqs: Mapping[tuple[int, int], int]) -> Statement:
    """How far each (room, user) has read; never back."""
    table = _table(("bigint",) * 3, [(*member, seq) for member, seq in read_seqs.items()])
    return Statement(
        f"WITH moved(room_id, user_id, seq) AS ({table.sql})"
        " UPDATE chat_roommembership AS member SET read_seq = moved.seq FROM moved"
        " WHERE member.room_id = moved.room_id AND member.user_id = moved.user_id AND member.read_seq < moved.seq",
        table.params,
    )


def _takes_several() -> bool:
    # PostgreSQL's simple protocol does; with parameters bound by the server it is one statement at a time.
    return _has_arrays() and not getattr(connection.features, "uses_server_side_binding", False)


def _has_arrays() -> bool:
    # Not only shorter: psycopg remembers the form of a statement with few parameters, and takes one with many apart
    # each time, which costs more than all the rest.
    return connection.vendor == "postgresql"


def _among(column: str, column_type: str, values: Collection[object]) -> Statement:
    if _has_arrays():
        return Statement(f"{column} = ANY(%s::{column_type}[])", [_array(column_type, values)])
    return Statement(f"{column} IN ({', '.join(['%s'] * len(values))})", list(values))


def _table(types: Sequence[str], rows: Sequence[Row]) -> Statement:
    """Values as a query; there is at least one row."""
    if _has_arrays():
        arrays = ", ".join([f"%s::{column_type}[]" for column_type in types])
        columns = [_array(*column) for column in zip(types, zip(*rows, strict=True), strict=True)]
        return Statement(f"SELECT * FROM UNNEST({arrays})", columns)
    marks = f"({', '.join(['%s'] * len(types))})"
    return Statement(f"VALUES {', '.join([marks] * len(rows))}", list(chain.from_iterable(rows)))


def _array(column_type: str, values: Collection[object]) -> object:
    # psycopg writes arrays of anything, element by element; numbers and UUIDs need no quotes.
    return list(values) if column_type == "text" else f"{{{','.join(map(str, values))}}}"


def _uuids(values: Sequence[UUID]) -> Sequence[UUID | str]:
    return values if connection.features.has_native_uuid_field else [value.hex for value in values]


def _rows(cursor: Any) -> list[Row]:
    return list(cursor.fetchall()) if cursor.description else []
