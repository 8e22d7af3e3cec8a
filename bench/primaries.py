"""One primary against three: `python -m bench.primaries [--publications 30000] [--rounds 5]`.

The same publications go to one Valkey and to a cluster of three primaries, in turns. Prints the CPU time of each server
for a publication, and how many times less the busiest server of the cluster needs. It includes the other work of a
server meanwhile, as the heartbeats of a cluster. Two ways:

- each server alone: publications that were made beforehand go to one server after the other, as if each had a machine
  of its own and were the limit;
- all at once: the engine of one process sends them. That process is the limit, and the servers share the caches of one
  machine, which three do more than one.

The servers have one core and the sender another one.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench.cores import LOAD_CORE, SERVER_CORE
from bench.ready_made import Recorder, send
from bench.servers.process import on_core
from bench.versions import versions
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.names import group_name
from realtime.topics.engine.redis_history import RedisHistory
from realtime.topics.engine.redis_scripts import ADD
from tests.servers.broker import Process, is_in_step, until
from tests.servers.cluster import PRIMARIES, Cluster

# Bytes of data of a publication.
DATA_BYTES = 100
# So many that a cluster's primaries get nearly equal shares; each topic's history is soon full.
TOPICS, KEPT = 1200, 10
KEYS = [TopicKey("acme", f"topic {number}") for number in range(TOPICS)]
RETENTION = Retention(KEPT, 300)
# Returns the CPU time of each server for one publication of all, in µs.
Measured = Callable[[], Coroutine[Any, Any, list[float]]]


@dataclass(frozen=True, slots=True)
class Load:
    """`at_once` publications wait for their answers at any time; `listeners` nodes receive all of them."""

    publications: int
    at_once: int
    listeners: int

    @property
    def title(self) -> str:
        """The load in words."""
        return f"{self.at_once} at once, {self.listeners} listening nodes"


@dataclass(frozen=True, slots=True)
class Brokers:
    """A set-up: the servers that take publications, and the address of the whole."""

    url: str
    primaries: Sequence[Process]

    async def all_at_once(self, load: Load) -> list[float]:
        """Return the CPU time of each primary for one publication of all, in µs, if one process sends to all."""
        history, numbers = RedisHistory(Broker(self.url)), iter(range(load.publications))
        async with _listening(self.url, load):
            before_s = [process.cpu_s() for process in self.primaries]
            await asyncio.gather(*(_publisher(history, numbers) for _ in range(load.at_once)))
            used_s = [process.cpu_s() - each for process, each in zip(self.primaries, before_s, strict=True)]
        await history.close()
        return [each / load.publications * 1e6 for each in used_s]

    async def each_alone(self, load: Load) -> list[float]:
        """As `all_at_once`, but one server after the other, with publications that were made beforehand."""
        recorder = Recorder(self.url)
        await recorder.map.look()
        history, numbers = RedisHistory(recorder), iter(range(load.publications))
        await _publisher(history, numbers)
        used_s = []
        async with _listening(self.url, load):
            for process in self.primaries:
                process.call("SCRIPT", "LOAD", ADD)
                before_s = process.cpu_s()
                await send(process.port, recorder.calls[process.port], load.at_once)
                used_s.append(process.cpu_s() - before_s)
        await history.close()
        return [each / load.publications * 1e6 for each in used_s]


@contextmanager
def single(folder: Path, *, has_replica: bool) -> Iterator[Brokers]:
    """One server, with a replica or without."""
    primary = Process(folder)
    replica = Process(folder, "--replicaof", f"127.0.0.1 {primary.port}")
    try:
        with on_core(SERVER_CORE):
            primary.start()
            if has_replica:
                replica.start()
        if has_replica:
            until(lambda: is_in_step(replica, primary, 0))
        yield Brokers(f"redis://127.0.0.1:{primary.port}", [primary])
    finally:
        for process in (primary, replica):
            process.kill()


@contextmanager
def cluster(folder: Path, *, has_replica: bool) -> Iterator[Brokers]:
    """Three primaries, each with a replica or without."""
    servers = Cluster(folder)
    try:
        with on_core(SERVER_CORE):
            servers.start()
        if not has_replica:
            _drop_replicas(servers)
        yield Brokers(servers.url, servers.processes[:PRIMARIES])
    finally:
        servers.stop()


def _drop_replicas(servers: Cluster) -> None:
    """Leave three primaries like a server that never had a replica: no heartbeats to them, and no backlog for them."""
    primaries, replicas = servers.processes[:PRIMARIES], servers.processes[PRIMARIES:]
    ids = [replica.call("CLUSTER", "MYID").decode() for replica in replicas]
    for replica in replicas:
        replica.kill()
    for primary in primaries:
        for each in ids:
            primary.call("CLUSTER", "FORGET", each)
        primary.call("CONFIG", "SET", "repl-backlog-ttl", 1)
    for primary in primaries:
        until(lambda primary=primary: primary.info()["repl_backlog_active"] == "0")  # type: ignore[misc] # bound in the loop


def compare(title: str, one: Measured, three: Measured, rounds: int) -> list[str]:
    """Return a line for each set-up, and one with the ratio of each round."""
    for measure in (one, three):
        asyncio.run(measure())
    measured = [(asyncio.run(one()), asyncio.run(three())) for _ in range(rounds)]
    ratios = sorted(max(left) / max(right) for left, right in measured)
    # Other programs on the machine can only make a measurement worse.
    best = min(max(left) for left, _ in measured) / min(max(right) for _, right in measured)
    spread = f"{median(ratios):.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f}; best of each {best:.2f})"
    return [
        f"  {title}",
        *(_line(name, [each[at] for each in measured]) for at, name in enumerate(("one", "three"))),
        f"    the busiest needs less by a factor of {spread}",
    ]


def _line(name: str, rounds: Sequence[Sequence[float]]) -> str:
    servers = [median(each) for each in zip(*rounds, strict=True)]
    busiest = median(max(each) for each in rounds)
    each = " ".join(f"{us:6.2f}" for us in servers)
    return f"    {name:<6} µs of CPU a publication, by server: {each:<22} busiest {busiest:6.2f}"


@asynccontextmanager
async def _listening(url: str, load: Load) -> AsyncIterator[None]:
    brokers = [Broker(url) for _ in range(load.listeners)]
    buses = [BrokerBus(broker) for broker in brokers]
    for bus in buses:
        await bus.start(lambda group, body: None)
        await asyncio.gather(*(bus.join(group_name(key)) for key in KEYS))
    yield
    for bus, broker in zip(buses, brokers, strict=True):
        await bus.stop()
        await broker.close()


async def _publisher(history: RedisHistory, numbers: Iterator[int]) -> None:
    for number in numbers:
        key = KEYS[number % TOPICS]
        await history.add(key, make_draft(key.topic, "x" * DATA_BYTES, time=""), RETENTION)


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.primaries", description=__doc__)
    parser.add_argument("--publications", type=int, default=30_000, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--at-once", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--listeners", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--output", type=Path, help="a file for the figures too")
    asked = parser.parse_args(arguments)
    began_s = time.monotonic()
    lines = [f"{name} {version}" for name, version in versions().items()]
    lines.append(
        f"{asked.publications:,} publications of {DATA_BYTES} bytes, {TOPICS:,} topics with history, {asked.rounds} rounds"
    )
    for has_replica in (False, True):
        lines.append("each primary has a replica" if has_replica else "without replicas")
        with (
            on_core(LOAD_CORE),
            tempfile.TemporaryDirectory(prefix="rockstar-primaries-") as folder,
            single(Path(folder), has_replica=has_replica) as one,
            cluster(Path(folder), has_replica=has_replica) as three,
        ):
            for at_once, listeners in itertools.product(asked.at_once, asked.listeners):
                load = Load(asked.publications, at_once, listeners)
                for way in (Brokers.each_alone, Brokers.all_at_once):
                    title = f"{way.__name__.replace('_', ' ')}: {load.title}"
                    lines += compare(title, partial(way, one, load), partial(way, three, load), asked.rounds)
                    sys.stderr.write(f"{title}: {lines[-1].strip()}\n")
    text = "\n".join(lines) + "\n"
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    sys.stderr.write(f"{time.monotonic() - began_s:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
