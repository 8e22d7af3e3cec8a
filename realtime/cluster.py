"""This process among the others: who is alive, what each holds, who is in which topic anywhere.

Every node owns its part of the presence and tells the others of it over the bus, in numbered messages; each beat
says how far the numbers have come. Who missed something asks its owner for a snapshot.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from realtime.core.nodes import Nodes, NodeState
from realtime.core.presence import Diff, Held, Key, Presence, PresentUser, User
from realtime.engine.ports import Bus, BusUnavailableError

BEAT_S = 2.0
# Changes of a moment go in one message.
GATHER_S = 0.02
# Beyond it they are not told one by one: the others find a number missing and ask for a snapshot.
MAX_PENDING_CHANGES = 10_000
NODES_GROUP = "nodes"

logger = logging.getLogger(__name__)


class _Message(msgspec.Struct, frozen=True, tag=True):
    node: str


class Beat(_Message, frozen=True):
    """I am alive; `seq` is the number of my last `Changes`."""

    started: str
    seq: int
    counters: dict[str, float]


class Changes(_Message, frozen=True):
    """What became of my part; `connections` are differences."""

    seq: int
    changes: list[Held]


class Ask(_Message, frozen=True):
    """I missed something of yours (sent to your own group)."""


class Snapshot(_Message, frozen=True):
    """All my part after my message `seq` (sent to the group of whoever asked)."""

    seq: int
    held: list[Held]


class Bye(_Message, frozen=True):
    """I end."""


_decoder = msgspec.msgpack.Decoder(Beat | Changes | Ask | Snapshot | Bye)


class Cluster:
    """The nodes as this one sees them. Touched only on its loop; the bus is started and stopped by whoever made it.

    `counters` is asked for this node's figures at each beat. `on_presence` is called with what changed on other
    nodes; what changes here is returned to whoever changes it. `clock` gives monotonic seconds, `gather_s` is the
    seconds for which changes are gathered into one message.
    """

    def __init__(
        self,
        node: str,
        bus: Bus,
        *,
        started: str,
        counters: Callable[[], Mapping[str, float]],
        on_presence: Callable[[Diff], None],
        clock: Callable[[], float] = time.monotonic,
        beat_s: float = BEAT_S,
        gather_s: float = GATHER_S,
    ) -> None:
        self._node = node
        self._bus = bus
        self._started = started
        self._counters = counters
        self._on_presence = on_presence
        self._clock = clock
        self._beat_s = beat_s
        self._gather_s = gather_s
        self._presence = Presence()
        self._nodes = Nodes(node, beat_s)
        self._seq = 0
        self._changes: list[Held] = []
        self._is_beat_due = False
        # Nodes whose snapshot is wanted here, and nodes that want this one's.
        self._to_ask: set[str] = set()
        self._to_answer: set[str] = set()
        self._has_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the others; what the bus then carries for `is_own_group` must be given to `received`."""
        await self._bus.join(NODES_GROUP)
        await self._bus.join(node_group(self._node))
        self._nodes.heard(self._state(), self._clock())
        self._tasks = [asyncio.create_task(self._keep_beating()), asyncio.create_task(self._keep_sending())]
        self.beat()

    async def stop(self) -> None:
        """Tell the others that this node is gone, so that they need not wait for its silence."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._send(NODES_GROUP, Bye(self._node))
        await self._bus.leave(NODES_GROUP)
        await self._bus.leave(node_group(self._node))

    def is_own_group(self, group: str) -> bool:
        """Whether what comes for this bus group is for `received`."""
        return group in {NODES_GROUP, node_group(self._node)}

    def nodes(self) -> list[NodeState]:
        """The nodes that are alive, this one too, each as of its last beat."""
        return self._nodes.states()

    def users(self, key: Key) -> list[PresentUser]:
        """Who is in a topic on any node, by username."""
        return self._presence.users(key)

    def join(self, key: Key, user: User) -> Diff | None:
        """One more connection of `user` here; the change, where it is the first anywhere."""
        self._tell(key, user, 1)
        return self._presence.join(self._node, key, user)

    def leave(self, key: Key, user: User) -> Diff | None:
        """One connection less here, which must have joined; the change, where it was the last anywhere."""
        self._tell(key, user, -1)
        return self._presence.leave(self._node, key, user)

    def beat(self) -> None:
        """Say that this node is alive, and drop those that no longer say it."""
        self._is_beat_due = True
        self._has_work.set()
        for node in self._nodes.drop_silent(self._clock()):
            logger.warning("Node %s has fallen silent", node)
            self._drop(node)

    def received(self, body: bytes) -> None:
        """Take in what the bus carried for this node."""
        try:
            message = _decoder.decode(body)
        except msgspec.MsgspecError:
            logger.warning("Something that no node says came over the bus and was dropped")
            return
        if isinstance(message, Beat):
            self._take_beat(message)
        elif message.node != self._node and self._nodes.knows(message.node):
            self._take(message)

    def _take_beat(self, beat: Beat) -> None:
        is_new = self._nodes.heard(NodeState(beat.node, beat.started, beat.counters), self._clock())
        if beat.node == self._node:
            return
        if is_new:
            # It should not have to wait for this node's next beat.
            self._is_beat_due = True
            self._has_work.set()
        if self._presence.needs_resync(beat.node, beat.seq + 1):
            self._ask(beat.node)

    def _take(self, message: Changes | Ask | Snapshot | Bye) -> None:
        match message:
            case Changes(node, seq, changes):
                if self._presence.needs_resync(node, seq):
                    self._ask(node)
                self._report(self._presence.apply(node, seq, changes))
            case Snapshot(node, seq, held):
                self._to_ask.discard(node)
                self._report(self._presence.merge(node, seq, held))
            case Ask(node):
                self._to_answer.add(node)
                self._has_work.set()
            case Bye(node):
                self._nodes.forget(node)
                self._drop(node)

    def _ask(self, node: str) -> None:
        self._to_ask.add(node)
        self._has_work.set()

    def _drop(self, node: str) -> None:
        self._to_ask.discard(node)
        self._to_answer.discard(node)
        self._report(self._presence.drop_node(node))

    def _report(self, diffs: list[Diff]) -> None:
        for diff in diffs:
            self._on_presence(diff)

    def _tell(self, key: Key, user: User, connections: int) -> None:
        if len(self._changes) >= MAX_PENDING_CHANGES:
            self._changes.clear()
            self._seq += 1
        self._changes.append(Held(*key, user.id, user.username, connections))
        self._has_work.set()

    def _state(self) -> NodeState:
        return NodeState(self._node, self._started, dict(self._counters()))

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                self.beat()
            except Exception:
                logger.exception("A beat failed")

    async def _keep_sending(self) -> None:
        # One task sends everything, so that numbers arrive in order.
        while True:
            await self._has_work.wait()
            await asyncio.sleep(self._gather_s)
            self._has_work.clear()
            try:
                for group, message in self._due():
                    await self._send(group, message)
            except Exception:
                logger.exception("What this node has to say could not be put together")

    def _due(self) -> list[tuple[str, _Message]]:
        """All there is to say, taken at one moment: a snapshot holds the changes before it, and no others."""
        due: list[tuple[str, _Message]] = []
        if self._changes:
            self._seq += 1
            due.append((NODES_GROUP, Changes(self._node, self._seq, self._changes)))
            self._changes = []
        if self._to_answer:
            snapshot = Snapshot(self._node, self._seq, self._presence.snapshot(self._node))
            due += [(node_group(asker), snapshot) for asker in sorted(self._to_answer)]
            self._to_answer.clear()
        due += [(node_group(owner), Ask(self._node)) for owner in sorted(self._to_ask)]
        self._to_ask.clear()
        if self._is_beat_due:
            self._is_beat_due = False
            state = self._state()
            due.append((NODES_GROUP, Beat(state.node, state.started, self._seq, dict(state.counters))))
        return due

    async def _send(self, group: str, message: _Message) -> None:
        try:
            await self._bus.send(group, msgspec.msgpack.encode(message), to_self=True)
        except BusUnavailableError as error:
            # Its number is missing to the others; they will ask.
            logger.debug("A message to the other nodes was lost: %s", error)


def node_group(node: str) -> str:
    """The bus group on which one node alone is spoken to."""
    return f"node.{node}"
