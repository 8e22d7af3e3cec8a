"""Makes a draft from a Python value: the data is encoded once here, or refused before anything is stored.

A stored entry must be readable for ever: one that is not blocks its topic until the entry is too old. So the
encoded text is read again here, by the same strict reader as the messages of clients.
"""

import dataclasses
import json
from typing import Any

import msgspec

from realtime.core.contracts import Contract
from realtime.core.history import Draft, Publisher, draft_of
from realtime.protocol.codec import JSON_MAX_DEPTH, check_depth, decode_json, decode_shallow
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.values import is_rows, known_value, plain_text

DATA_FIELD = "payload.data"
PUBLISHER_NAME_MAX_CHARS = 255
IDEMPOTENCY_KEY_MAX_CHARS = 128
# The errors that the encoder and the checks raise for a value that JSON cannot hold; half of a surrogate pair
# raises ValueError.
_NOT_JSON = (TypeError, ValueError, OverflowError, RecursionError, RequestError)
_decoder = msgspec.json.Decoder()
_packer = msgspec.msgpack.Encoder()
_INT_MAX = 2**63
# Characters of a path in an error message.
_PATH_MAX_CHARS = 200


def make_draft(
    topic: str,
    data: Any,
    publisher: Publisher | None = None,
    *,
    time: str,
    idempotency_key: str | None = None,
    max_bytes: int = 0,
    contract: Contract | None = None,
) -> Draft:
    """Return a draft for `topic` from any value; `max_bytes` bounds its JSON (0: no bound), `contract` is its type.

    Raises RequestError(invalid_message) that names the topic and the path of the part that JSON cannot hold,
    RequestError(message_too_large), and ContractError.
    """
    try:
        raw = _encode(data)
    except _NOT_JSON as error:
        path, why = _first_fault(data, error)
        shown = path.removeprefix("payload.")
        raise _refused(f"The data published to {topic!r} is not JSON: {why} (at {shown}).", path) from error
    if 0 < max_bytes < len(raw):
        raise RequestError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"The data published to {topic!r} has {len(raw)} bytes; at most {max_bytes} are taken.",
            details={"max_bytes": max_bytes, "field": DATA_FIELD},
        )
    if contract is not None:
        contract.check_json(raw, f"The data published to {topic!r}")
    return draft_of(raw, _checked_publisher(publisher), time, idempotency_key)


def checked_key(idempotency_key: str | None) -> str | None:
    """Return the key; raises RequestError(invalid_message) if no history could take it."""
    if idempotency_key is None:
        return None
    is_text = isinstance(idempotency_key, str) and 0 < len(idempotency_key) <= IDEMPOTENCY_KEY_MAX_CHARS
    if not is_text or _fault(idempotency_key) is not None:
        raise _refused(
            f"Expected `idempotency_key` to be a text of 1 to {IDEMPOTENCY_KEY_MAX_CHARS} characters.",
            "payload.idempotency_key",
        )
    return plain_text(idempotency_key)


def _encode(data: Any) -> msgspec.Raw:
    encoded = msgspec.json.encode(data, enc_hook=known_value)
    if not _reads_back(encoded, data):
        encoded = _strictly(encoded, data)
    # The encoder's bytes keep their whole buffer, which may be half as large again; a copy has the exact
    # size.
    return msgspec.Raw(bytes(memoryview(encoded)))


def _reads_back(encoded: bytes, data: Any) -> bool:
    """Whether the JSON of `data`, read again, is `data`: then it has no repeated key, no number that changed, no NaN
    and nothing that was encoded elsewhere. The usual values do; others need the slower checks."""
    if encoded.count(b"{") + encoded.count(b"[") > JSON_MAX_DEPTH:
        return False
    try:
        read = _decoder.decode(encoded)
        # MessagePack takes integers of 64 bits only.
        _packer.encode(read)
        return bool(read == data)
    except (msgspec.DecodeError, OverflowError, TypeError, ValueError):
        return False


def _strictly(encoded: bytes, data: Any) -> bytes:
    # The encoder writes NaN and the infinities as null, so only a text with a null needs a second check.
    if b"null" in encoded:
        _require_finite(data)
    text = encoded.decode()
    _require_shallow(text)
    read = decode_shallow(text)
    if b"\n" in encoded:
        # Only text that was encoded elsewhere (`msgspec.Raw`) has line feeds, which would end a frame's line.
        encoded = msgspec.json.encode(read)
    return encoded


def _require_shallow(text: str) -> None:
    try:
        check_depth(text)
    except RequestError:
        raise RecursionError from None


def _require_finite(data: Any) -> None:
    """Raise ValueError if `data`, which the encoder took, holds a number that is not finite."""
    try:
        builtins = msgspec.to_builtins(data, str_keys=True, enc_hook=known_value)
    except TypeError:
        # A key that only the JSON encoder takes, such as a lazy text: look at the parts one by one.
        for _, part in _parts(data):
            _require_finite(part)
    else:
        json.dumps(builtins, allow_nan=False)


def _checked_publisher(publisher: Publisher | None) -> Publisher | None:
    """Return the publisher with an id and a name that every history can store and read again."""
    if publisher is None or _is_usual(publisher):
        return publisher
    name = plain_text(publisher.username)
    try:
        decode_json(msgspec.json.encode([publisher.id, name]).decode())
    except _NOT_JSON as error:
        raise _refused(f"The publisher is not JSON: {_brief(error)}.", "publisher") from error
    if len(name) > PUBLISHER_NAME_MAX_CHARS:
        raise _refused(
            f"The publisher's name has more than {PUBLISHER_NAME_MAX_CHARS} characters.", "publisher"
        )
    return publisher if name is publisher.username else Publisher(publisher.id, name)


def _is_usual(publisher: Publisher) -> bool:
    """Whether it is clear without encoding it that JSON can hold it: half of a surrogate pair is not printable."""
    user_id, name = publisher.id, publisher.username
    return (
        type(user_id) is int
        and -_INT_MAX <= user_id < _INT_MAX
        and type(name) is str
        and len(name) <= PUBLISHER_NAME_MAX_CHARS
        and name.isprintable()
    )


def _refused(message: str, field: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": field})


def _first_fault(data: Any, error: Exception) -> tuple[str, str]:
    """Return the path of the innermost part that cannot be encoded, and why; found by trial, as this is rare."""
    path = DATA_FIELD
    while not isinstance(error, RecursionError) and len(path) < _PATH_MAX_CHARS:
        found = next((part for part in map(_tried, _parts(data)) if part is not None), None)
        if found is None:
            break
        step, data, error = found
        path = f"{path}{step}"
    return path, _why_keys(data) or _brief(error)


def _why_keys(data: Any) -> str | None:
    """Return the fault of a key of `data`; None if its keys are texts and numbers."""
    keys = data if isinstance(data, dict) else ()
    wrong = [type(key).__name__ for key in keys if isinstance(_fault({key: 0}), TypeError)]
    return f"its keys must be texts or numbers, received {wrong[0]}" if wrong else None


def _parts(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, dict):
        return [(f".{_printable(key)}", value) for key, value in data.items()]
    if isinstance(data, list | tuple) or is_rows(data):
        return [(f"[{index}]", value) for index, value in enumerate(data)]
    names: tuple[str, ...] = ()
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        names = tuple(each.name for each in dataclasses.fields(data))
    elif isinstance(data, msgspec.Struct):
        names = data.__struct_fields__
    return [(f".{name}", getattr(data, name, None)) for name in names]


def _tried(part: tuple[str, Any]) -> tuple[str, Any, Exception] | None:
    error = _fault(part[1])
    return None if error is None else (*part, error)


def _fault(data: Any) -> Exception | None:
    try:
        _encode(data)
    except _NOT_JSON as error:
        return error
    return None


def _printable(key: object) -> str:
    return str(key)[:_PATH_MAX_CHARS].encode("utf-8", "backslashreplace").decode()


def _brief(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair"
    if isinstance(error, RecursionError):
        return f"it is nested deeper than {JSON_MAX_DEPTH} levels"
    if isinstance(error, RequestError):
        return error.message.replace(" of the message", "").rstrip(".")
    return str(error).rstrip(".")
