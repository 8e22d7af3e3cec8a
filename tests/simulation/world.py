"""Runs one plan: operations and faults, then healing, a checkpoint, and the end of everybody."""

import asyncio
import contextvars
import logging
import traceback
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from tests.simulation import determinism
from tests.simulation.clients import NARROW, WIDE, Client
from tests.simulation.determinism import CLOCK
from tests.simulation.faults import Dice
from tests.simulation.loop import OWNER, SimulatedLoop, StuckError, abandon
from tests.simulation.node import GONE_S, GRACE_S, HEAL_S, REACH_S, Node
from tests.simulation.plan import (
    CLOSE_CODES,
    FORGETFUL,
    GATED,
    SCOPED,
    TENANTS,
    TOPICS,
    USERS,
    Operation,
    Plan,
    pick,
)
from tests.simulation.ports import Broker, Store
from tests.simulation.record import Checkpoint, Mark, Message, Record, Right, Session

# The context of what belongs to no node.
NOBODY = contextvars.Context()
KEYS = [(tenant, topic) for tenant in TENANTS for topic in TOPICS]
# Half of the mishaps, and all while a history is read, are ends of what is under way.
READS = ("since", "pages", "positions")
ENDS = {"leave", "close", "revoke", "cut", "cancel", "unsubscribe all", "lose_store"}
# How long outages last, in seconds.
OUTAGES_S = (0.5, 2.0, 4.0, 9.0)
# What keeps nodes from knowing of each other.
BREAKS_PRESENCE = {
    *("bus_slow", "bus_loses", "bus_doubles", "bus_away", "bus_outage"),
    *("deaf", "mute", "ambush deaf", "kill", "drain", "start"),
}
# At most so many nodes over the life of a world.
MAX_NODES = 6
RETURN_S = (0.0, 0.05, 0.5, 2.0)
# A text in publications, so that outboxes fill.
PADDING = "x" * 120
# What the world waits for requests that are still under way when the faults are over, in seconds.
ANSWER_S = 15.0


def run_plan(plan: Plan) -> Record:
    """The record of a whole world."""
    determinism.begin(plan.seed)
    loop = SimulatedLoop(CLOCK)
    record = Record(forgetful=frozenset({FORGETFUL}))
    world: World | None = None
    handler = _Failures(record)
    loop.set_exception_handler(lambda _loop, context: record.failures.append(_context(context)))
    logging.getLogger().addHandler(handler)
    try:
        world = World(plan, record, loop)
        loop.run_until_complete(world.live())
    except StuckError as error:
        record.failures.append(str(error))
    except Exception:
        # The project failed whoever called it from outside.
        record.failures.append(traceback.format_exc())
    finally:
        logging.getLogger().removeHandler(handler)
        abandon(loop)
    record.lived_s = CLOCK.now_s
    if world is not None:
        record.injected = world.dice.counts
        # With several nodes and a broker that fails, a node may have to say that somebody left whom it cannot hear of.
        if len(world.nodes) == 1 or not record.injected.keys() & BREAKS_PRESENCE:
            record.grace_s = GRACE_S
    return record


class World:
    """One run."""

    def __init__(self, plan: Plan, record: Record, loop: SimulatedLoop) -> None:
        self.plan = plan
        self.record = record
        self.loop = loop
        self.dice = Dice(Random(plan.seed + 1), plan.faults, is_on=False)
        self.store = Store(record)
        self.broker = Broker()
        self.nodes: list[Node] = []
        self.rights: set[tuple[str, int, str]] = {
            (tenant, user, GATED) for tenant in TENANTS for user in USERS
        }
        self.clients = [
            Client(
                f"c{number}",
                each,
                record,
                Random(plan.seed + 100 + number),
                self._narrowed,
                self._ended,
                self._ambush_delivery,
            )
            for number, each in enumerate(plan.clients)
        ]
        self.revocations: list[Any] = []
        self._published = 0
        self._is_over = False
        self._work: list[asyncio.Task[None]] = []
        self._rng = Random(plan.seed + 2)

    async def live(self) -> None:
        """From the first node to the last."""
        for _ in range(self.plan.nodes):
            node = self._new_node()
            await node.spawn(node.start())
        await asyncio.sleep(0.1)
        at_rest = self.nodes[0].at_rest()
        CLOCK.cost_s = self.plan.clock_cost_s
        self.dice.is_on = True
        began_s = CLOCK.now_s
        for client in self.clients:
            if self.plan.is_crowd:
                client.follows = dict.fromkeys(TOPICS)
            self._connect(client)
        for operation in self.plan.operations:
            await asyncio.sleep(max(began_s + operation.at_s - CLOCK.now_s, 0.0))
            self._do(operation)
        await self._heal()
        await self._check()
        await self._end(at_rest)

    # Operations.

    def _do(self, operation: Operation) -> None:
        self.record.add("world", operation.kind, operation.number)
        self.dice.count(operation.kind)
        getattr(self, f"_do_{operation.kind}")(operation.draw)

    def _do_subscribe(self, draw: tuple[float, ...]) -> None:
        self._client(draw).subscribe(pick(draw[1], TOPICS), is_recovering=draw[2] < 0.5)

    def _do_subscribe_many(self, draw: tuple[float, ...]) -> None:
        count = 1 + int(draw[1] * len(TOPICS))
        self._client(draw).subscribe_many(list(TOPICS[:count]), is_recovering=draw[2] < 0.5)

    def _do_unsubscribe(self, draw: tuple[float, ...]) -> None:
        self._client(draw).unsubscribe(pick(draw[1], TOPICS))

    def _do_publish(self, draw: tuple[float, ...]) -> None:
        self._client(draw).publish(pick(draw[1], TOPICS), self._data())

    def _do_publish_elsewhere(self, draw: tuple[float, ...]) -> None:
        if (node := self._node(draw[0])) is not None:
            self._spawn(
                node,
                node.publish(pick(draw[2], TENANTS[:1] * 3 + TENANTS), pick(draw[1], TOPICS), self._data()),
            )

    def _do_burst(self, draw: tuple[float, ...]) -> None:
        for _ in range(12):
            self._do_publish_elsewhere(draw)

    def _do_leave(self, draw: tuple[float, ...]) -> None:
        self._client(draw).leave()

    def _do_pause(self, draw: tuple[float, ...]) -> None:
        socket = self._client(draw).socket
        if socket is not None:
            socket.pause()
            self.loop.call_later(draw[1] * 4, socket.resume)
            # So that it falls behind.
            if (node := self._node(draw[2])) is not None:
                for topic in self._client(draw).follows:
                    for _ in range(12):
                        self._spawn(node, node.publish(socket.session.tenant, topic, self._data()))

    def _do_cancel(self, draw: tuple[float, ...]) -> None:
        self._client(draw).cancel()

    def _do_cut(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        for node in self._living():
            node.cut(client.session_name)

    def _do_narrow(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        if client.plan.user is not None:
            client.refresh(NARROW if draw[1] < 0.6 else WIDE)

    def _do_remove(self, draw: tuple[float, ...]) -> None:
        client = self._client(draw)
        tenant, user = client.plan.tenant, client.plan.user
        if user is None:
            return
        # It asks for something a moment before.
        ask = pick(draw[3], (client.history, client.who, None))
        if ask is not None:
            ask(GATED)
        after_s = pick(draw[2], (0.0, 0.003, 0.03, 0.3))
        self.loop.call_later(after_s, self._remove, tenant, user, GATED, draw[1], 0.4 + 3 * draw[2])

    def _do_revoke(self, draw: tuple[float, ...]) -> None:
        self._revoke(self._client(draw), draw[1])

    def _do_close(self, draw: tuple[float, ...]) -> None:
        self._close(self._client(draw), pick(draw[1], CLOSE_CODES))

    def _do_history(self, draw: tuple[float, ...]) -> None:
        self._client(draw).history(pick(draw[1], TOPICS))

    def _do_who(self, draw: tuple[float, ...]) -> None:
        self._client(draw).who(pick(draw[1], TOPICS))

    def _do_rewind(self, draw: tuple[float, ...]) -> None:
        """Ask again for what is long known, and perhaps be gone before the answer."""
        client = self._client(draw)
        topics = sorted(client.follows)
        if not topics:
            return
        client.rewind(pick(draw[1], topics), 1 + int(draw[2] * 12))
        gone: list[Callable[[], None] | None] = [client.leave, lambda: self._close(client, 4503), None]
        if (goes := pick(draw[3], gone)) is not None:
            self.loop.call_later(pick(draw[2] * 7 % 1, (0.0, 0.001, 0.02)), goes)

    def _do_lose_store(self, draw: tuple[float, ...]) -> None:
        self.store.lose_everything()

    def _do_store_outage(self, draw: tuple[float, ...]) -> None:
        self.store.outage_until_s = CLOCK.now_s + pick(draw[0], OUTAGES_S)

    def _do_bus_outage(self, draw: tuple[float, ...]) -> None:
        self.broker.outage_until_s = CLOCK.now_s + pick(draw[0], OUTAGES_S)

    def _do_deaf(self, draw: tuple[float, ...]) -> None:
        if (node := self._node(draw[0])) is not None:
            until_s = node.bus.deaf_until_s = CLOCK.now_s + pick(draw[1], OUTAGES_S)
            self.record.add(node.name, "is deaf", until_s)
            if draw[1] * 8 % 2 < 1:
                self.loop.call_at(until_s, node.notice_gap)

    def _do_mute(self, draw: tuple[float, ...]) -> None:
        if (node := self._node(draw[0])) is not None:
            self.record.add(node.name, "is mute")
            node.bus.mute_until_s = CLOCK.now_s + pick(draw[1], OUTAGES_S)

    def _do_kill(self, draw: tuple[float, ...]) -> None:
        if len(self._living()) > 1 and (node := self._node(draw[0])) is not None:
            self._work.append(self.loop.create_task(node.kill()))

    def _do_drain(self, draw: tuple[float, ...]) -> None:
        if len(self._living()) > 1 and (node := self._node(draw[0])) is not None:
            self._spawn(node, node.drain())

    def _do_start(self, draw: tuple[float, ...]) -> None:
        if len(self.nodes) < MAX_NODES:
            node = self._new_node()
            self._spawn(node, node.start())

    # What happens to the client whose request waits at an await.

    def _ambush(self, session: str, place: str, *, is_later: bool = False) -> None:
        client = next(each for each in self.clients if session.startswith(f"{each.name}."))
        if client.session_name != session:
            return
        draw = self.dice.rng.random(), self.dice.rng.random(), self.dice.rng.random()
        mishaps = self._mishaps(client, draw)
        if place.startswith(READS) or draw[2] < 0.5:
            mishaps = [each for each in mishaps if each[0] in ENDS]
        name, happens = pick(draw[0], mishaps)
        if name in self.plan.off:
            return
        self.record.add("world", f"ambush {name}", session, place)
        self.dice.count(f"ambush {name}")
        # Half of them at once, the others a turn later; in nobody's name.
        if draw[1] < 0.5 and not is_later:
            NOBODY.copy().run(happens)
        else:
            self.loop.call_soon(happens, context=NOBODY.copy())

    def _ambush_delivery(self, topic: str) -> None:
        """Something happens to somebody while a publication is on its way to several."""
        if not self.dice.falls("ambush"):
            return
        client = self.dice.rng.choice(self.clients)
        if client.socket is None:
            return
        if self.dice.rng.random() < 0.5:
            self.loop.call_soon(client.unsubscribe, topic, context=NOBODY.copy())
        else:
            self._ambush(client.session_name, "delivery", is_later=True)

    def _mishaps(self, client: Client, draw: tuple[float, ...]) -> list[tuple[str, Callable[[], None]]]:
        tenant, user, seconds = client.plan.tenant, client.plan.user, draw[2]
        mishaps: list[tuple[str, Callable[[], None]]] = [
            ("leave", client.leave),
            ("close", lambda: self._close(client, pick(draw[2], CLOSE_CODES))),
            ("cancel", client.cancel),
            ("cut", lambda: self._do_cut_of(client)),
            ("unsubscribe", lambda: client.unsubscribe(pick(draw[2], TOPICS))),
            ("unsubscribe all", lambda: self._unsubscribe_all(client)),
            ("lose_store", self.store.lose_everything),
            ("publish_elsewhere", lambda: self._do_publish_elsewhere((draw[2], draw[1], draw[0]))),
            ("deaf", lambda: self._do_deaf((draw[2], draw[1]))),
        ]
        if user is not None:
            mishaps += [
                ("remove", lambda: self._remove(tenant, user, GATED, draw[1], 0.2 + 3 * seconds)),
                ("narrow", lambda: client.refresh(NARROW)),
                ("revoke", lambda: self._revoke(client, draw[1])),
            ]
        return mishaps

    def _unsubscribe_all(self, client: Client) -> None:
        for topic in TOPICS:
            client.unsubscribe(topic)

    def _do_cut_of(self, client: Client) -> None:
        for node in self._living():
            node.cut(client.session_name)

    # How things are done.

    def _new_node(self) -> Node:
        node = Node(
            f"n{len(self.nodes) + 1}",
            self.plan,
            self.record,
            self.dice,
            self.store,
            self.broker,
            lambda tenant, user, topic: (tenant, user, topic) in self.rights,
            self._ambush,
            self.revocations,
        )
        self.nodes.append(node)
        return node

    def _client(self, draw: tuple[float, ...]) -> Client:
        client: Client = pick(draw[0], self.clients)
        return client

    def _living(self) -> list[Node]:
        return [node for node in self.nodes if node.is_alive]

    def _node(self, draw: float) -> Node | None:
        living = self._living()
        node: Node | None = pick(draw, living) if living else None
        return node

    def _spawn(self, node: Node, work: Coroutine[Any, Any, None]) -> None:
        self._work.append(node.spawn(work))

    def _data(self) -> dict[str, Any]:
        self._published += 1
        return {"n": self._published, "padding": PADDING if self._published % 3 else ""}

    def _connect(self, client: Client) -> None:
        if client.socket is not None or self._is_over:
            return
        node = self._node(self._rng.random())
        if node is None:
            self.loop.call_later(0.5, self._connect, client)
        else:
            client.connect(node)

    def _ended(self, client: Client) -> None:
        if not self._is_over:
            # In nobody's name: a client outlives the node it was on.
            self.loop.call_later(
                pick(self._rng.random(), RETURN_S), self._connect, client, context=NOBODY.copy()
            )

    def _close(self, client: Client, code: int) -> None:
        for node in self._living():
            node.close(client.session_name, code)

    def _revoke(self, client: Client, draw: float) -> None:
        node = self._node(draw)
        if node is not None and client.plan.user is not None:
            self._spawn(node, node.revoke(client.plan.user, client.signs_in_anew()))

    def _remove(self, tenant: str, user: int, topic: str, draw: float, away_s: float) -> None:
        node = self._node(draw)
        if node is None or (tenant, user, topic) not in self.rights:
            return
        self.rights.discard((tenant, user, topic))
        order = self.record.add("world", "takes", tenant, user, topic, node.name)
        self.record.rights.append(Right(order, tenant, user, topic, False))
        self._spawn(node, self._end_subscriptions(node, tenant, topic, user, order))
        # A third of them stays away until the end.
        if draw * 3 % 1 < 0.67:
            self.loop.call_later(away_s, self._give, tenant, user, topic, context=NOBODY.copy())

    async def _end_subscriptions(self, node: Node, tenant: str, topic: str, user: int, order: int) -> None:
        await node.end_subscriptions(tenant, topic, user, order)
        # What whoever was removed shall not see.
        await node.publish(tenant, topic, self._data())

    def _give(self, tenant: str, user: int, topic: str) -> None:
        self.rights.add((tenant, user, topic))
        order = self.record.add("world", "gives", tenant, user, topic)
        self.record.rights.append(Right(order, tenant, user, topic, True))

    def _narrowed(self, session: Session, message: Message, is_narrow: bool) -> None:
        assert session.user is not None
        self.record.rights.append(Right(message.order, session.tenant, session.user, SCOPED, not is_narrow))
        if is_narrow:
            if (node := self._node(self._rng.random())) is not None:
                self._spawn(node, node.publish(session.tenant, SCOPED, self._data()))
            session.marks.append(
                Mark(message.order, message.index + 1, SCOPED, message.order, "a narrower credential")
            )

    # The end.

    async def _heal(self) -> None:
        self.record.add("world", "heals")
        self.dice.is_on = False
        CLOCK.cost_s = 0.0
        self.store.outage_until_s = self.broker.outage_until_s = 0.0
        for node in self.nodes:
            node.bus.deaf_until_s = node.bus.mute_until_s = 0.0
            node.grow_outboxes()
        for node in self._living():
            # The bus is back, and says so: whoever was removed while it was deaf is found.
            node.notice_gap()
        await asyncio.sleep(ANSWER_S)
        for client in self.clients:
            if client.socket is not None:
                client.socket.resume()
        for node in self._living():
            node.mark_revoked()
        await self._give_back()
        await asyncio.sleep(HEAL_S)

    async def _give_back(self) -> None:
        """Who was removed for good follows the room nowhere by now; then everybody may again."""
        removed = sorted({(t, user, GATED) for t in TENANTS for user in USERS} - self.rights)
        for tenant, user, topic in removed:
            order = max(
                r.order for r in self.record.rights if (r.tenant, r.user, r.topic) == (tenant, user, topic)
            )
            for node in self._living():
                node.mark(tenant, topic, user, order, "a removal that it noticed late")
                self._spawn(node, node.publish(tenant, topic, self._data()))
        await asyncio.sleep(REACH_S)
        for right in removed:
            self._give(*right)

    async def _check(self) -> None:
        await self._look("before the last publications")
        # One more for every topic: whoever is not really subscribed misses it.
        for number, key in enumerate(KEYS):
            node = self._living()[number % len(self._living())]
            self._spawn(node, node.publish(*key, self._data()))
        await asyncio.sleep(REACH_S)
        await self._look("after the last publications")

    async def _look(self, name: str) -> None:
        checkpoint = Checkpoint(name, self.record.add("world", "checks"), CLOCK.now_s)
        for key in KEYS:
            # What a forgetful topic has missed before it is not owed.
            if key[1] != FORGETFUL or self.record.checkpoints:
                checkpoint.positions[key] = await self.store.position(key)
        for node in self._living():
            checkpoint.presence[node.name] = node.presence(KEYS)
            self.record.leftovers += node.unrest()
        self.record.checkpoints.append(checkpoint)

    async def _end(self, at_rest: Any) -> None:
        self._is_over = True
        self.record.add("world", "ends")
        for client in self.clients:
            client.leave()
        await asyncio.sleep(GONE_S)
        for node in self._living():
            self.record.leftovers += node.leftovers(at_rest)
        for node in self.nodes:
            if node.is_started and not node.line.is_cut and not node.is_draining:
                await node.spawn(node.drain())
        for outcome in await asyncio.gather(*self._work, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.record.failures.append(f"an operation failed: {outcome!r}")
        await asyncio.sleep(0.1)
        for node in self.nodes:
            self.record.leftovers += [f"{node.name}: {task!r} outlives it" for task in node.open_tasks()]
            self.record.failures += node.failures()


class _Failures(logging.Handler):
    """Errors in the log that no injected fault explains."""

    def __init__(self, record: Record) -> None:
        super().__init__(logging.WARNING)
        self._record = record

    def emit(self, line: logging.LogRecord) -> None:
        node = OWNER.get()
        text = line.getMessage()
        error = line.exc_info[1] if line.exc_info else None
        self._record.add(
            node.name if node else "log", line.levelname.lower(), text, repr(error) if error else ""
        )
        if line.levelno >= logging.ERROR and "injected" not in repr(error):
            self._record.failures.append(f"{node.name if node else 'log'}: {text} {error!r}")


def _context(context: dict[str, Any]) -> str:
    return f"{context.get('message')} {context.get('exception')!r}"
