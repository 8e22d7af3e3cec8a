"""One world of `simulate`: some nodes of the site on a clock of their own, with faults that follow from a seed."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any, ParamSpec, TypeVar

from realtime.conf import load_settings
from realtime.core.position import Position
from realtime.core.slots import Owner
from realtime.core.topics import TopicKey
from realtime.node.ports import only_slug
from realtime.sockets.connection import Connection
from realtime.testing.clock import Clock
from realtime.testing.database import SharedDatabase
from realtime.testing.faults import Dice, FaultyBroker, choose
from realtime.testing.followers import Follower
from realtime.testing.jobs import current_job
from realtime.testing.portal import Opening
from realtime.testing.sites import OWN, PUBSUB, NodeOfTest, TestSite, installed, meet
from realtime.testing.sockets import TestSocket
from realtime.topics.engine.memory import MemoryHistory

P = ParamSpec("P")
R = TypeVar("R")

# Nodes of a world.
NODES = (1, 2, 2, 3)
# Lines of a world's log that are kept, and the most followers of a world.
LOG_LINES = 200
FOLLOWERS_MAX = 1000
# Seconds of the world's time: for a message of a socket, between cuts of connections, and for what was lost to be found.
MESSAGE_S = 60.0
CUT_EVERY_S = 1.0
HEAL_S = 5.0
# Seconds of the world's time that a test may take.
TEST_S = 3600.0
# The longest pause that a world chooses, in seconds.
PAUSE_S = 2.0


class WorldClock(Clock):
    """The clock of a world: time passes by waiting for it."""

    async def advance(self, seconds: float) -> None:
        """As `Clock.advance`."""
        await asyncio.sleep(seconds)


class WorldDatabase(SharedDatabase):
    """Database work that takes time of the world before and after it, and none while it runs."""

    dice: Dice

    async def run_for(self, owner: Owner, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Database.run_for`."""
        await self.dice.pause("database_slow")
        result = await super().run_for(owner, work, *args, **kwargs)
        await self.dice.pause("database_slow")
        return result


class NodeOfWorld(NodeOfTest):
    """A node whose work in threads takes turns with the loop."""

    def submit(self, work: Coroutine[Any, Any, R]) -> "Future[R]":
        """As `Node.submit`; work in a thread waits here for the result."""
        job = current_job()
        if job is None:
            return super().submit(work)
        with self.own_database.others_may_work():
            return job.ask(work)


class SiteOfWorld(TestSite):
    """A node of a world."""

    wait_s = MESSAGE_S

    def __init__(self, world: "World", node: NodeOfWorld, database: WorldDatabase) -> None:
        super().__init__(node, WorldClock(database.settled), database)
        self._world = world

    def new_id(self) -> str:
        """As `TestSite.new_id`: the same in each run."""
        return self._world.new_name()


class World:
    """The argument of a test of `simulate`. All events follow from `seed`.

    `random` is for the choices of the test, `nodes` are the nodes of the site: one to three.
    """

    def __init__(self, seed: int, database: WorldDatabase) -> None:
        self.seed = seed
        self.random = _random(seed, "test")
        # Of its own: one more choice of the test changes no fault.
        self._random = _random(seed, "world")
        self._names = count(1)
        self._dice = database.dice = Dice(_random(seed, "faults"), choose(self._random))
        self._database = database
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._broker = FaultyBroker(self._dice, MemoryHistory(fresh_epoch=self.new_name))
        self.nodes: list[TestSite] = []
        self.followers: list[Follower] = []
        # Errors that were logged, which fail the world. A test that expects one removes it.
        self.errors: list[str] = []

    @property
    def log(self) -> Sequence[str]:
        """The log: each event with its second of the world's time; the last LOG_LINES lines."""
        return self._log

    def say(self, text: str) -> None:
        """Write a line into the log."""
        self._log.append(f"{asyncio.get_running_loop().time():9.3f}  {text}")

    def new_name(self) -> str:
        """Return a name that nothing else in this world has."""
        return f"w{self.seed}n{next(self._names)}"

    def node(self) -> TestSite:
        """Return one of the nodes."""
        return self._random.choice(self.nodes)

    def connect(self, path: str = PUBSUB, **options: Any) -> Opening[TestSocket]:
        """Open a socket on one of the nodes, with the options of `realtime.testing.connect`."""
        return self.node().connect(path, **options)

    def follow(self, topic: str, *, path: str = PUBSUB, tenant: str = "", **options: Any) -> Follower:
        """Follow a topic as a browser does: its connection is cut now and then, and it recovers what it missed.

        At the end of the world a follower must have every publication since it began, in order and once.
        """
        if len(self.followers) >= FOLLOWERS_MAX:
            raise RuntimeError(f"A world has at most {FOLLOWERS_MAX} followers.")
        slug = tenant or only_slug(self.nodes[0].node.directory)
        named = {"tenant": tenant} if tenant else {}
        name = f"follower {len(self.followers) + 1}"
        follower = Follower(name, topic, slug, lambda: self.connect(path, **options, **named), self.say)
        self.followers.append(follower)
        return follower

    async def publish(self, topic: str, data: Any, *, tenant: str = "") -> Position:
        """Publish from one of the nodes."""
        position = await self.node().publish(topic, data, tenant=tenant)
        self.say(f"published {topic} {position.offset}: {data!r}")
        return position

    async def pause(self, seconds: float | None = None) -> None:
        """Let time pass; without `seconds` as much as the world chooses, often none."""
        if seconds is None:
            seconds = self._random.choice((0.0, 0.0, self._random.uniform(0.0, PAUSE_S)))
        await asyncio.sleep(seconds)

    async def heal(self) -> None:
        """End the faults, and give the nodes the time to find what was lost. The world does so at its end, too."""
        self.say("heals")
        self._dice.is_on = False
        for each in self.nodes:
            each.node.sweeps.notice_gap()
        await asyncio.sleep(HEAL_S)

    async def live(
        self, test: Callable[["World"], Coroutine[Any, Any, None]], settings: dict[str, Any]
    ) -> None:
        """Start the nodes, run `test`, and judge what it has left."""
        with self._watched():
            for number in range(self._random.choice(NODES)):
                self.nodes.append(await self._start(f"n{number + 1}", settings))
            with installed(self.nodes[0], self._broker):
                try:
                    await self._live(test)
                finally:
                    for each in self.nodes:
                        await each.node.stop()
                    await self._database.end()
        if self.errors:
            raise AssertionError("Errors were logged: " + "; ".join(self.errors))

    async def _live(self, test: Callable[["World"], Coroutine[Any, Any, None]]) -> None:
        await meet(self.nodes)
        self._dice.is_on = True
        cutting = asyncio.ensure_future(self._cut())
        try:
            await self._run(test)
            await self.heal()
            for each in self.followers:
                history = self.nodes[0].node.history
                each.judge(await history.position(TopicKey(each.tenant, each.topic)))
        finally:
            cutting.cancel()
            for each in self.followers:
                await each.stop()

    async def _run(self, test: Callable[["World"], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.timeout(TEST_S) as limit:
                await test(self)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise AssertionError(
                f"The test has not ended within {TEST_S:g} s of the world's time."
            ) from error

    async def _start(self, name: str, settings: dict[str, Any]) -> TestSite:
        node = NodeOfWorld(load_settings(**(OWN | settings)), self._database, self._broker)
        node.id = name
        await node.ensure_started()
        return SiteOfWorld(self, node, self._database)

    async def _cut(self) -> None:
        while True:
            await asyncio.sleep(CUT_EVERY_S)
            for each in self.followers:
                if self._dice.falls("cut"):
                    each.cut()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Note errors in the log of this package, and give connections the same order in every run."""
        handler = _Errors(self)
        logger = logging.getLogger("realtime")
        before = Connection.__hash__
        setattr(Connection, "__hash__", _hash_of)  # noqa: B010 mypy refuses the assignment
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            setattr(Connection, "__hash__", before)  # noqa: B010 as above


def _random(seed: int, purpose: str) -> Random:
    return Random(f"{seed} {purpose}")  # noqa: S311 a test, no secret


def _hash_of(connection: Connection) -> int:
    return int(connection.id.rpartition("n")[2])


class _Errors(logging.Handler):
    """Notes errors: a handler of the project that raised, or a task that failed."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, line: logging.LogRecord) -> None:
        """Note one."""
        error = line.exc_info[1] if line.exc_info else None
        text = line.getMessage() + (f" ({error!r})" if error else "")
        self._world.say(text)
        self._world.errors.append(text)
