"""RPC methods: plain functions with typed keyword arguments, called by name over a socket.

@rpc_method("add", reply="sum")
def add(call: Call, *, a: int, b: int) -> dict[str, int]:
    return {"sum": a + b}
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction
from msgspec.structs import asdict

from realtime.core.contracts import Contract
from realtime.endpoints.declarations import (
    PAYLOAD_TYPES,
    check_arguments,
    check_name,
    check_no_generator,
    check_plain,
    check_reply,
    check_scopes,
    contract_of,
    mistake,
)
from realtime.endpoints.parameters import described, described_type, parameters_of
from realtime.endpoints.verbs import Call
from realtime.protocol.envelope import Reply

AtHand = Callable[..., Any]


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
    # The annotated result, if it is more than an object.
    contract: Contract | None = None
    is_checked: bool = False

    def checked(self) -> "RpcMethod":
        """Return this method, whose results are checked against its contract."""
        return replace(self, is_checked=True)

    async def answer(self, call: Call, parameters: msgspec.Struct) -> Reply:
        """Run the method with checked parameters."""
        arguments = asdict(parameters)
        if self.is_async:
            return self.reply_of(await self.function(call, **arguments))
        return self.reply_of(await call.in_db(self.function, call, **arguments))

    def reply_of(self, payload: Any) -> Reply:
        """Return the reply with a result of the function.

        Raises TypeError for one that is no JSON object, and ContractError for one that does not fit.
        """
        # A dict is the usual case, and needs no further look.
        if type(payload) is not dict:
            payload = _as_object(payload)
        if self.is_checked and self.contract is not None:
            self.contract.check(payload)
        return Reply(self.reply, payload)

    def describe(self) -> dict[str, Any]:
        """Return the entry of `rpc.methods` for this method."""
        return {
            "name": self.name,
            "description": inspect.getdoc(self.function) or "",
            "params": described(self.parameters),
            "reply": self.reply,
            "result": described_type(self.contract.kind) if self.contract else {},
            "scopes": sorted(self.scopes),
            "signed_in": self.needs_user or bool(self.scopes),
        }


def _as_object(payload: Any) -> Any:
    if payload is None:
        return {}
    is_instance = is_dataclass(payload) and not isinstance(payload, type)
    if not is_instance and not isinstance(payload, PAYLOAD_TYPES):
        raise TypeError(f"Expected a dict, received {type(payload).__name__}.")
    return payload


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
    It receives the call and, by keyword, its parameters. It returns the payload (None: an empty one) or raises
    RequestError. An annotated result (a Struct, a dataclass, a TypedDict) is the contract of the payload. A plain
    function runs in a database thread, an `async` one as a task.

    `at_hand` is a plain function that is called first, on the loop, with the same arguments. It returns the
    payload if that is in memory. Otherwise it returns None and the method runs.

    Raises ImproperlyConfigured for a mistake in the declaration.
    """
    check_name(name, "rpc_method")

    def declare(function: Callable[..., Any]) -> RpcMethod:
        check_no_generator(function)
        check_arguments(function, "call")
        check_reply(function, *PAYLOAD_TYPES, allowed="a payload is a dict, a Struct or a dataclass")
        if at_hand is not None:
            _check_at_hand(at_hand, function)
        return RpcMethod(
            name=name,
            reply=reply or f"{name}.result",
            function=function,
            parameters=parameters_of(function),
            scopes=check_scopes(scopes, function),
            needs_user=signed_in,
            is_async=iscoroutinefunction(function),
            at_hand=at_hand,
            contract=contract_of(function, f"The reply of the method {name}", "payload"),
        )

    return declare


def _check_at_hand(at_hand: AtHand, function: Callable[..., Any]) -> None:
    check_plain(at_hand, "it is called on the loop, and nothing awaits it")
    check_arguments(at_hand, "call")
    own, other = parameters_of(at_hand).__struct_fields__, parameters_of(function).__struct_fields__
    if set(own) != set(other):
        raise mistake(at_hand, f"it must take the same parameters as {function.__qualname__}.")
