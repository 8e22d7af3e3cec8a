"""Uvicorn, configured for this package."""

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, cast

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from realtime.conf import load_settings
from realtime.core.addresses import TrustedProxies
from realtime.core.figures import SERVE
from realtime.protocol.codec import RAW_MESSAGE_MAX_BYTES
from realtime.server.retiring import RetiringServer
from realtime.server.uncaught import log_uncaught
from realtime.server.workers import Worker, Workers
from realtime.sockets.types import Application

logger = logging.getLogger(__name__)

# Twice the limit of any endpoint, so that the endpoint itself can answer a message that is a little too
# large.
SERVER_MESSAGE_MAX_BYTES = 2 * RAW_MESSAGE_MAX_BYTES
PROTOCOL = "realtime.server.protocol:WebSocketProtocol"
COMPRESSING_PROTOCOL = "realtime.server.compression:CompressingProtocol"
BACKLOG = 4096
# Seconds that a connection may stay open between two plain HTTP requests.
KEEP_ALIVE_S = 5
# Seconds that handlers may take to end after the drain, before they are cancelled.
GRACE_S = 5


def serve(
    application: str,
    *,
    sockets: Sequence[socket],
    workers: int,
    trusted_proxies: TrustedProxies | None,
) -> None:
    """Serve the ASGI application at an import path until SIGTERM (drains) or SIGINT (stops at once).

    SIGHUP replaces the processes that serve, one by one, by new ones with the current code and settings. All
    workers listen on the same bound `sockets`. X-Forwarded-For and X-Forwarded-Proto are trusted from
    `trusted_proxies` only; None takes those of the settings. Ends the process with STARTUP_FAILURE (3) if the
    application does not start.
    """
    log_uncaught()
    # After a clean stop uvicorn raises the signal again. That must not look like a failure.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    # Until there is something to replace.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # All its processes share the name.
    os.environ[SERVE] = secrets.token_hex(6)
    proxies = None if trusted_proxies is None else trusted_proxies.spelled_out()

    def config() -> Config:
        return ServerConfig(application, workers, proxies)

    run = _run_workers if workers > 1 else _run_alone
    if not run(config, list(sockets), load_settings().DRAIN_S):
        sys.exit(STARTUP_FAILURE)


def serve_here(application: Application, *, sockets: Sequence[socket]) -> None:
    """Serve in this process and thread, for development, until it is interrupted."""
    Server(ServerConfig(application, 1, ())).run(list(sockets))


def _run_workers(config: Callable[[], Config], sockets: list[socket], drain_s: float) -> bool:
    """Run the workers until they end; return whether they could start."""
    supervisor = Workers(config(), sockets, drain_s=drain_s)
    supervisor.run()
    return not supervisor.has_failed


def _run_alone(config: Callable[[], Config], sockets: list[socket], drain_s: float) -> bool:
    """Serve in this process until SIGHUP, then supervise the process that serves. Return whether it could start."""
    loaded = config()
    loaded.load_app()
    # A config that has loaded the application cannot be sent to another process.
    server = RetiringServer(loaded, lambda kept: Worker(config(), kept))
    try:
        server.run(sockets)
        if isinstance(server.successor, Worker):
            logger.info("This process supervises from now on")
            supervisor = Workers(config(), server.kept_sockets, drain_s=drain_s, running=[server.successor])
            if server.was_told_again:
                supervisor.handle_hup()
            supervisor.run()
    except KeyboardInterrupt:
        # SIGINT, which uvicorn raises again after a clean stop.
        return True
    finally:
        if server.successor is not None:
            server.successor.terminate()
            server.successor.join()
    return server.started


class ServerConfig(Config):
    """Uvicorn's configuration. `proxies` are trusted; None: those of the settings.

    The settings are read by the process that serves: after a reload they may be newer than those of its supervisor.
    """

    def __init__(self, application: str | Application, workers: int, proxies: Sequence[str] | None) -> None:
        super().__init__(
            cast("Any", application),
            workers=workers,
            loop="auto",
            http="realtime.server.http:HttpProtocol",
            ws=PROTOCOL,
            ws_max_size=SERVER_MESSAGE_MAX_BYTES,
            # This is uvicorn's compression, which keeps a window for each socket. A class of ours has its own.
            ws_per_message_deflate=False,
            backlog=BACKLOG,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._proxies = proxies

    def load(self) -> None:
        """Read the settings, and import the application."""
        settings = load_settings()
        given = self._proxies
        proxies = TrustedProxies(settings.TRUSTED_PROXIES).spelled_out() if given is None else given
        self.proxy_headers, self.forwarded_allow_ips = bool(proxies), ",".join(proxies)
        self.ws = COMPRESSING_PROTOCOL if settings.COMPRESSION else PROTOCOL
        self.ws_ping_interval = settings.PING_INTERVAL_S or None
        self.ws_ping_timeout = settings.PING_TIMEOUT_S or None
        super().load()
