"""A server that can hand its clients over: it stops listening first, and drains afterwards."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Coroutine
from socket import socket
from types import FrameType
from typing import Any, Protocol

from uvicorn import Config, Server

from realtime.server.http import RequestsProtocol

logger = logging.getLogger(__name__)

# The signal that a supervisor sends to a worker that has been replaced.
RETIRE_SIGNAL = signal.SIGUSR1
# Seconds in which requests of connections that were accepted before are still answered as usual.
RETIRE_GRACE_S = 1.0
# Seconds that a replacement may take until it serves.
START_TIMEOUT_S = 60.0


class Successor(Protocol):
    """A process that takes over."""

    @property
    def pid(self) -> int | None:
        """Its process id, once it has started."""

    def start(self) -> None:
        """Start the process."""

    def wait_until_ready(self, timeout: float, should_exit: threading.Event | None = None) -> bool:
        """Wait at most `timeout` seconds, or until `should_exit` is set; return whether it serves."""

    def terminate(self) -> None:
        """Tell it to end."""

    def kill(self) -> None:
        """End it at once."""

    def join(self) -> None:
        """Wait for its end."""


class RetiringServer(Server):
    """Uvicorn's server, which retires on RETIRE_SIGNAL.

    From then on the process that shares its listening sockets takes the new connections, so that no client is
    refused while this one drains. `replace` makes the process that takes over on SIGHUP, for a server that
    has no supervisor.
    """

    def __init__(self, config: Config, replace: Callable[[list[socket]], Successor] | None = None) -> None:
        super().__init__(config)
        self._replace = replace
        self._sockets: list[socket] = []
        self._is_ending = threading.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        # The process that took over, and the listening sockets that are kept for it.
        self.successor: Successor | None = None
        self.kept_sockets: list[socket] = []
        # Whether SIGHUP came again since the hand-over began: the successor may have the code and settings of before.
        self.was_told_again = False

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to serve, and to listen to the signals."""
        self._sockets = sockets or []
        await super().startup(sockets)
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(RETIRE_SIGNAL, self._once, "retire", self._retire)
        if self._replace is not None:
            loop.add_signal_handler(signal.SIGHUP, self.hang_up)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End. Uvicorn would raise RETIRE_SIGNAL once more afterwards, which would end the process that took over too."""
        self._is_ending.set()
        if sig == RETIRE_SIGNAL:
            self.should_exit = True
        else:
            super().handle_exit(sig, frame)

    def hang_up(self) -> None:
        """SIGHUP: hand over. One that comes meanwhile is for the supervisor that this process becomes."""
        task = self._tasks.get("hand over")
        self.was_told_again = self.successor is not None or (task is not None and not task.done())
        self._once("hand over", self._hand_over)

    def _once(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name not in self._tasks or self._tasks[name].done():
            self._tasks[name] = asyncio.get_running_loop().create_task(work())

    async def _hand_over(self) -> None:
        """Start the successor, then retire. If it does not begin to serve, go on."""
        assert self._replace is not None
        if self.successor is not None:
            return
        # The server closes its own ones when it retires.
        kept = [each.dup() for each in self._sockets]
        successor = self._replace(kept)
        if await asyncio.to_thread(self._bring_up, successor):
            logger.info("Process %s takes over", successor.pid)
            self.successor, self.kept_sockets = successor, kept
            self._once("retire", self._retire)
            return
        for each in kept:
            each.close()
        logger.error("Process %s did not begin to serve; this one goes on", successor.pid)
        if self.was_told_again:
            self.was_told_again = False
            await self._hand_over()

    def _bring_up(self, successor: Successor) -> bool:
        successor.start()
        if successor.wait_until_ready(START_TIMEOUT_S, self._is_ending):
            return True
        successor.kill()
        successor.join()
        return False

    async def _retire(self) -> None:
        for server in self.servers:
            server.close()
        self._end_keep_alive()
        await asyncio.sleep(RETIRE_GRACE_S)
        self._end_keep_alive()
        # The handler that drains: see `drain_on_sigterm`.
        end = signal.getsignal(signal.SIGTERM)
        assert callable(end)
        end(RETIRE_SIGNAL, None)

    def _end_keep_alive(self) -> None:
        """Close the connections between two requests; those with a request close after its answer."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, RequestsProtocol):
                connection.shutdown()
