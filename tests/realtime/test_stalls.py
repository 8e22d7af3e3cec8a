"""Clients that take nothing are cut, over any ASGI server whose `send` waits."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from realtime.conf import RealtimeSettings
from realtime.core.identity import Tenant
from realtime.node.stalls import cut_stalled
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.backlogs import Backlogs
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import WriteCoalescer

LIMIT_S = 0.2


class Client:
    """Takes an event whenever `reads` is set; `stop` after so many."""

    def __init__(self, number: int, backlogs: Backlogs | None = None) -> None:
        self.reads = asyncio.Event()
        self.took = 0
        metrics = RouteMetrics("", "")
        scope = {
            "connection_id": f"c{number}",
            "tenant": Tenant(1, "acme", "Acme", frozenset()),
            "identity": None,
            "route": SimpleNamespace(path="/"),
            "subprotocol": None,
        }
        self.connection = Connection(
            scope,
            lambda connection: make_outbox(
                scope,
                cast("Any", self.send),
                10_000,
                connection.fall_behind,
                metrics,
                WriteCoalescer(),
                backlogs=backlogs or Backlogs(),
                cut=connection.cut,
            ),
            settings=RealtimeSettings(TENANTS="", IDENTITY="", ROUTES=""),
            metrics=metrics,
            is_json=True,
        )

    async def send(self, event: Any) -> None:
        await self.reads.wait()
        self.took += 1


async def serve(clients: dict[str, Client], number: int, backlogs: Backlogs | None = None) -> None:
    """As a consumer: the connection's reader is this task, until it is cut."""
    client = clients[f"c{number}"] = Client(number, backlogs)
    try:
        await asyncio.Event().wait()
    finally:
        await client.connection.release()


async def opened(
    count: int, backlogs: Backlogs | None = None
) -> tuple[dict[str, Client], list["asyncio.Task[None]"]]:
    clients: dict[str, Client] = {}
    readers = [asyncio.create_task(serve(clients, number, backlogs)) for number in range(count)]
    await asyncio.sleep(0)
    return clients, readers


async def end(readers: list["asyncio.Task[None]"]) -> None:
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def test_whoever_takes_nothing_is_cut_and_nobody_else() -> None:
    clients, readers = await opened(3)
    asleep, slow, idle = clients.values()
    watching = asyncio.create_task(
        cut_stalled({key: each.connection for key, each in clients.items()}, LIMIT_S)
    )
    for _ in range(20):
        asleep.connection.push("x", {})
        slow.connection.push("x", {})
    for _ in range(30):
        # One at a time, and slowly: that is progress.
        slow.reads.set()
        await asyncio.sleep(0)
        slow.reads.clear()
        await asyncio.sleep(0.02)
    assert (asleep.connection.close_code, slow.connection.close_code, idle.connection.close_code) == (
        4410,
        None,
        None,
    )
    assert asleep.connection.close_reason == "slow consumer"
    assert readers[0].done()
    assert not readers[1].done()
    assert not readers[2].done()
    assert asleep.connection.outbox.dropped > 0
    watching.cancel()
    await end(readers)


async def test_a_limit_of_0_is_none() -> None:
    async with asyncio.timeout(1):
        await cut_stalled({}, 0.0)


@pytest.mark.parametrize("worst", [0, 3])
async def test_the_worst_of_a_process_is_cut_first(worst: int) -> None:
    backlogs = Backlogs(4500)
    clients, readers = await opened(4, backlogs)
    for number, client in enumerate(clients.values()):
        for _ in range(8 if number == worst else 4):
            client.connection.push("x", {"filler": "x" * 200})
    codes = [client.connection.close_code for client in clients.values()]
    await end(readers)
    assert codes == [4410 if number == worst else None for number in range(4)]
    assert backlogs.total_bytes == 0
