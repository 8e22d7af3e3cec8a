"""HTTP/1.1 requests from bytes (RFC 9112): finds where a head and a body end, and bounds their sizes.

Each head is read by its own parser, which is given no other bytes. So requests are never mixed up, however
they are cut into packets, and a bad request is always refused at the same byte.
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from realtime.protocol.errors import RealtimeError

Header = tuple[bytes, bytes]

# The size of the request line and headers. Proxies allow 8 KiB for a line; no browser
# exceeds this. Above it: 431.
HEAD_MAX_BYTES = 64 * 1024
# The number of headers. Browsers send about 20, proxies add a few. Above it: 431.
HEADERS_MAX = 256
# A line with the size of a chunk, or one trailer. Above it: 400.
CHUNK_LINE_MAX_BYTES = 4 * 1024
# All chunk extensions of one body, which are ignored. Above it: 400.
CHUNK_EXTENSIONS_MAX_BYTES = 16 * 1024
# All trailers of one body, which are ignored. Above it: 431.
TRAILERS_MAX_BYTES = 8 * 1024

# Lines looked at in one call; after that others have their turn.
CHUNK_LINES_AT_ONCE = 256
# Empty lines before a request (RFC 9112 section 2.2 asks to pass over one): 431.
EMPTY_LINES_MAX_BYTES = 64

_HEAD_END = b"\r\n\r\n"
_VERSIONS = frozenset({"1.0", "1.1"})
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*((?:;[\t\x20-\x7e\x80-\xff]*)?)\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class HttpError(RealtimeError):
    """A request that is refused. `status`, `code` and `headers` make the answer, after
    which the connection ends.

    `code` is the machine-readable reason; if it is missing, it is made from the status.
    """

    def __init__(
        self, status: int, message: str, headers: Sequence[Header] = (), *, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = list(headers)


class Head:
    """The part of a request before its body: names in lower case, values as received."""

    __slots__ = ("fault", "headers", "is_complete", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[Header] = []
        self.is_complete = False
        self.fault: HttpError | None = None

    # What the parser calls

    def on_url(self, part: bytes) -> None:
        """Called with a part of the target."""
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called with one complete header."""
        if len(self.headers) == HEADERS_MAX:
            self.fault = HttpError(431, f"The request has more than {HEADERS_MAX} headers.")
            raise self.fault
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Called at the empty line after the headers."""
        self.is_complete = True

    def values(self, name: bytes) -> list[bytes]:
        """All values of the header `name` (lower case), in order."""
        return [value for key, value in self.headers if key == name]


class HeadReader:
    """Reads one head, however it is cut into pieces, and reads nothing after it."""

    __slots__ = ("_end_of_last", "_is_in_line", "_size_bytes", "head", "parser")

    def __init__(self) -> None:
        self.head = Head()
        self.parser = HttpRequestParser(self.head)
        self._size_bytes = 0
        # Whether the request line has begun.
        self._is_in_line = False
        # The end of the head may begin in the previous piece.
        self._end_of_last = b""

    @property
    def has_begun(self) -> bool:
        """Whether any byte has been received."""
        return self._size_bytes > 0

    @property
    def version(self) -> str:
        """The version of HTTP, once the head is complete."""
        return self.parser.get_http_version()

    def feed(self, data: bytes) -> int | None:
        """Read `data`. Returns how many of its bytes belong to the head once it is complete, None before.
        Raises HttpError(400 | 431)."""
        empty_bytes = 0 if self._is_in_line else self._pass_over_empty_lines(data)
        end = self._feed(data[empty_bytes:] if empty_bytes else data)
        return None if end is None else end + empty_bytes

    def _pass_over_empty_lines(self, data: bytes) -> int:
        """How many bytes of `data` come before the request line. The parser would read them one by one."""
        empty_bytes = len(data) - len(data.lstrip(b"\r\n"))
        self._is_in_line = empty_bytes < len(data)
        self._size_bytes += empty_bytes
        if empty_bytes and self._size_bytes > EMPTY_LINES_MAX_BYTES:
            raise HttpError(431, "There are too many empty lines before the request.")
        return empty_bytes

    def _feed(self, data: bytes) -> int | None:
        window = self._end_of_last + data
        at = before = len(self._end_of_last)
        while at < len(window):
            found = window.find(_HEAD_END, max(at - 3, 0))
            end = len(window) if found < 0 else found + len(_HEAD_END)
            self._parse(window[at:end])
            at = end
            if self.head.is_complete:
                self._check()
                return at - before
        self._end_of_last = window[-3:]
        return None

    def _parse(self, piece: bytes) -> None:
        """Parse `piece`, which must not go beyond the end of the head."""
        room = HEAD_MAX_BYTES - self._size_bytes
        self._size_bytes += len(piece)
        try:
            # Raised at the end of a head that asks for an upgrade. The bytes after it are not fed to the parser.
            with contextlib.suppress(HttpParserUpgrade):
                self.parser.feed_data(piece[:room])
        except HttpParserError as error:
            raise self.head.fault or HttpError(400, "This is not an HTTP/1.1 request.") from error
        if len(piece) > room:
            raise HttpError(431, f"The request's headers are larger than {HEAD_MAX_BYTES} bytes.")

    def _check(self) -> None:
        if self.version not in _VERSIONS:
            raise HttpError(400, "Expected HTTP/1.1.")


class Body(Protocol):
    """The body of one request, as it is sent."""

    is_complete: bool

    def feed(self, data: bytes, on_data: Callable[[bytes], None]) -> int:
        """Pass the content in `data` to `on_data`. Returns how many bytes were read. Raises HttpError.

        It may read less of the body than `data` holds: then it is to be called again.
        """
        ...


def body_of(reader: HeadReader, max_bytes: int) -> Body | None:
    """The body that a head announces, or None; at most `max_bytes` of content (0: no limit).

    Raises HttpError(400 | 413 | 501). The parser has already refused ambiguous heads: two
    lengths, or a length and chunks.
    """
    codings = reader.head.values(b"transfer-encoding")
    if codings:
        if reader.version == "1.0":
            raise HttpError(400, "HTTP/1.0 has no Transfer-Encoding.")
        if [coding.strip().lower() for coding in codings] != [b"chunked"]:
            raise HttpError(501, "The only Transfer-Encoding served here is `chunked`.")
        return ChunkedBody(max_bytes)
    size_bytes = sum(map(int, reader.head.values(b"content-length")))
    if max_bytes and size_bytes > max_bytes:
        raise too_large(max_bytes)
    return SizedBody(size_bytes) if size_bytes else None


def too_large(max_bytes: int) -> HttpError:
    """413: more content than `max_bytes`."""
    return HttpError(413, f"The request's body is larger than {max_bytes} bytes.", code="message_too_large")


class SizedBody:
    """A body with a Content-Length."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes
        self.is_complete = False

    def feed(self, data: bytes, on_data: Callable[[bytes], None]) -> int:
        """As `Body.feed`; raises nothing."""
        content = data[: self._left_bytes]
        self._left_bytes -= len(content)
        self.is_complete = not self._left_bytes
        on_data(content)
        return len(content)


class ChunkedBody:
    """A body in chunks (RFC 9112 section 7.1). Extensions and trailers are counted and dropped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._extensions_bytes = 0
        self._trailers_bytes = 0
        # The bytes left in the current chunk.
        self._left_bytes = 0
        self._line = bytearray()
        # The method that gets the next complete line.
        self._on_line = self._size_received
        self.is_complete = False

    def feed(self, data: bytes, on_data: Callable[[bytes], None]) -> int:
        """As `Body.feed`; raises HttpError(400 | 413 | 431)."""
        at = lines = 0
        contents: list[bytes] = []
        while at < len(data) and not self.is_complete and lines < CHUNK_LINES_AT_ONCE:
            if self._left_bytes:
                content = data[at : at + self._left_bytes]
                self._left_bytes -= len(content)
                at += len(content)
                contents.append(content)
            else:
                at = self._take_line(data, at)
                lines += 1
        if contents:
            # Together: what each costs the receiver is not for its size.
            on_data(b"".join(contents))
        return at

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1 or len(data)
        if len(self._line) + end - at > CHUNK_LINE_MAX_BYTES:
            raise _bad_chunk()
        self._line += data[at:end]
        if self._line.endswith(b"\n"):
            line = bytes(self._line)
            self._line.clear()
            self._on_line(line)
        return end

    def _size_received(self, line: bytes) -> None:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise _bad_chunk()
        self._left_bytes = int(match[1], 16)
        self._size_bytes += self._left_bytes
        self._extensions_bytes += len(match[2])
        if self._max_bytes and self._size_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._extensions_bytes > CHUNK_EXTENSIONS_MAX_BYTES:
            raise _bad_chunk()
        self._on_line = self._chunk_ended if self._left_bytes else self._trailer_received

    def _chunk_ended(self, line: bytes) -> None:
        if line != b"\r\n":
            raise _bad_chunk()
        self._on_line = self._size_received

    def _trailer_received(self, line: bytes) -> None:
        self._trailers_bytes += len(line)
        if self._trailers_bytes > TRAILERS_MAX_BYTES:
            raise HttpError(431, f"The request's trailers are larger than {TRAILERS_MAX_BYTES} bytes.")
        if line == b"\r\n":
            self.is_complete = True
        elif _TRAILER.fullmatch(line) is None:
            raise _bad_chunk()


def _bad_chunk() -> HttpError:
    return HttpError(400, "The request's chunks are malformed.")
