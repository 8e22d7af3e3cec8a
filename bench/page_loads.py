"""Page loads that race publications: `python -m bench.page_loads [--loads 1000] [--per-s 200]`.

Each load does what a page does: it is made with the history of a topic and its position, then opens a socket and
subscribes with `since`. In the end the page must show every number of the topic once and in order, whatever
was published between the two. Prints how many were missed and doubled.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from bench.servers.backends import Backends
from bench.servers.ours import Ours
from bench.servers.seeded import SeededDatabases
from realtime.client import AsyncClient, Position

HOST = "acme.localhost"
# The last numbers that a page is made with, and those that must follow on its socket before it is judged.
SHOWN = 5
FOLLOWING = 20
AT_ONCE = 20
LOAD_TIMEOUT_S = 60.0


@dataclass
class Result:
    """The sums over all loads. `raced` are loads during whose connect something was published."""

    loads: int = 0
    publications: int = 0
    missed: int = 0
    doubled: int = 0
    raced: int = 0
    took_s: float = 0.0


class Site:
    """A server on this machine, and the credentials of an operator and of a member."""

    def __init__(self, port: int, http: httpx.AsyncClient, operator: str) -> None:
        self._port = port
        self._http = http
        self._operator = operator

    def client(self) -> AsyncClient:
        """A client of the topics, connected over the loopback."""
        url = f"ws://{HOST}:{self._port}/ws/pubsub/"
        return AsyncClient(url, token=self._operator, host="127.0.0.1", proxy=None)

    async def page(self, topic: str) -> tuple[list[int], Position]:
        """Return the data of a page: the newest numbers, and the position at which they were read."""
        query = {"topic": topic, "limit": str(SHOWN)}
        headers = {"Authorization": f"Bearer {self._operator}"}
        response = await self._http.get("/api/realtime/history/", params=query, headers=headers)
        response.raise_for_status()
        read = response.json()
        return [each["data"] for each in read["publications"]], Position(read["epoch"], read["offset"])


async def race(site: Site, *, loads: int, per_s: float) -> Result:
    """Load pages while numbers are published."""
    topic = f"members:{uuid4()}"
    result = Result()
    began_s = time.monotonic()
    async with site.client() as writer:
        await writer.publish(topic, 1)
        publishing = asyncio.ensure_future(_publish(writer, topic, per_s, result))
        gate = asyncio.Semaphore(AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(loads):
                    group.create_task(_load(site, topic, gate, result))
        finally:
            publishing.cancel()
            with suppress(asyncio.CancelledError):
                await publishing
    result.took_s = round(time.monotonic() - began_s, 1)
    return result


async def _publish(writer: AsyncClient, topic: str, per_s: float, result: Result) -> None:
    began_s = time.monotonic()
    number = 1
    while True:
        number += 1
        await writer.publish(topic, number)
        result.publications = number
        await asyncio.sleep(began_s + number / per_s - time.monotonic())


async def _load(site: Site, topic: str, gate: asyncio.Semaphore, result: Result) -> None:
    async with gate, asyncio.timeout(LOAD_TIMEOUT_S):
        seen, since = await site.page(topic)
        async with site.client() as client:
            subscription = client.subscribe(topic, since=since)
            await client.ready()
            before = result.publications
            result.raced += before > seen[-1]
            for _ in range(FOLLOWING):
                seen.append((await anext(subscription)).data)
    wanted = range(seen[0], max(seen) + 1)
    result.loads += 1
    result.missed += len(set(wanted) - set(seen))
    # A number out of order is there twice or behind a gap that was filled later: neither may be.
    result.doubled += len(seen) - len(set(seen)) + sum(a > b for a, b in itertools.pairwise(seen))


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[Site]:
    """Sign the operator of the demo in, at a server on this port."""
    headers = {"Host": f"{HOST}:{port}"}
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=30, trust_env=False, verify=False
    ) as http:
        body = {"username": "admin", "password": "rockstar"}
        response = await http.post("/api/token/", json=body)
        response.raise_for_status()
        yield Site(port, http, response.json()["access"])


async def _main(loads: int, per_s: float) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        backends = Backends(Path(folder))
        limits = {"REALTIME_CONTROL_REQUESTS_PER_S": "0"}
        server = Ours(env=limits).start(SeededDatabases(backends), "page-loads")
        try:
            async with opened(server.ports[0]) as site:
                return await race(site, loads=loads, per_s=per_s)
        finally:
            server.stop()
            backends.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loads", type=int, default=1000)
    parser.add_argument("--per-s", type=float, default=200.0, help="publications a second")
    given = parser.parse_args()
    found = asyncio.run(_main(given.loads, given.per_s))
    print(json.dumps(asdict(found)))
    sys.exit(1 if found.missed or found.doubled else 0)
