"""One run: a world on a kind of broker, and its faults one after the other."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from tests.faults.brokers import Broker, Plan, Sentinel, Single, SlotCluster
from tests.faults.record import Event
from tests.faults.world import SERVERS, World
from tests.servers.certificate import make_certificate
from tests.servers.databases import Databases

KINDS = ("single", "sentinel", "cluster")


def make_broker(kind: str, folder: Path, chance: random.Random, *, is_tls: bool = False) -> Broker:
    """A broker of one of KINDS. `is_tls`: its servers speak TLS themselves."""
    tls = make_certificate(folder, "IP:127.0.0.1") if is_tls else None
    match kind:
        case "single":
            return Single(folder, chance, tls)
        case "sentinel":
            return Sentinel(folder, tls)
        case "cluster":
            return SlotCluster(folder, chance, tls)
    raise ValueError(kind)


@asynccontextmanager
async def running(
    kind: str,
    folder: Path,
    databases: Databases,
    seed: str,
    *,
    topics: int,
    servers: int = SERVERS,
    env: dict[str, str] | None = None,
    is_tls: bool = False,
) -> AsyncIterator[World]:
    """A world that has started."""
    chance = random.Random(f"{seed} {kind}")
    broker = make_broker(kind, folder, chance, is_tls=is_tls)
    world = World(broker, folder, databases, chance, topics=topics, servers=servers, env=env)
    try:
        await world.start()
        yield world
    finally:
        await world.stop()


async def run_for(
    kind: str, folder: Path, seed: str, *, seconds: float, topics: int, only: str = "", is_tls: bool = False
) -> Sequence[Event]:
    """Let faults whose name has `only` in it come for so long; each once before any comes again."""
    async with running(kind, folder, Databases(folder), seed, topics=topics, is_tls=is_tls) as world:
        chance = random.Random(seed)
        plans = [plan for plan in world.plans() if only in plan.name]
        end_s = monotonic() + seconds
        waiting: list[Plan] = []
        while monotonic() < end_s:
            waiting = waiting or chance.sample(plans, len(plans))
            await world.suffer(waiting.pop())
        return world.recorder.events
