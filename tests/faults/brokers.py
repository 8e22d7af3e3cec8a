"""The brokers that faults act upon, each with the faults that it can have."""

import asyncio
import random
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from realtime.core.topics import TopicKey
from realtime.topics.engine.names import group_name
from tests.faults.proxy import Mode, Proxy
from tests.faults.record import Topic
from tests.servers.broker import Process, Tls, tls_options, until
from tests.servers.certificate import make_certificate
from tests.servers.clock import has_clocks
from tests.servers.cluster import SLOTS, Cluster
from tests.servers.ports import free_port
from tests.servers.sentinels import SentinelSet

# How long something is away or is slow.
AWAY_S = 1.5
# How long publications are lost that a replica does not get.
TAIL_S = 0.4
DELAY_S = 0.15
# How far the clock of a broker is ahead, or behind.
CLOCK_S = 120
# Slots that are moved one after the other.
MOVES = 4
# Characters at the end of a topic's keys that are its own.
DIGEST = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """A fault: `act` makes it and ends it. The rest is as in `record.Fault`."""

    name: str
    act: Callable[[], Awaitable[None]]
    may_lose: bool = False
    may_forget: bool = False
    closes: bool = False


class Broker(Protocol):
    """The state that servers share."""

    def urls(self, servers: int) -> Sequence[str]:
        """REDIS_URL of each server."""
        ...

    async def start(self) -> None:
        """Start it and wait until it may be used."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...

    async def heal(self) -> None:
        """Wait until the next fault may come."""
        ...

    async def aim(self, topics: Sequence[Topic]) -> frozenset[Topic] | None:
        """Choose the server that the next fault is about; those of `topics` that it has, None for all."""
        ...

    def plans(self) -> Sequence[Plan]:
        """Its faults."""
        ...


class Single:
    """One server that writes everything to its disk. Each server of the site reaches it through a proxy of its own:
    one by TCP, one by TLS, and one at a Unix socket."""

    def __init__(self, folder: Path, chance: random.Random, tls: Tls | None = None) -> None:
        """`tls`: the broker speaks TLS itself, otherwise the proxy does."""
        options = ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "local"]
        if tls is not None:
            tls_port = free_port()
            for name, value in tls_options(tls_port, tls).items():
                options += [f"--{name}", value]
        self._server = Process(folder, *options)
        self._certificate, key = tls or make_certificate(folder, "IP:127.0.0.1")
        # The path of a socket must be short.
        self._sockets = tempfile.TemporaryDirectory(prefix="rockstar-")
        self._path = Path(self._sockets.name) / "broker.sock"
        target = self._server.port
        by_tls = Proxy(target, tls=_context(self._certificate, key)) if tls is None else Proxy(tls_port)
        self._proxies = [Proxy(target), by_tls, Proxy(target, path=self._path)]
        self._chance = chance

    def urls(self, servers: int) -> Sequence[str]:
        """As `Broker.urls`: at most three."""
        tcp, tls, _ = (proxy.port for proxy in self._proxies)
        urls = [
            f"redis://site:secret@127.0.0.1:{tcp}/0",
            f"rediss://site:secret@127.0.0.1:{tls}/0?ssl_ca_certs={self._certificate}",
            f"unix://site:secret@{self._path}?db=0",
        ]
        return urls[:servers]

    async def start(self) -> None:
        """As `Broker.start`."""
        await asyncio.to_thread(self._start)
        for proxy in self._proxies:
            await proxy.start()

    async def stop(self) -> None:
        """As `Broker.stop`."""
        for proxy in self._proxies:
            await proxy.stop()
        self._server.go_on()
        await asyncio.to_thread(self._server.kill)
        self._sockets.cleanup()

    async def heal(self) -> None:
        """As `Broker.heal`: the server answers when a fault is over."""

    async def aim(self, topics: Sequence[Topic]) -> frozenset[Topic] | None:
        """As `Broker.aim`."""
        return None

    def plans(self) -> Sequence[Plan]:
        """As `Broker.plans`."""
        return (
            Plan("a cheap fork", self.fork, may_lose=True),
            Plan("killed, restarted with its data", self.restart),
            *([Plan("restarted, its clock ahead", self.restart_ahead)] if has_clocks() else []),
            Plan("killed, restarted empty", self.restart_empty, may_lose=True, may_forget=True),
            Plan("stopped", self.hang),
            Plan("FLUSHALL", self.flush, may_lose=True, may_forget=True),
            Plan("links cut", self.cut),
            Plan("black hole of one server", self.black_hole),
            Plan("slow network", self.delay),
            Plan("subscribers cut", self.cut_subscribers),
            Plan("maxmemory", self.fill),
            Plan("ACL revoked", self.revoke),
        )

    async def restart(self) -> None:
        """Killed, and started with the data of its disk."""
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self._start)

    async def restart_ahead(self) -> None:
        """As `restart`, on a machine whose clock is ahead, or right again."""
        self._server.clock_s = 0 if self._server.clock_s else CLOCK_S
        await self.restart()

    async def restart_empty(self) -> None:
        """Killed, and started without data."""
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.forget)
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self._start)

    async def fork(self) -> None:
        """Do in one process, and at once, what a failover does that loses a tail."""
        await asyncio.to_thread(self._server.call, "SAVE")
        await asyncio.sleep(TAIL_S)
        await asyncio.to_thread(self._lose_tail)

    async def hang(self) -> None:
        """Stopped for longer than a command may take."""
        self._server.hang()
        await asyncio.sleep(2 * AWAY_S)
        self._server.go_on()

    async def flush(self) -> None:
        """Emptied."""
        await asyncio.to_thread(self._server.call, "FLUSHALL")

    async def cut(self) -> None:
        """The network of all servers is away."""
        for proxy in self._proxies:
            await proxy.set_mode(Mode.CUT)
        await asyncio.sleep(AWAY_S)
        for proxy in self._proxies:
            await proxy.set_mode(Mode.PASS)

    async def black_hole(self) -> None:
        """One server hears nothing, and nothing tells it so."""
        proxy = self._chance.choice(self._proxies)
        await proxy.set_mode(Mode.BLACK_HOLE)
        await asyncio.sleep(2 * AWAY_S)
        await proxy.set_mode(Mode.PASS)

    async def delay(self) -> None:
        """Everything comes late."""
        for proxy in self._proxies:
            proxy.delay_s = DELAY_S
        await asyncio.sleep(AWAY_S)
        for proxy in self._proxies:
            proxy.delay_s = 0

    async def cut_subscribers(self) -> None:
        """Only the connections end that listen."""
        await asyncio.to_thread(self._server.call, "CLIENT", "KILL", "TYPE", "pubsub")

    async def fill(self) -> None:
        """The server takes no more data."""
        await _fill(self._server)

    async def revoke(self) -> None:
        """The site's user may do nothing any more, then everything again."""
        await asyncio.to_thread(self._server.call, "ACL", "SETUSER", "site", "-@all")
        await asyncio.sleep(AWAY_S)
        await asyncio.to_thread(self._server.call, "ACL", "SETUSER", "site", "+@all")

    def _lose_tail(self) -> None:
        self._server.call_together(["DEBUG", "RELOAD", "NOSAVE"], ["DEBUG", "CHANGE-REPL-ID"])
        # Its data on the disk is older than its data in memory.
        for answer in ("no", "yes"):
            self._server.call("CONFIG", "SET", "appendonly", answer)
        until(lambda: self._server.info("persistence")["aof_rewrite_in_progress"] == "0")

    def _start(self) -> None:
        self._server.start()
        self._server.call("ACL", "SETUSER", "site", "on", ">secret", "~*", "&*", "+@all")


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def _fill(server: Process) -> None:
    await asyncio.to_thread(server.call, "CONFIG", "SET", "maxmemory", 1)
    await asyncio.sleep(AWAY_S)
    await asyncio.to_thread(server.call, "CONFIG", "SET", "maxmemory", 0)


Processes = TypeVar("Processes", SentinelSet, Cluster)


class _OfSet(Generic[Processes]):
    """The parts that Sentinel and SlotCluster share: both are sets of processes with one address."""

    _set: Processes

    def urls(self, servers: int) -> Sequence[str]:
        """As `Broker.urls`."""
        return [self._set.url] * servers

    async def start(self) -> None:
        """As `Broker.start`."""
        await asyncio.to_thread(self._set.start)

    async def stop(self) -> None:
        """As `Broker.stop`."""
        await asyncio.to_thread(self._set.stop)

    async def heal(self) -> None:
        """As `Broker.heal`."""
        await asyncio.to_thread(self._set.wait_healthy)


def _part_clocks(processes: Sequence[Process]) -> None:
    """Give each server a clock that is right, ahead or behind; in a cluster another than that of its replica."""
    if has_clocks():
        for number, process in enumerate(processes):
            process.clock_s = (0, CLOCK_S, -CLOCK_S)[(number + number // 3) % 3]


class Sentinel(_OfSet[SentinelSet]):
    """One primary, two replicas and three sentinels."""

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        self._set = SentinelSet(folder, tls=tls)
        _part_clocks(self._set.data)

    async def aim(self, topics: Sequence[Topic]) -> frozenset[Topic] | None:
        """As `Broker.aim`."""
        return None

    def plans(self) -> Sequence[Plan]:
        """As `Broker.plans`."""
        return (
            Plan("handed over", self.hand_over),
            Plan("primary killed", self.kill, may_lose=True),
            Plan("link cut, primary killed", self.kill_with_tail, may_lose=True),
            Plan("primary stopped", self.hang, may_lose=True),
            Plan("A, B, and A again", self.there_and_back, may_lose=True),
            Plan("subscribers cut", self.cut_subscribers),
            Plan("FLUSHALL", self.flush, may_lose=True, may_forget=True),
            Plan("primary restarted empty", self.restart_empty, may_lose=True, may_forget=True),
            Plan("maxmemory", self.fill),
        )

    async def hand_over(self) -> None:
        """The primary stops, its replica gets the rest and takes over."""
        await asyncio.to_thread(self._set.fail_over)

    async def kill(self) -> None:
        """The primary is killed, and comes back as a replica."""
        primary = await asyncio.to_thread(self._set.in_step)
        await asyncio.to_thread(primary.kill)
        await self._wait_for_another(primary)
        await asyncio.to_thread(primary.start)

    async def kill_with_tail(self) -> None:
        """The replicas miss what was acknowledged last."""
        primary, replicas = await self._cut_replicas()
        await asyncio.sleep(TAIL_S)
        await asyncio.to_thread(primary.kill)
        await self._wait_for_another(primary)
        await self._mend(replicas)
        await asyncio.to_thread(primary.start)

    async def hang(self) -> None:
        """The primary does not answer, and goes on when another has taken over."""
        primary = await asyncio.to_thread(self._set.in_step)
        primary.hang()
        try:
            await self._wait_for_another(primary)
        finally:
            primary.go_on()

    async def there_and_back(self) -> None:
        """A loses a tail to B, and is made primary again: the same process, and another history."""
        primary, replicas = await self._cut_replicas()
        await asyncio.sleep(TAIL_S)
        await asyncio.to_thread(self._set.replace_primary)
        await self._mend(replicas)
        await asyncio.to_thread(self._set.wait_healthy)
        await asyncio.to_thread(self._set.promote, primary)

    async def cut_subscribers(self) -> None:
        """Only the connections end that listen."""
        primary = await asyncio.to_thread(self._set.primary)
        await asyncio.to_thread(primary.call, "CLIENT", "KILL", "TYPE", "pubsub")

    async def flush(self) -> None:
        """Emptied."""
        primary = await asyncio.to_thread(self._set.primary)
        await asyncio.to_thread(primary.call, "FLUSHALL")

    async def fill(self) -> None:
        """The primary takes no more data."""
        await _fill(await asyncio.to_thread(self._set.primary))

    async def restart_empty(self) -> None:
        """The primary comes back without data before another has taken over, and empties its replicas."""
        primary = await asyncio.to_thread(self._set.primary)
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(primary.start)

    async def _cut_replicas(self) -> tuple[Process, list[Process]]:
        primary = await asyncio.to_thread(self._set.in_step)
        replicas = [process for process in self._set.data if process is not primary]
        for replica in replicas:
            await asyncio.to_thread(replica.cut_off)
        return primary, replicas

    async def _mend(self, replicas: Sequence[Process]) -> None:
        for replica in replicas:
            await asyncio.to_thread(replica.mend)

    async def _wait_for_another(self, primary: Process) -> None:
        await asyncio.to_thread(until, lambda: self._set.primary() is not primary)


class SlotCluster(_OfSet[Cluster]):
    """Three primaries, each with a replica."""

    def __init__(self, folder: Path, chance: random.Random, tls: Tls | None = None) -> None:
        self._set = Cluster(folder, tls=tls)
        _part_clocks(self._set.processes)
        self._chance = chance
        self._target = self._set.processes[0]

    async def aim(self, topics: Sequence[Topic]) -> frozenset[Topic] | None:
        """As `Broker.aim`."""
        self._target = self._chance.choice(await asyncio.to_thread(self._set.primaries))
        keys = await asyncio.to_thread(self._target.call, "KEYS", "*")
        held = b" ".join(keys).decode()
        victims = frozenset(
            topic for topic in topics if group_name(TopicKey("acme", topic))[-DIGEST:] in held
        )
        assert victims, "the names of the keys have changed"
        return victims

    def plans(self) -> Sequence[Plan]:
        """As `Broker.plans`."""
        has_atomic_moves = self._target.is_valkey
        return (
            Plan("handed over", self.hand_over),
            Plan("primary killed", self.kill, may_lose=True),
            Plan("link cut, primary killed", self.kill_with_tail, may_lose=True),
            Plan("primary stopped", self.hang, may_lose=True),
            Plan("A, B, and A again", self.there_and_back, may_lose=True),
            *([Plan("slots moved", self.move_slots)] if has_atomic_moves else []),
            Plan("slots moved by keys", self.move_keys),
            Plan("subscribers cut", self.cut_subscribers),
            Plan("FLUSHALL", self.flush, may_lose=True, may_forget=True),
            Plan("primary restarted empty", self.restart_empty, may_lose=True, may_forget=True),
            Plan("maxmemory", self.fill),
        )

    async def hand_over(self) -> None:
        """A primary stops, its replica gets the rest and takes over."""
        await asyncio.to_thread(self._set.fail_over, self._target)

    async def kill(self) -> None:
        """A primary is killed, and comes back as a replica."""
        await self._replace(self._target)

    async def kill_with_tail(self) -> None:
        """The replica misses what was acknowledged last."""
        primary = self._target
        replica = await asyncio.to_thread(self._set.in_step, primary)
        await asyncio.to_thread(replica.cut_off)
        await asyncio.sleep(TAIL_S)
        await self._replace(primary)
        await asyncio.to_thread(replica.mend)

    async def hang(self) -> None:
        """A primary does not answer, and goes on when its replica has taken over."""
        primary = self._target
        primary.hang()
        try:
            await asyncio.to_thread(self._set.wait_for_another, primary)
        finally:
            primary.go_on()

    async def there_and_back(self) -> None:
        """A loses a tail to B, and is made primary again: the same process, and another history."""
        primary = self._target
        replica = await asyncio.to_thread(self._set.in_step, primary)
        await asyncio.to_thread(replica.cut_off)
        await asyncio.sleep(TAIL_S)
        await asyncio.to_thread(lambda: self._set.fail_over(primary, is_forced=True))
        await asyncio.to_thread(replica.mend)
        await asyncio.to_thread(self._set.wait_healthy)
        await asyncio.to_thread(self._set.fail_over, replica)

    async def move_slots(self) -> None:
        """A few slots that are in use go to another primary."""
        for _ in range(MOVES):
            await asyncio.to_thread(self._move_one, self._set.move_slot)

    async def move_keys(self) -> None:
        """The same, one key after the other."""
        for _ in range(MOVES):
            await asyncio.to_thread(self._move_one, self._set.move_keys)

    async def cut_subscribers(self) -> None:
        """Only the connections end that listen."""
        for primary in await asyncio.to_thread(self._set.primaries):
            await asyncio.to_thread(primary.call, "CLIENT", "KILL", "TYPE", "pubsub")

    async def flush(self) -> None:
        """A primary is emptied."""
        await asyncio.to_thread(self._target.call, "FLUSHALL")

    async def fill(self) -> None:
        """A primary takes no more data."""
        await _fill(self._target)

    async def restart_empty(self) -> None:
        """A primary comes back without data before its replica has taken over, and empties it."""
        await asyncio.to_thread(self._target.kill)
        await asyncio.to_thread(self._target.start)

    def _move_one(self, move: Callable[[int, Process], None]) -> None:
        owner, to = self._chance.sample(self._set.primaries(), 2)
        key = owner.call("RANDOMKEY")
        slot = owner.call("CLUSTER", "KEYSLOT", key) if key else self._chance.randrange(SLOTS)
        move(slot, to)

    async def _replace(self, primary: Process) -> None:
        await asyncio.to_thread(primary.kill)
        await asyncio.to_thread(self._set.wait_for_another, primary)
        await asyncio.to_thread(primary.start)
