"""The verbs of a JSON endpoint, and the call that a verb's handler receives.

A consumer's table maps verb names to `Verb`. Tables are joined with `|`.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import iscoroutine
from time import monotonic
from typing import Any, Generic, ParamSpec, Protocol, cast

import msgspec
from typing_extensions import TypeVar

from realtime.core.contracts import Contract, ContractError
from realtime.core.identity import Identity, Tenant
from realtime.core.slots import owner_of
from realtime.core.token_bucket import retry_after_ms
from realtime.endpoints.declarations import (
    check_arguments,
    check_coroutine,
    check_reply,
    check_scopes,
    made_contract,
    mistake,
)
from realtime.node.node import Node
from realtime.protocol.envelope import Reply, Request
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")


class TooFastError(RequestError):
    """The connection sends too fast. It may go on after `wait_s` seconds. Too many of these errors end it."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(
            ErrorCode.RATE_LIMITED,
            "Too many messages or bytes; slow down.",
            retry_after_ms=retry_after_ms(wait_s),
        )


class NoPayload(msgspec.Struct, frozen=True):
    """The payload of verbs without parameters."""


class Caller(Protocol):
    """The part of a consumer that its verbs may use."""

    connection: Connection

    @property
    def node(self) -> Node:
        """The node of this process: hub, engine, settings, database threads."""
        ...

    def publish_later(self, call: "Call[Any]", later: "PublishedLater") -> Awaitable[None]:
        """Publish and answer beside the messages that follow. Await the result before the next message is handled."""
        ...


C_co = TypeVar("C_co", bound=Caller, default=Caller, covariant=True)


class Call(msgspec.Struct, Generic[C_co], frozen=True):
    """One request on one connection.

    `consumer` is the consumer of that connection, with its state. `node` is the node of this process: hub,
    engine, settings, database threads.
    """

    consumer: C_co
    request: Request
    connection: Connection
    node: Node

    @property
    def tenant(self) -> Tenant:
        """The tenant of the connection's host."""
        return self.connection.tenant

    @property
    def identity(self) -> Identity | None:
        """The signed-in user's identity, or None."""
        return self.connection.identity

    def require_identity(self) -> Identity:
        """Return the signed-in user's identity; raises RequestError(unauthenticated) if there is none."""
        if self.connection.identity is None:
            raise RequestError(ErrorCode.UNAUTHENTICATED, "This needs a signed-in user.")
        return self.connection.identity

    def charge(self, messages: int) -> None:
        """Count this request as `messages` messages; it has been counted as one already.

        Raises TooFastError (rate_limited), and counts nothing more, if the connection may not send that many
        now. A request for more than the burst passes if the bucket is full; the next requests then have to
        wait longer.
        """
        if wait_s := self.connection.message_bucket.take(monotonic(), messages - 1, paid=1.0):
            raise TooFastError(wait_s)

    async def in_db(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a database thread and return its result. Raises the errors of `Database.run_for`."""
        owner = owner_of(self.tenant, self.identity, self.connection.address)
        return await self.node.database.run_for(owner, work, *args, **kwargs)

    def push(self, message_type: str, payload: Mapping[str, Any] | msgspec.Struct) -> None:
        """Send a message that is not the reply.

        With DEBUG and in tests it is checked against the `pushes` of the consumer; raises ContractError.
        """
        declared = (
            getattr(self.consumer, "pushes", {}).get(message_type) if self.node.checks_contracts else None
        )
        if declared is not None:
            Contract(declared, f"The push {message_type}", "payload").check(payload)
        self.connection.push(message_type, cast("dict[str, Any]", payload))


Handler = Callable[[Call[Any], Any], Awaitable[Reply | None]]


class Answered(msgspec.Struct, frozen=True):
    """A reply that is at hand, returned by a handler that is not a coroutine function. It can be awaited like
    any other, but it is sent without a task switch."""

    reply: Reply

    def __await__(self) -> Generator[Any, Any, Reply]:
        yield from ()
        return self.reply


class PublishedLater(msgspec.Struct, frozen=True):
    """A publication of `size_bytes` that the broker must confirm before it is answered; `publish` returns the reply.

    It is returned by a handler that is not a coroutine function. The messages behind it are handled meanwhile, except
    those about the same topic.
    """

    topic: str
    size_bytes: int
    publish: Callable[[], Coroutine[Any, Any, Reply]]

    def __await__(self) -> Generator[Any, Any, Reply]:
        return self.publish().__await__()


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb: its payload's type (a msgspec Struct, checked before the call), its handler, its scopes.

    `is_slow` verbs (those that use the database or take time) run concurrently, limited by MAX_CALLS and
    CALL_TIMEOUT_S. All others run in the order of arrival, each for CALL_TIMEOUT_S and as long as its cancellation then
    takes. Only a publication which waits for the broker (PublishedLater) has no such bound, and holds up only what is
    about the same topic: `topics` returns the topics that a payload is about. A handler that returns None sends its
    answer itself.

    `reply` is the type of the reply and `returns` that of its payload (a Struct). With DEBUG and in tests every reply
    is checked against them.
    """

    payload: type[msgspec.Struct]
    handle: Handler
    is_slow: bool = False
    scopes: tuple[str, ...] = ()
    reply: str = ""
    returns: Any = None
    topics: Callable[[Any], Iterable[str]] | None = None
    contract: Contract | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Raise ImproperlyConfigured for a mistake."""
        check_coroutine(self.handle)
        check_arguments(self.handle, "call", "payload")
        check_reply(self.handle, Reply, allowed="a verb returns Reply(type, payload) or None")
        check_scopes(self.scopes, self.handle)
        what = f"The reply {self.reply} of the verb {getattr(self.handle, '__qualname__', self.handle)}"
        object.__setattr__(self, "contract", made_contract(self.returns, what, "payload", self.handle))
        if not (isinstance(self.payload, type) and issubclass(self.payload, msgspec.Struct)):
            raise mistake(
                self.handle, f"the payload of its verb must be a msgspec.Struct, received {self.payload!r}."
            )

    def checked(self, handle: Handler) -> Handler:
        """Return `handle`, whose replies are checked against `reply` and `returns`."""
        if not self.reply and self.contract is None:
            return handle

        def checking(call: Call[Any], payload: Any) -> Awaitable[Reply | None]:
            handling = handle(call, payload)
            # A reply at hand stays one: its sender looks at its type.
            return self.checked_reply(handling) if iscoroutine(handling) else self._checked(handling)

        return checking

    def _checked(self, handling: Awaitable[Reply | None]) -> Awaitable[Reply | None]:
        if isinstance(handling, Answered):
            self._check(handling.reply)
        return handling

    async def checked_reply(self, handling: Awaitable[Reply | None]) -> Reply | None:
        """Return the reply of a handler, checked against `reply` and `returns`."""
        reply = await handling
        if reply is not None:
            self._check(reply)
        return reply

    def _check(self, reply: Reply) -> None:
        if self.reply and reply.type != self.reply:
            what = f"The reply {reply.type} of the verb {getattr(self.handle, '__qualname__', self.handle)}"
            raise ContractError(what, self.reply, "another type of reply is declared", "type")
        if self.contract is not None:
            self.contract.check(reply.payload)
