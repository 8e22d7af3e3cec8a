"""Typed parameters of declared functions: a msgspec Struct made from keyword-only arguments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec
from django.core.exceptions import ImproperlyConfigured

from realtime.protocol.codec import payload_as
from realtime.protocol.errors import ErrorCode, RequestError

P = TypeVar("P", bound=msgspec.Struct)

# msgspec reads integers of up to 64 unsigned bits; a BIGINT column is signed.
STORED_INTEGER_MAX = 2**63 - 1


def parameters_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a Struct with one field for each keyword-only argument.

    Raises ImproperlyConfigured for an argument without a type.
    """
    hints = get_type_hints(function, include_extras=True)
    fields: list[tuple[str, type] | tuple[str, type, Any]] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if name not in hints:
            raise ImproperlyConfigured(f"{function.__qualname__}: the parameter {name} needs a type.")
        if parameter.default is inspect.Parameter.empty:
            fields.append((name, hints[name]))
        else:
            fields.append((name, hints[name], parameter.default))
    return msgspec.defstruct(function.__name__, fields, kw_only=True, frozen=True)


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
            message = "Expected text without the character U+0000, and integers of 64 bits with their sign."
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


def described(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of the parameters. `rpc.methods` shows it to clients."""
    schema = msgspec.json.schema(struct)
    body: dict[str, Any] = schema["$defs"][struct.__name__]
    return {"properties": body.get("properties", {}), "required": body.get("required", [])}
