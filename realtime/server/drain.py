"""Draining on SIGTERM, before the server handles the signal, because servers close all sockets at once."""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType

logger = logging.getLogger(__name__)


def drain_on_sigterm(drain: Callable[[], Awaitable[None]]) -> None:
    """On SIGTERM run `drain` on this loop, then pass the signal to the server's own handler.

    A second SIGTERM is passed on at once. Does nothing outside the main thread: only that receives signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    server_handler = signal.getsignal(signal.SIGTERM)
    if not callable(server_handler):
        return
    draining: list[asyncio.Task[None]] = []

    async def drain_then_end(signum: int, frame: FrameType | None) -> None:
        try:
            await drain()
        except Exception:
            logger.exception("Draining failed")
        server_handler(signum, frame)

    def begin(signum: int, frame: FrameType | None) -> None:
        draining.append(loop.create_task(drain_then_end(signum, frame)))

    def on_sigterm(signum: int, frame: FrameType | None) -> None:
        if draining:
            server_handler(signum, frame)
        else:
            loop.call_soon_threadsafe(begin, signum, frame)

    signal.signal(signal.SIGTERM, on_sigterm)
