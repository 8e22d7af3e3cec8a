"""Frames as a client sends them, right and wrong, made without the code under test."""

import os

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length_bytes: int | None = None,
    length: int | None = None,
) -> bytes:
    """One frame. `length_bytes` (0, 2 or 8) is how the length is written, `length` what is written there."""
    length = len(payload) if length is None else length
    if length_bytes is None:
        length_bytes = 0 if length < 126 else 2 if length < 65536 else 8
    marker = {0: length, 2: 126, 8: 127}[length_bytes]
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode, (0x80 if masked else 0) | marker])
    head += length.to_bytes(length_bytes) if length_bytes else b""
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + apply(mask, payload)


def apply(mask: bytes, payload: bytes) -> bytes:
    """Mask or unmask, by the book but in one step."""
    if not payload:
        return b""
    stretched = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(stretched)).to_bytes(len(payload))


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """A close frame with a code, whatever it is."""
    return client_frame(CLOSE, code.to_bytes(2) + reason)
