"""Counts plain HTTP requests by the status of their answers."""

from collections.abc import Mapping
from typing import Any

from realtime.sockets.metrics import Metrics
from realtime.sockets.types import Application, Receive, Scope, Send


class CountRequests:
    """Counts each answer when it begins."""

    def __init__(self, app: Application, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""

        async def counted(event: Mapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                self._metrics.http_answered(event["status"])
            await send(event)

        await self._app(scope, receive, counted)
