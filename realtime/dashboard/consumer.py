"""The endpoint behind the live page: sends figures at an interval while the page is visible."""

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated

import msgspec
from django.utils.translation import gettext as _

from realtime.dashboard.access import PERMISSION, may_view
from realtime.dashboard.feed import FeedKey, Feeds
from realtime.dashboard.selecting import select
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.core_verbs import CORE_VERBS
from realtime.endpoints.verbs import Call, NoPayload, Verb
from realtime.node.node import Node
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.envelope import Reply
from realtime.protocol.errors import Refusal, forbidden
from realtime.sockets.connection import Connection
from realtime.sockets.types import Receive, Scope, Send

INTERVAL_MIN_S = 0.5
INTERVAL_MAX_S = 60.0
INTERVAL_DEFAULT_S = 2.0
# Seconds between two checks of the permission. After it is taken away, a page may receive pushes for this
# long.
PERMISSION_CHECK_S = 5.0

Interval = Annotated[float, msgspec.Meta(ge=INTERVAL_MIN_S, le=INTERVAL_MAX_S)]
Name = Annotated[str, msgspec.Meta(max_length=255)]


class Start(msgspec.Struct, frozen=True):
    """Payload of `live.start`: seconds between two pushes, and the figures that are wanted; null is all."""

    interval_s: Interval = INTERVAL_DEFAULT_S
    tenant: Name | None = None
    route: Name | None = None
    node: Name | None = None


async def on_start(call: Call["LiveConsumer"], payload: Start) -> Reply:
    """Push these figures, at this interval, from now on. Another tenant than the operator's own is `not_found`."""
    consumer = call.consumer
    selection = select(consumer.own_tenant, tenant=payload.tenant, route=payload.route, node=payload.node)
    await consumer.watch.start(FeedKey(selection, payload.interval_s))
    return Reply("live.started", {"interval_s": payload.interval_s})


async def on_stop(call: Call["LiveConsumer"], payload: NoPayload) -> Reply:
    """Stop pushing: the page is paused or hidden."""
    call.consumer.watch.stop()
    return Reply("live.stopped", {})


class LiveConsumer(JsonConsumer):
    """Pushes `live` to staff with the permission `realtime.view_live`. Superusers see all tenants.

    The route checks that the user is staff.
    """

    verbs = {**CORE_VERBS, "live.start": Verb(Start, on_start), "live.stop": Verb(NoPayload, on_stop)}
    watch: "_Watch"
    # The slug of the tenant that the operator is bound to; None: they see all.
    own_tenant: str | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket.

        Raises Refusal: 403 without the permission, 503 if the database cannot be asked.
        """
        if not await may_view(scope["endpoints"].node.database, scope["identity"]):
            message = _("This needs the permission {name}.").format(name=PERMISSION)
            raise forbidden("permission_denied", message)
        await super().__call__(scope, receive, send)

    async def welcomed(self) -> None:
        """Start pushing everything that the operator sees, at the default interval."""
        identity = self.connection.identity
        sees_all = identity is not None and identity.is_superuser is True
        self.own_tenant = None if sees_all else self.connection.tenant.slug
        self.watch = _Watch(self.connection, self.node)
        await self.watch.start(FeedKey(select(self.own_tenant), INTERVAL_DEFAULT_S))

    async def disconnect(self, code: int) -> None:
        """Stop pushing."""
        if hasattr(self, "watch"):
            self.watch.stop()


@dataclass(slots=True)
class _Watch:
    """The feed that one page is shown, for as long as its operator has the permission."""

    connection: Connection
    node: Node
    key: FeedKey | None = None
    task: "asyncio.Task[None] | None" = None
    # The handshake has checked the permission.
    checked_s: float = field(default_factory=monotonic)

    async def start(self, key: FeedKey) -> None:
        if key == self.key:
            return
        self.stop()
        if not await self._may_go_on() or self.connection.is_closing:
            return
        self.key = key
        self._feeds.join(key, self.connection)
        self.task = self.connection.spawn(self._keep_checking())

    def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None
        if self.key is not None:
            self._feeds.leave(self.key, self.connection)
            self.key = None

    @property
    def _feeds(self) -> Feeds:
        return self.node.shared(Feeds, lambda: Feeds(self.node))

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(PERMISSION_CHECK_S)
            if not await self._may_go_on():
                return

    async def _may_go_on(self) -> bool:
        """Return whether the operator still has the permission; close the connection if not."""
        now_s = monotonic()
        if now_s - self.checked_s < PERMISSION_CHECK_S:
            return True
        self.checked_s = now_s
        try:
            if await may_view(self.node.database, self.connection.identity):
                return True
        except Refusal:
            # Operators need the page when the database fails: the last answer holds until it can be asked
            # again.
            return True
        self.connection.close(CloseCode.FORBIDDEN, "the permission was taken away")
        return False
