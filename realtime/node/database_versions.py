"""Whether anything was committed to a database since one last asked: one short question, whoever wrote and however."""

from collections.abc import Hashable, Iterable

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

IN_MEMORY = ":memory:"


class DatabaseVersions:
    """Asked in a database thread, one thread at a time. A version is only good for comparing with the one before."""

    def __init__(self) -> None:
        # SQLite counts what others committed, for each connection by itself: so that must always be the same one.
        self._connections: dict[str, BaseDatabaseWrapper] = {}
        self._renewed = 0

    def read(self, aliases: Iterable[str]) -> dict[str, Hashable | None]:
        """The version of each database; None where its kind does not tell. Raises what the database raises."""
        return {alias: self._read(alias) for alias in aliases}

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _read(self, alias: str) -> Hashable | None:
        connection = connections[alias]
        if connection.vendor == "postgresql":
            # Every transaction that writes has a number, and is in the snapshot from its beginning or its end on.
            return _ask(connection, "SELECT pg_current_snapshot()::text")
        if connection.vendor == "sqlite" and connection.settings_dict["NAME"] != IN_MEMORY:
            return self._sqlite(alias)
        return None

    def _sqlite(self, alias: str) -> Hashable:
        if alias not in self._connections:
            connection = self._connections[alias] = connections.create_connection(alias)
            # Whichever thread asks next.
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
