"""What a JSON endpoint can do: a table of verbs, and the call each of them is given.

A consumer is a mapping of verb names to `Verb`; tables are joined with `|`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, ParamSpec, Protocol

import msgspec
from typing_extensions import TypeVar

from realtime.core.identity import Identity, Tenant
from realtime.core.slots import owner_of
from realtime.core.token_bucket import retry_after_ms
from realtime.node.node import Node
from realtime.protocol.envelope import Reply, Request
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")


class TooFastError(RequestError):
    """The connection sends more than it may; after `wait_s` seconds it may go on. Too many of these end it."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(
            ErrorCode.RATE_LIMITED,
            "Too many messages or bytes; slow down.",
            retry_after_ms=retry_after_ms(wait_s),
        )


class NoPayload(msgspec.Struct, frozen=True):
    """The payload of verbs that take none."""


class Caller(Protocol):
    """A consumer, as its verbs see it."""

    connection: Connection

    @property
    def node(self) -> Node:
        """What this process has one of: hub, engine, settings, database threads."""
        ...


C_co = TypeVar("C_co", bound=Caller, default=Caller, covariant=True)


class Call(msgspec.Struct, Generic[C_co], frozen=True):
    """One request on one connection. `consumer` is the endpoint's, with what it keeps for the connection."""

    consumer: C_co
    request: Request

    @property
    def connection(self) -> Connection:
        """The socket."""
        return self.consumer.connection

    @property
    def node(self) -> Node:
        """What this process has one of: hub, engine, settings, database threads."""
        return self.consumer.node

    @property
    def tenant(self) -> Tenant:
        """The tenant of the connection's host."""
        return self.connection.tenant

    @property
    def identity(self) -> Identity | None:
        """Who is signed in, if anybody."""
        return self.connection.identity

    def require_identity(self) -> Identity:
        """Who is signed in; raises RequestError(unauthenticated)."""
        if self.connection.identity is None:
            raise RequestError(ErrorCode.UNAUTHENTICATED, "This needs a signed-in user.")
        return self.connection.identity

    def charge(self, messages: int) -> None:
        """Count this request as so many `messages`; so far it was one.

        Raises TooFastError (rate_limited), and counts no more, where the connection may not send so many now. More than
        the burst are let through when nothing else was sent; what comes next waits the longer.
        """
        if wait_s := self.connection.message_bucket.take(monotonic(), messages - 1, paid=1.0):
            raise TooFastError(wait_s)

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a database thread and return its result; raises what `Database.run_for` does."""
        owner = owner_of(self.tenant, self.identity)
        return await self.node.database.run_for(owner, work, *args, **kwargs)

    def push(self, message_type: str, payload: dict[str, Any]) -> None:
        """Send something that is not the reply."""
        self.connection.push(message_type, payload)


Handler = Callable[[Call[Any], Any], Awaitable[Reply | None]]


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its payload's type (a msgspec Struct, checked before the call), its handler, its scopes.

    `is_slow` verbs (those that touch the database or take time) run beside the others, under MAX_CALLS and
    CALL_TIMEOUT_S; the rest run in the order they came. A reply of None answers later, by itself.
    """

    payload: type[msgspec.Struct]
    handle: Handler
    is_slow: bool = False
    scopes: tuple[str, ...] = ()
