"""Watched queries: one look at the database for all who watch the same rows, and the differences to each of them.

Twice a second the database is asked whether anything was committed, by whomever and however: bulk updates, other
processes, raw SQL. Only then are the watches looked at again, in turns between tenants, and never for more than a part of
the time; one that nobody changes costs nothing. Every watch is looked at now and then in any case, for a query that
depends on the time.
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
from realtime.core.identity import Tenant
from realtime.core.scopes import has_scopes
from realtime.core.slots import Owner, owner_of
from realtime.core.turns import in_turns
from realtime.endpoints.queries import LiveQuery
from realtime.node.database import Database
from realtime.node.database_versions import DatabaseVersions
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
# Seconds between two questions whether anything was committed.
WATCH_INTERVAL_S = 0.5
# Seconds after which a watch is looked at although nothing was.
QUIET_INTERVAL_S = 30.0
# Rows one watch keeps in memory: beyond it `limit_exceeded`.
WATCH_ROWS_MAX = 5000
# Queries watched by one connection: beyond it `limit_exceeded`.
WATCHED_MAX = 20
# Watches of a tenant looked at in one visit to the database.
LOOKS_AT_ONCE = 8
# After a visit, looking rests so many times as long as it took: all looks of a process take a fifth of a thread.
REST = 4.0
# What may be over at the next look.
BUSY_CODES = frozenset({ErrorCode.TIMEOUT, ErrorCode.RATE_LIMITED})

Item = dict[str, Any]
Rows = dict[Any, Item]


class WatchKey(NamedTuple):
    """What makes two watches the same."""

    tenant: str
    query: str
    parameters: bytes


@dataclass(eq=False, slots=True)
class Watcher:
    """A connection, and what it calls its query. Counted from before the first await to `Watches.end`."""

    connection: Connection
    query_id: str
    key: WatchKey
    owner: Owner
    # None when it has ended.
    cleanup: Callable[[], None] | None = None
    watch: "Watch | None" = None


@dataclass(eq=False, slots=True)
class Watch:
    """What all its watchers share."""

    tenant: Tenant
    query: LiveQuery
    parameters: msgspec.Struct
    # Done when the first rows are there, or cannot be had.
    first: "asyncio.Future[None]"
    rows: Rows = field(default_factory=dict)
    # Those that have the rows, in the order they came.
    watchers: dict[Watcher, None] = field(default_factory=dict)
    # Those, and those that wait for the first rows.
    count: int = 0
    database: str = ""
    version: Hashable | None = None
    looked_s: float = 0.0


class _Look(NamedTuple):
    rows: Rows
    changes: list[Change]
    database: str


class Watches:
    """The watched queries of this process. Touched only on its loop."""

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
        # By connection and what it calls its query; none where it watches nothing.
        self._watchers: dict[Connection, dict[str, Watcher]] = {}
        self._of_owner: Counter[Owner] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._rows_of_tenant: Counter[str] = Counter()
        # Runs while there is something to watch.
        self._looking: asyncio.Task[None] | None = None
        self._is_away = False

    async def watch(
        self, connection: Connection, query_id: str, query: LiveQuery, parameters: msgspec.Struct
    ) -> list[Item]:
        """The rows as they are now; every later difference is pushed to the connection until the watch ends.

        Raises RequestError(limit_exceeded) where there are too many rows, or too many watches already.
        """
        key = WatchKey(connection.tenant.slug, query.name, msgspec.json.encode(parameters))
        watcher = self._admit(connection, query_id, key)
        try:
            watch = self._watches.get(key) or self._begin(key, connection, query, parameters)
            watcher.watch = watch
            watch.count += 1
            # Shared: that one caller is cancelled is nothing to the others.
            await asyncio.shield(watch.first)
            _require_still(watcher, query)
        except BaseException:
            self.end(watcher)
            raise
        watch.watchers[watcher] = None
        return list(watch.rows.values())

    async def stop(self) -> None:
        """Let go of the database, whose threads have ended."""
        await asyncio.to_thread(self._versions.close)

    def unwatch(self, connection: Connection, query_id: str) -> bool:
        """Push no more; False where the connection watches no such query."""
        watcher = self._watchers.get(connection, {}).get(query_id)
        if watcher is not None:
            self.end(watcher)
        return watcher is not None

    def end(self, watcher: Watcher) -> None:
        """Undo all that hangs on a watcher, however it ends."""
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
        settings, owner = self._settings, owner_of(connection.tenant, connection.identity)
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
        watch = self._watches[key] = Watch(connection.tenant, query, parameters, first)
        self._of_tenant[key.tenant] += 1
        self._spawn(self._load(key, watch, owner_of(connection.tenant, connection.identity)))
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
            # Marks it as seen: all who waited may have gone.
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
            raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"A tenant may watch {most} rows.")
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
        """Look at these; how many seconds it took the thread."""
        try:
            looks, took_s = await self._database.run_for(
                Owner(tenant, "watches"), _look_at, [watch for _, watch in found]
            )
        except RequestError as error:
            # No thread in time: they stay due.
            self._away(error)
            return 0.0
        for (key, watch), look in zip(found, looks, strict=True):
            if self._watches.get(key) is watch:
                self._take(key, watch, look, versions.get(watch.database))
        return took_s

    def _take(self, key: WatchKey, watch: Watch, look: "_Look | Exception", version: Hashable | None) -> None:
        """What a look found: push the differences, or say why there will be none any more."""
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
        except Exception:
            logger.exception("The watched query %s failed, and is watched no more", key.query)
            self._end_all(watch, ErrorCode.INTERNAL, "The query failed.")
        else:
            self._is_away = False
            watch.version = version
            self._push(watch, look.changes)

    def _push(self, watch: Watch, changes: Sequence[Change]) -> None:
        for watcher in list(watch.watchers) if changes else ():
            # A newer credential may say less than the one that was asked.
            if not has_scopes(watcher.connection.identity, watch.query.scopes):
                self._end(watcher, ErrorCode.PERMISSION_DENIED, "no longer allowed")
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
        # Once, not twice a second: the next look may succeed.
        if not self._is_away:
            logger.warning("Watched queries cannot be read now: %s", error)
        self._is_away = True


def _require_still(watcher: Watcher, query: LiveQuery) -> None:
    """While the first rows were read the connection may have been closed, or its rights have shrunk."""
    if watcher.connection.is_closing:
        raise RequestError(ErrorCode.CANCELLED, "The connection is closing.")
    if not has_scopes(watcher.connection.identity, query.scopes):
        raise RequestError(ErrorCode.PERMISSION_DENIED, "This is no longer allowed.")


def _bounded(count: int, most: int, whose: str) -> None:
    if 0 < most <= count:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"{whose} may watch {most} queries.")


def _is_due(watch: Watch, versions: dict[str, Hashable | None], now_s: float) -> bool:
    if not watch.first.done():
        return False
    version = versions.get(watch.database)
    return version is None or version != watch.version or now_s - watch.looked_s >= QUIET_INTERVAL_S


def _look_at(watches: Sequence[Watch]) -> tuple[list["_Look | Exception"], float]:
    """In a thread. One that fails is not the others' business."""
    began_s = monotonic()
    looks: list[_Look | Exception] = []
    for watch in watches:
        try:
            looks.append(_look(watch))
        except Exception as error:
            looks.append(error)
    return looks, monotonic() - began_s


def _look(watch: Watch) -> _Look:
    rows = watch.query.rows(watch.tenant, watch.parameters)
    found = list(rows[: WATCH_ROWS_MAX + 1])
    if len(found) > WATCH_ROWS_MAX:
        raise RequestError(ErrorCode.LIMIT_EXCEEDED, f"At most {WATCH_ROWS_MAX} rows can be watched.")
    items = {row.pk: watch.query.item(row) for row in found}
    # Nobody else changes the rows of a watch while it is looked at.
    return _Look(items, changes_between(watch.rows, items), rows.db)
