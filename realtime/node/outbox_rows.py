"""The rows of the transactional outbox: publications that commit with the caller's own rows.

Plain SQL for SQLite and PostgreSQL, because a publication must cost the caller's transaction one statement. All
functions are synchronous and run on a database connection of their thread.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from realtime.core.history import Draft, Publisher
from realtime.core.identity import UserId
from realtime.core.topics import TopicKey

# The database that has the outbox: the caller's transaction must be one of this database.
ALIAS = DEFAULT_DB_ALIAS
# Databases that the SQL below is written for. On any other there is no outbox.
VENDORS = frozenset({"sqlite", "postgresql"})

# The rows are counted only if the ids of the oldest and the newest row are far apart, which two look-ups show.
_BOUNDED = """
    INSERT INTO realtime_outbox (tenant, topic, body, key, stored_s) SELECT %s, %s, %s, %s, %s
    WHERE %s = 0
        OR COALESCE((SELECT MAX(id) FROM realtime_outbox) - (SELECT MIN(id) FROM realtime_outbox) + 1, 0) < %s
        OR (SELECT COUNT(*) FROM realtime_outbox) < %s
"""
_READ = """
    SELECT id, tenant, topic, body, key, stored_s FROM realtime_outbox WHERE id > %s ORDER BY id LIMIT %s
"""
_TAKE = "UPDATE realtime_outbox_lease SET holder = %s, beat = beat + 1 WHERE id = 1 AND holder = %s"
_TAKE_OVER = f"{_TAKE} AND beat = %s"
_ADD_LEASE = "INSERT INTO realtime_outbox_lease (id, holder, beat) VALUES (1, '', 0) ON CONFLICT DO NOTHING"


class _Body(msgspec.Struct, array_like=True, frozen=True):
    data: msgspec.Raw
    publisher: tuple[UserId, str] | None
    time: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Row:
    """A stored publication. `stored_s` is Unix time; `body` is what `draft_of` reads."""

    id: int
    key: TopicKey
    body: str
    idempotency_key: str
    stored_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to send. `holder` sends now ("": nobody); `beat` rises while the holder works."""

    holder: str
    beat: int


def is_supported() -> bool:
    """Return whether the database can have the outbox."""
    return connections[ALIAS].vendor in VENDORS


def store(key: TopicKey, draft: Draft, *, now_s: float, rows_max: int) -> bool:
    """Store a publication in the transaction that is open on this thread's connection.

    Return False, and store nothing, if the outbox has `rows_max` rows already (0: no bound).
    """
    publisher = (draft.publisher.id, draft.publisher.username) if draft.publisher else None
    body = msgspec.json.encode(_Body(draft.data, publisher, draft.time, draft.fingerprint)).decode()
    once = draft.idempotency_key or f"outbox-{uuid4().hex}"
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_BOUNDED, [key.tenant, key.topic, body, once, now_s, *[rows_max] * 3])
        return bool(cursor.rowcount == 1)


def draft_of(row: Row, *, key_ttl_s: float) -> Draft:
    """Return the publication of a row. Its key is known for `key_ttl_s` seconds. Raises ValueError for a broken row."""
    body = msgspec.json.decode(row.body, type=_Body)
    publisher = Publisher(*body.publisher) if body.publisher else None
    data = body.data.copy()
    return Draft(data, publisher, body.time, row.idempotency_key, body.fingerprint, key_ttl_s)


def read(after_id: int, limit: int) -> list[Row]:
    """Return the first `limit` rows after the row `after_id`, in the order in which they were stored."""
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(_READ, [after_id, limit])
        return [
            Row(row_id, TopicKey(tenant, topic), body, key, stored_s)
            for row_id, tenant, topic, body, key, stored_s in cursor.fetchall()
        ]


def take_lease(holder: str, stale: Lease | None) -> Lease:
    """Take the lease if nobody holds it, or if it is still `stale`. Return the lease as it is now."""
    with _cursor() as cursor:
        for former in ("", holder):
            cursor.execute(_TAKE, [holder, former])
            if cursor.rowcount:
                return _lease(cursor)
        if stale is not None:
            cursor.execute(_TAKE_OVER, [holder, stale.holder, stale.beat])
        lease = _lease(cursor)
        if lease.holder or lease.beat >= 0:
            return lease
        cursor.execute(_ADD_LEASE)
        cursor.execute(_TAKE, [holder, ""])
        return _lease(cursor)


def finish(row_ids: Sequence[int], holder: str) -> bool:
    """Delete rows that were sent, and renew the lease; return False if another node holds the lease now."""
    with _cursor() as cursor:
        if row_ids:
            marks = ", ".join(["%s"] * len(row_ids))
            cursor.execute(f"DELETE FROM realtime_outbox WHERE id IN ({marks})", list(row_ids))  # noqa: S608
        cursor.execute(_TAKE, [holder, holder])
        return bool(cursor.rowcount == 1)


def release_lease(holder: str) -> None:
    """Give up the lease, so that another node can send."""
    with _cursor() as cursor:
        cursor.execute("UPDATE realtime_outbox_lease SET holder = '' WHERE id = 1 AND holder = %s", [holder])


@contextmanager
def _cursor() -> Iterator[Any]:
    with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
        yield cursor


def _lease(cursor: Any) -> Lease:
    cursor.execute("SELECT holder, beat FROM realtime_outbox_lease WHERE id = 1")
    found = cursor.fetchone()
    # There is no row before a node sends for the first time.
    return Lease(*found) if found else Lease("", -1)
