"""The index of messages' texts: trigrams, by FTS5 or by pg_trgm.

It is made after each migration, because SQLite drops a table's triggers when a migration rebuilds the table.
"""

# ruff: noqa: S608  # Only our own names are put into the SQL text.

import logging
from sqlite3 import sqlite_version_info
from typing import Any

from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

logger = logging.getLogger(__name__)

# The least letters of a word that the index finds.
TRIGRAM_CHARS = 3
TABLE = "chat_message_text"

# The text stays in chat_message. New messages are indexed a little later (`catch_up`), so that sending does not
# wait for it; until then a search reads their texts. A change of an indexed text changes the index at once.
_SQLITE = (
    f"CREATE VIRTUAL TABLE {TABLE} USING fts5(text, content='chat_message', content_rowid='id',"
    " tokenize='trigram')"
)
# The ids that are indexed: FTS5's own table, because the virtual one shows the ids of chat_message.
INDEXED = f"{TABLE}_docsize"
_IS_INDEXED = f"WHEN EXISTS (SELECT 1 FROM {INDEXED} WHERE id = old.id)"
# From this version on FTS5 takes a deleted text out of its segments at once, and not when they are merged.
SECURE_DELETE_FROM = (3, 42)
_SECURE_DELETE = f"INSERT INTO {TABLE}({TABLE}, rank) VALUES ('secure-delete', 1)"
_IS_SECURE = sqlite_version_info >= SECURE_DELETE_FROM
# It has a row if deleted texts may be left in segments.
STALE = f"{TABLE}_stale"
_NOTE = f"INSERT INTO {STALE} SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {STALE});"
_NOTED = "" if _IS_SECURE else f" {_NOTE}"
# Pages that one sweep writes, about 30 ms: it keeps other writers of SQLite waiting. With a negative number, repeated
# merges make the index a single segment, which holds no deleted texts: https://sqlite.org/fts5.html#the_merge_command
MERGE_PAGES = 500
_MERGE = f"INSERT INTO {TABLE}({TABLE}, rank) VALUES ('merge', -{MERGE_PAGES})"
# FTS5 counts fewer changes than these if there was nothing to merge (the same page).
MERGE_CHANGES_MIN = 2
_TRIGGERS = {
    "chat_message_text_delete": f"AFTER DELETE ON chat_message {_IS_INDEXED} BEGIN"
    f" INSERT INTO {TABLE}({TABLE}, rowid, text) VALUES ('delete', old.id, old.text);{_NOTED} END",
    "chat_message_text_update": f"AFTER UPDATE OF text ON chat_message {_IS_INDEXED} BEGIN"
    f" INSERT INTO {TABLE}({TABLE}, rowid, text) VALUES ('delete', old.id, old.text);"
    f" INSERT INTO {TABLE}(rowid, text) VALUES (new.id, new.text);{_NOTED} END",
}
# Messages that are indexed in one transaction, which keeps other writers of SQLite waiting.
CATCH_UP_BATCH = 500
_CATCH_UP = (
    f"INSERT INTO {TABLE}(rowid, text) SELECT id, text FROM chat_message"
    f" WHERE id > COALESCE((SELECT MAX(id) FROM {INDEXED}), 0) ORDER BY id LIMIT {CATCH_UP_BATCH}"
)
# The expression is the one that Django compares in `icontains`.
_POSTGRESQL = (
    "CREATE EXTENSION IF NOT EXISTS pg_trgm",
    "CREATE INDEX IF NOT EXISTS chat_message_text ON chat_message USING gin (UPPER(text::text) gin_trgm_ops)",
)


def ensure_index(using: str = "default", **_: Any) -> None:
    """Make the index if it is not there. Called by Django after `migrate`; if it cannot be made, search
    reads the texts."""
    made_in = connections[using]
    if "chat_message" not in made_in.introspection.table_names():
        return
    try:
        with transaction.atomic(using=using):
            _ensure_sqlite(made_in) if made_in.vendor == "sqlite" else _run(made_in, *_POSTGRESQL)
    except DatabaseError as error:
        logger.warning("Search works without an index, slowly: %s", error)


def catch_up() -> bool:
    """Index up to CATCH_UP_BATCH messages that are not indexed yet. Return whether some may be left."""
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        # Read first, so that there is no write without new messages.
        newest = "(SELECT MAX(id) FROM chat_message)"
        if not _value(cursor, f"{newest} > COALESCE((SELECT MAX(id) FROM {INDEXED}), 0)"):
            return False
        with transaction.atomic():
            cursor.execute(_CATCH_UP)
            return bool(cursor.rowcount == CATCH_UP_BATCH)


def forget() -> bool:
    """Take deleted texts out of the index, MERGE_PAGES at a time. Return whether some may be left."""
    if connection.vendor != "sqlite":
        return False
    with connection.cursor() as cursor:
        # Read first, so that there is no write without deleted texts.
        if not _value(cursor, f"EXISTS (SELECT 1 FROM {STALE})"):
            return False
        with transaction.atomic():
            before = _value(cursor, "total_changes()")
            cursor.execute(_MERGE)
            is_left = _value(cursor, "total_changes()") - before >= MERGE_CHANGES_MIN
            if not is_left:
                cursor.execute(f"DELETE FROM {STALE}")
            return is_left


def _value(cursor: CursorWrapper, expression: str) -> int:
    cursor.execute(f"SELECT {expression}")
    return int(cursor.fetchone()[0] or 0)


def _ensure_sqlite(made_in: BaseDatabaseWrapper) -> None:
    with made_in.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'chat_message_text%%'", [])
        known: dict[str, str] = dict(cursor.fetchall())
    triggers = {name: f"CREATE TRIGGER {name} {body}" for name, body in _TRIGGERS.items()}
    if known.keys() >= {TABLE, STALE} and triggers.items() <= known.items():
        return
    _run(made_in, f"CREATE TABLE IF NOT EXISTS {STALE} (id INTEGER PRIMARY KEY)")
    if TABLE in known and triggers.keys() <= known.keys():
        # An older release noted no deletions.
        _run(made_in, _NOTE)
    else:
        # An index that lost its triggers has missed changes, so it is made again.
        _run(made_in, f"DROP TABLE IF EXISTS {TABLE}", _SQLITE)
    for name, trigger in triggers.items():
        _run(made_in, f"DROP TRIGGER IF EXISTS {name}", trigger)
    if _IS_SECURE:
        _run(made_in, _SECURE_DELETE)


def _run(made_in: BaseDatabaseWrapper, *statements: str) -> None:
    with made_in.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
