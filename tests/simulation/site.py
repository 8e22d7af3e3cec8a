"""All that a world consists of, and how things are done in it."""

import asyncio
import contextvars
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any

from realtime.testing.loop import SimulatedLoop
from tests.simulation.clients import Client
from tests.simulation.faults import Dice
from tests.simulation.node import Node
from tests.simulation.plan import GATED, SCOPED, TENANTS, USERS, Plan, pick
from tests.simulation.ports import Broker, MemoryStore, Store, WhenDelivering, WhenWaiting
from tests.simulation.record import Mark, Message, Record, Right, Session
from tests.simulation.replicas import ReplicatedStore

# The context of what belongs to no node.
NOBODY = contextvars.Context()
# How long a client whose connection ended stays away, in seconds.
RETURN_S = (0.0, 0.05, 0.5, 2.0)
# A text in publications, so that outboxes fill.
PADDING = "x" * 120


class Site:
    """Nodes, their outside, and clients. `when_waiting`, `when_delivering`: called where one may be hit."""

    def __init__(
        self,
        plan: Plan,
        record: Record,
        loop: SimulatedLoop,
        when_waiting: WhenWaiting,
        when_delivering: WhenDelivering,
    ) -> None:
        self.plan = plan
        self.record = record
        self.loop = loop
        self.dice = Dice(Random(plan.seed + 1), plan.faults, is_on=False)
        self.replicas = ReplicatedStore(record) if plan.is_replicated else None
        self.store: Store = self.replicas or MemoryStore(record)
        self.broker = Broker(self.store.are_together)
        self.nodes: list[Node] = []
        # Who may follow the gated topic, and which credentials are revoked: the tables of the database.
        self.rights: set[tuple[str, int, str]] = {
            (tenant, user, GATED) for tenant in TENANTS for user in USERS
        }
        self.revocations: list[Any] = []
        self.clients = [
            Client(
                f"c{number}",
                each,
                record,
                Random(plan.seed + 100 + number),
                self._narrowed,
                self._ended,
            )
            for number, each in enumerate(plan.clients)
        ]
        # What was begun and has to end.
        self.work: list[asyncio.Task[None]] = []
        self.is_over = False
        self._when_waiting = when_waiting
        self._when_delivering = when_delivering
        self._published = 0
        self._rng = Random(plan.seed + 2)

    def new_node(self) -> Node:
        """One more node; it does not run yet."""
        node = Node(
            f"n{len(self.nodes) + 1}",
            self.plan,
            self.record,
            self.dice,
            self.store,
            self.broker,
            lambda tenant, user, topic: (tenant, user, topic) in self.rights,
            self._when_waiting,
            self._when_delivering,
            self.revocations,
        )
        self.nodes.append(node)
        return node

    def living(self) -> list[Node]:
        """The nodes that take clients."""
        return [node for node in self.nodes if node.is_alive]

    def node(self, draw: float) -> Node | None:
        """Any living node, by a draw between 0 and 1; None where there is none."""
        living = self.living()
        node: Node | None = pick(draw, living) if living else None
        return node

    def spawn(self, node: Node, work: Coroutine[Any, Any, None]) -> None:
        """Let a node do something beside all else."""
        self.work.append(node.spawn(work))

    def data(self) -> dict[str, Any]:
        """What is published next, each once in a world."""
        self._published += 1
        return {"n": self._published, "padding": PADDING if self._published % 3 else ""}

    def connect(self, client: Client) -> None:
        """Let a client come (back), as soon as there is a node."""
        if client.socket is not None or self.is_over:
            return
        node = self.node(self._rng.random())
        if node is None:
            self.loop.call_later(0.5, self.connect, client)
        else:
            client.connect(node)

    def _ended(self, client: Client) -> None:
        if not self.is_over:
            # In nobody's name: a client outlives the node it was on.
            self.loop.call_later(
                pick(self._rng.random(), RETURN_S), self.connect, client, context=NOBODY.copy()
            )

    def fail_over(self, late_s: Iterator[float], *, is_dead: bool) -> None:
        """The replica takes over. Each node notices it later; until then the old primary is dead, or goes on."""
        assert self.replicas is not None
        late = dict(zip(self.living(), late_s, strict=False))
        self.replicas.promote([node.name for node, seconds in late.items() if seconds], is_dead=is_dead)
        self.record.add("world", "fails over", *(f"{node.name} {seconds}" for node, seconds in late.items()))
        for node, seconds in late.items():
            self.loop.call_later(seconds, self._moves, node, context=NOBODY.copy())

    def _moves(self, node: Node) -> None:
        """It connects to the new primary, and subscribes there."""
        assert self.replicas is not None
        self.replicas.moves(node.name)
        if node.is_alive:
            node.notice_gap()

    def close(self, client: Client, code: int) -> None:
        """End a client's connection from the server's side."""
        for node in self.living():
            node.close(client.session_name, code)

    def revoke(self, client: Client, draw: float) -> None:
        """End a client's credentials; it signs in anew."""
        node = self.node(draw)
        if node is not None and client.plan.user is not None:
            self.spawn(node, node.revoke(client.plan.user, client.signs_in_anew()))

    def remove(self, tenant: str, user: int, topic: str, draw: float, away_s: float) -> None:
        """Take a right, and most times give it back `away_s` seconds later."""
        node = self.node(draw)
        if node is None or (tenant, user, topic) not in self.rights:
            return
        self.rights.discard((tenant, user, topic))
        order = self.record.add("world", "takes", tenant, user, topic, node.name)
        self.record.rights.append(Right(order, tenant, user, topic, False))
        self.spawn(node, self._end_subscriptions(node, tenant, topic, user, order))
        # A third of them stays away until the end.
        if draw * 3 % 1 < 0.67:
            self.loop.call_later(away_s, self.give, tenant, user, topic, context=NOBODY.copy())

    async def _end_subscriptions(self, node: Node, tenant: str, topic: str, user: int, order: int) -> None:
        await node.end_subscriptions(tenant, topic, user, order)
        # A user who was removed must not get it.
        await node.publish(tenant, topic, self.data())

    def give(self, tenant: str, user: int, topic: str) -> None:
        """Give a right (back)."""
        self.rights.add((tenant, user, topic))
        order = self.record.add("world", "gives", tenant, user, topic)
        self.record.rights.append(Right(order, tenant, user, topic, True))

    def _narrowed(self, session: Session, message: Message, is_narrow: bool) -> None:
        assert session.user is not None
        self.record.rights.append(Right(message.order, session.tenant, session.user, SCOPED, not is_narrow))
        if is_narrow:
            if (node := self.node(self._rng.random())) is not None:
                self.spawn(node, node.publish(session.tenant, SCOPED, self.data()))
            session.marks.append(
                Mark(message.order, message.number + 1, SCOPED, message.order, "a narrower credential")
            )
