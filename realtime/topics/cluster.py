"""This process among the others: who is alive, what each holds, who is in which topic anywhere.

Every node owns its part of the presence and tells the others of it over the bus, in numbered messages; each beat
says how far the numbers have come. Who missed something asks its owner for a snapshot.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

import msgspec

from realtime.core.liveness import Nodes, NodeState
from realtime.core.presence_table import Changed, Held, Key, PresenceTable, PresentUser, User, UserId
from realtime.topics.engine.ports import Bus, BusUnavailableError

BEAT_S = 2.0
# Changes of a moment go in one message.
GATHER_S = 0.02
# Beyond it they are not told one by one: the others find a number missing and ask for a snapshot.
MAX_PENDING_CHANGES = 10_000
# Graces ended in one go; after so many the loop has its turn.
LAPSES_AT_ONCE = 500
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
    """What has changed in my part, each as it is now."""

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

    `counters` is asked for this node's figures at each beat. `on_presence` is called with every topic in which
    somebody came or left, here or on another node. `clock` gives monotonic seconds, `gather_s` is the seconds for
    which changes are gathered into one message.
    """

    def __init__(
        self,
        node: str,
        bus: Bus,
        *,
        started: str,
        counters: Callable[[], Mapping[str, float]],
        on_presence: Callable[[Key], None],
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
        self._presence = PresenceTable(node)
        self._nodes = Nodes(node, beat_s)
        self._seq = 0
        # Whose state here the others are still to be told; a dict for its order.
        self._changes: dict[tuple[Key, UserId], None] = {}
        self._is_beat_due = False
        # Nodes whose snapshot is wanted here, and nodes that want this one's.
        self._to_ask: dict[str, None] = {}
        self._to_answer: dict[str, None] = {}
        self._has_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # One timer for all graces, and when it is set to.
        self._lapse_timer: asyncio.TimerHandle | None = None
        self._lapse_due_s = 0.0
        self._is_taking_in = False

    async def start(self) -> None:
        """Join the others; what the bus then carries for `is_own_group` must be given to `received`."""
        await self._bus.join(NODES_GROUP)
        await self._bus.join(node_group(self._node))
        self._nodes.heard(self._state(), self._clock())
        self._tasks = [asyncio.create_task(self._keep_beating()), asyncio.create_task(self._keep_sending())]
        self.beat()

    async def stop(self) -> None:
        """Tell the others what has changed last, and that this node is gone: they need not wait for its silence."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._lapse_timer is not None:
            self._lapse_timer.cancel()
            self._lapse_timer = None
        for group, message in self._due():
            await self._send(group, message)
        await self._send(NODES_GROUP, Bye(self._node))
        await self._bus.leave(NODES_GROUP)
        await self._bus.leave(node_group(self._node))

    def is_own_group(self, group: str) -> bool:
        """Whether what comes for this bus group is for `received`."""
        return group in {NODES_GROUP, node_group(self._node)}

    def nodes(self) -> list[NodeState]:
        """The nodes that are alive, this one too, each as of its last beat."""
        return self._nodes.states()

    @property
    def holds_nobody(self) -> bool:
        """Whether nobody is present anywhere, and no grace runs."""
        return self._presence.is_empty

    def users(self, key: Key) -> list[PresentUser]:
        """Who is in a topic on any node, by username."""
        return self._presence.users(key)

    def count(self, key: Key) -> int:
        """How many users are in a topic on any node."""
        return self._presence.count(key)

    def join(self, key: Key, user: User) -> None:
        """One more connection of `user` here."""
        has_changed = self._presence.join(key, user)
        self._tell(key, user.id, has_changed=has_changed)

    def leave(self, key: Key, user: User, *, at_once: bool) -> None:
        """One connection less here, which must have joined. The last one leaves a grace, unless it is `at_once`."""
        has_changed = self._presence.leave(key, user, at_once=at_once, now_s=self._clock())
        self._tell(key, user.id, has_changed=has_changed)
        self._arm_lapse()

    def end_grace(self, key: Key, user_id: UserId) -> None:
        """What ended here before has no grace any more: the user was removed. The other nodes do the same."""
        if self._presence.end_grace(key, user_id):
            self._tell(key, user_id, has_changed=True)

    def lapse(self) -> None:
        """End the graces that are over; called by a timer when one is."""
        self._report(self._presence.lapse(self._clock(), LAPSES_AT_ONCE))

    def beat(self) -> None:
        """Say that this node is alive, and drop those that no longer say it."""
        self._is_beat_due = True
        self._has_work.set()
        for node, last_beat_s in self._nodes.drop_silent(self._clock()):
            logger.warning("Node %s has fallen silent", node)
            self._drop(node, last_beat_s)

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
        now_s = self._clock()
        match message:
            case Changes(node, seq, changes):
                if self._presence.needs_resync(node, seq):
                    self._ask(node)
                self._report(self._presence.apply(node, seq, changes, now_s))
            case Snapshot(node, seq, held):
                self._to_ask.pop(node, None)
                self._report(self._presence.merge(node, seq, held, now_s))
            case Ask(node):
                self._to_answer[node] = None
                self._has_work.set()
            case Bye(node):
                last_beat_s = self._nodes.forget(node)
                self._drop(node, now_s if last_beat_s is None else last_beat_s)

    def _ask(self, node: str) -> None:
        self._to_ask[node] = None
        self._has_work.set()

    def _drop(self, node: str, last_beat_s: float) -> None:
        self._to_ask.pop(node, None)
        self._to_answer.pop(node, None)
        self._report(self._presence.node_gone(node, last_beat_s, self._clock()))

    def _report(self, changed: Changed) -> None:
        """Say what has changed, and see that what is left to be done is done in time."""
        for key in changed:
            self._on_presence(key)
        self._arm_lapse()
        if self._presence.has_news and not self._is_taking_in:
            self._is_taking_in = True
            # Not call_soon: everything that became ready in the meantime goes first.
            asyncio.get_running_loop().call_later(0, self._take_in)

    def _take_in(self) -> None:
        self._is_taking_in = False
        self._report(self._presence.take_in(self._clock()))

    def _tell(self, key: Key, user_id: UserId, *, has_changed: bool) -> None:
        if len(self._changes) >= MAX_PENDING_CHANGES:
            self._changes.clear()
            self._seq += 1
        self._changes[key, user_id] = None
        self._has_work.set()
        if has_changed:
            self._on_presence(key)

    def _arm_lapse(self) -> None:
        next_s = self._presence.next_lapse_s()
        if next_s is None or (self._lapse_timer is not None and self._lapse_due_s <= next_s):
            return
        if self._lapse_timer is not None:
            self._lapse_timer.cancel()
        self._lapse_due_s = next_s
        delay_s = max(next_s - self._clock(), 0)
        self._lapse_timer = asyncio.get_running_loop().call_later(delay_s, self._lapse_now)

    def _lapse_now(self) -> None:
        self._lapse_timer = None
        self.lapse()

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
            now_s = self._clock()
            changes = [self._presence.held(key, user_id, now_s) for key, user_id in self._changes]
            due.append((NODES_GROUP, Changes(self._node, self._seq, changes)))
            self._changes = {}
        if self._to_answer:
            snapshot = Snapshot(self._node, self._seq, self._presence.snapshot(self._clock()))
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
            # Beats go round: a node that does not hear its own is deaf. The rest it knows.
            to_self = isinstance(message, Beat)
            await self._bus.send(group, msgspec.msgpack.encode(message), to_self=to_self)
        except BusUnavailableError as error:
            # Its number is missing to the others; they will ask.
            logger.debug("A message to the other nodes was lost: %s", error)


def node_group(node: str) -> str:
    """The bus group on which one node alone is spoken to."""
    return f"node.{node}"
