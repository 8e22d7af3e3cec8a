"""RPC methods: plain functions with typed keyword arguments, called by name over a socket.

@rpc_method("add", reply="sum")
def add(call: Call, *, a: int, b: int) -> dict[str, int]:
    return {"sum": a + b}
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import asdict

from realtime.endpoints.parameters import described, parameters_of
from realtime.endpoints.verbs import Call
from realtime.protocol.envelope import Reply

AtHand = Callable[..., dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """A declared method.

    `async` methods run on the loop, others in a database thread. `at_hand` is called first.
    """

    name: str
    reply: str
    function: Callable[..., Any]
    parameters: type[msgspec.Struct]
    scopes: frozenset[str]
    needs_user: bool
    is_async: bool
    at_hand: AtHand | None = None

    async def answer(self, call: Call, parameters: msgspec.Struct) -> Reply:
        """Run the method with checked parameters."""
        arguments = asdict(parameters)
        if self.is_async:
            return Reply(self.reply, await self.function(call, **arguments))
        return Reply(self.reply, await call.in_db(self.function, call, **arguments))

    def describe(self) -> dict[str, Any]:
        """Return the entry of `rpc.methods` for this method."""
        return {
            "name": self.name,
            "description": inspect.getdoc(self.function) or "",
            "params": described(self.parameters),
            "reply": self.reply,
            "scopes": sorted(self.scopes),
            "signed_in": self.needs_user or bool(self.scopes),
        }


def rpc_method(
    name: str,
    *,
    reply: str | None = None,
    scopes: Iterable[str] = (),
    signed_in: bool = False,
    at_hand: AtHand | None = None,
) -> Callable[[Callable[..., Any]], RpcMethod]:
    """Declare the decorated function as the method `name`.

    `reply` is the type of the answer (default `<name>.result`).
    It receives the call and, by keyword, its parameters. It returns the payload or raises RequestError. A
    plain function runs in a database thread, an `async` one as a task.

    `at_hand` is a plain function that is called first, on the loop, with the same arguments. It returns the
    payload if that is in memory. Otherwise it returns None and the method runs.
    """

    def declare(function: Callable[..., Any]) -> RpcMethod:
        return RpcMethod(
            name=name,
            reply=reply or f"{name}.result",
            function=function,
            parameters=parameters_of(function),
            scopes=frozenset(scopes),
            needs_user=signed_in,
            is_async=inspect.iscoroutinefunction(function),
            at_hand=at_hand,
        )

    return declare
