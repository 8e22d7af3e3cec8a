"""Compression of messages, permessage-deflate (RFC 7692), without I/O. Always without context takeover: each message
stands for itself, so that one compression serves all receivers and no socket keeps a window.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from realtime.protocol.frames import (
    BAD_DATA,
    BINARY,
    FRAMES_AT_ONCE,
    RESERVED_1,
    TEXT,
    TOO_LARGE,
    FrameError,
    FrameParser,
    Message,
    encode_frame,
    is_last,
)
from realtime.protocol.handshake import offered_extensions

# What we compress with: a window of 4 KiB takes a fifth of the time to set up that one of 32 KiB takes, which is most
# of it for a message of some KiB, and compresses JSON as well (measured: docs/performance.md).
WINDOW_BITS = 12
_MEMORY_LEVEL = 5
_LEVEL = 3
# A larger message goes out plain: to compress it would hold the loop longer than a turn of the fan-out does.
DEFLATE_MAX_BYTES = 256 * 1024
# What one call of the parser inflates before it lets others have their turn: a few bytes become a thousand times more.
INFLATED_AT_ONCE_BYTES = 256 * 1024

# What may stand behind each parameter of an offer (section 7.1); None: nothing. Zlib makes no bare stream with a window
# of 8 bits, so that is declined. `client_max_window_bits` is not answered: an inflater is there while it inflates only.
_BITS = frozenset(b"%d" % bits for bits in range(8, 16))
_VALUES: Mapping[bytes, frozenset[bytes | None]] = {
    b"server_no_context_takeover": frozenset({None}),
    b"client_no_context_takeover": frozenset({None}),
    b"server_max_window_bits": _BITS - {b"8"},
    b"client_max_window_bits": _BITS | {None},
}
_ANSWER = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
# What a sender cuts off the end of its last block (section 7.2.1), and an empty block that ends the stream: only where
# the message was whole is it one, which zlib then tells.
_TAIL = b"\x00\x00\xff\xff"
_END = b"\x03\x00"
# Streams in one message: an endpoint may end one with BFINAL and go on with another (section 7.2.3.4), not for ever.
_STREAMS_MAX = 8


class Agreement(NamedTuple):
    """What both sides keep to: the header of our answer, and the largest window we may compress with."""

    answer: bytes
    window_bits: int


def negotiate(headers: Sequence[tuple[bytes, bytes]]) -> Agreement | None:
    """The first of a client's offers that we can keep, or None: an offer that is wrong in any way is declined."""
    for name, parameters in offered_extensions(headers):
        if name == b"permessage-deflate" and (agreement := _agree(parameters)) is not None:
            return agreement
    return None


def _agree(parameters: Sequence[tuple[bytes, bytes | None]]) -> Agreement | None:
    given = dict(parameters)
    if len(given) != len(parameters):
        return None
    if not all(name in _VALUES and value in _VALUES[name] for name, value in given.items()):
        return None
    asked = given.get(b"server_max_window_bits")
    if asked is None:
        return Agreement(_ANSWER, WINDOW_BITS)
    return Agreement(_ANSWER + b"; server_max_window_bits=" + asked, min(int(asked), WINDOW_BITS))


class Deflate(NamedTuple):
    """How messages are compressed: the window that was agreed on, and the least payload that is worth it."""

    window_bits: int
    min_bytes: int

    def encode_frame(self, opcode: int, payload: bytes) -> bytes | None:
        """A server's frame, compressed; None where plain is better: too small, too large, or no shorter for it."""
        if not self.min_bytes <= len(payload) <= DEFLATE_MAX_BYTES:
            return None
        deflated = deflate(payload, self.window_bits)
        return encode_frame(RESERVED_1 | opcode, deflated) if len(deflated) < len(payload) else None


def deflate(payload: bytes, window_bits: int) -> bytes:
    """`payload` as the data of a compressed message."""
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window_bits, _MEMORY_LEVEL)
    written = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
    return written.removesuffix(_TAIL)


def inflate(data: bytes, max_bytes: int) -> bytes:
    """The payload of a compressed message; never makes more than a byte beyond `max_bytes`.

    Raises FrameError: 1009 where it is larger, 1007 where `data` is no deflated data, ends early or goes on behind its
    end (the codes that Autobahn and Node's `ws` send).
    """
    if not data:
        # Not by the letter, but some send it for an empty message, and every zlib takes it.
        return b""
    rest = data + _TAIL + _END
    inflated = b""
    try:
        for _ in range(_STREAMS_MAX):
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            inflated += stream.decompress(rest, max_bytes + 1 - len(inflated))
            if len(inflated) > max_bytes:
                raise FrameError(TOO_LARGE, f"larger than {max_bytes} bytes")
            if not stream.eof:
                break
            rest = stream.unused_data
            if not rest:
                return inflated
    except zlib.error as error:
        raise FrameError(BAD_DATA, f"not a deflated message: {error}") from None
    raise FrameError(BAD_DATA, "not a whole deflated message")


class InflatingParser(FrameParser):
    """Takes compressed messages too. `max_bytes` bounds a message before and after it is inflated."""

    __slots__ = ("_inflated_bytes", "_is_deflated")

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        # Whether the message that is being put together is compressed: the bit is on its first frame only.
        self._is_deflated = False
        self._inflated_bytes = 0

    def _turn(self) -> Iterator[int]:
        self._inflated_bytes = 0
        for number in range(FRAMES_AT_ONCE):
            if self._inflated_bytes >= INFLATED_AT_ONCE_BYTES:
                return
            yield number

    def _check(self, first: int, second: int) -> None:
        if first & RESERVED_1 and first & 0x0F in {TEXT, BINARY}:
            first &= ~RESERVED_1
        super()._check(first, second)

    def _take(self, first: int, payload: bytes) -> Message | None:
        opcode = first & 0x0F
        if opcode in {TEXT, BINARY}:
            self._is_deflated = bool(first & RESERVED_1)
        elif opcode:
            return super()._take(first, payload)
        if not (self._is_deflated and is_last(first)):
            return super()._take(first, payload)
        # Inflated before anything changes: a frame whose error was held back is found again.
        inflated = inflate(payload if opcode else bytes(self._fragments or b"") + payload, self._max_bytes)
        self._inflated_bytes += len(inflated)
        whole = Message(opcode or self._opcode, inflated)
        self._opcode, self._fragments = 0, None
        return whole
