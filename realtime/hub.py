"""The hub of a process: every publication is encoded once and put, by reference, into each local subscriber's outbox.

It knows the offset of each topic it serves. What arrives twice is dropped; where something is missing it is read
from the history once, for all its subscribers, and given to them in order. What cannot be made whole ends the
subscriptions with a push that says so: never silently some.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from realtime.connection import Connection
from realtime.core.history import Position, Publication
from realtime.engine.ports import Bus, BusUnavailableError, Draft, History, Page, Retention, TopicKey
from realtime.fanout import Fanout, Turns
from realtime.frame import Frame
from realtime.outbox import Corks
from realtime.protocol.codec import encode_reply
from realtime.protocol.errors import ErrorCode

logger = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
Unsubscribed = Callable[[Connection, str], None]
# Publications read at once when a gap is filled.
REPAIR_BATCH = 1000


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """A publication on the bus, its frame's text ready to be sent."""

    node: str
    tenant: str
    topic: str
    epoch: str
    offset: int
    text: str


class Subscribed(msgspec.Struct, frozen=True):
    """Where a subscription begins. `publications` is None where what was missed cannot be given completely."""

    position: Position
    publications: list[dict[str, Any]] | None


class LocalTopic:
    """A topic with subscribers in this process. `offset` is the last one they were given."""

    __slots__ = ("epoch", "fanout", "group", "joining", "key", "offset", "repair", "retention")

    def __init__(self, key: TopicKey, group: str, retention: Retention, position: Position) -> None:
        self.key = key
        self.group = group
        self.retention = retention
        self.epoch = position.epoch
        self.offset = position.offset
        self.fanout = Fanout()
        # Connections that are catching up, with what arrived for them meanwhile.
        self.joining: dict[Connection, list[tuple[int, Frame]]] = {}
        self.repair: asyncio.Task[None] | None = None

    @property
    def subscribers(self) -> Mapping[Connection, int]:
        """Each with the offset up to which it has been given everything already."""
        return self.fanout.subscribers


class Hub:
    """Subscriptions and publications of one process. Touched only on its loop."""

    def __init__(
        self,
        node: str,
        history: History,
        bus: Bus,
        spawn: Spawn,
        unsubscribed: Unsubscribed,
        corks: Corks,
    ) -> None:
        """`unsubscribed` is called for every subscription that ends, by its connection or by the server."""
        self._node = node
        self._history = history
        self._bus = bus
        self._spawn = spawn
        self._unsubscribed = unsubscribed
        self._turns = Turns(asyncio.get_running_loop(), corks)
        self._topics: dict[TopicKey, LocalTopic] = {}
        self._by_group: dict[str, LocalTopic] = {}
        self._opening: dict[TopicKey, asyncio.Task[LocalTopic]] = {}

    def topics(self) -> list[LocalTopic]:
        """The topics with subscribers here."""
        return list(self._topics.values())

    async def subscribe(
        self, connection: Connection, topic: str, retention: Retention, since: Position | None
    ) -> Subscribed:
        """Give `connection` all that is published from now on, and what came after `since` where it is asked.

        Between the return and the next await nothing is delivered: the caller's reply comes first.
        """
        key = TopicKey(connection.tenant.slug, topic)
        local = await self._open(key, retention)
        buffer: list[tuple[int, Frame]] = []
        local.joining[connection] = buffer
        try:
            if since is None:
                page = Page(await self._history.position(key), [])
            else:
                page = await self._history.since(key, since, max(retention.size, 1))
        except BaseException:
            del local.joining[connection]
            self._close_if_idle(local)
            raise
        del local.joining[connection]
        if connection.is_closing:
            self._close_if_idle(local)
            return Subscribed(page.position, None)
        subscribed = _catch_up(local, page, buffer)
        local.fanout.join(connection, subscribed.position.offset)
        return subscribed

    def unsubscribe(self, connection: Connection, topic: str) -> bool:
        """Give it no more; False where it was not subscribed."""
        local = self._topics.get(TopicKey(connection.tenant.slug, topic))
        if local is None or connection not in local.subscribers:
            return False
        local.fanout.leave(connection)
        self._unsubscribed(connection, topic)
        self._close_if_idle(local)
        return True

    def drop(self, connection: Connection, topic: str, code: str, reason: str) -> None:
        """End a subscription from the server's side, and say why."""
        if self.unsubscribe(connection, topic):
            connection.push("unsubscribed", {"topic": topic, "code": code, "reason": reason})

    async def publish(self, key: TopicKey, draft: Draft, retention: Retention) -> Position:
        """Number, store and deliver a publication; raises RequestError(conflict) for a reused idempotency key."""
        added = await self._history.add(key, draft, retention)
        publication = added.publication
        if publication is None:
            return added.position
        text = encode_reply(None, "publication", publication.payload())
        local = self._topics.get(key)
        if local is not None:
            self._arrived(local, added.position.epoch, publication.offset, Frame(text))
        carried = Carried(self._node, key.tenant, key.topic, added.position.epoch, publication.offset, text)
        try:
            await self._bus.send(group_name(key), msgspec.msgpack.encode(carried))
        except BusUnavailableError:
            # It is stored: the other nodes read it from the history when they look for gaps.
            logger.warning("The broker is away; a publication reaches other nodes later")
        return added.position

    def received(self, group: str, body: bytes) -> None:
        """Take in what the bus carried."""
        local = self._by_group.get(group)
        if local is None:
            return
        try:
            carried = msgspec.msgpack.decode(body, type=Carried)
        except msgspec.MsgspecError:
            logger.warning("Something that is no publication came over the bus and was dropped")
            return
        if carried.node == self._node or (carried.tenant, carried.topic) != local.key:
            return
        self._arrived(local, carried.epoch, carried.offset, Frame(carried.text))

    async def check(self, local: LocalTopic) -> None:
        """Look whether the history has more than was delivered: the bus may have lost something without a trace."""
        if local.retention.size and local.key in self._topics:
            position = await self._history.position(local.key)
            if position != Position(local.epoch, local.offset):
                self._start_repair(local)

    def _arrived(self, local: LocalTopic, epoch: str, offset: int, frame: Frame) -> None:
        if epoch == local.epoch and offset <= local.offset:
            return
        is_next = epoch == local.epoch and (offset == local.offset + 1 or not local.retention.size)
        if is_next and local.repair is None:
            self._deliver(local, offset, frame)
        else:
            self._start_repair(local)

    def _deliver(self, local: LocalTopic, offset: int, frame: Frame) -> None:
        local.offset = offset
        local.fanout.add(offset, frame)
        self._turns.add(local.fanout)
        for buffer in local.joining.values():
            buffer.append((offset, frame))

    def _start_repair(self, local: LocalTopic) -> None:
        if local.repair is None:
            local.repair = self._spawn(self._repair(local))

    async def _repair(self, local: LocalTopic) -> None:
        try:
            while local.key in self._topics:
                page = await self._history.since(local.key, Position(local.epoch, local.offset), REPAIR_BATCH)
                if page.publications is None:
                    self._lost(local, page.position)
                    return
                for publication in page.publications:
                    if publication.offset == local.offset + 1:
                        self._deliver(local, publication.offset, _frame(publication))
                if local.offset >= page.position.offset:
                    return
        finally:
            local.repair = None

    def _lost(self, local: LocalTopic, position: Position) -> None:
        local.epoch, local.offset = position.epoch, position.offset
        for connection in list(local.subscribers):
            reason = "history was lost: subscribe again and reload"
            self.drop(connection, local.key.topic, ErrorCode.UNRECOVERABLE_POSITION, reason)
        # What was still to be delivered belongs to the epoch that ended.
        local.fanout = Fanout()

    async def _open(self, key: TopicKey, retention: Retention) -> LocalTopic:
        while True:
            local = self._topics.get(key)
            if local is not None:
                return local
            task = self._opening.get(key)
            if task is None:
                task = asyncio.create_task(self._open_now(key, retention))
                self._opening[key] = task
            local = await asyncio.shield(task)
            if self._topics.get(key) is local:
                return local

    async def _open_now(self, key: TopicKey, retention: Retention) -> LocalTopic:
        group = group_name(key)
        try:
            await self._bus.join(group)
            local = LocalTopic(key, group, retention, await self._history.position(key))
        except BaseException:
            self._spawn(self._bus.leave(group))
            raise
        finally:
            del self._opening[key]
        self._topics[key] = local
        self._by_group[group] = local
        return local

    def _close_if_idle(self, local: LocalTopic) -> None:
        if local.subscribers or local.joining or self._topics.get(local.key) is not local:
            return
        del self._topics[local.key]
        del self._by_group[local.group]
        self._spawn(self._bus.leave(local.group))


def group_name(key: TopicKey) -> str:
    """The bus group of a topic: names of any characters and length become ASCII of a fixed length."""
    digest = hashlib.sha256(f"{key.tenant}\0{key.topic}".encode()).hexdigest()
    return f"topic.{digest}"


def _frame(publication: Publication) -> Frame:
    return Frame(encode_reply(None, "publication", publication.payload()))


def _catch_up(
    local: LocalTopic,
    page: Page,
    buffer: list[tuple[int, Frame]],
) -> Subscribed:
    """What the history gave, and what was delivered to others while it was read."""
    position, missed = page.position, page.publications
    late = [(offset, frame) for offset, frame in buffer if offset > position.offset]
    if position.epoch != local.epoch:
        return Subscribed(Position(local.epoch, local.offset), None)
    end = Position(position.epoch, late[-1][0] if late else position.offset)
    if missed is None or (missed and missed[-1].offset != position.offset):
        return Subscribed(end, None)
    publications = [dict(publication.payload()) for publication in missed]
    publications += [msgspec.json.decode(frame.payload)["payload"] for _, frame in late]
    return Subscribed(end, publications)
