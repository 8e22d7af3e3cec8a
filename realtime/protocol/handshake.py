"""The opening handshake (RFC 6455 section 4.2), on headers that an HTTP parser has already read."""

import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from realtime.protocol.http import HEAD_MAX_BYTES, HttpError

SUBPROTOCOL = "rockstar.v1"
# The same protocol, with several messages in one text frame, one in each line. Only JSON endpoints have it.
BATCH_SUBPROTOCOL = "rockstar.v1.batch"
SUBPROTOCOLS = frozenset({SUBPROTOCOL, BATCH_SUBPROTOCOL})
BEARER_SUBPROTOCOL_PREFIX = "bearer."
VERSION = b"13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
# The headers of every answer that the site did not make: do not render, run, cache or share it.
REFUSAL_HEADERS = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
# The headers that a handshake needs, and the headers that it must not have.
_ASKED = frozenset({b"connection", b"upgrade", b"sec-websocket-version", b"sec-websocket-key"})
_OF_BODIES = frozenset({b"content-length", b"transfer-encoding"})
# The server sets the headers for length and connection; those of the application are dropped.
_OWN_HEADERS = frozenset({b"content-length", b"connection", b"transfer-encoding"})
# One name in Sec-WebSocket-Extensions with its optional value, and the separator (RFC 6455 section 9.1).
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(
    rb"[ \t]*(%b)[ \t]*(?:=[ \t]*(?:(%b)|\"((?:[^\"\\]|\\.)*)\")[ \t]*)?([;,]|\Z)" % (_TOKEN, _TOKEN),
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


class Headers(NamedTuple):
    """The request in the form that ASGI needs: lower-case names, values as bytes."""

    target: bytes
    headers: list[tuple[bytes, bytes]]


class HandshakeError(HttpError):
    """The upgrade cannot be accepted."""


def read_request(request: bytes) -> Headers:
    """The request line and headers of a complete `GET`; raises HandshakeError(400 | 431)."""
    if len(request) > HEAD_MAX_BYTES:
        raise HandshakeError(431, f"The request's headers are larger than {HEAD_MAX_BYTES} bytes.")
    lines = request.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[0] != b"GET" or parts[2] != b"HTTP/1.1":  # noqa: PLR2004 method, target, version
        raise HandshakeError(400, "A WebSocket handshake needs GET and HTTP/1.1.")
    headers = []
    for line in lines[1:]:
        if line:
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip():
                raise HandshakeError(400, "Expected each header as a name, a colon and a value.")
            headers.append((name.lower(), value.strip()))
    return Headers(parts[1], headers)


def asks_for_websocket(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request asks to become a WebSocket, validly or not."""
    is_upgrade = is_websocket = False
    for name, value in headers:
        if name == b"connection":
            is_upgrade = is_upgrade or _has_token([value], b"upgrade")
        elif name == b"upgrade":
            is_websocket = is_websocket or _has_token([value], b"websocket")
    return is_upgrade and is_websocket


def asks_for_close(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a request asks to be the last one of its connection."""
    return any(_has_token([value], b"close") for name, value in headers if name == b"connection")


def accept_key(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The value of Sec-WebSocket-Accept; raises HandshakeError(400 | 426)."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _ASKED:
            found.setdefault(name, []).append(value)
        elif name in _OF_BODIES and value != b"0":
            raise HandshakeError(400, "A WebSocket handshake must not have a body.")
    _check_upgrade(found.get(b"connection"), found.get(b"upgrade"))
    _check_version(found.get(b"sec-websocket-version", []))
    keys = found.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError(400, "Expected one Sec-WebSocket-Key of 16 bytes in base64.")
    digest = hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def _check_upgrade(connections: list[bytes] | None, upgrades: list[bytes] | None) -> None:
    if not _has_token(connections, b"upgrade"):
        raise HandshakeError(400, "Expected `Connection: Upgrade`.")
    if not _has_token(upgrades, b"websocket"):
        raise HandshakeError(426, "Expected `Upgrade: websocket`.", [(b"upgrade", b"websocket")])
    if upgrades is not None and len(upgrades) != 1:
        raise HandshakeError(400, "Expected one `Upgrade`.")


def _check_version(versions: list[bytes]) -> None:
    asked = (b"sec-websocket-version", VERSION)
    if len(versions) != 1:
        # No version, or several: a bad upgrade, not an unsupported version (RFC 6455 section 4.2.1).
        raise HandshakeError(400, "Expected one `Sec-WebSocket-Version`.", [asked])
    if versions != [VERSION]:
        raise HandshakeError(
            426, "Expected `Sec-WebSocket-Version: 13`.", [asked, (b"upgrade", b"websocket")]
        )


def offered_subprotocols(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The subprotocols that a client offers, in its order."""
    values = [value for name, value in headers if name == b"sec-websocket-protocol"]
    offered = [part.strip().decode("latin-1") for value in values for part in value.split(b",")]
    return [entry for entry in offered if entry]


Extension = tuple[bytes, list[tuple[bytes, bytes | None]]]


def offered_extensions(headers: Sequence[tuple[bytes, bytes]]) -> list[Extension]:
    """The extensions that a client offers, in its order, with their parameters; empty if
    the header is malformed."""
    written = b",".join([value for name, value in headers if name == b"sec-websocket-extensions"])
    offered: list[Extension] = []
    at, is_within = 0, False
    while at < len(written) or is_within:
        if not is_within and written[at : at + 1] in b", \t":
            # The list may have empty elements.
            at += 1
            continue
        found = _PARAMETER.match(written, at)
        if found is None:
            return []
        name, value, quoted, end = found.groups()
        if quoted is not None:
            value = _ESCAPED.sub(rb"\1", quoted)
        if is_within:
            offered[-1][1].append((name, value))
        elif value is None:
            offered.append((name, []))
        else:
            return []
        at, is_within = found.end(), end == b";"
    return offered


def encode_upgrade(accept: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The answer that opens the socket; `accept` is the result of `accept_key`."""
    lines = [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"]
    lines.append(b"Sec-WebSocket-Accept: " + accept + b"\r\n")
    lines += [name + b": " + value + b"\r\n" for name, value in headers]
    return b"".join(lines) + b"\r\n"


def encode_answer(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """An answer that refuses the handshake and ends the connection."""
    lines = [f"HTTP/1.1 {status} {_phrase(status)}\r\n".encode()]
    for name, value in headers:
        if name.lower() not in _OWN_HEADERS:
            lines.append(name + b": " + value + b"\r\n")
    lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
    return b"".join(lines) + body


def refusal_body(status: int, message: str, code: str | None = None) -> bytes:
    """The JSON of a refusal: `{"error": {"code", "message"}}`; without a `code`, it is made
    from the status."""
    code = code or _phrase(status).lower().replace(" ", "_")
    return json.dumps({"error": {"code": code, "message": message}}).encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _has_token(values: Sequence[bytes] | None, token: bytes) -> bool:
    # Usually there is one value, and it is exactly this token.
    return values is not None and (
        values[0].lower() == token
        or any(part.strip().lower() == token for value in values for part in value.split(b","))
    )


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False
