"""The nodes as this one sees them: which are alive, their figures, and the users in each topic on any node.

Every node owns its part of the presence and tells the others about changes over the bus, in numbered
messages. Each beat carries the number of the last message. A node that missed a
message asks the owner for a snapshot.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from realtime.core.figures import Figures, Ledger
from realtime.core.identity import UserId
from realtime.core.liveness import Nodes, NodeState
from realtime.core.presence_table import Changed, Held, Key, PresenceTable, PresentUser, User
from realtime.topics.engine.ports import Bus, BusUnavailableError

BEAT_S = 2.0
# Changes within this many seconds after a message go into the next one.
GATHER_S = 0.02
# Seconds for the last messages of a node that stops. Without them the others notice that it sends no beats.
GOODBYE_S = 1.0
# Beyond this many, changes are dropped: the others notice a missing number and ask for a snapshot.
MAX_PENDING_CHANGES = 10_000
# Graces ended in one step; after that many, the event loop handles other work.
LAPSES_AT_ONCE = 500
NODES_GROUP = "nodes"

logger = logging.getLogger(__name__)


class _Message(msgspec.Struct, frozen=True, tag=True):
    node: str


class Beat(_Message, frozen=True):
    """I am alive; `seq` is the number of my last `Changes`. `ledger` is for nodes that are new; `site` says whose I am."""

    started: str
    seq: int
    figures: Figures
    ledger: Ledger | None = None
    site: str = ""


class Changes(_Message, frozen=True):
    """The changed entries of my part, each with its current state."""

    seq: int
    changes: list[Held]


class Ask(_Message, frozen=True):
    """I missed one of your messages (sent to your own group)."""


class Snapshot(_Message, frozen=True):
    """My whole part after my message `seq` (sent to the group of the node that asked)."""

    seq: int
    held: list[Held]


class Bye(_Message, frozen=True):
    """This node stops; its last figures."""

    figures: Figures


_decoder = msgspec.msgpack.Decoder(Beat | Changes | Ask | Snapshot | Bye)


class Cluster:
    """The nodes as this one sees them. Used only on its event loop; the caller starts and stops the bus.

    `figures` is called at each beat and returns this node's figures. `on_presence` is called with every
    topic that a user has joined or left, here or on another node. `clock` returns monotonic seconds.
    `gather_s` is how long, in seconds, changes are collected after a message for the next one. `site` is the same text
    on all nodes of a site; "" is not compared.
    """

    def __init__(
        self,
        node: str,
        bus: Bus,
        *,
        started: str,
        figures: Callable[[], Figures],
        on_presence: Callable[[Key], None],
        clock: Callable[[], float] = time.monotonic,
        beat_s: float = BEAT_S,
        gather_s: float = GATHER_S,
        site: str = "",
    ) -> None:
        self._node = node
        self._site = site
        self._bus = bus
        self._started = started
        self._figures = figures
        self._on_presence = on_presence
        self._clock = clock
        self._beat_s = beat_s
        self._gather_s = gather_s
        self._presence = PresenceTable(node)
        self._nodes = Nodes(node, beat_s)
        # The counts of ended nodes, and whether a new node must learn of them.
        self._ledger = Ledger()
        self._is_ledger_due = False
        self._has_learned = asyncio.Event()
        self._seq = 0
        # The users whose state here is still to be sent to the others; a dict keeps the order.
        self._changes: dict[tuple[Key, UserId], None] = {}
        self._is_beat_due = False
        # Nodes to ask for their snapshot, and nodes that asked for this one's.
        self._to_ask: dict[str, None] = {}
        self._to_answer: dict[str, None] = {}
        self._has_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        # One timer for all graces, and the time it is set to.
        self._lapse_timer: asyncio.TimerHandle | None = None
        self._lapse_due_s = 0.0
        self._is_taking_in = False

    async def start(self) -> None:
        """Join the other nodes. Messages of the bus to `is_own_group` must be passed to `on_message` from then on."""
        await asyncio.gather(self._bus.join(NODES_GROUP), self._bus.join(node_group(self._node)))
        self._nodes.heard(self._state(), self._clock())
        self._tasks = [asyncio.create_task(self._keep_beating()), asyncio.create_task(self._keep_sending())]
        self.beat()

    async def learned(self, wait_s: float) -> None:
        """Wait until an older node has told what others had counted, at most `wait_s` seconds: there may be none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._has_learned.wait()

    async def stop(self) -> None:
        """Send the last changes, and say that this node stops, so that the others need not detect it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._lapse_timer is not None:
            self._lapse_timer.cancel()
            self._lapse_timer = None
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                for group, message in self._due():
                    await self._send(group, message)
                await self._send(NODES_GROUP, Bye(self._node, self._figures()))
        await self._bus.leave(NODES_GROUP)
        await self._bus.leave(node_group(self._node))

    def is_own_group(self, group: str) -> bool:
        """Return whether messages to this bus group are for `on_message`."""
        return group in {NODES_GROUP, node_group(self._node)}

    def nodes(self) -> list[NodeState]:
        """The nodes that are alive, including this one, each as of its last beat."""
        return self._nodes.states()

    def ended(self) -> list[Figures]:
        """Return the counts of nodes that have ended. Callable from any thread."""
        return self._ledger.all()

    def ended_by_node(self) -> Mapping[str, Figures]:
        """Return the counts of the nodes that ended last, by their ids. Callable from any thread."""
        return dict(self._ledger.by_node)

    def current(self) -> set[str]:
        """Return the nodes whose figures are of now; none while the broker is away. Callable from any thread."""
        return self._nodes.current(self._clock())

    def ages_s(self) -> dict[str, float]:
        """Return the seconds since the last beat of each node that is alive."""
        return self._nodes.ages_s(self._clock())

    @property
    def holds_nobody(self) -> bool:
        """Whether no user is present on any node, and no grace is running."""
        return self._presence.is_empty

    def users(self, key: Key) -> list[PresentUser]:
        """The users in a topic on any node, ordered by username."""
        return self._presence.users(key)

    def count(self, key: Key) -> int:
        """How many users are in a topic on any node."""
        return self._presence.count(key)

    def username_bytes(self, key: Key) -> int:
        """Return how many bytes the usernames of these users take together."""
        return self._presence.username_bytes(key)

    def join(self, key: Key, user: User) -> None:
        """Count one more connection of `user` on this node."""
        has_changed = self._presence.join(key, user)
        self._tell(key, user.id, has_changed=has_changed)

    def leave(self, key: Key, user: User, *, at_once: bool) -> None:
        """Count one connection less here; it must have joined. The last starts a grace, unless `at_once`."""
        has_changed = self._presence.leave(key, user, at_once=at_once, now_s=self._clock())
        self._tell(key, user.id, has_changed=has_changed)
        self._arm_lapse()

    def end_grace(self, key: Key, user_id: UserId) -> None:
        """End the grace of a user who was removed from the topic. Each node does so for its own part."""
        if self._presence.end_grace(key, user_id):
            self._tell(key, user_id, has_changed=True)

    def lapse(self) -> None:
        """End the graces that are over; called by a timer when the next one is due."""
        self._report(self._presence.lapse(self._clock(), LAPSES_AT_ONCE))

    def beat(self) -> None:
        """Send a beat soon, and drop the nodes that have stopped beating."""
        self._is_beat_due = True
        self._has_work.set()
        for state, last_beat_s in self._nodes.drop_silent(self._clock()):
            logger.warning("Node %s sends no heartbeat and counts as dead", state.node)
            self._ledger.end(state.node, state.figures)
            self._drop(state.node, last_beat_s)

    def on_message(self, body: bytes) -> None:
        """Handle a message that the bus carried to this node; an unreadable one is logged and dropped."""
        try:
            message = _decoder.decode(body)
        except msgspec.MsgspecError:
            logger.warning("An unknown message came over the bus and was dropped")
            return
        if isinstance(message, Beat):
            self._take_beat(message)
        elif message.node != self._node and self._nodes.knows(message.node):
            self._take(message)

    def _take_beat(self, beat: Beat) -> None:
        is_new = self._nodes.heard(NodeState(beat.node, beat.started, beat.figures), self._clock())
        if beat.node == self._node:
            return
        self._ledger.forget(beat.node)
        if beat.ledger is not None and (beat.started, beat.node) < (self._started, self._node):
            self._ledger.learn(beat.ledger, [state.node for state in self._nodes.states()])
            self._has_learned.set()
        if is_new:
            self._check_site(beat)
            # A new node learns of this one, and of those that ended, without waiting for the next regular beat.
            self._is_beat_due = self._is_ledger_due = True
            self._has_work.set()
        if self._presence.needs_resync(beat.node, beat.seq + 1):
            self._ask(beat.node)

    def _check_site(self, beat: Beat) -> None:
        if beat.site and self._site and beat.site != self._site:
            logger.error(
                "Node %s has another SECRET_KEY. If it is of another site, the two read each other's topics: give each a "
                "?prefix= of its own in REDIS_URL. If it is of this site, give all nodes one key.",
                beat.node,
            )

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
            case Bye(node, figures):
                forgotten = self._nodes.forget(node)
                self._ledger.end(node, figures)
                self._drop(node, now_s if forgotten is None else forgotten[1])

    def _ask(self, node: str) -> None:
        self._to_ask[node] = None
        self._has_work.set()

    def _drop(self, node: str, last_beat_s: float) -> None:
        self._to_ask.pop(node, None)
        self._to_answer.pop(node, None)
        self._report(self._presence.node_gone(node, last_beat_s, self._clock()))

    def _report(self, changed: Changed) -> None:
        """Call `on_presence` for the changed topics, and schedule the work that is left."""
        for key in changed:
            self._on_presence(key)
        self._arm_lapse()
        if self._presence.has_news and not self._is_taking_in:
            self._is_taking_in = True
            # Not call_soon: work that has become ready in the meantime runs first.
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
        return NodeState(self._node, self._started, self._figures())

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._beat_s)
            try:
                self.beat()
            except Exception:
                logger.exception("A heartbeat failed")

    async def _keep_sending(self) -> None:
        # One task sends all messages, so that their numbers arrive in order.
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            try:
                for group, message in self._due():
                    await self._send(group, message)
            except Exception:
                logger.exception("This node's messages to the others could not be made")
            # After the first: a user who joins while nothing else changes is known to the others at once.
            await asyncio.sleep(self._gather_s)

    def _due(self) -> list[tuple[str, _Message]]:
        """The messages to send, built in one step, so that a snapshot holds exactly the changes before it."""
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
            ledger = self._ledger_for_new() if self._is_ledger_due else None
            self._is_ledger_due = False
            due.append(
                (NODES_GROUP, Beat(self._node, self._started, self._seq, self._figures(), ledger, self._site))
            )
        return due

    def _ledger_for_new(self) -> Ledger:
        """Return the counts of ended nodes, and of the nodes that are alive as far as this node knows.

        A node that was killed just now is among the latter, so its counts are not lost. A node that is alive
        counts for itself as soon as the new node hears it.
        """
        others = [state for state in self._nodes.states() if state.node != self._node]
        alive = {state.node: state.figures for state in others}
        return Ledger(self._ledger.by_node | alive, self._ledger.sums)

    async def _send(self, group: str, message: _Message) -> None:
        try:
            # A node must hear its own beats: if it does not, it cannot hear the others either.
            to_self = isinstance(message, Beat)
            await self._bus.send(group, msgspec.msgpack.encode(message), to_self=to_self)
        except BusUnavailableError as error:
            # The others notice the missing number and ask for a snapshot.
            logger.debug("A message to the other nodes was lost: %s", error)


def node_group(node: str) -> str:
    """The bus group that only this node has joined."""
    return f"node.{node}"
