"""A real Sentinel set for tests: one primary, two replicas and three sentinels."""

from pathlib import Path

from tests.servers.broker import Process, Tls, is_in_step, until

MASTER = "mymaster"
# After so long without an answer a server counts as down.
DOWN_AFTER_MS = 1000
REPLICAS, SENTINELS = 2, 3
# How often a sentinel pings a server and connects to it again, asks it what it is, and tells the other sentinels. By
# default 1 s, 10 s and 2 s. The first must be well below DOWN_AFTER_MS: after a failover each sentinel connects anew, and
# a new primary that counts as down meanwhile is failed over again. After four of the third a sentinel demotes a primary of
# which it has not been told: that must be longer than a failover takes.
PERIODS_MS = {"PING-PERIOD": 200, "INFO-PERIOD": 250, "PUBLISH-PERIOD": 1000}


class SentinelSet:
    """Ready in about a second. After `fail_over` or `wait_healthy` it may be used for the next failover.

    `options` are those of the command lines of the data servers, `tls` as for Process.
    """

    def __init__(self, folder: Path, *options: str, tls: Tls | None = None) -> None:
        self._tls = tls
        first = Process(folder, *options, tls=tls)
        followers = ("--replicaof", f"127.0.0.1 {first.port}", *options)
        self.data = [first, *(Process(folder, *followers, tls=tls) for _ in range(REPLICAS))]
        conf = (
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            # By default no second failover begins for three minutes.
            f"sentinel failover-timeout {MASTER} 2000",
            f"sentinel parallel-syncs {MASTER} 2",
        )
        self.sentinels = [Process(folder, conf=conf, tls=tls) for _ in range(SENTINELS)]

    @property
    def url(self) -> str:
        """The value for REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        if self._tls is not None:
            return f"rediss+sentinel://{hosts}/{MASTER}?ssl_ca_certs={self._tls[0]}"
        return f"redis+sentinel://{hosts}/{MASTER}"

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [*self.data, *self.sentinels]

    def start(self) -> None:
        """Start all and wait until a failover would succeed."""
        for process in self.data:
            process.start()
        # A full copy takes a while: a sentinel that began before would see a replica that is down.
        until(self._all_follow)
        for process in self.sentinels:
            process.start()
            for name, period_ms in PERIODS_MS.items():
                process.call("SENTINEL", "DEBUG", name, period_ms)
        self.wait_healthy()

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            process.go_on()
            process.kill()

    def primary(self) -> Process:
        """The server that all sentinels name."""
        return until(self._named)

    def replicas(self) -> list[Process]:
        """The others."""
        primary = self.primary()
        return [process for process in self.data if process is not primary]

    def wait_healthy(self) -> None:
        """Each sentinel knows the others, and both replicas follow: before that no failover is voted for."""
        until(self._is_healthy)

    def in_step(self) -> Process:
        """The primary, once both replicas have all that it had when this was called."""
        offset, master = 0, None

        def caught_up() -> Process | None:
            nonlocal offset, master
            primary = self._named()
            if primary is None:
                return None
            if primary is not master:
                # Just after a switch the sentinels may still have named the server before.
                offset, master = int(primary.info()["master_repl_offset"]), primary
            others = [process for process in self.data if process is not primary]
            return primary if all(is_in_step(each, primary, offset) for each in others) else None

        return until(caught_up)

    def fail_over(self) -> None:
        """Hand the primary over in order: it stops before another begins. Returns when all agree on the new one."""
        before = self.in_step()
        if not before.is_valkey:
            self._replace_refusing(before)
            return
        until(self._ask_to_fail_over)
        until(lambda: self.primary() is not before)

    def replace_primary(self) -> None:
        """Make a replica the primary without asking the primary. Publications that the replica does not have are lost."""
        before = self.primary()
        until(lambda: self.sentinels[0].call("SENTINEL", "FAILOVER", MASTER) == b"OK")
        until(lambda: self.primary() is not before)

    def promote(self, process: Process) -> None:
        """Hand the primary over in order, to this replica."""
        for each in self.data:
            each.call("CONFIG", "SET", "replica-priority", 100 if each is process else 0)
        try:
            while self.primary() is not process:
                self.wait_healthy()
                self.fail_over()
        finally:
            for each in self.data:
                each.call("CONFIG", "SET", "replica-priority", 100)

    def _replace_refusing(self, before: Process) -> None:
        """As docs/production.md has it for Redis, whose sentinels do not stop the primary first."""
        before.call("CONFIG", "SET", "min-replicas-to-write", REPLICAS + 1)
        try:
            self.in_step()
            self.replace_primary()
            until(lambda: before.info()["role"] == "slave")
        finally:
            before.call("CONFIG", "SET", "min-replicas-to-write", 0)

    def _named(self) -> Process | None:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        ports = {int(sentinel.call(*command)[1]) for sentinel in self.sentinels}
        found = [process for process in self.data if {process.port} == ports]
        return found[0] if found and found[0].info()["role"] == "master" else None

    def _ask_to_fail_over(self) -> bool:
        return bool(self.sentinels[0].call("SENTINEL", "FAILOVER", MASTER, "COORDINATED") == b"OK")

    def _all_follow(self) -> bool:
        first, *others = self.data
        return all(is_in_step(each, first, 0) for each in others)

    def _is_healthy(self) -> bool:
        primary = self._named()
        if primary is None:
            return False
        for sentinel in self.sentinels:
            reply = sentinel.call("SENTINEL", "MASTER", MASTER)
            state = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply
            counts = (int(state[b"num-other-sentinels"]), int(state[b"num-slaves"]))
            if counts != (SENTINELS - 1, REPLICAS) or state[b"flags"] != b"master":
                return False
        others = [process for process in self.data if process is not primary]
        return all(is_in_step(each, primary, 0) for each in others)
