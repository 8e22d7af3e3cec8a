"""Figures over two servers, one with two workers: all agree, the figures are right, and no total falls. The samples too."""

import asyncio
import json
import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from realtime.core.samples import decode_samples
from tests.server.test_workers import children
from tests.servers.databases import QUICK, Databases, base_environment
from tests.servers.pool import METRICS_TOKEN
from tests.servers.process import HOST, ServerProcess
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.servers
PATH = "/ws/pubsub/"
SOCKETS, PINGS, WRONG = 8, 25, 3
# A beat comes every 2 s. A silent node is dead after three.
SETTLED_WITHIN_S = 12.0
# Right answers in a row, so that each worker has given one.
AGAIN = 6


@pytest.fixture
def servers(tmp_path: Path, databases: Databases) -> Iterator[list[ServerProcess]]:
    """Two, of which the first has two workers."""
    valkey = Valkey()
    valkey.start()
    env = base_environment() | QUICK
    env |= {
        "DATABASE_URL": databases.sqlite(),
        "REDIS_URL": valkey.url,
        "METRICS_TOKEN": METRICS_TOKEN,
        "REALTIME_DRAIN_S": "0.5",
        "REALTIME_SAMPLE_INTERVAL_S": "1",
    }
    made = [ServerProcess("serve", env, tmp_path / f"{workers}.log", workers=workers) for workers in (2, 1)]
    try:
        for each in made:
            each.launch()
        for each in made:
            each.wait_until_ready()
        yield made
    finally:
        for each in made:
            each.kill()
        valkey.stop()


async def get(server: ServerProcess, path: str) -> httpx.Response:
    url = f"http://127.0.0.1:{server.port}{path}"
    headers = {"Host": HOST, "Authorization": f"Bearer {METRICS_TOKEN}"}
    # A new connection each time: any of the workers answers.
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        answer = await client.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def route_in_json(server: ServerProcess) -> dict[str, Any]:
    body = (await get(server, "/metrics/websocket")).json()
    rows = [row for row in body["routes"] if (row["tenant"], row["route"]) == ("acme", PATH)]
    return rows[0] if rows else {}


async def series(server: ServerProcess, scope: str = "") -> dict[str, float]:
    """Return the values of the route in `/metrics`, summed over the workers, by name and code."""
    found: dict[str, float] = {}
    for line in (await get(server, f"/metrics{scope}")).text.splitlines():
        if f'route="{PATH}"' in line and 'tenant="acme"' in line:
            code = re.search(r'code="(\w+)"', line)
            name = line.partition("{")[0] + (f" {code[1]}" if code else "")
            found[name] = found.get(name, 0) + float(line.rpartition(" ")[2])
    return found


async def load(stack: AsyncExitStack, server: ServerProcess) -> tuple[int, int]:
    """Open sockets, and ask on each; the bytes sent and received. The sockets stay open."""
    sent = received = 0
    for _ in range(SOCKETS):
        socket = await stack.enter_async_context(
            connect(f"ws://{HOST}:{server.port}{PATH}", host="127.0.0.1", port=server.port, proxy=None)
        )
        received += len(await socket.recv())
        for number in range(PINGS + WRONG):
            text = json.dumps({"type": "ping" if number < PINGS else "no.such.verb", "id": number})
            sent += len(text)
            await socket.send(text)
            received += len(await socket.recv())
    return sent, received


def expected(sockets: int, sent: int, received: int) -> dict[str, float]:
    asked = sockets * (PINGS + WRONG)
    return {
        "realtime_connections": sockets,
        "realtime_subscriptions": 0,
        "realtime_connections_opened_total": sockets,
        "realtime_messages_received_total": asked,
        "realtime_messages_sent_total": asked + sockets,
        "realtime_messages_dropped_total": 0,
        "realtime_received_bytes_total": sent,
        "realtime_sent_bytes_total": received,
        "realtime_errors_total unknown_type": sockets * WRONG,
    }


async def until_equal(ask: Any, wanted: Any) -> None:
    """Ask until the answer is right from every worker, which takes a beat."""
    right = 0
    answer = None
    for _ in range(int(SETTLED_WITHIN_S / 0.1)):
        answer = await ask()
        right = right + 1 if answer == wanted else 0
        if right == AGAIN:
            return
        await asyncio.sleep(0.1 if not right else 0)
    assert answer == wanted


async def test_figures_are_true_wherever_one_asks(servers: list[ServerProcess]) -> None:
    two, one = servers
    async with AsyncExitStack() as stack:
        at_two, at_one = await load(stack, two), await load(stack, one)
        of_two, of_one = expected(SOCKETS, *at_two), expected(SOCKETS, *at_one)
        both = {name: of_two[name] + of_one[name] for name in of_two}
        await until_equal(lambda: series(two), of_two)
        await until_equal(lambda: series(one), of_one)
        for server in servers:
            await until_equal(lambda server=server: series(server, "?scope=cluster"), both)
            await until_equal(lambda server=server: json_as_series(server), both)
        # The worker with the most sockets is killed, and replaced. Its counts stay.
        pids = sorted(children(two.process.pid))
        number, lost = await busiest(two)
        os.kill(pids[number], signal.SIGKILL)
        left = of_two | {"realtime_connections": SOCKETS - lost}
        await until_equal(lambda: series(two), left)
        assert re.search(r"realtime_worker_restarts_total\{.*\} 1\.0", (await get(two, "/metrics")).text)
    # And all of one server, which stops.
    assert await asyncio.to_thread(two.terminate) == 0
    rest = await series(one, "?scope=cluster")
    for name, value in both.items():
        if name != "realtime_connections":
            assert rest[name] == value, name
    # Whichever nodes took them, and although two were killed or stopped: each message is in one sample.
    database = one.env["DATABASE_URL"].removeprefix("sqlite:///")
    received = both["realtime_messages_received_total"]
    await until_equal(lambda: asyncio.to_thread(messages_in_samples, database), received)


def messages_in_samples(path: str) -> int:
    with sqlite3.connect(path) as connection:
        bodies = connection.execute("SELECT body FROM realtime_sample WHERE NOT is_coarse").fetchall()
    samples = decode_samples(body for (body,) in bodies)
    nodes = [figures for sample in samples for figures in sample.nodes.values()]
    return sum(row.messages_in for figures in nodes for row in figures.routes if row.route == PATH)


async def busiest(server: ServerProcess) -> tuple[int, int]:
    """Return the worker with the most sockets, and their number."""
    text = (await get(server, "/metrics")).text
    found = re.findall(rf'realtime_connections\{{route="{PATH}",tenant="acme",worker="(\d)"\}} (\S+)', text)
    number, count = max(found, key=lambda each: float(each[1]))
    return int(number), int(float(count))


async def json_as_series(server: ServerProcess) -> dict[str, float]:
    row = await route_in_json(server)
    return {
        "realtime_connections": row["active_connections"],
        "realtime_subscriptions": row["subscriptions"],
        "realtime_connections_opened_total": row["opened"],
        "realtime_messages_received_total": row["messages_in"],
        "realtime_messages_sent_total": row["messages_out"],
        "realtime_messages_dropped_total": row["dropped"],
        "realtime_received_bytes_total": row["bytes_in"],
        "realtime_sent_bytes_total": row["bytes_out"],
        "realtime_errors_total unknown_type": row["errors"]["unknown_type"],
    }
