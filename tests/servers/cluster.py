"""A real cluster for tests: three primaries, each with one replica."""

from operator import itemgetter
from pathlib import Path

from tests.servers.broker import Process, Tls, fields, is_in_step, until
from tests.servers.ports import free_port

PRIMARIES, SLOTS = 3, 16384
# After so long without an answer a server counts as down.
NODE_TIMEOUT_MS = 1000
# Keys of a slot that are moved together, and the time for them.
KEYS_AT_ONCE, MIGRATE_MS = 10, 5000


class Cluster:
    """Ready in about three seconds. After `fail_over` or `wait_healthy` it may be used for the next failover.

    `options` are those of the command lines of all servers, `tls` as for Process.
    """

    def __init__(self, folder: Path, *options: str, tls: Tls | None = None) -> None:
        self._tls = tls
        self.processes = [self._make(folder, options) for _ in range(2 * PRIMARIES)]

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{process.port}" for process in self.processes)
        if self._tls is not None:
            return f"rediss+cluster://{hosts}?ssl_ca_certs={self._tls[0]}"
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Start all, give out the slots, and wait until a failover would succeed."""
        for process in self.processes:
            process.start()
        primaries, replicas = self.processes[:PRIMARIES], self.processes[PRIMARIES:]
        for number, process in enumerate(primaries):
            first, last = SLOTS * number // PRIMARIES, SLOTS * (number + 1) // PRIMARIES - 1
            process.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            process.call("CLUSTER", "ADDSLOTSRANGE", first, last)
        self._meet()
        for replica, primary in zip(replicas, primaries, strict=True):
            until(lambda replica=replica, primary=primary: self._follows(replica, primary))  # type: ignore[misc] # bound in the loop
        self.wait_healthy()

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            process.go_on()
            process.kill()

    def wait_healthy(self) -> None:
        """All servers run and name all slots as served, and all replicas follow."""
        until(lambda: all(self._is_healthy(process) for process in self.processes))

    def primaries(self) -> list[Process]:
        """The servers that serve slots, once all running servers agree on them; in the order of their slots."""
        return list(dict.fromkeys(process for _, process in self._owners()))

    def wait_for_another(self, primary: Process) -> None:
        """Until `primary`, which does not answer, serves no slot any more in the eyes of all others."""
        others = [process for process in self.processes if process is not primary]
        until(lambda: all(_serves_nothing(process, primary) for process in others))

    def owner(self, slot: int) -> Process:
        """The server that serves `slot`, once all running servers agree on it."""
        return next(process for (_, last), process in self._owners() if slot <= last)

    def replica_of(self, primary: Process) -> Process:
        """The replica of `primary`."""

        def found() -> Process | None:
            wanted = _id(primary)
            lines = [line for line in _nodes(primary) if line[3] == wanted and "fail" not in line[2]]
            return self._at(lines[0]) if lines else None

        return until(found)

    def in_step(self, primary: Process) -> Process:
        """The replica of `primary`, once it has all that `primary` had when this was called."""
        offset, replica = int(primary.info()["master_repl_offset"]), self.replica_of(primary)
        until(lambda: is_in_step(replica, primary, offset))
        return replica

    def fail_over(self, primary: Process, *, is_forced: bool = False) -> Process:
        """Hand the slots of `primary` over to its replica, which is returned. In order: no write is lost.

        `is_forced`: the replica does not ask the primary. Publications that it does not have are lost.
        """
        replica = self.replica_of(primary)
        command = ["CLUSTER", "FAILOVER"] + (["FORCE"] if is_forced else [])
        until(lambda: replica.call(*command))
        until(lambda: replica.info()["role"] == "master")
        until(lambda: replica in self.primaries())
        return replica

    def move_slot(self, slot: int, to: Process) -> None:
        """Move a slot with its keys to another primary, while it is in use: as a whole, where the servers can."""
        owner = self.owner(slot)
        if not owner.is_valkey:
            self.move_keys(slot, to)
            return
        until(lambda: owner.call("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", _id(to)))
        until(lambda: self.owner(slot) is to)

    def move_keys(self, slot: int, to: Process) -> None:
        """As `move_slot`, one key after the other: the only way of Redis, and of Valkey before 9."""
        owner = self.owner(slot)
        until(lambda: to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(owner)))
        until(lambda: owner.call("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(to)))
        while keys := owner.call("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE):
            owner.call("MIGRATE", "127.0.0.1", to.port, "", 0, MIGRATE_MS, "KEYS", *keys)
        # Those that own the slot first; the others would hear of it some seconds later.
        for process in dict.fromkeys((to, owner, *self.primaries())):
            process.call("CLUSTER", "SETSLOT", slot, "NODE", _id(to))
        until(lambda: self.owner(slot) is to)

    def _make(self, folder: Path, options: tuple[str, ...]) -> Process:
        return Process(
            folder,
            *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
            # By default it is the port + 10000, among those that outgoing connections take.
            *("--cluster-port", str(free_port())),
            *("--cluster-require-full-coverage", "no", "--cluster-allow-pubsubshard-when-down", "yes"),
            *(() if self._tls is None else ("--tls-cluster", "yes")),
            *options,
            tls=self._tls,
        )

    def _meet(self) -> None:
        first, *others = self.processes
        bus_port = int(_nodes(first)[0][1].split("@")[1].split(",")[0])
        for process in others:
            process.call("CLUSTER", "MEET", "127.0.0.1", first.port, bus_port)
        until(lambda: all(len(_nodes(process)) == len(self.processes) for process in self.processes))

    def _follows(self, replica: Process, primary: Process) -> bool:
        return bool(replica.call("CLUSTER", "REPLICATE", _id(primary)) == b"OK")

    def _is_healthy(self, process: Process) -> bool:
        state, info = fields(process.call("CLUSTER", "INFO")), process.info()
        return (
            state["cluster_state"] == "ok"
            and state["cluster_slots_ok"] == str(SLOTS)
            and state["cluster_known_nodes"] == str(len(self.processes))
            and info.get("master_link_status", "up") == "up"
            # A primary without its replica could not be failed over.
            and (info["role"] == "slave" or info["connected_slaves"] == "1")
        )

    def _owners(self) -> list[tuple[tuple[int, int], Process]]:
        """The ranges of slots and their servers, in order, once all running servers say the same."""

        def agreed() -> list[tuple[tuple[int, int], Process]] | None:
            maps = [self._map(process) for process in self.processes if process.is_running]
            served = sum(last - first + 1 for (first, last), owner in maps[0] if owner.is_running)
            return maps[0] if served == SLOTS and all(each == maps[0] for each in maps) else None

        return until(agreed)

    def _map(self, process: Process) -> list[tuple[tuple[int, int], Process]]:
        found = [
            (_range(text), self._at(line))
            for line in _nodes(process)
            if "master" in line[2] and "fail" not in line[2]
            for text in line[8:]
            if not text.startswith("[")
        ]
        return sorted(found, key=itemgetter(0))

    def _at(self, line: list[str]) -> Process:
        port = int(line[1].split("@")[0].rpartition(":")[2])
        return next(process for process in self.processes if process.port == port)


def _nodes(process: Process) -> list[list[str]]:
    return [line.split() for line in process.call("CLUSTER", "NODES").decode().splitlines()]


def _serves_nothing(asked: Process, primary: Process) -> bool:
    lines = [line for line in _nodes(asked) if f":{primary.port}@" in line[1]]
    return all("master" not in line[2] or not line[8:] for line in lines)


def _id(process: Process) -> str:
    return str(process.call("CLUSTER", "MYID").decode())


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
