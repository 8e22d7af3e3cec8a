"""Typed parameters of declared functions: a msgspec Struct made from keyword-only arguments."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_type_hints

import msgspec
from django.core.exceptions import ImproperlyConfigured

from realtime.protocol.codec import payload_as
from realtime.protocol.errors import ErrorCode, RequestError

P = TypeVar("P", bound=msgspec.Struct)


def parameters_of(function: Callable[..., Any]) -> type[msgspec.Struct]:
    """A Struct with one field for each keyword-only argument; raises ImproperlyConfigured for one without a type."""
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
    """The parameters in `payload`; raises RequestError(invalid_message) that names the faulty one below `field`.

    U+0000 is refused as well: PostgreSQL has no place for it in a text.
    """
    try:
        parameters = payload_as(struct, payload)
    except RequestError as error:
        if error.details and "field" in error.details:
            error.details["field"] = error.details["field"].replace("payload", field, 1)
        raise
    if any(map(_holds_nul, payload.values())):
        message = "Expected text without the character U+0000."
        raise RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": field})
    return parameters


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, value)) or any(map(_holds_nul, value.values()))
    return isinstance(value, list) and any(map(_holds_nul, value))


def described(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of the parameters, for clients that ask."""
    schema = msgspec.json.schema(struct)
    body: dict[str, Any] = schema["$defs"][struct.__name__]
    return {"properties": body.get("properties", {}), "required": body.get("required", [])}
