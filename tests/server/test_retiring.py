"""SIGHUP that comes again while a server hands over."""

import asyncio
import threading
from typing import Any

import pytest

from realtime.server import server as module
from realtime.server.retiring import RetiringServer
from realtime.server.server import ServerConfig, _run_alone
from realtime.server.workers import Worker


class Successor:
    """A process that begins to serve when the test says so, or never."""

    pid = 7

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.serves = True

    def start(self) -> None:
        """Start nothing."""

    kill = join = start

    def wait_until_ready(self, *_: Any) -> bool:
        """Wait for the test."""
        assert self.answer.wait(10)
        return self.serves


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    async def retire(_: RetiringServer) -> None:
        """Nothing listens."""

    monkeypatch.setattr(RetiringServer, "_retire", retire)
    return [Successor(), Successor()]


async def handed_over(server: RetiringServer) -> None:
    async with asyncio.timeout(10):
        await server._tasks["hand over"]


def server_of(made: list[Any]) -> RetiringServer:
    left = iter(made)
    return RetiringServer(ServerConfig("x:y", 1, ()), lambda _: next(left))


@pytest.mark.parametrize("is_told_again", [False, True])
async def test_it_is_kept_for_the_supervisor(made: list[Any], is_told_again: bool) -> None:
    server = server_of(made)
    server.hang_up()
    await asyncio.sleep(0)
    if is_told_again:
        server.hang_up()
    made[0].answer.set()
    await handed_over(server)
    assert (server.successor, server.was_told_again) == (made[0], is_told_again)
    server.hang_up()
    assert server.was_told_again


async def test_it_is_tried_again_if_the_first_try_failed(made: list[Any]) -> None:
    server = server_of(made)
    made[0].serves = False
    server.hang_up()
    await asyncio.sleep(0)
    server.hang_up()
    for each in made:
        each.answer.set()
    await handed_over(server)
    assert (server.successor, server.was_told_again) == (made[1], False)


@pytest.mark.parametrize("is_told_again", [False, True])
def test_the_supervisor_replaces_the_successor(monkeypatch: pytest.MonkeyPatch, is_told_again: bool) -> None:
    done: list[str] = []

    class Process(Worker):
        def __init__(self) -> None:
            """Start nothing."""

        terminate = join = __init__

    class Server:
        successor: Any = Process()
        kept_sockets: Any = ()
        started = True
        was_told_again = is_told_again

        def __init__(self, *_: Any) -> None:
            """Serve nothing."""

        run = __init__

    class Supervisor:
        def __init__(self, *_: Any, **__: Any) -> None:
            """Supervise nothing."""

        def handle_hup(self) -> None:
            done.append("replace")

        def run(self) -> None:
            done.append("run")

    monkeypatch.setattr(module, "RetiringServer", Server)
    monkeypatch.setattr(module, "Workers", Supervisor)
    config: Any = Server
    config.load_app = lambda *_: None
    assert _run_alone(config, [], 1.0)
    assert done == (["replace"] if is_told_again else []) + ["run"]
