"""The endpoint behind the live page: sends metrics at an interval while the page is visible."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated

import msgspec

from realtime.dashboard.access import PERMISSION, may_view
from realtime.dashboard.feed import LiveFeed
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.verbs import Call, NoPayload, Verb
from realtime.node.database import Database
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import Refusal, forbidden
from realtime.sockets.connection import Connection
from realtime.sockets.types import Receive, Scope, Send

INTERVAL_MIN_S = 0.5
INTERVAL_MAX_S = 60.0
INTERVAL_DEFAULT_S = 2.0
# Seconds between two checks of the permission. After it is taken away, a page may receive pushes for this
# long plus its interval.
PERMISSION_CHECK_S = 5.0

Interval = Annotated[float, msgspec.Meta(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]


class Start(msgspec.Struct, frozen=True):
    """Payload of `live.start`: seconds between two pushes."""

    interval_s: Interval = INTERVAL_DEFAULT_S


async def on_start(call: Call["LiveConsumer"], payload: Start) -> Reply:
    """Push metrics at this interval from now on."""
    call.consumer.pulse.start(payload.interval_s)
    return Reply("live.started", {"interval_s": payload.interval_s})


async def on_stop(call: Call["LiveConsumer"], payload: NoPayload) -> Reply:
    """Stop pushing: the page is paused or hidden."""
    call.consumer.pulse.stop()
    return Reply("live.stopped", {})


class LiveConsumer(JsonConsumer):
    """Pushes `live` to staff with the permission `realtime.view_live`. Superusers see all tenants.

    The route checks that the user is staff.
    """

    verbs = {**CORE_VERBS, "live.start": Verb(Start, on_start), "live.stop": Verb(NoPayload, on_stop)}
    pulse: "_Pulse"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket.

        Raises Refusal: 403 without the permission, 503 if the database cannot be asked.
        """
        if not await may_view(scope["endpoints"].node.database, scope["identity"]):
            raise forbidden("permission_denied", f"This needs the permission {PERMISSION}.")
        await super().__call__(scope, receive, send)

    async def welcomed(self) -> None:
        """Start pushing at the default interval."""
        identity = self.connection.identity
        sees_all = identity is not None and identity.is_superuser is True
        feed = LiveFeed(self.node, None if sees_all else self.connection.tenant.slug)
        self.pulse = _Pulse(self.connection, self.node.database, feed)
        self.pulse.start(INTERVAL_DEFAULT_S)


@dataclass(slots=True)
class _Pulse:
    """The timer of one page.

    Two pushes are at least one interval apart, also across a stop and a start, because rates over a very
    short time mean little.
    """

    connection: Connection
    database: Database
    feed: LiveFeed
    interval_s: float = INTERVAL_DEFAULT_S
    task: "asyncio.Task[None] | None" = None
    last_s: float = float("-inf")
    # The handshake has checked the permission.
    checked_s: float = field(default_factory=monotonic)

    def start(self, interval_s: float) -> None:
        if self.task is not None and interval_s == self.interval_s:
            return
        self.stop()
        self.interval_s = interval_s
        self.task = self.connection.spawn(self._run())

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(max(self.last_s + self.interval_s - monotonic(), 0.0))
            if not await self._may_go_on():
                self.connection.close(CloseCode.FORBIDDEN, "the permission was taken away")
                return
            self.last_s = monotonic()
            if self.connection.outbox.is_behind:
                # The page does not keep up. It skips this push and gets a later one.
                self.connection.metrics.dropped += 1
            else:
                self.connection.push("live", {"interval_s": self.interval_s, **self.feed.beat()})

    async def _may_go_on(self) -> bool:
        now_s = monotonic()
        if now_s - self.checked_s < PERMISSION_CHECK_S:
            return True
        self.checked_s = now_s
        try:
            return await may_view(self.database, self.connection.identity)
        except Refusal:
            # Operators need the page when the database fails: the last answer holds until it can be asked
            # again.
            return True
