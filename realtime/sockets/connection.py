"""One object for each socket: its identity, tenant, route, subscriptions and outbox."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from time import monotonic
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.core.identity import Identity, Tenant
from realtime.core.token_bucket import TokenBucket
from realtime.protocol.close_codes import CloseCode, fitting_reason
from realtime.protocol.codec import encode_error, encode_reply
from realtime.protocol.errors import RequestError
from realtime.sockets.labels import label
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import Outbox, PreparedMessage
from realtime.sockets.subscription import TOLD_AT_ONCE, Subscription
from realtime.sockets.types import Scope

logger = logging.getLogger(__name__)

# How long a client may take to answer our close frame before the connection is cut, in seconds.
CLOSE_TIMEOUT_S = 10.0
# How long before a credential ends its client is told, in seconds.
EXPIRING_NOTICE_S = 60.0


# Of the client's User-Agent, which operators see.
AGENT_MAX_CHARS = 256


def new_connection_id() -> str:
    """A random id for a connection, unique on all nodes."""
    return secrets.token_hex(8)


class TenantRate:
    """The messages that all connections of a tenant may send together; without a bucket there is no limit."""

    __slots__ = ("bucket",)

    def __init__(self) -> None:
        self.bucket: TokenBucket | None = None


# Of connections without a node; never changed.
UNLIMITED = TenantRate()


class Connection:
    """An open socket. Used only on its event loop."""

    __slots__ = (
        "_cleanups",
        "_client",
        "_context",
        "_reader",
        "_server",
        "_tasks",
        "agent",
        "byte_bucket",
        "close_code",
        "close_reason",
        "expiry_due_s",
        "has_topics",
        "host",
        "id",
        "identity",
        "is_json",
        "message_bucket",
        "messages_in",
        "metrics",
        "opened_at",
        "opened_s",
        "outbox",
        "route",
        "subscriptions",
        "tenant",
        "tenant_rate",
    )

    def __init__(
        self,
        scope: Scope,
        make_outbox: Callable[["Connection"], Outbox],
        *,
        settings: RealtimeSettings,
        metrics: RouteMetrics,
        is_json: bool,
    ) -> None:
        self.id: str = scope["connection_id"]
        self.tenant: Tenant = scope["tenant"]
        self.identity: Identity | None = scope["identity"]
        self.route: str = scope["route"].path
        host = scope.get("host")
        # The host that the client asked for, lower case; "" if the server does not know it.
        self.host: str = host.name if host is not None else ""
        # The same tuples as in the scope, not copies.
        self._client = scope.get("client")
        self._server = scope.get("server")
        self.agent = _agent(scope)
        # Whether its endpoint has subscriptions; set by the consumer.
        self.has_topics = False
        self.opened_at = datetime.now(UTC)
        self.opened_s = monotonic()
        self.is_json = is_json
        self.metrics = metrics
        self.messages_in = 0
        # Rate limits of what the client sends: messages, and their bytes after decompression.
        self.message_bucket = TokenBucket(settings.MESSAGES_PER_S, settings.MESSAGES_BURST, self.opened_s)
        self.byte_bucket = TokenBucket(settings.BYTES_PER_S, settings.BYTES_BURST, self.opened_s)
        # The same object for all connections of the tenant; the node sets it.
        self.tenant_rate = UNLIMITED
        self.close_code: int | None = None
        self.close_reason = ""
        # By topic name; each is JOINING or LIVE.
        self.subscriptions: dict[str, Subscription] = {}
        # Made last: it may call back into this object if the client falls behind.
        self.outbox = make_outbox(self)
        self._reader = asyncio.current_task()
        # Of its tasks. A message may be handled in a callback of the server, whose context is another one.
        self._context = copy_context()
        # A dict instead of a set, because most connections have no tasks and an empty set takes more memory.
        self._tasks: dict[asyncio.Task[None], None] = {}
        # In the order of registration.
        self._cleanups: dict[Callable[[], None], None] = {}
        # When to check the end of the credential next, as a timestamp.
        self.expiry_due_s = self._notice_due_s()

    @property
    def remote_addr(self) -> str:
        """The client's host and port; "" if the server does not know them."""
        return _address(self._client)

    @property
    def address(self) -> str:
        """The client's address without the port; "" if the server does not know it."""
        return str(self._client[0]) if self._client else ""

    @property
    def local_addr(self) -> str:
        """The host and port that the client connected to; "" if the server does not know them."""
        return _address(self._server)

    @property
    def messages_out(self) -> int:
        """Messages put into the outbox so far, including those that were dropped."""
        return self.outbox.messages_out

    @property
    def is_closing(self) -> bool:
        """Whether either side has begun to close."""
        return self.close_code is not None

    def read_by(self, task: "asyncio.Task[None] | None") -> None:
        """Name the task that reads this socket, if it is not the one that made this object. `cut` cancels it."""
        self._reader = task

    def push(self, message_type: str, payload: dict[str, Any]) -> None:
        """Queue a push."""
        self.outbox.put(PreparedMessage(encode_reply(None, message_type, payload)))

    async def send_error(self, error: RequestError, request_id: str | int | None = None) -> None:
        """Answer a request with an error, and count it."""
        self._count(error)
        await self.outbox.send(PreparedMessage(encode_error(error, request_id)))

    def push_error(self, error: RequestError, request_id: str | int | None = None) -> None:
        """Queue an error, and count it. Without `request_id` it answers no request."""
        self._count(error)
        self.outbox.put(PreparedMessage(encode_error(error, request_id)))

    def _count(self, error: RequestError) -> None:
        self.metrics.error(error.code, error.verb, error.exception, self.id)

    def close(self, code: int, reason: str = "", *, discard: bool = False) -> None:
        """Close this connection; the first call decides the code."""
        if self.is_closing:
            return
        self.close_code = int(code)
        self.close_reason = reason = fitting_reason(reason)
        self.end_subscriptions(at_once=code in TOLD_AT_ONCE)
        self.outbox.close(int(code), reason, discard=discard)
        asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self._cut)

    def cut(self) -> None:
        """End the connection now, as a slow consumer. No close frame is sent, because the
        client does not read."""
        self.fall_behind()
        self.outbox.abort()
        self._cut()

    def fall_behind(self) -> None:
        """Close a slow consumer; called by its outbox. Waiting messages are dropped."""
        self.close(CloseCode.SLOW_CONSUMER, "slow consumer", discard=True)

    def end_subscriptions(self, *, at_once: bool) -> None:
        """End all subscriptions, including JOINING ones. `at_once`: the client is not
        expected to reconnect by itself."""
        for subscription in list(self.subscriptions.values()):
            subscription.owner.end(subscription, at_once=at_once)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` as a task that ends with this connection; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks[task] = None
        task.add_done_callback(self._task_done)
        return task

    def adopt(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As `spawn`, with less overhead: `work` must not fail, and must call `disown` at
        its end. Used for calls."""
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        self._tasks[task] = None
        return task

    def disown(self, task: "asyncio.Task[None] | None") -> None:
        """Forget an adopted task that has ended."""
        if task is not None:
            self._tasks.pop(task, None)

    def on_release(self, cleanup: Callable[[], None]) -> None:
        """Call `cleanup` when the connection ends, for whatever reason; `off_release` takes it back."""
        self._cleanups[cleanup] = None

    def off_release(self, cleanup: Callable[[], None]) -> None:
        """Remove a `cleanup` that is no longer needed."""
        self._cleanups.pop(cleanup, None)

    def renew(self, identity: Identity) -> None:
        """Continue with a newer credential; the client will be told before that one ends too."""
        self.identity = identity
        self.expiry_due_s = self._notice_due_s()

    def check_expiry(self, now_s: float) -> None:
        """Tell the client before its credential ends, and close when it ends. Called when
        `expiry_due_s` has passed."""
        if self.identity is None or self.identity.expires_at is None or self.is_closing:
            self.expiry_due_s = inf
            return
        expires_at = self.identity.expires_at
        self.expiry_due_s = expires_at.timestamp()
        if self.expiry_due_s <= now_s:
            self.close(CloseCode.UNAUTHENTICATED, "credential expired")
        elif self.is_json:
            self.push("expiring", {"expires_at": expires_at.isoformat()})

    async def release(self) -> None:
        """Release everything that this connection holds. Called once, when it has ended."""
        for task in self._tasks:
            task.cancel()
        for cleanup in reversed(list(self._cleanups)):
            try:
                cleanup()
            except Exception:
                logger.exception("Clean-up failed on %s", label(self))
        self.outbox.abandon()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _notice_due_s(self) -> float:
        expires_at = self.identity.expires_at if self.identity is not None else None
        return expires_at.timestamp() - EXPIRING_NOTICE_S if expires_at is not None else inf

    def _cut(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A task failed on %s", label(self), exc_info=error)


def _agent(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name == b"user-agent":
            return _shared_agent(value[:AGENT_MAX_CHARS])
    return ""


@lru_cache(maxsize=1024)
def _shared_agent(value: bytes) -> str:
    """One text for all connections with the same value, to save memory."""
    return "".join(char for char in value.decode("latin-1") if char.isprintable())


def _address(pair: Any) -> str:
    return f"{pair[0]}:{pair[1]}" if pair else ""
