"""One primary against three: `python -m bench.primaries [--publications 30000] [--rounds 5]`.

The engine of one process sends the same publications to one Valkey and to a cluster of three primaries, in turns. Prints
the CPU time of each server for a publication, and how many times less the busiest server of the cluster needs. It includes
the other work of a server meanwhile, as the heartbeats of a cluster. (A machine with two cores cannot show rates.)
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.versions import versions
from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.names import group_name
from realtime.topics.engine.redis_history import RedisHistory
from tests.servers.broker import Process, is_in_step, until
from tests.servers.cluster import PRIMARIES, Cluster

# Bytes of data of a publication.
DATA_BYTES = 100
# So many that a cluster's primaries get nearly equal shares; each topic's history is soon full.
TOPICS, KEPT = 1200, 10
KEYS = [TopicKey("acme", f"topic {number}") for number in range(TOPICS)]
RETENTION = Retention(KEPT, 300)


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

    name: str
    url: str
    primaries: Sequence[Process]

    def measure(self, load: Load) -> list[float]:
        """Return the CPU time of each primary for one publication of all, in µs."""
        before_s = [process.cpu_s() for process in self.primaries]
        asyncio.run(_publish(self.url, load))
        used_s = [process.cpu_s() - before for process, before in zip(self.primaries, before_s, strict=True)]
        return [each / load.publications * 1e6 for each in used_s]


@contextmanager
def single(folder: Path, *, has_replica: bool) -> Iterator[Brokers]:
    """One server, with a replica or without."""
    primary = Process(folder)
    replica = Process(folder, "--replicaof", f"127.0.0.1 {primary.port}")
    try:
        primary.start()
        if has_replica:
            replica.start()
            until(lambda: is_in_step(replica, primary, 0))
        yield Brokers("one", f"redis://127.0.0.1:{primary.port}", [primary])
    finally:
        for process in (primary, replica):
            process.kill()


@contextmanager
def cluster(folder: Path, *, has_replica: bool) -> Iterator[Brokers]:
    """Three primaries, each with a replica or without."""
    servers = Cluster(folder)
    try:
        servers.start()
        if not has_replica:
            for process in servers.processes[PRIMARIES:]:
                process.kill()
        yield Brokers("three", servers.url, servers.processes[:PRIMARIES])
    finally:
        servers.stop()


def compare(one: Brokers, three: Brokers, load: Load, rounds: int) -> list[str]:
    """Return a line for each set-up, and one with the ratio of each round."""
    for brokers in (one, three):
        brokers.measure(load)
    measured = [(one.measure(load), three.measure(load)) for _ in range(rounds)]
    ratios = sorted(max(left) / max(right) for left, right in measured)
    # Other programs on the machine can only make a measurement worse.
    best = min(max(left) for left, _ in measured) / min(max(right) for _, right in measured)
    spread = f"{median(ratios):.2f} (rounds {ratios[0]:.2f} to {ratios[-1]:.2f}; best of each {best:.2f})"
    return [
        f"  {load.title}",
        *(_line(brokers.name, [each[at] for each in measured]) for at, brokers in enumerate((one, three))),
        f"    the busiest needs less by a factor of {spread}",
    ]


def _line(name: str, rounds: Sequence[Sequence[float]]) -> str:
    servers = [median(each) for each in zip(*rounds, strict=True)]
    busiest = median(max(each) for each in rounds)
    each = " ".join(f"{us:6.2f}" for us in servers)
    return f"    {name:<6} µs of CPU a publication, by server: {each:<22} busiest {busiest:6.2f}"


async def _publish(url: str, load: Load) -> None:
    history = RedisHistory(Broker(url))
    listeners = [Broker(url) for _ in range(load.listeners)]
    buses = [BrokerBus(broker) for broker in listeners]
    for bus in buses:
        await bus.start(lambda group, body: None)
        await asyncio.gather(*(bus.join(group_name(key)) for key in KEYS))
    numbers = iter(range(load.publications))
    await asyncio.gather(*(_publisher(history, numbers) for _ in range(load.at_once)))
    for bus, broker in zip(buses, listeners, strict=True):
        await bus.stop()
        await broker.close()
    await history.close()


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
            tempfile.TemporaryDirectory(prefix="rockstar-primaries-") as folder,
            single(Path(folder), has_replica=has_replica) as one,
            cluster(Path(folder), has_replica=has_replica) as three,
        ):
            for at_once, listeners in itertools.product(asked.at_once, asked.listeners):
                load = Load(asked.publications, at_once, listeners)
                lines += compare(one, three, load, asked.rounds)
                sys.stderr.write(lines[-1].strip() + "\n")
    text = "\n".join(lines) + "\n"
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    sys.stderr.write(f"{time.monotonic() - began_s:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1:])
