"""The service's link to the nodes: from one of them, or from another process, as a guest on the bus."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, Protocol, TypeVar

import msgspec
from asgiref.sync import sync_to_async
from django.db import connections

from realtime.conf import RealtimeSettings
from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import TopicKey, TopicRules
from realtime.node import node as nodes
from realtime.node import operations
from realtime.node.engine import build_engine
from realtime.node.exchange import Answers, Exchange
from realtime.node.node import Node
from realtime.node.operations import SeePresence
from realtime.node.remote import NO_BROKER
from realtime.protocol.errors import NotInForceError
from realtime.topics.engine.ports import Arrival, Bus, Engine, History

P = ParamSpec("P")
R = TypeVar("R")

# Seconds that a synchronous caller waits for the nodes at most.
CALL_TIMEOUT_S = 10.0
# Publications that wait for the reader of `follow`.
FOLLOWED_MAX = 1000


class Link(Protocol):
    """The nodes, as the service sees them."""

    rules: TopicRules

    @property
    def history(self) -> History:
        """The history that publications are read from."""
        ...

    async def read_all(self, operation: Any) -> Answers:
        """Ask every node what `operation` reads; nodes that do not answer in time are left out."""
        ...

    async def act_all(self, operation: Any) -> Answers:
        """Carry out `operation` on every node, and collect their results."""
        ...

    async def publish(self, tenant: str, topic: str, draft: Draft) -> Position:
        """Publish for the server."""
        ...

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run database work in a thread."""
        ...

    async def presence_of(self, tenant: str, topic: str) -> dict[str, Any]:
        """Return `{users, count}` of a topic, on all nodes."""
        ...


class NodeLink:
    """The link from a node. Used on its event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.rules = node.rules
        self.history = node.history
        self.read_all = node.read_all
        self.act_all = node.act_all
        self.publish = node.publish

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Link.in_db`."""
        return await self._node.database.run(work, *args, **kwargs)

    async def presence_of(self, tenant: str, topic: str) -> dict[str, Any]:
        """As `Link.presence_of`."""
        return self._node.presence.seen(tenant, topic)


class GuestLink:
    """The link from a process that is not a node: a command, a task, a shell. It needs the broker."""

    def __init__(self, settings: RealtimeSettings, history: History, bus: Bus, engine: Engine) -> None:
        self.rules = TopicRules(settings.TOPIC_RULES)
        self._history = history
        self._bus = bus
        self._engine = engine
        self._tasks: set[asyncio.Task[None]] = set()
        self.exchange = Exchange(f"guest-{secrets.token_hex(6)}", bus, self._spawn)

    @property
    def history(self) -> History:
        """As `Link.history`."""
        return self._history

    async def start(self) -> None:
        """Hear answers from now on."""
        await self._bus.start(self._received)
        await self._bus.join(self.exchange.reply_group)

    async def stop(self) -> None:
        """Leave the bus."""
        await self._bus.stop()
        await self._history.close()

    async def read_all(self, operation: Any) -> Answers:
        """As `Link.read_all`. Raises NotInForceError if no node answers."""
        return _answered(await self.exchange.read(operations.encode(operation)))

    async def act_all(self, operation: Any) -> Answers:
        """As `Link.act_all`. Raises NotInForceError if no node answers."""
        return _answered(await self.exchange.act(operations.encode(operation)))

    async def publish(self, tenant: str, topic: str, draft: Draft) -> Position:
        """As `Link.publish`."""
        retention = self.rules.rule(topic).retention
        return (await self._engine.publish(TopicKey(tenant, topic), draft, retention)).position

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Link.in_db`."""
        return await sync_to_async(_run_and_close, thread_sensitive=False)(work, *args, **kwargs)

    async def presence_of(self, tenant: str, topic: str) -> dict[str, Any]:
        """As `Link.presence_of`. Every node knows all users of a topic."""
        answers = await self.read_all(SeePresence(tenant=tenant, topic=topic))
        seen: dict[str, Any] = msgspec.msgpack.decode(answers.bodies()[0])
        return seen

    async def follow(self, key: TopicKey) -> AsyncIterator[str]:
        """Yield the publications of a topic from now on, as JSON; a reader that falls behind misses some.

        Raises RequestError(permission_denied) if the topic's rule keeps its data from operators.
        """
        self.rules.require_operator(key.topic)
        arrived: asyncio.Queue[bytes] = asyncio.Queue(FOLLOWED_MAX)

        def take(arrival: Arrival) -> None:
            if not arrived.full():
                arrived.put_nowait(arrival.payload)

        self._engine.arrived = take
        await self._engine.attach(key)
        while True:
            yield (await arrived.get()).decode()

    def _received(self, group: str, body: bytes) -> None:
        if group == self.exchange.reply_group:
            self.exchange.answered(body)
        else:
            self._engine.on_message(group, body)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class LonelyLink(GuestLink):
    """The link from a process that is not a node, without a broker: only the database can be reached.

    The nodes find changes there within a second. Everything else raises NotInForceError.
    """

    @property
    def history(self) -> History:
        """Raises NotInForceError."""
        raise NotInForceError(NO_BROKER)

    async def stop(self) -> None:
        """There is nothing to leave."""

    async def start(self) -> None:
        """There is nothing to hear."""

    async def read_all(self, operation: Any) -> Answers:
        """Raises NotInForceError."""
        raise NotInForceError(NO_BROKER)

    async def act_all(self, operation: Any) -> Answers:
        """Raises NotInForceError."""
        raise NotInForceError(NO_BROKER)

    async def publish(self, tenant: str, topic: str, draft: Draft) -> Position:
        """Raises NotInForceError."""
        raise NotInForceError(NO_BROKER)

    async def follow(self, key: TopicKey) -> AsyncIterator[str]:
        """Raises NotInForceError."""
        raise NotInForceError(NO_BROKER)
        yield  # makes it a generator, as in the base class


def call(work: Callable[[Link], Coroutine[Any, Any, R]]) -> R:
    """Run `work` with a link to the nodes, from a thread of any process.

    Raises RuntimeError on the event loop, NotInForceError if the nodes cannot be reached.
    """
    node = nodes.current_node()
    if _is_on_loop():
        raise RuntimeError("This would block the event loop; await the variant with the prefix `a` there.")
    if node.serves_here:
        return node.submit(work(NodeLink(node))).result(CALL_TIMEOUT_S)
    return asyncio.run(_as_guest(work, node.settings))


async def acall(work: Callable[[Link], Coroutine[Any, Any, R]]) -> R:
    """As `call`, on an event loop."""
    node = nodes.current_node()
    if not node.serves_here:
        return await _as_guest(work, node.settings)
    if node.loop is asyncio.get_running_loop():
        return await work(NodeLink(node))
    return await asyncio.wrap_future(node.submit(work(NodeLink(node))))


def _is_on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _as_guest(work: Callable[[Link], Awaitable[R]], settings: RealtimeSettings) -> R:
    async with guest(settings) as link:
        return await work(link)


@asynccontextmanager
async def guest(settings: RealtimeSettings) -> AsyncIterator[GuestLink]:
    """Open a link from a process that is not a node."""
    link = (GuestLink if settings.REDIS_URL else LonelyLink)(settings, *build_engine(settings))
    await link.start()
    try:
        yield link
    finally:
        await link.stop()


def _answered(answers: Answers) -> Answers:
    if not answers.is_told:
        raise NotInForceError("The broker cannot be reached, so no node was told.")
    if not answers.finished:
        raise NotInForceError("No node has answered: is a server running with the same REDIS_URL?")
    return answers


def _run_and_close(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    try:
        return work(*args, **kwargs)
    finally:
        # The thread is not Django's: nothing else closes its connections.
        connections.close_all()
