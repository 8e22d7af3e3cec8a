"""Uvicorn's HTTP protocol with our WebSocket class on the loop of the test, and applications made for the case."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from realtime.server.http import HttpProtocol
from realtime.server.http_quota import HttpLimits, HttpQuota
from realtime.server.protocol import WebSocketProtocol

Application = Callable[[Any, Any, Any], Awaitable[None]]
OURS = "realtime.server.protocol:WebSocketProtocol"


class Lab:
    """A server in this process."""

    def __init__(self, config: Config, limits: HttpLimits) -> None:
        config.load()
        self.config = config
        self.state = ServerState()
        self.http_quota = HttpQuota(limits)
        vars(self.state)["http_quota"] = self.http_quota
        self.port = 0
        self.app_state: dict[str, Any] = {"kept": "by the lifespan"}

    @property
    def sockets(self) -> list[WebSocketProtocol]:
        """The WebSockets that are there."""
        return [each for each in self.state.connections if isinstance(each, WebSocketProtocol)]

    async def is_empty(self) -> None:
        """Wait until no connection and no task is left."""
        async with asyncio.timeout(10):
            while self.state.connections or self.state.tasks:  # noqa: ASYNC110 what uvicorn keeps says nothing
                await asyncio.sleep(0.005)

    def make(self) -> HttpProtocol:
        """A protocol for a new connection."""
        return HttpProtocol(self.config, self.state, self.app_state)


@asynccontextmanager
async def serving(
    app: Application,
    *,
    ws: str = OURS,
    may_fail: bool = False,
    limits: HttpLimits | None = None,
    **options: Any,
) -> AsyncIterator[Lab]:
    """Serve `app` with the WebSocket class `ws`; it must leave nothing behind, and not fail unless it `may_fail`."""

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as failure:
            failures.append(failure)
            raise

    failures: list[Exception] = []
    options = {"ws_ping_interval": None, "ws_max_size": 100_000, "ws_per_message_deflate": False} | options
    config = Config(watched, ws=ws, lifespan="off", log_config=None, server_header=False, **options)
    lab = Lab(config, limits or HttpLimits())
    server = await asyncio.get_running_loop().create_server(lab.make, "127.0.0.1", 0)
    lab.port = server.sockets[0].getsockname()[1]
    try:
        yield lab
        for each in list(lab.state.connections):
            each.shutdown()
        await lab.is_empty()
    finally:
        server.close()
    assert may_fail or not failures, failures
    assert lab.http_quota.count == lab.http_quota.bodies_bytes == 0


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Accept, echo in kind, return when it is over."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send(event | {"type": "websocket.send"})
