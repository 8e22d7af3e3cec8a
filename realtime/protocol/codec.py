"""Reads strict JSON and writes JSON. Input may be hostile; this module raises only `RequestError` for it.

NaN, Infinity, repeated keys, lone surrogates, deep nesting and integers of more than 64 bits each cause an
error later (in a browser, the broker or the database), so they are refused here. msgspec refuses surrogates
and numbers that are not JSON. Depth, repeated keys and long integers are checked by a few passes over the
whole text, which run in C. No Python code runs for each value, so the cost of a message is bounded by its
size, whatever it holds.
"""

import json
import re
from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import accumulate
from math import isfinite
from typing import Annotated, Any, TypeVar

import msgspec

from realtime.protocol.envelope import Request, RequestId
from realtime.protocol.errors import ErrorCode, RequestError

JSON_MESSAGE_MAX_BYTES = 64 * 1024
RAW_MESSAGE_MAX_BYTES = 1024 * 1024
JSON_MAX_DEPTH = 32
REQUEST_ID_MAX_CHARS = 64
TYPE_MAX_CHARS = 64
# The integers that every reader of our JSON can hold: signed or unsigned 64-bit.
INTEGER_MIN = -(2**63)
INTEGER_MAX = 2**64 - 1

P = TypeVar("P")
FlatForm = Callable[[dict[str, Any]], dict[str, Any]]

# A message that begins with its id, whatever follows.
_HEAD_ID = re.compile(
    r'[ \t\r\n]*\{[ \t\r\n]*"id"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.){1,400}"|-?\d{1,20})[ \t\r\n]*[,}]'
)

# An opening bracket becomes the byte 1 and a closing one -1; all other characters are removed.
BRACKET_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class _Identified(msgspec.Struct):
    id: Any = None


def _finite(text: str) -> float:
    """The number that JSON's `text` means; raises ValueError where a double cannot hold it."""
    number = float(text)
    if not isfinite(number):
        raise ValueError("Number out of range")
    return number


_encoder = msgspec.json.Encoder()
# Python's `float`: msgspec's own takes 7 µs for each number like `1e308`, 90 ms for a message of 64 KiB, against 2 ms. It
# makes infinities of what is too large.
_decoder = msgspec.json.Decoder(float_hook=float)
_finite_decoder = msgspec.json.Decoder(float_hook=_finite)
# An infinity in MessagePack; other values may hold these bytes too, but hardly do.
_INFINITIES = (b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xcb\xff\xf0\0\0\0\0\0\0")
_packer = msgspec.msgpack.Encoder()


class _Usual(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A request as clients usually write it: these keys, in this order."""

    id: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=REQUEST_ID_MAX_CHARS)]
        | Annotated[int, msgspec.Meta(ge=INTEGER_MIN, le=-INTEGER_MIN - 1)]
        | None
    ) = None
    type: Annotated[str, msgspec.Meta(min_length=1, max_length=TYPE_MAX_CHARS)]
    payload: dict[str, Any] = {}


_usual_decoder = msgspec.json.Decoder(_Usual, float_hook=float)
_identified = msgspec.json.Decoder(_Identified, float_hook=float)


def encode(message: Mapping[str, Any]) -> str:
    """`message` as JSON text; raises TypeError for values that JSON cannot hold."""
    return _encoder.encode(message).decode()


def encode_bytes(message: Any) -> bytes:
    """As `encode`, as UTF-8."""
    return _encoder.encode(message)


def encode_data(data: Any) -> msgspec.Raw:
    """Return the JSON of data that was read from a message, to be put into others as it is."""
    # The encoder's bytes keep their whole buffer, which may be half as large again; a copy has the exact size.
    return msgspec.Raw(bytes(memoryview(_encoder.encode(data))))


def time_text(now_ns: int) -> str:
    """Return a time as it is sent to clients: ISO 8601 in UTC, with milliseconds. `now_ns` is nanoseconds of
    Unix time."""
    second, ms = divmod(now_ns // 1_000_000, 1000)
    return f"{_second_text(second)}.{ms:03}Z"


@lru_cache(maxsize=1)
def _second_text(second: int) -> str:
    """Cached, because every publication and every `welcome` needs it and it changes once a second."""
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def encode_reply(request_id: RequestId | None, message_type: str, payload: Mapping[str, Any]) -> str:
    """A reply, or a push if `request_id` is None."""
    if request_id is None:
        return encode({"type": message_type, "payload": payload})
    return _encoder.encode({"id": request_id, "type": message_type, "payload": payload}).decode()


def publication_text(payload: bytes) -> str:
    """The `publication` push for a payload that is already JSON."""
    return f'{{"type":"publication","payload":{payload.decode()}}}'


def with_epoch(payload: bytes, epoch: str) -> bytes:
    """Return a publication's payload that also names the epoch from which on its offset counts."""
    return b"%b,%b}" % (payload[:-1], b'"epoch":' + encode_bytes(epoch))


def encode_error(error: RequestError, request_id: RequestId | None = None) -> str:
    """The error reply to the request `request_id`; a push if there is no id."""
    chosen = request_id if request_id is not None else error.request_id
    return encode_reply(chosen, "error", error.payload())


def decode_json(text: str, *, max_bytes: int = JSON_MESSAGE_MAX_BYTES) -> Any:
    """The value of a JSON text.

    Raises RequestError(invalid_json), or RequestError(message_too_large) with the request's id.
    """
    check_size(text, max_bytes)
    check_depth(text)
    return decode_shallow(text)


def decode_shallow(text: str) -> Any:
    """As `decode_json`, for a text whose size and depth are known to be allowed."""
    value = _decode(text, _decoder)
    # First: to write a number of 4,000 digits again would cost more than all the rest.
    packed = _packed(value)
    if packed is None:
        raise invalid_json("A number of the message does not fit 64 bits.")
    if any(infinity in packed for infinity in _INFINITIES):
        _decode(text, _finite_decoder)
    _check_keys(text, value)
    return value


def _decode(text: str, decoder: "msgspec.json.Decoder[Any]") -> Any:
    try:
        return decoder.decode(text)
    except UnicodeEncodeError:
        raise invalid_json("The message holds half of a surrogate pair.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise invalid_json(f"The message is not JSON: {_brief(error)}.") from None


def decode_usual_request(text: str, *, max_bytes: int = JSON_MESSAGE_MAX_BYTES) -> Request | None:
    """The request in a text that is exactly as we would write it; None for any other text, valid or not.

    Such a text cannot hold repeated keys or numbers that change when they are read, so reading it and writing
    it again replaces the slower strict checks. Most clients write this way.
    """
    if len(text) * 4 > max_bytes or text.count("{") + text.count("[") > JSON_MAX_DEPTH:
        return None
    try:
        usual = _usual_decoder.decode(text)
        is_usual = _encoder.encode(usual) == text.encode() and _fits(usual.payload)
    except ValueError:
        return None
    return Request(usual.type, usual.payload, usual.id) if is_usual else None


def _packed(value: Any) -> bytes | None:
    """`value` in MessagePack; None if an integer does not fit 64 bits, as MessagePack requires."""
    try:
        return _packer.encode(value)
    except OverflowError:
        return None


def _fits(value: Any) -> bool:
    try:
        return _packed(value) is not None
    except UnicodeEncodeError:
        # Python's reader of JSON takes half of a surrogate pair; an answer cannot carry it.
        return False


def decode_request(
    text: str, *, max_bytes: int = JSON_MESSAGE_MAX_BYTES, flat_form: FlatForm | None = None
) -> Request:
    """The request in a JSON text; raises RequestError that names the faulty field, with the
    request's id if readable.

    `flat_form` converts an older form of a request to the envelope, and returns any other value unchanged.
    """
    request = decode_usual_request(text, max_bytes=max_bytes)
    if request is not None:
        return request
    try:
        value = decode_json(text, max_bytes=max_bytes)
    except RequestError as error:
        if error.request_id is None:
            error.request_id = refused_id_in(text)
        raise
    if flat_form is not None and isinstance(value, dict):
        value = flat_form(value)
    return request_of(value)


def request_of(value: Any) -> Request:
    """The request in a decoded JSON value; raises RequestError(invalid_message)."""
    if not isinstance(value, dict):
        raise _invalid(f"Expected a JSON object, received {_kind(value)}.", "")
    request_id = _request_id(value.get("id"))
    message_type = value.get("type")
    if not isinstance(message_type, str) or not 0 < len(message_type) <= TYPE_MAX_CHARS:
        raise _invalid(
            f"Expected `type` to be a string of 1 to {TYPE_MAX_CHARS} characters, "
            f"received {_kind(message_type)}.",
            "type",
            request_id,
        )
    payload = value.get("payload")
    if payload is None:
        payload = {}
    if not isinstance(payload, dict):
        raise _invalid(
            f"Expected `payload` to be an object, received {_kind(payload)}.", "payload", request_id
        )
    return Request(type=message_type, payload=payload, id=request_id)


def payload_as(payload_type: type[P], payload: Mapping[str, Any]) -> P:
    """`payload` as a typed struct; raises RequestError(invalid_message) that names the faulty field."""
    for name, value in payload.items():
        # PostgreSQL cannot store NUL, and no field needs it.
        if isinstance(value, str) and "\0" in value:
            raise _invalid("Wrong payload: a text holds a NUL character.", f"payload.{name}")
    try:
        return msgspec.convert(payload, payload_type)
    except msgspec.ValidationError as error:
        message, field = _validation_parts(str(error))
        raise _invalid(f"Wrong payload: {message}.", field) from None


def _request_id(value: Any) -> RequestId | None:
    if value is None:
        return None
    if isinstance(value, str) and 0 < len(value) <= REQUEST_ID_MAX_CHARS:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _invalid(
        f"Expected `id` to be a string of 1 to {REQUEST_ID_MAX_CHARS} characters or an integer, "
        f"received {_kind(value)}.",
        "id",
    )


def readable_id(message: Mapping[str, Any]) -> RequestId | None:
    """The id that an answer to `message` can carry, whatever else is wrong with the message."""
    try:
        request_id = _request_id(message.get("id"))
    except RequestError:
        return None
    return request_id if _fits(request_id) else None


def request_id_in(text: str) -> RequestId | None:
    """The id that an answer to `text` can carry. The rest of the text is skipped, not decoded."""
    try:
        return readable_id({"id": _identified.decode(text).id})
    except (ValueError, RecursionError):
        return None


def refused_id_in(text: str) -> RequestId | None:
    """Return the id for the refusal of `text`, although `text` is not JSON that is taken here.

    It is read if the rest is JSON to Python (with NaN, half a surrogate pair, deep nesting), or if the text
    begins with it.
    """
    found = _HEAD_ID.match(text)
    if found is not None:
        # Alone, so that nothing after it matters.
        return request_id_in(f'{{"id":{found[1]}}}')
    if len(text) > JSON_MESSAGE_MAX_BYTES:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return request_id_in(text)
    return readable_id(message) if isinstance(message, dict) else None


def check_size(text: str, max_bytes: int) -> None:
    """Raise RequestError(message_too_large) for a text of more than `max_bytes`."""
    # A character is at most four bytes of UTF-8, so most texts need not be encoded to be checked.
    if len(text) * 4 <= max_bytes:
        return
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > max_bytes:
        raise RequestError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"The message has {size} bytes; at most {max_bytes} are taken here.",
            details={"max_bytes": max_bytes},
            request_id=request_id_in(text),
        )


def check_depth(text: str) -> None:
    """Raise RequestError(invalid_json) for a text that is nested too deeply."""
    # Most texts have too few brackets to be nested too deeply.
    if text.count("{") + text.count("[") <= JSON_MAX_DEPTH:
        return
    # When the text is split at unescaped quotes, every second part is outside of strings.
    outside = "".join(_without_escapes(text).split('"')[::2])
    steps = array("b", outside.encode(errors="replace").translate(BRACKET_STEPS, NO_BRACKETS))
    if max(accumulate(steps), default=0) > JSON_MAX_DEPTH:
        raise too_deep()


def _check_keys(text: str, value: Any) -> None:
    # Only the last of repeated keys is kept, so the text encoded again has fewer strings.
    if ":" not in text:
        return
    again = _encoder.encode(value).decode()
    if _without_escapes(text).count('"') != _without_escapes(again).count('"'):
        raise repeated_key()


def _without_escapes(text: str) -> str:
    """`text` without escaped backslashes and quotes, so that each remaining quote begins or ends a string."""
    return text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text


def _validation_parts(text: str) -> tuple[str, str]:
    """Splits msgspec's "Expected `int`, got `str` - at `$.topic`" into message and field path."""
    message, _, path = text.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    missing = message.partition("missing required field `")[2].rstrip("`")
    unknown = message.partition("contains unknown field `")[2].rstrip("`")
    leaf = missing or unknown
    return message, ".".join(part for part in ("payload", field, leaf) if part)


def _invalid(message: str, field: str, request_id: RequestId | None = None) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": field}, request_id=request_id)


def too_deep() -> RequestError:
    """Return the error of a text that is nested too deeply."""
    return invalid_json(f"The message is nested deeper than {JSON_MAX_DEPTH} levels.")


def repeated_key() -> RequestError:
    """Return the error of an object that has a key twice."""
    return invalid_json("An object of the message repeats a key.")


def invalid_json(message: str) -> RequestError:
    """Return the error of a text that is not JSON by our rules."""
    return RequestError(ErrorCode.INVALID_JSON, message)


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    if value is None:
        return "nothing"
    return names.get(type(value), "a number")


def _brief(error: Exception) -> str:
    return str(error).removeprefix("JSON is malformed: ") or type(error).__name__
