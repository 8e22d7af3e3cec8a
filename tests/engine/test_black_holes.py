"""A broker that takes connections and says nothing, from the start: nothing waits for it for long."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from realtime.conf import RealtimeSettings
from realtime.node.node import Node
from realtime.topics import cluster
from realtime.topics.engine import subscriber
from realtime.topics.engine.broker_check import check_broker
from realtime.topics.engine.ports import EngineUnavailableError
from tests.engine.fake_server import FakeServer
from tests.realtime.site import SETTINGS

SILENCE_S = 0.1
# A good deal above the waits that are allowed, and below one deadline of a call.
SOON_S = 1.5
ADDRESSES = {
    "single": "redis://127.0.0.1:{0}/0",
    "sentinel": "redis+sentinel://127.0.0.1:{0},127.0.0.1:{1},127.0.0.1:{2}/master",
    "cluster": "redis+cluster://127.0.0.1:{0},127.0.0.1:{1},127.0.0.1:{2}",
}


@pytest.fixture
async def holes() -> AsyncIterator[list[FakeServer]]:
    """Servers that answer `HELLO` at most."""
    made = [FakeServer(lambda command: b"") for _ in range(3)]
    for server in made:
        await server.start()
    yield made
    for server in made:
        server.goes_on.set()
        await server.stop()


def address(kind: str, holes: list[FakeServer]) -> str:
    return ADDRESSES[kind].format(*(server.port for server in holes))


@pytest.mark.parametrize("greets", [False, True])
@pytest.mark.parametrize("kind", ADDRESSES)
async def test_a_node_starts_and_stops_beside_it(
    kind: str, holes: list[FakeServer], monkeypatch: pytest.MonkeyPatch, *, greets: bool
) -> None:
    monkeypatch.setattr(subscriber, "OPEN_WAIT_S", SILENCE_S)
    monkeypatch.setattr(cluster, "GOODBYE_S", SILENCE_S)
    if not greets:
        for server in holes:
            server.goes_on.clear()
    node = Node(RealtimeSettings(**(SETTINGS | {"REDIS_URL": address(kind, holes)})), tables=())
    began_s = time.monotonic()
    await node.ensure_started()
    await node.meet()
    assert time.monotonic() - began_s < SOON_S
    began_s = time.monotonic()
    await node.stop()
    assert time.monotonic() - began_s < SOON_S


@pytest.mark.parametrize("kind", ADDRESSES)
async def test_the_start_does_not_try_it_out_for_long(kind: str, holes: list[FakeServer]) -> None:
    for server in holes:
        server.goes_on.clear()
    began_s = time.monotonic()
    with pytest.raises(EngineUnavailableError):
        await asyncio.wait_for(check_broker(address(kind, holes), silence_s=SILENCE_S), 10)
    assert time.monotonic() - began_s < SOON_S
