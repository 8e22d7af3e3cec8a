"""`make restart-proof`: restarts two nodes behind the shipped nginx, under load, and prints what clients saw.

Clients go through the nginx of deploy/ with all its limits, each group from an address of its own, and each follows
one topic. A process beside the nodes publishes numbers. First one node is restarted (SIGTERM, and started again when
it has ended), then the other, then SIGHUP replaces the process of the first. In the end each client must have each
number of its topic, once and in order, without having loaded anything again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.restarts.followers import Follower, Seen
from tests.servers.databases import Databases
from tests.servers.nginx import running
from tests.servers.orm import OrmShell
from tests.servers.pool import Site, SitePool

TOPICS = 20
# Sockets that come from one address: the shipped nginx allows 200, and 20 handshakes a second with a burst of 100.
PER_ADDRESS = 10
# Load before a restart, and between two, in seconds.
CALM_S = 3.0
# After the last: the process that was replaced drains for 5 s, and its last clients come back.
SETTLE_S = 10.0
CATCH_UP_S = 30.0
RELOAD_WITHIN_S = 60.0
GAP_MAX_S = 6.0
# One call publishes for so many seconds.
ROUND_S = 2
# The topics side by side, each in order.
_PUBLISH = """
import asyncio
import time
import realtime

async def publish(topic):
    for at, number in enumerate(range(first, first + each)):
        await realtime.apublish(f"restart-{topic}", {"n": number}, tenant="acme")
        await asyncio.sleep(max(began + (at + 1) * seconds / each - time.monotonic(), 0))

async def publish_all():
    await asyncio.gather(*(publish(topic) for topic in range(topics)))

began = time.monotonic()
asyncio.run(publish_all())
result = time.monotonic() - began
"""


async def publish(shell: OrmShell, per_s: int, ended: asyncio.Event) -> tuple[int, float]:
    """Publish until `ended`; return how many to each topic, and the rate that was reached."""
    count, took_s, each = 0, 0.0, per_s * ROUND_S // TOPICS
    while not ended.is_set():
        names = {"first": count, "each": each, "seconds": ROUND_S, "topics": TOPICS}
        took_s += await asyncio.to_thread(shell.run, _PUBLISH, **names)
        count += each
    return count, count * TOPICS / took_s


def restart(site: Site, at: int) -> float:
    """Restart a node as systemd does; return how long it took."""
    began_s, server = time.monotonic(), site.servers[at]
    server.terminate()
    server.start()
    return time.monotonic() - began_s


async def reload(site: Site) -> None:
    """SIGHUP for the first node, until another process serves."""
    server = site.servers[0]
    os.kill(server.process.pid, signal.SIGHUP)
    await until(lambda: "takes over" in server.log(), RELOAD_WITHIN_S)


async def run_phase(site: Site, name: str) -> dict[str, Any]:
    """Restart or reload; return the name of the phase and its seconds."""
    began_s = time.monotonic()
    if name == "SIGHUP":
        await reload(site)
    else:
        for at in range(len(site.servers)):
            await asyncio.to_thread(restart, site, at)
            await asyncio.sleep(CALM_S)
    return {"phase": name, "seconds": round(time.monotonic() - began_s, 1)}


async def prove(site: Site, port: int, sockets: int, per_s: int) -> list[dict[str, Any]]:
    """Run both phases; return what the clients saw in each."""
    found = []
    followers = [
        Follower(port, f"restart-{at % TOPICS}", f"127.0.1.{1 + at // PER_ADDRESS}") for at in range(sockets)
    ]
    tasks = [asyncio.create_task(each.run()) for each in followers]
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.is_following.wait() for each in followers))
        ended = asyncio.Event()
        publishing = asyncio.create_task(publish(site.orm, per_s, ended))
        for name in ("two restarts", "SIGHUP"):
            await asyncio.sleep(CALM_S)
            for each in followers:
                each.seen = Seen()
            phase = await run_phase(site, name)
            await asyncio.sleep(SETTLE_S)
            found.append(phase | summed([each.seen for each in followers]))
        ended.set()
        count, rate = await publishing
        await caught_up(followers, count)
        return [*found, judged(followers, count) | {"published": count * TOPICS, "per_s": round(rate)}]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def caught_up(followers: Sequence[Follower], count: int) -> None:
    """Wait until every client has the last number of its topic."""
    with contextlib.suppress(TimeoutError):
        await until(lambda: all(each.numbers[-1:] == [count - 1] for each in followers), CATCH_UP_S)


async def until(holds: Callable[[], bool], within_s: float) -> None:
    """Wait until `holds()`; raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            if holds():
                return
            await asyncio.sleep(0.1)


def summed(seen: Sequence[Seen]) -> dict[str, Any]:
    """The sums over all clients."""
    refused: dict[str, int] = {}
    for each in seen:
        for status in each.refused:
            refused[str(status)] = refused.get(str(status), 0) + 1
    return {
        "lost_connections": sum(each.lost for each in seen),
        "recovered": sum(each.recovered for each in seen),
        "not_recovered": sum(each.not_recovered for each in seen),
        "refused": refused,
        "longest_gap_s": round(max(each.longest_gap_s for each in seen), 2),
    }


def judged(followers: Sequence[Follower], count: int) -> dict[str, Any]:
    """Compare what each client has with what was published to its topic: `count` numbers."""
    lost = doubled = reordered = 0
    for each in followers:
        lost += len(set(range(count)) - set(each.numbers))
        doubled += len(each.numbers) - len(set(each.numbers))
        reordered += each.numbers != sorted(each.numbers)
    return {"clients": len(followers), "lost": lost, "doubled": doubled, "reordered": reordered}


def holds(found: Sequence[dict[str, Any]]) -> bool:
    """Return whether nothing was refused, lost, doubled or out of order, and no gap was long."""
    *phases, numbers = found
    is_smooth = all(
        not each["refused"] and not each["not_recovered"] and each["longest_gap_s"] <= GAP_MAX_S
        for each in phases
    )
    return is_smooth and not (numbers["lost"] or numbers["doubled"] or numbers["reordered"])


def main(arguments: Sequence[str]) -> int:
    """Run it; 0 if it holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.restarts")
    parser.add_argument("--sockets", type=int, default=300)
    parser.add_argument("--per-s", type=int, default=200, help="publications a second")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in ("databases", "servers", "nginx"):
            (folder / kind).mkdir()
        databases = Databases(folder / "databases")
        pool = SitePool(folder / "servers", databases)
        # With DEBUG, so that no static files are collected: each node would compress them anew.
        env = {"REALTIME_TRUSTED_PROXIES": "127.0.0.1", "HTTPS": "1"}
        site = pool.start("scaled", env, servers=2)
        second = f"server 127.0.0.1:{site.servers[1].port} max_fails=0;\n    keepalive 32;"
        try:
            with running(
                folder / "nginx", site.server.port, lambda text: text.replace("keepalive 32;", second)
            ) as nginx:
                found = asyncio.run(prove(site, nginx.secure_port, options.sockets, options.per_s))
        finally:
            site.close()
            pool.close()
            databases.close()
    for each in found:
        sys.stdout.write(json.dumps(each) + "\n")
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
