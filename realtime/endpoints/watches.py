"""Watched queries: each different query is read once for all of its watchers, which are sent the changes.

Twice a second the database is asked whether anything was committed. That finds every kind of write: bulk
updates, other processes, raw SQL. Only after a commit are the queries read again. Tenants take turns, and
reading is paused for most of the time. Without commits, each watch is still read every 30 s, because a query
may depend on the time.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from django.db import Error as DatabaseFailure
from django.db import InterfaceError, OperationalError

from realtime.conf import RealtimeSettings
from realtime.core.changes import Change, changes_between
from realtime.core.identity import Identity, Tenant
from realtime.core.slots import Owner, owner_of
from realtime.core.turns import in_turns
from realtime.endpoints.queries import Asker, LiveQuery
from realtime.node.database import Database
from realtime.node.database_versions import DatabaseVersions
from realtime.node.failures import known_error
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Seconds between two checks for new commits.
WATCH_INTERVAL_S = 0.5
# Seconds after which a watch is read again even if nothing was committed.
QUIET_INTERVAL_S = 30.0
# Rows that one watch keeps in memory; beyond it `limit_exceeded`.
WATCH_ROWS_MAX = 5000
# Queries that one connection may watch; beyond it `limit_exceeded`.
WATCHED_MAX = 20
# Watches of a tenant that are read in one database job.
LOOKS_AT_ONCE = 8
# After a job, the loop sleeps for this many times the job's duration: reading takes a fifth of one thread at
# most.
REST = 4.0
# Errors that may have passed by the next read.
BUSY_CODES = frozenset({ErrorCode.TIMEOUT, ErrorCode.RATE_LIMITED})

Item = dict[str, Any]
Rows = dict[Any, Item]


class WatchKey(NamedTuple):
    """Connections whose keys are equal share one watch."""

    tenant: str
    query: str
    parameters: bytes
    asker: Asker


@dataclass(eq=False, slots=True)
class Watcher:
    """A connection and its own name for a query. Counted from before the first await until `Watches.end`."""

    connection: Connection
    query_id: str
    key: WatchKey
    owner: Owner
    # None after the end.
    cleanup: Callable[[], None] | None = None
    watch: "Watch | None" = None


@dataclass(eq=False, slots=True)
class Watch:
    """A query and its rows, shared by all of its watchers."""

    tenant: Tenant
    # Of the connection that began the watch.
    identity: Identity | None
    query: LiveQuery
    parameters: msgspec.Struct
    # Done when the first rows have been read, or the read has failed.
    first: "asyncio.Future[None]"
    rows: Rows = field(default_factory=dict)
    # The watchers that have the rows, in order of arrival.
    watchers: dict[Watcher, None] = field(default_factory=dict)
    # Those watchers, and the ones that still wait for the first rows.
    count: int = 0
    database: str = ""
    version: Hashable | None = None
    looked_s: float = 0.0


class _Look(NamedTuple):
    rows: Rows
    changes: list[Change]
    database: str


class Watches:
    """The watched queries of this process. Use it on the event loop only."""

    def __init__(
        self,
        database: Database,
        spawn: Spawn,
        settings: RealtimeSettings,
        versions: DatabaseVersions | None = None,
    ) -> None:
        self._database = database
        self._spawn = spawn
        self._settings = settings
        self._versions = versions or DatabaseVersions()
        self._watches: dict[WatchKey, Watch] = {}
        # By connection, then by its name for the query. A connection that watches nothing has no entry.
        self._watchers: dict[Connection, dict[str, Watcher]] = {}
        self._of_owner: Counter[Owner] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._rows_of_tenant: Counter[str] = Counter()
        # Runs while there are watches.
        self._looking: asyncio.Task[None] | None = None
        self._is_away = False

    async def watch(
        self, connection: Connection, query_id: str, query: LiveQuery, parameters: msgspec.Struct
    ) -> list[Item]:
        """Return the current rows. Every later change is pushed to the connection until the watch ends.

        Raises RequestError(limit_exceeded) if there are too many rows or too many watches.
        """
        asker = query.asker(connection.identity)
        key = WatchKey(connection.tenant.slug, query.name, msgspec.json.encode(parameters), asker)
        watcher = self._admit(connection, query_id, key)
        try:
            watch = self._watches.get(key) or self._begin(key, connection, query, parameters)
            watcher.watch = watch
            watch.count += 1
            # The future is shared: cancelling one caller must not cancel it for the others.
            await asyncio.shield(watch.first)
            _require_still(watcher, query)
        except BaseException:
            self.end(watcher)
            raise
        watch.watchers[watcher] = None
        return list(watch.rows.values())

    async def stop(self) -> None:
        """Close the database connections. Call it after the database threads have ended."""
        await asyncio.to_thread(self._versions.close)

    def unwatch(self, connection: Connection, query_id: str) -> bool:
        """Stop pushing changes; return False if the connection does not watch this query."""
        watcher = self._watchers.get(connection, {}).get(query_id)
        if watcher is not None:
            self.end(watcher)
        return watcher is not None

    def end(self, watcher: Watcher) -> None:
        """Undo everything that `watch` registered for this watcher. Every way to end goes through here."""
        cleanup, watcher.cleanup = watcher.cleanup, None
        if cleanup is None:
            return
        watcher.connection.off_release(cleanup)
        watching = self._watchers[watcher.connection]
        del watching[watcher.query_id]
        if not watching:
            del self._watchers[watcher.connection]
        self._of_owner[watcher.owner] -= 1
        if not self._of_owner[watcher.owner]:
            del self._of_owner[watcher.owner]
        watch = watcher.watch
        if watch is not None:
            watch.watchers.pop(watcher, None)
            watch.count -= 1
            if not watch.count:
                self._forget(watcher.key, watch)

    def _admit(self, connection: Connection, query_id: str, key: WatchKey) -> Watcher:
        settings, owner = self._settings, _owner_of(connection)
        _bounded(len(self._watchers.get(connection, ())), WATCHED_MAX, "A connection")
        _bounded(self._of_owner[owner], settings.MAX_WATCHES_PER_USER, "A user")
        if key not in self._watches:
            _bounded(self._of_tenant[key.tenant], settings.MAX_WATCHES_PER_TENANT, "A tenant")
        watcher = Watcher(connection, query_id, key, owner)
        watcher.cleanup = lambda: self.end(watcher)
        connection.on_release(watcher.cleanup)
        self._watchers.setdefault(connection, {})[query_id] = watcher
        self._of_owner[owner] += 1
        return watcher

    def _begin(
        self, key: WatchKey, connection: Connection, query: LiveQuery, parameters: msgspec.Struct
    ) -> Watch:
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch = self._watches[key] = Watch(connection.tenant, connection.identity, query, parameters, first)
        self._of_tenant[key.tenant] += 1
        self._spawn(self._load(key, watch, _owner_of(connection)))
        return watch

    async def _load(self, key: WatchKey, watch: Watch, owner: Owner) -> None:
        try:
            [look], _ = await self._database.run_for(owner, _look_at, [watch])
            if isinstance(look, Exception):
                raise look
            self._keep(key, watch, look)
        except asyncio.CancelledError:
            watch.first.cancel()
            raise
        except Exception as error:
            self._forget(key, watch)
            watch.first.set_exception(error)
            # Marks the exception as retrieved, in case no caller waits any more.
            watch.first.exception()
            return
        watch.first.set_result(None)
        if self._looking is None and self._watches:
            self._looking = self._spawn(self._look_again())

    def _forget(self, key: WatchKey, watch: Watch) -> None:
        if self._watches.get(key) is not watch:
            return
        del self._watches[key]
        self._rows_of_tenant[key.tenant] -= len(watch.rows)
        self._of_tenant[key.tenant] -= 1
        if not self._of_tenant[key.tenant]:
            del self._of_tenant[key.tenant], self._rows_of_tenant[key.tenant]

    def _keep(self, key: WatchKey, watch: Watch, look: _Look) -> None:
        if self._watches.get(key) is not watch:
            return
        rows = self._rows_of_tenant[key.tenant] - len(watch.rows) + len(look.rows)
        most = self._settings.MAX_WATCHED_ROWS_PER_TENANT
        if 0 < most < rows:
            raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"A tenant may watch at most {most} rows.")
        self._rows_of_tenant[key.tenant] = rows
        watch.rows, watch.database, watch.looked_s = look.rows, look.database, monotonic()

    async def _look_again(self) -> None:
        try:
            while self._watches:
                await asyncio.sleep(WATCH_INTERVAL_S)
                await self._look_round()
        finally:
            self._looking = None

    async def _look_round(self) -> None:
        databases = {watch.database for watch in self._watches.values() if watch.database}
        try:
            versions = await self._database.run(self._versions.read, databases)
        except (RequestError, DatabaseFailure) as error:
            self._away(error)
            return
        now_s = monotonic()
        due = [(key.tenant, key) for key, watch in self._watches.items() if _is_due(watch, versions, now_s)]
        for tenant, keys in in_turns(due, LOOKS_AT_ONCE):
            found = [(key, watch) for key in keys if (watch := self._watches.get(key)) is not None]
            took_s = await self._visit(tenant, found, versions)
            await asyncio.sleep(took_s * REST)

    async def _visit(
        self, tenant: str, found: Sequence[tuple[WatchKey, Watch]], versions: dict[str, Hashable | None]
    ) -> float:
        """Read these watches; return how many seconds the thread took."""
        try:
            looks, took_s = await self._database.run_for(
                Owner(tenant, "watches"), _look_at, [watch for _, watch in found]
            )
        except RequestError as error:
            # No thread was free in time. The watches stay due.
            self._away(error)
            return 0.0
        for (key, watch), look in zip(found, looks, strict=True):
            if self._watches.get(key) is watch:
                self._take(key, watch, look, versions.get(watch.database))
        return took_s

    def _take(self, key: WatchKey, watch: Watch, look: "_Look | Exception", version: Hashable | None) -> None:
        """Push the changes that a read found.

        After a permanent error, end the watch and tell its watchers why.
        """
        try:
            if isinstance(look, Exception):
                raise look
            self._keep(key, watch, look)
        except (OperationalError, InterfaceError) as error:
            self._away(error)
        except RequestError as error:
            if error.code in BUSY_CODES:
                self._away(error)
            else:
                self._end_all(watch, error.code, error.message)
        except Exception as error:
            self._failed(key, watch, error)
        else:
            self._is_away = False
            watch.version = version
            try:
                self._push(watch, look.changes)
            except (TypeError, ValueError) as error:
                # An item that JSON cannot hold.
                self._failed(key, watch, error)

    def _failed(self, key: WatchKey, watch: Watch, error: Exception) -> None:
        """End a watch after an exception of its query, and tell its watchers why."""
        known = known_error(error)
        if known is None:
            logger.error(
                "The watched query %r of tenant %s failed and is no longer watched",
                key.query,
                key.tenant,
                exc_info=error,
            )
            known = RequestError(ErrorCode.INTERNAL, "The query failed.")
        self._end_all(watch, known.code, known.message)

    def _push(self, watch: Watch, changes: Sequence[Change]) -> None:
        for watcher in list(watch.watchers) if changes else ():
            # The connection may have refreshed its credential since the watch began.
            try:
                _require_same(watcher, watch.query)
            except RequestError as error:
                self._end(watcher, error.code, error.message)
                continue
            for change in changes:
                payload = {"query_id": watcher.query_id, "op": change.op, "item": change.item}
                watcher.connection.push("change", payload)

    def _end_all(self, watch: Watch, code: ErrorCode, reason: str) -> None:
        for watcher in list(watch.watchers):
            self._end(watcher, code, reason)

    def _end(self, watcher: Watcher, code: ErrorCode, reason: str) -> None:
        self.end(watcher)
        payload = {"query_id": watcher.query_id, "code": code.value, "reason": reason}
        watcher.connection.push("unwatched", payload)

    def _away(self, error: Exception) -> None:
        # Logged once, not at every attempt.
        if not self._is_away:
            logger.warning("Watched queries cannot be read now: %s", error)
        self._is_away = True


def _require_still(watcher: Watcher, query: LiveQuery) -> None:
    """Check again: the connection may have closed or lost a scope while the first rows were read."""
    if watcher.connection.is_closing:
        raise RequestError(ErrorCode.CANCELLED, "The connection is closing.")
    _require_same(watcher, query)


def _owner_of(connection: Connection) -> Owner:
    return owner_of(connection.tenant, connection.identity, connection.address)


def _require_same(watcher: Watcher, query: LiveQuery) -> None:
    identity = watcher.connection.identity
    query.require(identity)
    if query.asker(identity) != watcher.key.asker:
        raise RequestError(ErrorCode.PERMISSION_DENIED, "Your rights have changed; ask again.")


def _bounded(count: int, most: int, whose: str) -> None:
    if 0 < most <= count:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"{whose} may watch at most {most} queries.")


def _is_due(watch: Watch, versions: dict[str, Hashable | None], now_s: float) -> bool:
    if not watch.first.done():
        return False
    version = versions.get(watch.database)
    return version is None or version != watch.version or now_s - watch.looked_s >= QUIET_INTERVAL_S


def _look_at(watches: Sequence[Watch]) -> tuple[list["_Look | Exception"], float]:
    """Read the watches, in a database thread. The error of one watch does not stop the others."""
    began_s = monotonic()
    looks: list[_Look | Exception] = []
    for watch in watches:
        try:
            looks.append(_look(watch))
        except Exception as error:
            looks.append(error)
    return looks, monotonic() - began_s


def _look(watch: Watch) -> _Look:
    rows = watch.query.rows(watch.tenant, watch.identity, watch.parameters)
    found = list(rows[: WATCH_ROWS_MAX + 1])
    if len(found) > WATCH_ROWS_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"At most {WATCH_ROWS_MAX} rows can be watched.")
    items = watch.query.items(found)
    # Safe outside the loop: nothing changes the rows of a watch while it is being read.
    return _Look(items, changes_between(watch.rows, items), rows.db)
