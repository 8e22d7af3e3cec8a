"""SIGHUP: new processes with the current code, while clients come and go and messages flow."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.server.test_workers import children
from tests.servers.databases import REPOSITORY, Databases, base_environment
from tests.servers.process import HOST, ServerProcess
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.servers
TOPIC = "steady"
SOCKETS = 16
INTERVAL_S = 0.01
WAIT_S = 40.0
SETTINGS = """
from tests.settings import *
REALTIME = REALTIME | {"PING_INTERVAL_S": %s}
"""


@dataclass
class Reloaded:
    """A server whose settings module can be changed."""

    server: ServerProcess
    module: Path

    def write(self, ping_interval_s: str) -> None:
        """Change the code; anything but a number cannot be loaded."""
        self.module.write_text(SETTINGS % ping_interval_s)

    def serving(self) -> list[int]:
        """The processes that serve."""
        return children(self.server.process.pid) or [self.server.process.pid]

    def reload(self) -> None:
        """Do what `systemctl reload` does."""
        os.kill(self.server.process.pid, signal.SIGHUP)


@contextlib.contextmanager
def started(folder: Path, databases: Databases, valkey: str, workers: int) -> Iterator[Reloaded]:
    env = base_environment() | {
        "DATABASE_URL": databases.sqlite(),
        "REDIS_URL": valkey,
        "REALTIME_DRAIN_S": "1",
        "REALTIME_ATTEMPTS_PER_S": "0",
        "DJANGO_SETTINGS_MODULE": "changing",
        "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}",
        # The module changes within a second.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    made = Reloaded(
        ServerProcess("serve", env, folder / "server.log", workers=workers), folder / "changing.py"
    )
    made.write("25")
    made.server.start()
    try:
        yield made
        made.server.check_log()
    finally:
        made.server.kill()


@dataclass
class Seen:
    """The messages that one subscriber has seen, over all its sockets."""

    numbers: list[int] = field(default_factory=list)
    recovered: list[bool] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    position: dict[str, Any] = field(default_factory=dict)
    intervals_s: set[float] = field(default_factory=set)
    is_in: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, publication: dict[str, Any]) -> None:
        self.numbers.append(publication["data"])
        self.position["offset"] = publication["offset"]


@contextlib.asynccontextmanager
async def opened(port: int) -> AsyncIterator[ClientConnection]:
    """A socket; a refusal fails the test."""
    async with connect(
        f"ws://{HOST}:{port}/ws/pubsub/", host="127.0.0.1", port=port, proxy=None, open_timeout=20
    ) as socket:
        yield socket


async def follow(port: int, seen: Seen) -> None:
    """Follow the topic for ever, coming back after each close."""
    while True:
        async with opened(port) as socket:
            with contextlib.suppress(ConnectionClosed):
                await follow_once(socket, seen)
            seen.codes.append(socket.close_code or 0)


async def follow_once(socket: ClientConnection, seen: Seen) -> None:
    welcome = json.loads(await socket.recv())
    seen.intervals_s.add(welcome["payload"]["heartbeat"]["interval_s"])
    payload = {"topic": TOPIC} | ({"recover": dict(seen.position)} if seen.position else {})
    await socket.send(json.dumps({"type": "subscribe", "id": 1, "payload": payload}))
    async for frame in socket:
        message = json.loads(frame)
        payload = message["payload"]
        if message["type"] == "publication":
            seen.take(payload)
        elif message.get("id") == 1:
            assert message["type"] == "subscribed", message
            if seen.position:
                seen.recovered.append(payload["recovered"])
                for each in payload["publications"]:
                    seen.take(each)
            else:
                seen.position = {"epoch": payload["epoch"], "offset": payload["offset"]}
            seen.is_in.set()


async def publish(port: int, until: asyncio.Event) -> int:
    """Publish numbers steadily, each until it is answered; how many."""
    numbers = itertools.count()
    number = next(numbers)
    while True:
        async with opened(port) as socket:
            with contextlib.suppress(ConnectionClosed):
                while not until.is_set():
                    payload = {"topic": TOPIC, "data": number, "idempotency_key": str(number)}
                    await socket.send(json.dumps({"type": "publish", "id": number, "payload": payload}))
                    while (reply := json.loads(await socket.recv())).get("id") != number:
                        pass
                    assert reply["type"] == "published", reply
                    number = next(numbers)
                    await asyncio.sleep(INTERVAL_S)
                return number


async def come_and_go(port: int) -> None:
    """Connect again and again: nobody may be refused."""
    while True:
        async with opened(port) as socket:
            await socket.recv()
        await asyncio.sleep(INTERVAL_S)


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_that_nobody_notices(tmp_path: Path, databases: Databases, workers: int) -> None:
    valkey = Valkey()
    valkey.start()
    try:
        with started(tmp_path, databases, valkey.url, workers) as reloaded:
            await assert_broken_code_changes_nothing(reloaded)
            await assert_unnoticed(reloaded, workers)
            if workers > 1:
                await assert_stops_during_a_reload(reloaded)
            else:
                await assert_workers_end_with_their_supervisor(reloaded)
    finally:
        valkey.stop()


async def assert_broken_code_changes_nothing(reloaded: Reloaded) -> None:
    before = reloaded.serving()
    reloaded.write("nothing that can be loaded")
    reloaded.reload()
    await until(lambda: "did not begin to serve" in reloaded.server.log())
    assert reloaded.serving() == before
    # Why it could not be loaded is said as a traceback.
    reloaded.server.forget_faults()


async def assert_unnoticed(reloaded: Reloaded, workers: int) -> None:
    port, everyone, done = reloaded.server.port, [Seen() for _ in range(SOCKETS)], asyncio.Event()
    background = [asyncio.create_task(follow(port, seen)) for seen in everyone]
    background.append(asyncio.create_task(come_and_go(port)))
    await asyncio.gather(*(seen.is_in.wait() for seen in everyone))
    publishing = asyncio.create_task(publish(port, done))
    before = reloaded.serving()
    reloaded.write("24")
    reloaded.reload()
    await replaced(reloaded, before, workers)
    await until(lambda: all(seen.codes for seen in everyone))
    done.set()
    count = await publishing
    await until(lambda: all(len(seen.numbers) >= count for seen in everyone))
    for task in background:
        # One that failed says how.
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    for seen in everyone:
        assert seen.numbers == list(range(count))
        assert seen.recovered
        assert all(seen.recovered)
        assert set(seen.codes) == {1012}
        assert seen.intervals_s == {25, 24}


async def assert_stops_during_a_reload(reloaded: Reloaded) -> None:
    pid = reloaded.server.process.pid
    reloaded.reload()
    await until(lambda: len(children(pid)) > 2)
    pids = children(pid)
    assert await asyncio.to_thread(reloaded.server.terminate) == 0
    assert not any_alive(pids)


async def assert_workers_end_with_their_supervisor(reloaded: Reloaded) -> None:
    # The first process has become the supervisor, which can replace its worker too.
    pids = children(reloaded.server.process.pid)
    reloaded.reload()
    await replaced(reloaded, pids, 1)
    pids = children(reloaded.server.process.pid)
    reloaded.server.kill()
    await until(lambda: not any_alive(pids))


def any_alive(pids: list[int]) -> bool:
    return any(Path(f"/proc/{each}").exists() for each in pids)


async def replaced(reloaded: Reloaded, before: list[int], count: int) -> None:
    """Wait until `count` processes serve, and none of the earlier ones."""

    def is_done() -> bool:
        now = children(reloaded.server.process.pid)
        return len(now) == count and not set(now) & set(before)

    await until(is_done)


async def until(is_done: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(WAIT_S):
        while not is_done():  # noqa: ASYNC110 no event tells of it
            await asyncio.sleep(0.05)
