"""The opening handshake (RFC 6455 section 4.2) on headers that an HTTP parser has read already."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from realtime.protocol.errors import RealtimeError

VERSION = b"13"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16
# All of the request line and headers. Proxies allow 8 KiB for a line; beyond this nobody is a browser.
HANDSHAKE_MAX_BYTES = 64 * 1024


class Headers(NamedTuple):
    """The request as ASGI wants it: lower-case names, values as bytes."""

    target: bytes
    headers: list[tuple[bytes, bytes]]


class HandshakeError(RealtimeError):
    """The upgrade cannot be accepted; `status` and `headers` make the HTTP answer."""

    def __init__(self, status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = list(headers)


def read_request(request: bytes) -> Headers:
    """The request line and headers of a complete `GET`; raises HandshakeError(400 | 431)."""
    if len(request) > HANDSHAKE_MAX_BYTES:
        raise HandshakeError(431, f"The request's headers are larger than {HANDSHAKE_MAX_BYTES} bytes.")
    lines = request.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[0] != b"GET" or parts[2] != b"HTTP/1.1":  # noqa: PLR2004 method, target, version
        raise HandshakeError(400, "A WebSocket begins with GET and HTTP/1.1.")
    headers = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(b":")
            headers.append((name.strip().lower(), value.strip()))
    return Headers(parts[1], headers)


def accept_key(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The value of Sec-WebSocket-Accept; raises HandshakeError(400 | 426)."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    if b"upgrade" not in _tokens(found.get(b"connection", [])):
        raise HandshakeError(400, "Expected `Connection: Upgrade`.")
    if b"websocket" not in _tokens(found.get(b"upgrade", [])):
        raise HandshakeError(426, "Expected `Upgrade: websocket`.", [(b"upgrade", b"websocket")])
    if found.get(b"sec-websocket-version", []) != [VERSION]:
        message = "Expected `Sec-WebSocket-Version: 13`."
        raise HandshakeError(426, message, [(b"sec-websocket-version", VERSION), (b"upgrade", b"websocket")])
    keys = found.get(b"sec-websocket-key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError(400, "Expected one Sec-WebSocket-Key of 16 bytes in base64.")
    return base64.b64encode(hashlib.sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def offered_subprotocols(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    """The subprotocols a client offers, in its order."""
    values = [value for name, value in headers if name == b"sec-websocket-protocol"]
    offered = [part.strip().decode("latin-1") for value in values for part in value.split(b",")]
    return [entry for entry in offered if entry]


def _tokens(values: Sequence[bytes]) -> set[bytes]:
    return {part.strip().lower() for value in values for part in value.split(b",")}


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False
