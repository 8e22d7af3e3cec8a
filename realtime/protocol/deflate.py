"""Compression of messages, permessage-deflate (RFC 7692), without I/O. There is never context takeover: each
message is compressed by itself, so that it is compressed once for all receivers and no socket keeps a window.
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
    HeldFrame,
    Message,
    encode_frame,
    is_last,
)
from realtime.protocol.handshake import offered_extensions

# A window of 4 KiB takes less time to set up than one of 32 KiB, and compresses JSON as
# well ("Compression" in docs/performance.md).
WINDOW_BITS = 12
_MEMORY_LEVEL = 5
_LEVEL = 3
# A larger message is sent plain, because compressing it would hold the event loop too long.
DEFLATE_MAX_BYTES = 128 * 1024
# The most that one call of the parser inflates, because a few bytes can grow a thousandfold; and the most that a
# call with new data inflates, because the data of many sockets may arrive at the same moment.
INFLATED_AT_ONCE_BYTES = 256 * 1024
INFLATED_ON_ARRIVAL_BYTES = 4 * 1024

# The values allowed for each parameter of an offer (section 7.1); None: no value. zlib makes no raw stream
# with a window of 8 bits, so that is declined. `client_max_window_bits` is not answered, because an inflater
# exists only while it runs.
_BITS = frozenset(b"%d" % bits for bits in range(8, 16))
_VALUES: Mapping[bytes, frozenset[bytes | None]] = {
    b"server_no_context_takeover": frozenset({None}),
    b"client_no_context_takeover": frozenset({None}),
    b"server_max_window_bits": _BITS - {b"8"},
    b"client_max_window_bits": _BITS | {None},
}
_ANSWER = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
# The bytes that a sender removes from the end of its last block (section 7.2.1), and an empty block that ends
# the stream. It is read as such a block only if the message was complete, and zlib reports that.
_TAIL = b"\x00\x00\xff\xff"
_END = b"\x03\x00"
# The most streams in one message: an endpoint may end one with BFINAL and begin another (section 7.2.3.4).
_STREAMS_MAX = 8


class Agreement(NamedTuple):
    """The agreed compression: the header of our answer, and the largest window we may compress with."""

    answer: bytes
    window_bits: int


def negotiate(headers: Sequence[tuple[bytes, bytes]]) -> Agreement | None:
    """The first of a client's offers that we can accept, or None. An offer with any fault is declined."""
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
    """How messages are compressed: the agreed window, and the smallest payload that is
    compressed, in bytes."""

    window_bits: int
    min_bytes: int

    def encode_frame(self, opcode: int, payload: bytes) -> bytes | None:
        """A compressed frame of the server; None if plain is better: too small, too large,
        or not shorter compressed."""
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
    """The payload of a compressed message; never inflates more than one byte beyond `max_bytes`.

    Raises FrameError: 1009 if it is larger, 1007 if `data` is not valid, is cut short, or continues after its
    end (Autobahn and Node's `ws` send the same codes).
    """
    if not data:
        # Not valid by the RFC, but some clients send it for an empty message, and every zlib accepts it.
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
    """A parser that also takes compressed messages. `max_bytes` bounds a message before and
    after it is inflated."""

    __slots__ = ("_inflated_bytes", "_is_deflated")

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        # Whether the message being assembled is compressed; only its first frame says so.
        self._is_deflated = False
        self._inflated_bytes = 0

    def _turn(self) -> Iterator[int]:
        self._inflated_bytes = 0
        most_bytes = INFLATED_AT_ONCE_BYTES if self._has_turn else INFLATED_ON_ARRIVAL_BYTES
        for number in range(FRAMES_AT_ONCE):
            if self._inflated_bytes >= most_bytes:
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
        # Inflated before any state changes, so that a frame with a held-back error is found again.
        inflated = self._inflate(payload if opcode else bytes(self._fragments or b"") + payload)
        self._inflated_bytes += len(inflated)
        whole = Message(opcode or self._opcode, inflated)
        self._opcode, self._fragments = 0, None
        return whole

    def _inflate(self, data: bytes) -> bytes:
        if self._has_turn:
            return inflate(data, self._max_bytes)
        try:
            return inflate(data, min(self._max_bytes, INFLATED_ON_ARRIVAL_BYTES))
        except FrameError as error:
            if error.code == TOO_LARGE:
                raise HeldFrame from None
            raise
