"""What a batch of messages asks of the database and writes to it, in SQL that SQLite and PostgreSQL share.

By hand: the ORM takes longer to build these queries than a database to answer them, and asks them one by one, where
each answer is waited for. The chat's other queries are not asked a hundred times a second, and stay with the ORM.
"""

# ruff: noqa: S608  # What is put into the SQL is marks; values are always parameters.

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
    return Statement(
        f"SELECT id, tenant_id, is_public, last_seq FROM chat_room WHERE id IN ({_marks(room_ids)})"
        f" AND tenant_id IN ({_marks(tenant_ids)}) AND archived_at IS NULL ORDER BY id{lock}",
        [*room_ids, *tenant_ids],
    )


def members_among(room_ids: Collection[int], user_ids: Collection[int]) -> Statement:
    """(room, user) of these users in these rooms."""
    return Statement(
        "SELECT room_id, user_id FROM chat_roommembership"
        f" WHERE room_id IN ({_marks(room_ids)}) AND user_id IN ({_marks(user_ids)})",
        [*room_ids, *user_ids],
    )


def messages_named(drafts: Iterable[MessageDraft]) -> Statement:
    """(id,) of the messages that were stored under names of these; may be more, never less."""
    tenant_ids = {draft.tenant.id for draft in drafts}
    names = [_uuid(draft.client_msg_id) for draft in drafts]
    return Statement(
        "SELECT id FROM chat_message"
        f" WHERE tenant_id IN ({_marks(tenant_ids)}) AND client_msg_id IN ({_marks(names)})",
        [*tenant_ids, *names],
    )


def messages_insert(new: Collection[tuple[MessageDraft, Numbered]], sent_at: datetime) -> Statement:
    """(id, room, number) of each, once it is there."""
    moment = connection.ops.adapt_datetimefield_value(sent_at)
    params: list[Any] = []
    for draft, numbered in new:
        name = _uuid(draft.client_msg_id)
        params += (
            draft.tenant.id,
            numbered.room_id,
            numbered.seq,
            draft.author.id,
            numbered.text,
            name,
            moment,
        )
    return Statement(
        "INSERT INTO chat_message (tenant_id, room_id, seq, author_id, text, client_msg_id, sent_at)"
        f" VALUES {_rows_of_marks(new, 7)} RETURNING id, room_id, seq",
        params,
    )


def rooms_move(last_seqs: Mapping[int, int]) -> Statement:
    """The last number of each room."""
    # Both databases call the columns of VALUES column1, column2 and so on.
    return Statement(
        "UPDATE chat_room AS room SET last_seq = moved.column2"
        f" FROM (VALUES {_rows_of_marks(last_seqs, 2)}) AS moved WHERE room.id = moved.column1",
        list(chain.from_iterable(last_seqs.items())),
    )


def marks_move(read_seqs: Mapping[tuple[int, int], int]) -> Statement:
    """How far each (room, user) has read; never back."""
    return Statement(
        "UPDATE chat_roommembership AS member SET read_seq = moved.column3"
        f" FROM (VALUES {_rows_of_marks(read_seqs, 3)}) AS moved"
        " WHERE member.room_id = moved.column1 AND member.user_id = moved.column2"
        " AND member.read_seq < moved.column3",
        list(chain.from_iterable((room_id, user_id, seq) for (room_id, user_id), seq in read_seqs.items())),
    )


def _takes_several() -> bool:
    # PostgreSQL's simple protocol does; with parameters bound by the server it is one statement at a time.
    return connection.vendor == "postgresql" and not getattr(
        connection.features, "uses_server_side_binding", False
    )


def _uuid(value: UUID) -> UUID | str:
    return value if connection.features.has_native_uuid_field else value.hex


def _rows(cursor: Any) -> list[Row]:
    return list(cursor.fetchall()) if cursor.description else []


def _marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))


def _rows_of_marks(rows: Collection[object], columns: int) -> str:
    return ", ".join([f"({', '.join(['%s'] * columns)})"] * len(rows))
