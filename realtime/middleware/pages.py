"""Turns for plain HTTP requests: pages are made in threads of the process that serves the sockets, and many at once
would keep Python's lock from its event loop."""

from collections.abc import Mapping
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.core.addresses import address_key
from realtime.core.slots import Owner
from realtime.middleware.tenant import HOSTLESS_PATHS
from realtime.node.turns import SlotQueue
from realtime.protocol.errors import Refusal, RequestError
from realtime.sockets.types import Application, Receive, Scope, Send

RETRY_AFTER_S = 1
BUSY = "Too many pages are being made. Try again in a moment."


class PageTurns:
    """Lets PAGES requests run at once, tenants and addresses in turn; others wait, or are refused with 503.

    A request runs from the end of its body to the beginning of its answer, so a slow client holds no turn.
    Probes and `/metrics` never wait.
    """

    def __init__(self, app: Application, settings: RealtimeSettings) -> None:
        self._app = app
        self._queue = SlotQueue(
            settings.PAGES,
            busy=BUSY,
            wait_s=settings.PAGES_WAIT_S,
            waiting_max=settings.PAGES_WAITING,
            waiting_per_tenant_max=settings.PAGES_WAITING_PER_TENANT,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application in its turn. Raises Refusal(503) if too many wait, or one waits too long."""
        if scope["path"].rstrip("/") in HOSTLESS_PATHS:
            await self._app(scope, receive, send)
            return
        turn = Turn(self._queue, scope)

        async def received() -> Any:
            event = await receive()
            if event["type"] == "http.request" and not event.get("more_body"):
                await turn.begin()
            return event

        async def sent(event: Mapping[str, Any]) -> None:
            turn.end()
            await send(event)

        try:
            await self._app(scope, received, sent)
        finally:
            turn.end()


class Turn:
    """The turn of one request."""

    def __init__(self, queue: SlotQueue, scope: Scope) -> None:
        client = scope.get("client")
        self._queue = queue
        self._owner = Owner(scope["tenant"].slug, address_key(client[0]) if client else None)
        self._is_held = False

    async def begin(self) -> None:
        """Wait for the turn. Raises Refusal(503)."""
        try:
            await self._queue.take(self._owner)
        except RequestError as error:
            raise Refusal(503, "unavailable", BUSY, retry_after_s=RETRY_AFTER_S) from error
        self._is_held = True

    def end(self) -> None:
        """Give the turn back, once."""
        if self._is_held:
            self._is_held = False
            self._queue.give_back(self._owner)
