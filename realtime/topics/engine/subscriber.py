"""The subscriptions of a process at a broker: one connection to each primary, and each channel asked for where it is.

Messages are hints: what is missed is read from the history. So a channel that may have missed something, because its
connection was lost or its partition moved, is reported when the server has confirmed its subscription again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import uniform
from typing import Any

from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_connection import BrokerConnection, Place, is_primary
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)

# Between two questions whether a server lives (and, under Sentinel, is a primary), in seconds. It is given up if it has
# not answered for a deadline.
HEARTBEAT_S = 1.0
# Until the next try of what failed, in seconds.
RETRY_MIN_S, RETRY_MAX_S = 0.1, 0.5
# Channels in one command.
BATCH = 500
# Seconds that a start waits for the connections, and a caller for the confirmation of its channel. After that they go
# on: the hub reads later what it has missed, so nobody waits for a server that does not answer.
OPEN_WAIT_S = 0.3

OnMessage = Callable[[str, bytes], None]


class _Channel:
    """A channel that is wanted. `link` is the one that was asked for it."""

    __slots__ = ("group", "heard", "is_heard", "link", "may_have_missed", "name", "partition")

    def __init__(self, group: str, partition: int, name: bytes) -> None:
        self.group = group
        self.partition = partition
        self.name = name
        self.link: _Link | None = None
        self.is_heard = False
        self.may_have_missed = False
        # Done when the subscription is confirmed for the first time, or not wanted any more.
        self.heard: asyncio.Future[None] | None = None

    def settle(self) -> None:
        """Wake the callers that wait for the subscription."""
        if self.heard is not None and not self.heard.done():
            self.heard.set_result(None)


class _Link:
    """The connection to one primary."""

    def __init__(self, place: Place, connection: BrokerConnection) -> None:
        self.place = place
        self.connection = connection
        self.channels: set[_Channel] = set()
        self.heartbeat: asyncio.Task[None] | None = None


class Subscriber:
    """`on_message(group, body)` is called with each message, on the loop; `on_heard_again(groups)` when these are
    heard again after they may have missed something."""

    def __init__(
        self, broker: Broker, on_message: OnMessage, on_heard_again: Callable[[Sequence[str]], None]
    ) -> None:
        self._broker = broker
        self._on_message = on_message
        self._on_heard_again = on_heard_again
        self._channels: dict[bytes, _Channel] = {}
        # Those that no server was asked for yet.
        self._unasked: dict[bytes, _Channel] = {}
        self._links: dict[Place, _Link] = {}
        self._opening: dict[Place, asyncio.Task[None]] = {}
        self._heard_again: list[str] = []
        self._is_asking_soon = False
        self._opened = asyncio.Event()
        self._work = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether every primary is connected."""
        places = self._broker.map.places
        return bool(places) and places <= self._links.keys()

    async def start(self) -> None:
        """Begin; returns when every primary is connected, or after OPEN_WAIT_S seconds."""
        self._broker.map.on_change.append(self._work.set)
        self._runner = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(OPEN_WAIT_S):
                await self._opened.wait()
        except TimeoutError:
            logger.warning("The bus cannot reach the broker yet; it keeps trying.")

    async def stop(self) -> None:
        """Leave all channels and close the connections.

        They end before the first wait, so that none stays open if the caller is cancelled.
        """
        self._broker.map.on_change.remove(self._work.set)
        tasks = [task for task in (self._runner, *self._opening.values()) if task is not None]
        for task in tasks:
            task.cancel()
        for channel in self._channels.values():
            channel.settle()
        self._channels.clear()
        self._unasked.clear()
        connections = [link.connection for link in self._links.values()]
        for connection in connections:
            connection.close()
        ends = (connection.closed() for connection in connections)
        await asyncio.gather(*tasks, *ends, return_exceptions=True)

    async def join(self, group: str) -> None:
        """Hear a group from now on; as `Bus.join`."""
        partition, text = self._broker.names.channel(group)
        name = text.encode()
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = self._unasked[name] = _Channel(group, partition, name)
            self._ask_soon()
        if channel.is_heard:
            return
        place = self._broker.map.owner(partition)
        if place not in self._links:
            channel.may_have_missed = True
            return
        if channel.heard is None:
            channel.heard = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(OPEN_WAIT_S):
                await asyncio.shield(channel.heard)
        except TimeoutError:
            channel.may_have_missed = True

    def leave(self, group: str) -> None:
        """Hear a group no more."""
        name = self._broker.names.channel(group)[1].encode()
        channel = self._channels.pop(name, None)
        if channel is None:
            return
        self._unasked.pop(name, None)
        channel.settle()
        if channel.link is not None:
            channel.link.channels.discard(channel)
            left = channel.link.connection.confirmed(b"SUNSUBSCRIBE", [name], _ignore)
            # If it fails, the server has forgotten the channel anyway.
            left.add_done_callback(_seen)

    # Connections

    async def _run(self) -> None:
        retry_s = RETRY_MIN_S
        while True:
            self._work.clear()
            try:
                is_settled = await self._settle()
            except Exception:
                logger.exception("The connections to the broker could not be looked after")
                is_settled = False
            if not is_settled:
                # Whatever happens meanwhile: many reasons are one try.
                # At a time of its own: many processes lost the same server.
                await asyncio.sleep(retry_s * uniform(0.7, 1.0))  # noqa: S311 no secret
                retry_s = min(retry_s * 2, RETRY_MAX_S)
                continue
            retry_s = RETRY_MIN_S
            with suppress(TimeoutError):
                async with asyncio.timeout(self._broker.map.refresh_s):
                    await self._work.wait()

    async def _settle(self) -> bool:
        """Look where the servers are, connect to those that lack a connection, and ask for channels. False: not done."""
        slots = self._broker.map
        if slots.is_due:
            with suppress(EngineUnavailableError):
                await slots.look()
        for link in [link for place, link in self._links.items() if place not in slots.places]:
            link.connection.close()
        for place in slots.places - self._links.keys() - self._opening.keys():
            self._opening[place] = asyncio.create_task(self._open(place))
        self._ask()
        return self.is_open and not self._unasked and not slots.is_stale

    async def _open(self, place: Place) -> None:
        try:
            connection = await self._broker.connect(place, lambda push: self._take(link, push))
        except EngineUnavailableError as error:
            logger.debug("No connection to the broker for messages: %s", error)
            self._broker.map.is_stale = True
            return
        finally:
            del self._opening[place]
        if not connection.is_open:
            return
        link = self._links[place] = _Link(place, connection)
        connection.on_lost = lambda: self._lost(link)
        link.heartbeat = asyncio.create_task(self._watch(link))
        self._ask()
        if self.is_open:
            self._opened.set()

    async def _watch(self, link: _Link) -> None:
        """Close the link if its server is a primary no more; if it does not answer, the connection ends by itself."""
        command = self._broker.heartbeat
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                answer = await link.connection.call(*command)
                if command[0] == "INFO" and not is_primary(answer):
                    logger.warning("A server of the broker has become a replica; its channels move")
                    break
        except EngineUnavailableError as error:
            logger.debug("A server of the broker does not answer: %s", error)
        link.connection.close()

    def _lost(self, link: _Link) -> None:
        if link.heartbeat is not None:
            link.heartbeat.cancel()
        if self._links.get(link.place) is link:
            del self._links[link.place]
        for channel in link.channels:
            self._forget(channel)
        link.channels.clear()
        self._broker.map.is_stale = True
        self._work.set()

    # Channels

    def _take(self, link: _Link, push: list[Any]) -> None:
        kind, name = push[0], push[1]
        channel = self._channels.get(name)
        if channel is None:
            return
        if kind == b"smessage":
            self._on_message(channel.group, push[2])
        elif kind == b"sunsubscribe" and channel.link is link:
            # The partition has left the server.
            link.channels.discard(channel)
            self._forget(channel)
            self._broker.map.is_stale = True
            self._work.set()

    def _forget(self, channel: _Channel) -> None:
        """The channel is not heard any more: it must be asked for again."""
        channel.link = None
        channel.is_heard = False
        channel.may_have_missed = True
        self._unasked[channel.name] = channel

    def _ask_soon(self) -> None:
        """Ask once for all channels that are wanted in this turn of the loop."""
        if not self._is_asking_soon:
            self._is_asking_soon = True
            asyncio.get_running_loop().call_soon(self._ask_now)

    def _ask_now(self) -> None:
        self._is_asking_soon = False
        self._ask()
        if self._unasked:
            self._work.set()

    def _ask(self) -> None:
        """Ask for the channels that no server was asked for, as far as their servers are connected."""
        by_partition: dict[int, list[_Channel]] = defaultdict(list)
        for channel in self._unasked.values():
            by_partition[channel.partition].append(channel)
        for partition, channels in by_partition.items():
            place = self._broker.map.owner(partition)
            link = self._links.get(place) if place is not None else None
            if link is None:
                continue
            for batch in _batches(channels):
                self._subscribe(link, batch)

    def _subscribe(self, link: _Link, channels: Sequence[_Channel]) -> None:
        waiting = {channel.name: channel for channel in channels}
        for channel in channels:
            channel.link = link
            link.channels.add(channel)
            del self._unasked[channel.name]

        def confirmed(name: bytes) -> None:
            self._confirmed(waiting.pop(name))

        def done(answer: "asyncio.Future[Any]") -> None:
            if answer.exception() is not None:
                self._refused(link, list(waiting.values()))

        link.connection.confirmed(b"SSUBSCRIBE", list(waiting), confirmed).add_done_callback(done)

    def _confirmed(self, channel: _Channel) -> None:
        if self._channels.get(channel.name) is not channel:
            return
        channel.is_heard = True
        channel.settle()
        if channel.may_have_missed:
            channel.may_have_missed = False
            if not self._heard_again:
                asyncio.get_running_loop().call_soon(self._tell)
            self._heard_again.append(channel.group)

    def _tell(self) -> None:
        groups, self._heard_again = self._heard_again, []
        self._on_heard_again(groups)

    def _refused(self, link: _Link, channels: Sequence[_Channel]) -> None:
        """The server owns the partition no more, or forbids it; or the link was lost, which `_lost` has handled."""
        for channel in channels:
            if channel.link is link and self._channels.get(channel.name) is channel:
                link.channels.discard(channel)
                self._forget(channel)
        self._broker.map.is_stale = True
        self._work.set()


def _batches(channels: Sequence[_Channel]) -> Iterator[Sequence[_Channel]]:
    for at in range(0, len(channels), BATCH):
        yield channels[at : at + BATCH]


def _ignore(_name: bytes) -> None:
    return


def _seen(left: "asyncio.Future[Any]") -> None:
    if not left.cancelled():
        left.exception()
