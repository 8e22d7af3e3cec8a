"""Detects whether anything was committed to a database since the last check, with one short query each."""

from collections.abc import Hashable, Iterable

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

IN_MEMORY = ":memory:"


class DatabaseVersions:
    """Used in a database thread, by one thread at a time. A version can only be compared
    with the one read before."""

    def __init__(self) -> None:
        # SQLite's `data_version` is relative to a connection, so the same connection must be used every time.
        self._connections: dict[str, BaseDatabaseWrapper] = {}
        self._renewed = 0

    def read(self, aliases: Iterable[str]) -> dict[str, Hashable | None]:
        """The version of each database; None if its kind has none. Raises the database's errors."""
        return {alias: self._read(alias) for alias in aliases}

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _read(self, alias: str) -> Hashable | None:
        connection = connections[alias]
        if connection.vendor == "postgresql":
            # Each writing transaction has an id; the snapshot changes when one begins or ends.
            return _ask(connection, "SELECT pg_current_snapshot()::text")
        if connection.vendor == "sqlite" and connection.settings_dict["NAME"] != IN_MEMORY:
            return self._sqlite(alias)
        return None

    def _sqlite(self, alias: str) -> Hashable:
        if alias not in self._connections:
            connection = self._connections[alias] = connections.create_connection(alias)
            # The next call may come from another thread.
            connection.inc_thread_sharing()
            self._renewed += 1
        try:
            return self._renewed, _ask(self._connections[alias], "PRAGMA data_version")
        except Exception:
            self._connections.pop(alias).close()
            raise


def _ask(connection: BaseDatabaseWrapper, question: str) -> Hashable:
    with connection.cursor() as cursor:
        cursor.execute(question)
        [answer] = cursor.fetchone()
    value: Hashable = answer
    return value
