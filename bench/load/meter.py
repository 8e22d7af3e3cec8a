"""What a server's processes use, read from /proc, and what this process uses itself."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.cores import SERVER_CORE

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def process_tree(roots: Iterable[int]) -> list[int]:
    """The processes `roots` and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        tree.append(pid)
        waiting += children.get(pid, [])
    return tree


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds used so far, of all threads."""
    ticks = 0
    for pid in pids:
        if fields := _stat(pid):
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def core_busy_s(core: int) -> float:
    """User, nice, system and stolen seconds of a core since the machine started."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            return sum(int(ticks[column]) for column in (0, 1, 2, 7)) / TICKS_PER_S
    return 0.0


def memory_bytes(pids: Iterable[int]) -> int:
    """Proportional set size: shared pages count once over all who share them."""
    total = 0
    for pid in pids:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def _stat(pid: int) -> list[str]:
    """The fields after the process's name; empty when it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


@dataclass(frozen=True, slots=True)
class Usage:
    """A moment: wall clock, CPU of the server, of all on its core, and of this process, in seconds."""

    at_s: float
    server_s: float
    core_s: float
    client_s: float

    @classmethod
    def now(cls, pids: Iterable[int]) -> "Usage":
        """This moment."""
        return cls(time.perf_counter(), cpu_s(pids), core_busy_s(SERVER_CORE), time.process_time())

    def figures(self, since: "Usage", count: int) -> dict[str, float]:
        """What `count` pieces of work since then cost: `rate` per second, `us` of server CPU each, busy shares.

        `others`: the share of the server's core that went to processes that are not the server.
        """
        wall_s = self.at_s - since.at_s
        server_s = self.server_s - since.server_s
        return {
            "rate": count / wall_s,
            "us": server_s / count * 1e6 if count else 0.0,
            "server": server_s / wall_s,
            "others": max(self.core_s - since.core_s - server_s, 0.0) / wall_s,
            "client": (self.client_s - since.client_s) / wall_s,
        }


def percentile_ms(latencies_ns: list[int], share: float) -> float:
    """The latency, in ms, that `share` of all stay within; 0 when there are none."""
    if not latencies_ns:
        return 0.0
    ordered = sorted(latencies_ns)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] / 1e6
