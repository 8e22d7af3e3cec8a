"""The broker of a process: connections to its primaries, and calls to the one that owns a partition.

A call is repeated only if the answer proves that it was not carried out, and for a moment: the partition has moved, a
failover is under way, the script is not known. (redis-py's `RedisCluster` repeats a script after a time-out: it is then
carried out twice.) A call whose connection was lost may have been carried out. It is
repeated, once, only if the caller says that this does no harm.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from realtime.core.broker_url import BrokerKind, parse_broker_url
from realtime.topics.engine.broker_connection import (
    BrokerConnection,
    ConnectionLostError,
    NotSentError,
    Place,
    ReplyError,
    connect,
    connection_options,
    is_primary,
)
from realtime.topics.engine.names import Names
from realtime.topics.engine.ports import EngineUnavailableError
from realtime.topics.engine.slot_map import partitions_of, slot_map

logger = logging.getLogger(__name__)

DEADLINE_S = 2.0
# How long a call is repeated, or waits for a server that was lost, in seconds; and the pause between two tries. Short,
# because its caller waits meanwhile, and may have a call for another server, too.
REPEAT_S, REPEAT_PAUSE_S = 0.3, 0.05
# Errors after which the same call may succeed soon: it was not carried out.
_LATER = frozenset({"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN"})
# Errors that name another server: it was not carried out either.
_REDIRECTS = frozenset({"ASK", "MOVED"})


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; `is_read`: it changes nothing that matters, and may be carried out twice."""

    text: str = field(repr=False)
    is_read: bool = True
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


class Broker:
    """Made and used on one event loop. Raises BrokerUrlError for a wrong URL.

    `prefix` begins every key and channel; by default it is that of the URL. A server that has answered nothing for
    `deadline_s` seconds is given up, with all calls that wait for it; the next ones fail within REPEAT_S until it, or
    another in its place, answers. Writes and reads have a connection each to every primary, so that a publication
    waits behind no long read.
    """

    def __init__(self, url: str, *, prefix: str | None = None, deadline_s: float = DEADLINE_S) -> None:
        address = parse_broker_url(url)
        self.names = Names(prefix or address.prefix, partitions_of(address))
        self.deadline_s = deadline_s
        # Marks what this process sends, which it must not take for another's.
        self.id = secrets.token_bytes(8)
        self._options = connection_options(address)
        self.map, self._close_map = slot_map(address, self._options)
        # Another server may take over.
        self._has_others = address.kind is not BrokerKind.SINGLE
        self._connections: dict[tuple[Place, bool], BrokerConnection] = {}
        self._connecting: dict[tuple[Place, bool], asyncio.Task[BrokerConnection]] = {}
        # Servers that were lost, or could not be connected to, until they can.
        self._lost: set[Place] = set()
        self._repeat_s = min(REPEAT_S, deadline_s)
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self.map.on_change.append(self._leave_servers)

    async def run(
        self,
        script: Script,
        partition: int,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
        *,
        is_repeatable: bool = False,
    ) -> Any:
        """Run a script whose keys are in `partition`; raises as `call`."""
        rest = (len(keys), *keys, *arguments)
        is_repeatable = is_repeatable or script.is_read
        options = {"is_read": script.is_read, "is_repeatable": is_repeatable}
        try:
            return await self.call(partition, "EVALSHA", script.sha, *rest, **options)
        except ReplyError as error:
            if error.code != "NOSCRIPT":
                raise
        return await self.call(partition, "EVAL", script.text, *rest, **options)

    async def call(
        self, partition: int, *command: str | bytes | int, is_read: bool = False, is_repeatable: bool = False
    ) -> Any:
        """Return the reply of the server that owns `partition`; reads have a connection of their own.

        Raises ReplyError, NotSentError, and ConnectionLostError if the call may have been carried out; it is repeated
        then if `is_repeatable`.
        """
        clock = asyncio.get_running_loop().time
        end_s: float | None = None
        asked: Place | None = None
        while True:
            try:
                if asked is not None:
                    return await self._ask(asked, command, is_read=is_read)
                connection = await self._connection(partition, is_read=is_read)
                return await connection.call(*command)
            except EngineUnavailableError as error:
                if not self._helps_to_repeat(error, is_repeatable=is_repeatable, is_first=end_s is None):
                    raise
                if end_s is not None and clock() >= end_s:
                    raise
                is_redirected = _code(error) in _REDIRECTS
                asked = self._redirected(partition, str(error)) if is_redirected else None
            # A call that was redirected goes to the other server at once, but not in a circle.
            await asyncio.sleep(0 if is_redirected and end_s is None else REPEAT_PAUSE_S)
            end_s = end_s or clock() + self._repeat_s

    async def has_moved(self, partition: int, before: Place | None) -> bool:
        """Look where a partition is now; return whether that is elsewhere than at `before`, its owner before a call.

        Raises NotSentError if its server is no primary any more, and nobody says yet which one is.
        """
        if not self._has_others:
            return False
        clock = asyncio.get_running_loop().time
        end_s = clock() + self._repeat_s
        while True:
            is_known = await self._look_anew()
            if self.map.owner(partition) != before:
                return True
            if is_known and await self._is_primary(partition):
                return False
            if clock() >= end_s:
                raise NotSentError("Nobody says which server of the broker is the primary.")
            await asyncio.sleep(REPEAT_PAUSE_S)

    async def _is_primary(self, partition: int) -> bool:
        if not self._options.is_primary_asked:
            return True
        return is_primary(await self.call(partition, "INFO", "replication", is_read=True))

    async def connect(self, place: Place, on_push: Callable[[list[Any]], None]) -> BrokerConnection:
        """Return a new connection for subscriptions, which the caller closes; raises NotSentError, ReplyError."""
        return await connect(place, self._options, deadline_s=self.deadline_s, on_push=on_push)

    @property
    def heartbeat(self) -> tuple[str, ...]:
        """The command that asks a server whether it lives, and where it may have become a replica, its role."""
        return ("INFO", "replication") if self._options.is_primary_asked else ("PING",)

    async def close(self) -> None:
        """Close the connections of all calls; later calls fail.

        The connections end before the first wait, so that none stays open if the caller is cancelled.
        """
        self._is_closed = True
        tasks = [task for task in (self._looking, *self._connecting.values()) if task is not None]
        for task in tasks:
            task.cancel()
        connections, self._connections = list(self._connections.values()), {}
        for connection in connections:
            connection.close()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close_map)
            stack.push_async_callback(self.map.close)
            ends = (connection.closed() for connection in connections)
            await asyncio.gather(*tasks, *ends, return_exceptions=True)

    async def _connection(self, partition: int, *, is_read: bool) -> BrokerConnection:
        place = self.map.owner(partition)
        connection = None if place is None else self._connections.get((place, is_read))
        is_usable = connection is not None and connection.is_open
        if self.map.is_overdue:
            if is_usable and self.map.is_stale:
                # Another server's trouble, most likely, or this one says so itself: the call does not wait.
                self._look_soon()
            else:
                await self._look()
                place = self.map.owner(partition)
        if place is None:
            self._suspect()
            raise NotSentError("No server of the broker owns this partition now.")
        return await self._connection_to(place, is_read=is_read)

    async def _connection_to(self, place: Place, *, is_read: bool) -> BrokerConnection:
        connection = self._connections.get((place, is_read))
        if connection is None or not connection.is_open:
            connection = await self._connect((place, is_read))
        await connection.writable()
        return connection

    async def _ask(self, place: Place, command: Sequence[str | bytes | int], *, is_read: bool) -> Any:
        """Call the server to which a partition is being moved."""
        connection = await self._connection_to(place, is_read=is_read)
        connection.call("ASKING").add_done_callback(_seen)
        return await connection.call(*command)

    def _redirected(self, partition: int, text: str) -> Place | None:
        """Take in where an answer sends us (`MOVED 1234 host:port`); return the server to ask, if it is for once."""
        code, slot, address = text.split(" ", 2)
        host, _, port = address.rpartition(":")
        owner = self.map.owner(partition)
        # A server that does not know its own address leaves it empty.
        place = (host or (owner[0] if owner else ""), int(port))
        if code == "ASK":
            return place
        self.map.moved(int(slot), place)
        return None

    def _look_soon(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(_seen)

    def _helps_to_repeat(self, error: EngineUnavailableError, *, is_repeatable: bool, is_first: bool) -> bool:
        """Whether the call was not carried out, or may be carried out twice, and may succeed soon."""
        if isinstance(error, ReplyError):
            is_for_later = error.code in _LATER or error.code in _REDIRECTS
            if is_for_later:
                self._suspect()
            return is_for_later
        self._suspect()
        if isinstance(error, ConnectionLostError):
            return is_repeatable and is_first
        # The only server may have closed a connection that was idle; it can be asked once more.
        return is_first or self._has_others

    def _suspect(self) -> None:
        """Look at the map before the next call, or beside it."""
        if self._has_others:
            self.map.is_stale = True

    async def _look(self) -> None:
        try:
            await self.map.look()
        except NotSentError:
            # The known places may still be right.
            if not self.map.places:
                raise

    async def _look_anew(self) -> bool:
        """Return whether somebody has said where everything is now."""
        try:
            await self.map.look_anew()
        except NotSentError:
            return False
        return True

    async def _connect(self, at: tuple[Place, bool]) -> BrokerConnection:
        """Connect, or wait for a call that connects already."""
        if self._is_closed:
            raise NotSentError("The connections to the broker were closed.")
        task = self._connecting.get(at)
        if task is None:
            task = self._connecting[at] = asyncio.create_task(self._open(at))
            task.add_done_callback(_seen)
        try:
            async with asyncio.timeout(self._repeat_s if at[0] in self._lost else None):
                return await asyncio.shield(task)
        except TimeoutError:
            raise NotSentError("A server of the broker does not answer.") from None

    async def _open(self, at: tuple[Place, bool]) -> BrokerConnection:
        place = at[0]
        try:
            connection = await connect(place, self._options, deadline_s=self.deadline_s)
            await self._require_in_office(place, connection)
        except EngineUnavailableError:
            self._lost.add(place)
            raise
        finally:
            del self._connecting[at]
        self._lost.discard(place)
        connection.on_lost = lambda: self._lost.add(place)
        self._connections[at] = connection
        return connection

    async def _require_in_office(self, place: Place, connection: BrokerConnection) -> None:
        """Look once more before a server that was lost is used again: it may have come back with the data of some time ago,
        and not know yet that another has taken over. Raises NotSentError."""
        if place not in self._lost or not self._has_others:
            return
        try:
            await self._look_anew()
            if place not in self.map.places:
                raise NotSentError("Another server of the broker has taken over.")
        except BaseException:
            connection.close()
            raise

    def _leave_servers(self) -> None:
        """Close the connections to servers that are no primaries any more."""
        for at in [at for at in self._connections if at[0] not in self.map.places]:
            self._connections.pop(at).close()
        self._lost &= self.map.places


def _code(error: EngineUnavailableError) -> str:
    return error.code if isinstance(error, ReplyError) else ""


def _seen(done: "asyncio.Future[Any]") -> None:
    # All callers that waited may have been cancelled.
    if not done.cancelled():
        done.exception()
