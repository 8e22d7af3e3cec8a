"""Typed parameters of declared functions: a msgspec Struct made from keyword-only arguments."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import msgspec.inspect

from realtime.endpoints.declarations import MISSING, keyword_parameters, mistake
from realtime.protocol.codec import payload_as
from realtime.protocol.errors import ErrorCode, RequestError

P = TypeVar("P", bound=msgspec.Struct)

# msgspec reads integers of up to 64 unsigned bits; a BIGINT column is signed.
STORED_INTEGER_MAX = 2**63 - 1
# Arguments that the server itself gives to functions: a client must not be able to choose them.
GIVEN = frozenset({"call", "tenant", "identity"})


def parameters_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a Struct with one field for each keyword-only argument. It takes no other fields.

    Raises ImproperlyConfigured for an argument without a type, with one that JSON has no values of, or with a
    name that the server itself gives.
    """
    fields: list[tuple[str, type] | tuple[str, type, Any]] = []
    for name, kind, default in keyword_parameters(function):
        if name in GIVEN:
            raise mistake(
                function, f"the parameter `{name}` comes from the server; it must stand before the `*`."
            )
        if kind is MISSING:
            raise mistake(function, f"the parameter `{name}` needs a type.")
        _check_type(function, name, kind)
        fields.append((name, kind) if default is MISSING else (name, kind, default))
    struct_name = getattr(function, "__name__", type(function).__name__)
    try:
        return msgspec.defstruct(
            struct_name,
            fields,
            kw_only=True,
            frozen=True,
            forbid_unknown_fields=True,
            module=function.__module__,
        )
    except TypeError as error:
        raise mistake(function, f"its parameters cannot be read: {error}.") from error


def _check_type(function: Callable[..., Any], name: str, kind: Any) -> None:
    try:
        found = msgspec.inspect.type_info(kind)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise mistake(function, f"the parameter `{name}` has a type that cannot be read: {error}.") from error
    if isinstance(found, msgspec.inspect.CustomType):
        raise mistake(
            function,
            f"the parameter `{name}` has the type {found.cls.__name__}, which JSON cannot hold.",
        )


def parameters_from(struct: type[P], payload: Mapping[str, Any], field: str = "payload") -> P:
    """Return the parameters in `payload`.

    Raises RequestError(invalid_message) that names the invalid parameter, as a path below `field`. Values
    that a database cannot store are invalid too: U+0000 in a text, an integer outside the signed 64-bit
    range.
    """
    try:
        parameters = payload_as(struct, payload)
    except RequestError as error:
        if error.details and "field" in error.details:
            error.details["field"] = error.details["field"].replace("payload", field, 1)
        raise
    for name, value in payload.items():
        if _is_unstorable(value):
            message = "Expected text without the character U+0000, and integers that fit into signed 64 bits."
            raise RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": f"{field}.{name}"})
    return parameters


def _is_unstorable(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, int):
        return value > STORED_INTEGER_MAX
    if isinstance(value, dict):
        return any(map(_is_unstorable, value)) or any(map(_is_unstorable, value.values()))
    return isinstance(value, list) and any(map(_is_unstorable, value))


def described_type(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type, whole."""
    return msgspec.json.schema(kind)


def described(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of the parameters. `rpc.methods` shows it to clients."""
    schema = msgspec.json.schema(struct)
    body: dict[str, Any] = schema["$defs"][struct.__name__]
    return {"properties": body.get("properties", {}), "required": body.get("required", [])}
