"""WebSocket frames (RFC 6455 section 5) without I/O: takes bytes, returns messages and control frames.

Extensions are not handled: a reserved bit is an error (`deflate` has the parser for compressed messages).
Payloads are unmasked by C code of `websockets`, or by its Python fallback if there is no
wheel for the platform.
"""

from collections.abc import Iterable
from typing import NamedTuple

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover
    from websockets.utils import apply_mask

CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10

CONTROL_MAX_BYTES = 125
# How many frames one call takes, so that a burst from a client neither blocks the event
# loop nor fills the memory.
FRAMES_AT_ONCE = 64
# Fragments with fewer bytes cost more than their bytes say, so that they are counted; a message's last one is not.
SHORT_FRAGMENT_BYTES = 64
# A longer frame waits for a call without new data: to unmask it takes a part of a millisecond.
SHORT_FRAME_MAX_BYTES = 64 * 1024
_FIN = 0x80
_MASKED = 0x80
_RESERVED = 0x70
# The reserved bit that marks a message as compressed, on its first frame, if compression was agreed on.
RESERVED_1 = 0x40
_LENGTH_16 = 126
# The first byte of a message in a single frame, text or binary; and the size of a short
# frame's header with its mask.
_WHOLE = frozenset({_FIN | TEXT, _FIN | BINARY})
_SHORT_HEADER = 6
_LENGTH_64 = 127
_LENGTH_16_MAX = 0xFFFF
_LENGTH_64_MAX = (1 << 63) - 1
_FIRST_CONTROL = 8

# The codes allowed in a close frame: IANA's registry, then libraries and applications (RFC 6455 section 7.4).
_REGISTERED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_LIBRARIES_FROM = 3000
_APPLICATIONS_TO = 4999

PROTOCOL_ERROR = 1002
NO_CODE = 1005
BAD_DATA = 1007
TOO_LARGE = 1009


class FrameError(Exception):
    """The peer violated the protocol; `code` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class HeldFrame(Exception):  # noqa: N818 it is no fault
    """The next frame takes long, so it waits for a call without new data."""


class Message(NamedTuple):
    """A complete message or a control frame; `opcode` tells which."""

    opcode: int
    data: bytes


class FrameParser:
    """Turns bytes from a client into messages. `max_bytes` bounds a message, over all its fragments."""

    __slots__ = ("_buffer", "_fragments", "_has_turn", "_max_bytes", "_opcode", "has_more", "short_fragments")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer: bytearray | None = None
        # The message being assembled; the opcode is 0 if there is none.
        self._opcode = 0
        self._fragments: bytearray | None = None
        # Short fragments that the last `feed` took.
        self.short_fragments = 0
        # Whether this call may take frames that take long.
        self._has_turn = False
        # Whether the next call may find more in the bytes already received.
        self.has_more = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by `data` and the bytes before it, in order, from at most
        FRAMES_AT_ONCE frames.

        Call it without data if `has_more`, in a turn of the socket: frames that take long wait for that, because
        the data of many sockets may arrive at the same moment.

        Raises FrameError if the next frame is invalid; the parser must not be used afterwards.
        """
        self.short_fragments = 0
        if (whole := self.whole(data)) is not None:
            return [Message(*whole)]
        self._has_turn = not data
        buffer: bytes | bytearray = data
        if self._buffer is not None:
            self._buffer += data
            buffer = self._buffer
        at = 0
        messages: list[Message] = []
        self.has_more = False
        try:
            for _ in self._turn():
                frame = self._frame(buffer, at)
                if frame is None:
                    break
                message, at = frame
                if message is not None:
                    messages.append(message)
            else:
                self.has_more = at < len(buffer)
        except (HeldFrame, FrameError) as stop:
            if isinstance(stop, FrameError) and not messages:
                raise
            # The messages before a fault are returned first; the next call finds the fault again.
            self.has_more = True
        self._keep(buffer, at)
        return messages

    def whole(self, data: bytes) -> tuple[int, bytes] | None:
        """Opcode and payload if `data` is exactly one short message and nothing came before, which is the
        usual case. None for anything else, which must go to `feed`."""
        size = len(data)
        if size < _SHORT_HEADER or data[0] not in _WHOLE or self._buffer is not None or self._opcode:
            return None
        length = data[1] - _MASKED
        if not 0 <= length < _LENGTH_16 or size != length + _SHORT_HEADER or length > self._max_bytes:
            return None
        self.has_more = False
        return data[0] & 0x0F, apply_mask(data[_SHORT_HEADER:], data[2:_SHORT_HEADER]) if length else b""

    def hold(self, data: bytes) -> None:
        """Keep `data` for the next `feed`."""
        self._buffer = (self._buffer or bytearray()) + data
        self.has_more = True

    @property
    def held_bytes(self) -> int:
        """Bytes of messages that are not complete, and of frames that wait for the next call."""
        return len(self._buffer or b"") + len(self._fragments or b"")

    def drop(self) -> None:
        """Free what is held; the parser must not be used afterwards."""
        self._buffer = self._fragments = None

    def _turn(self) -> Iterable[int]:
        """An iterator with one step for each frame that one call may take."""
        return range(FRAMES_AT_ONCE)

    def _keep(self, buffer: bytes | bytearray, at: int) -> None:
        if at == len(buffer):
            self._buffer = None
        elif self._buffer is None:
            self._buffer = bytearray(memoryview(buffer)[at:])
        else:
            del self._buffer[:at]

    def _frame(self, buffer: bytes | bytearray, at: int) -> tuple[Message | None, int] | None:
        """The message that the frame at `at` completes, if any, and the next frame's place;
        None if it is incomplete."""
        left = len(buffer) - at
        if left < 2:  # noqa: PLR2004 the two bytes every frame begins with
            return None
        first, second = buffer[at], buffer[at + 1]
        self._check(first, second)
        length, start = second & 0x7F, at + 2
        if length >= _LENGTH_16:
            size = 2 if length == _LENGTH_16 else 8
            if left < 2 + size:
                return None
            length = _long_length(buffer[start : start + size])
            start += size
        if first & 0x0F < _FIRST_CONTROL and length + len(self._fragments or b"") > self._max_bytes:
            raise FrameError(TOO_LARGE, f"larger than {self._max_bytes} bytes")
        end = start + 4 + length
        if len(buffer) < end:
            return None
        if length > SHORT_FRAME_MAX_BYTES and not self._has_turn:
            raise HeldFrame
        payload = apply_mask(buffer[start + 4 : end], buffer[start : start + 4]) if length else b""
        return self._take(first, payload), end

    def _check(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & _RESERVED:
            raise FrameError(PROTOCOL_ERROR, "a reserved bit is set")
        if not second & _MASKED:
            raise FrameError(PROTOCOL_ERROR, "a client must mask its frames")
        if opcode > PONG or BINARY < opcode < _FIRST_CONTROL:
            raise FrameError(PROTOCOL_ERROR, "unknown opcode")
        if opcode < _FIRST_CONTROL:
            if (opcode == CONTINUATION) != bool(self._opcode):
                raise FrameError(PROTOCOL_ERROR, "a message must end before the next one begins")
        elif not first & _FIN or second & 0x7F > CONTROL_MAX_BYTES:
            raise FrameError(PROTOCOL_ERROR, "a control frame must be whole and at most 125 bytes long")

    def _take(self, first: int, payload: bytes) -> Message | None:
        opcode = first & 0x0F
        if opcode >= _FIRST_CONTROL:
            return Message(opcode, payload)
        if first & _FIN and opcode:
            return Message(opcode, payload)
        if opcode:
            self._opcode = opcode
            self._fragments = bytearray()
        assert self._fragments is not None
        self._fragments += payload
        if not first & _FIN:
            self.short_fragments += len(payload) < SHORT_FRAGMENT_BYTES
            return None
        whole = Message(self._opcode, bytes(self._fragments))
        self._opcode, self._fragments = 0, None
        return whole


def _long_length(written: bytes | bytearray) -> int:
    length = int.from_bytes(written)
    least, most = (_LENGTH_16, _LENGTH_16_MAX) if len(written) == 2 else (_LENGTH_16_MAX + 1, _LENGTH_64_MAX)  # noqa: PLR2004
    if not least <= length <= most:
        raise FrameError(PROTOCOL_ERROR, "a length must use as few bytes as possible")
    return length


def is_last(first: int) -> bool:
    """Whether the frame that begins with this byte ends its message."""
    return bool(first & _FIN)


def encode_frame(opcode: int, payload: bytes) -> bytes:
    """A server's frame: complete and unmasked."""
    length = len(payload)
    if length < _LENGTH_16:
        return bytes((_FIN | opcode, length)) + payload
    if length <= _LENGTH_16_MAX:
        return bytes((_FIN | opcode, _LENGTH_16)) + length.to_bytes(2) + payload
    return bytes((_FIN | opcode, _LENGTH_64)) + length.to_bytes(8) + payload


def encode_close(code: int, reason: str) -> bytes:
    """A close frame; a reason that is too long is cut between characters."""
    text = reason.encode()[: CONTROL_MAX_BYTES - 2].decode(errors="ignore").encode()
    return encode_frame(CLOSE, code.to_bytes(2) + text)


def decode_text(payload: bytes) -> str:
    """The text of a text message; raises FrameError if it is not UTF-8."""
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "not UTF-8") from None


def decode_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame (1005: none was given); raises FrameError for a malformed one."""
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise FrameError(PROTOCOL_ERROR, "a close code must have two bytes")
    code = int.from_bytes(payload[:2])
    if not _is_sendable(code):
        raise FrameError(PROTOCOL_ERROR, "this close code must not be sent")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(BAD_DATA, "the reason is not UTF-8") from None


def _is_sendable(code: int) -> bool:
    return code in _REGISTERED or _LIBRARIES_FROM <= code <= _APPLICATIONS_TO
