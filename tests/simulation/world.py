"""Runs one plan: operations and faults, then healing, a checkpoint, and the end of everybody."""

import asyncio
import logging
import traceback
from collections import Counter
from typing import Any

from realtime.testing.loop import OWNER, SimulatedLoop, StuckError, abandon
from tests.simulation import determinism
from tests.simulation.determinism import CLOCK
from tests.simulation.node import GONE_S, GRACE_S, HEAL_S, REACH_S
from tests.simulation.operations import Operations
from tests.simulation.plan import FORGETFUL, GATED, TENANTS, TOPICS, USERS, Plan
from tests.simulation.record import Checkpoint, Record
from tests.simulation.site import Site

KEYS = [(tenant, topic) for tenant in TENANTS for topic in TOPICS]
# What keeps nodes from knowing of each other.
BREAKS_PRESENCE = {
    *("bus_slow", "bus_loses", "bus_doubles", "bus_away", "bus_outage"),
    *("deaf", "mute", "ambush deaf", "kill", "drain", "start", "fail_over", "hand_over"),
}
# A world lives shorter than this, and publishes less at once.
KEPT_S, KEPT_BYTES = 300.0, 512 * 1024
# Seconds that the world waits for requests that are still under way when the faults are over.
ANSWER_S = 15.0


def run_plan(plan: Plan) -> Record:
    """The record of a whole world."""
    determinism.begin(plan.seed)
    loop = SimulatedLoop(CLOCK)
    record = Record(forgetful=frozenset({FORGETFUL}), has_forks=plan.is_replicated)
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
    record.kept = _kept(plan)
    if world is not None:
        record.injected = world.site.dice.counts
        # With several nodes and a broker that fails, a node may have to say that somebody left whom it cannot hear of.
        if len(world.site.nodes) == 1 or not record.injected.keys() & BREAKS_PRESENCE:
            record.grace_s = GRACE_S
    return record


def _kept(plan: Plan) -> int | None:
    """See `Record.kept`: what is kept by number only, and certainly read before a joining has read too often."""
    is_judged = plan.is_replicated and plan.history_ttl_s >= KEPT_S and plan.catch_up_bytes >= KEPT_BYTES
    return min(plan.history_size, plan.page_max * plan.reads_max // 4) if is_judged else None


class World:
    """One run."""

    def __init__(self, plan: Plan, record: Record, loop: SimulatedLoop) -> None:
        self.operations = Operations()
        self.site = Site(plan, record, loop, self.operations.ambush, self.operations.ambush_delivery)
        self.operations.on(self.site)

    async def live(self) -> None:
        """From the first node to the last."""
        for _ in range(self.site.plan.nodes):
            node = self.site.new_node()
            await node.spawn(node.start())
        await asyncio.sleep(0.1)
        at_rest = self.site.nodes[0].at_rest()
        CLOCK.cost_s = self.site.plan.clock_cost_s
        self.site.dice.is_on = True
        began_s = CLOCK.now_s
        for client in self.site.clients:
            if self.site.plan.is_crowd:
                client.follows = dict.fromkeys(TOPICS)
            self.site.connect(client)
        for operation in self.site.plan.operations:
            await asyncio.sleep(max(began_s + operation.at_s - CLOCK.now_s, 0.0))
            self.operations.do(operation)
        await self._heal()
        await self._check()
        await self._end(at_rest)

    async def _heal(self) -> None:
        self.site.record.add("world", "heals")
        self.site.dice.is_on = False
        CLOCK.cost_s = 0.0
        self.site.store.outage_until_s = self.site.broker.outage_until_s = 0.0
        for node in self.site.nodes:
            node.bus.deaf_until_s = node.bus.mute_until_s = 0.0
            node.grow_outboxes()
        for node in self.site.living():
            # The bus is back, and says so: whoever was removed while it was deaf is found.
            node.notice_gap()
        await asyncio.sleep(ANSWER_S)
        for client in self.site.clients:
            if client.socket is not None:
                client.socket.resume()
        for node in self.site.living():
            node.mark_revoked()
        await self._give_back()
        await asyncio.sleep(HEAL_S)

    async def _give_back(self) -> None:
        """Publish once more to the room, which users who were removed for good must not get; then let them in again."""
        removed = sorted({(t, user, GATED) for t in TENANTS for user in USERS} - self.site.rights)
        for tenant, user, topic in removed:
            order = max(
                r.order
                for r in self.site.record.rights
                if (r.tenant, r.user, r.topic) == (tenant, user, topic)
            )
            for node in self.site.living():
                node.mark(tenant, topic, user, order, "a removal that it noticed late")
                self.site.spawn(node, node.publish(tenant, topic, self.site.data()))
        await asyncio.sleep(REACH_S)
        for right in removed:
            self.site.give(*right)

    async def _check(self) -> None:
        await self._look("before the last publications")
        # One more for every topic: whoever is not really subscribed misses it.
        for number, key in enumerate(KEYS):
            node = self.site.living()[number % len(self.site.living())]
            self.site.spawn(node, node.publish(*key, self.site.data()))
        await asyncio.sleep(REACH_S)
        await self._look("after the last publications")

    async def _look(self, name: str) -> None:
        checkpoint = Checkpoint(name, self.site.record.add("world", "checks"), CLOCK.now_s)
        for key in KEYS:
            # A client of a forgetful topic may miss what was published before the first checkpoint.
            if key[1] != FORGETFUL or self.site.record.checkpoints:
                checkpoint.positions[key] = await self.site.store.position(key)
        for node in self.site.living():
            checkpoint.presence[node.name] = node.presence(KEYS)
            self.site.record.leftovers += node.unrest()
        self.site.record.checkpoints.append(checkpoint)

    async def _end(self, at_rest: Counter[str]) -> None:
        self.site.is_over = True
        self.site.record.add("world", "ends")
        for client in self.site.clients:
            client.leave()
        await asyncio.sleep(GONE_S)
        for node in self.site.living():
            self.site.record.leftovers += node.leftovers(at_rest)
        for node in self.site.nodes:
            if node.is_started and not node.line.is_cut and not node.is_draining:
                await node.spawn(node.drain())
        for outcome in await asyncio.gather(*self.site.work, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.site.record.failures.append(f"an operation failed: {outcome!r}")
        await asyncio.sleep(0.1)
        for node in self.site.nodes:
            self.site.record.leftovers += [f"{node.name}: {task!r} outlives it" for task in node.open_tasks()]
            self.site.record.failures += node.failures()


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
