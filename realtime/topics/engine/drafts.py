"""Makes a draft from a Python value: the data is encoded once here, or refused before anything is stored."""

import json
from typing import Any

import msgspec

from realtime.core.history import Publisher, fingerprint
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import Draft

DATA_FIELD = "payload.data"
# What the encoder and the check raise for a value that JSON cannot hold; half a
# surrogate pair raises ValueError.
_NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError)


def make_draft(
    topic: str,
    data: Any,
    publisher: Publisher | None = None,
    *,
    time: str,
    idempotency_key: str | None = None,
) -> Draft:
    """A draft for `topic`; raises RequestError(invalid_message), naming the
    topic, if JSON cannot hold `data`."""
    try:
        raw = _encode(data)
        print_ = "" if idempotency_key is None else fingerprint(raw)
    except _NOT_JSON as error:
        path, fault = _first_fault(data, error)
        raise RequestError(
            ErrorCode.INVALID_MESSAGE,
            f"The data published to {topic!r} is not JSON: {_brief(fault)} (at {path}).",
            details={"field": path},
        ) from error
    return Draft(raw, publisher, time, idempotency_key, print_)


def _encode(data: Any) -> msgspec.Raw:
    encoded = msgspec.json.encode(data)
    # The encoder writes NaN and the infinities as null, so only a text with a null needs a second check.
    if b"null" in encoded:
        json.dumps(msgspec.to_builtins(data, str_keys=True), allow_nan=False)
    # The encoder's bytes keep their whole buffer, which may be half as large
    # again; a copy has the exact size.
    return msgspec.Raw(bytes(memoryview(encoded)))


def _first_fault(data: Any, error: Exception) -> tuple[str, Exception]:
    """The path of the innermost part that cannot be encoded, and the error;
    found by trial, as this is rare."""
    path = DATA_FIELD
    while True:
        found = None
        if not isinstance(error, RecursionError):
            found = next((part for part in map(_tried, _parts(data)) if part is not None), None)
        if found is None:
            return path, error
        step, data, error = found
        path = f"{path}{step}"


def _parts(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, dict):
        return [(f".{_printable(key)}", value) for key, value in data.items()]
    if isinstance(data, list | tuple):
        return [(f"[{index}]", value) for index, value in enumerate(data)]
    return []


def _tried(part: tuple[str, Any]) -> tuple[str, Any, Exception] | None:
    try:
        _encode(part[1])
    except _NOT_JSON as error:
        return (*part, error)
    return None


def _printable(key: object) -> str:
    return str(key).encode("utf-8", "backslashreplace").decode()


def _brief(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).rstrip(".")
