"""Watched queries: one look at the database for all who watch the same rows, and the differences to each of them.

A watch looks again at every interval and whenever it is told that a table changed, so that it sees every change:
bulk updates, other processes, raw SQL.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from realtime.connection import Connection
from realtime.core.changes import Change, changes_between
from realtime.core.identity import Tenant
from realtime.database import Database
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.queries import LiveQuery

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Seconds between two looks.
WATCH_INTERVAL_S = 1.0
# Rows one watch keeps in memory: beyond it `limit_exceeded`.
WATCH_ROWS_MAX = 5000

Rows = dict[Any, dict[str, Any]]


class WatchKey(NamedTuple):
    """What makes two watches the same."""

    tenant: str
    query: str
    parameters: bytes


class Watcher(NamedTuple):
    """A connection, and what it calls its query."""

    connection: Connection
    query_id: str


@dataclass(slots=True)
class _Watch:
    tenant: Tenant
    query: LiveQuery
    parameters: msgspec.Struct
    rows: Rows
    watchers: set[Watcher]
    task: "asyncio.Task[None] | None" = None


class Watches:
    """The watched queries of this process. Touched only on its loop."""

    def __init__(self, database: Database, spawn: Spawn) -> None:
        self._database = database
        self._spawn = spawn
        self._watches: dict[WatchKey, _Watch] = {}

    async def watch(
        self, connection: Connection, query_id: str, query: LiveQuery, parameters: msgspec.Struct
    ) -> list[dict[str, Any]]:
        """The rows as they are now; every later difference is pushed to the connection until it unwatches.

        Raises RequestError(limit_exceeded) where there are more than WATCH_ROWS_MAX.
        """
        key = _key(connection.tenant, query, parameters)
        if key not in self._watches:
            rows = await self._database.run(_load, query, connection.tenant, parameters)
            # Another connection may have begun the same watch meanwhile; then its rows are the ones in force.
            if key not in self._watches:
                watch = _Watch(connection.tenant, query, parameters, rows, set())
                self._watches[key] = watch
                watch.task = self._spawn(self._run(key, watch))
        watch = self._watches[key]
        watch.watchers.add(Watcher(connection, query_id))
        return list(watch.rows.values())

    def unwatch(
        self, connection: Connection, query_id: str, query: LiveQuery, parameters: msgspec.Struct
    ) -> None:
        """Push no more."""
        key = _key(connection.tenant, query, parameters)
        watch = self._watches.get(key)
        if watch is None:
            return
        watch.watchers.discard(Watcher(connection, query_id))
        if not watch.watchers:
            del self._watches[key]
            if watch.task is not None:
                watch.task.cancel()

    async def _run(self, key: WatchKey, watch: _Watch) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                rows = await self._database.run(_load, watch.query, watch.tenant, watch.parameters)
            except Exception:
                # The database is away, or the rows became too many: the next look may succeed.
                logger.exception("The watched query %s could not be read", key.query)
                continue
            changes = changes_between(watch.rows, rows)
            watch.rows = rows
            for change in changes:
                for watcher in watch.watchers:
                    watcher.connection.push("change", _payload(watcher.query_id, change))


def _load(query: LiveQuery, tenant: Tenant, parameters: msgspec.Struct) -> Rows:
    found = list(query.rows(tenant, parameters)[: WATCH_ROWS_MAX + 1])
    if len(found) > WATCH_ROWS_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"At most {WATCH_ROWS_MAX} rows can be watched.")
    return {row.pk: query.item(row) for row in found}


def _key(tenant: Tenant, query: LiveQuery, parameters: msgspec.Struct) -> WatchKey:
    return WatchKey(tenant.slug, query.name, msgspec.json.encode(parameters))


def _payload(query_id: str, change: Change) -> dict[str, Any]:
    return {"query_id": query_id, "op": change.op, "item": change.item}
