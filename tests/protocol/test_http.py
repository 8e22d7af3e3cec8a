"""Heads and bodies from bytes: the same answer however they are cut, and a bound for each part."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocol.http import (
    CHUNK_EXTENSIONS_MAX_BYTES,
    CHUNK_LINE_MAX_BYTES,
    CHUNK_LINES_AT_ONCE,
    HEAD_MAX_BYTES,
    HEADERS_MAX,
    TRAILERS_MAX_BYTES,
    ChunkedBody,
    HeadReader,
    HttpError,
    body_of,
)

HEAD = b"POST /a?b HTTP/1.1\r\nHost: acme\r\nX-Odd: Odd\r\n\r\n"
CHUNKED = b"5\r\nfirst\r\n1;a=b\r\n \r\n6\r\nsecond\r\n0\r\nX-Sum: 1\r\n\r\n"
MAX_BYTES = 100


def read(*pieces: bytes) -> tuple[bytes, int]:
    """The target, and how many bytes were the head's."""
    reader, before = HeadReader(), 0
    for piece in pieces:
        end = reader.feed(piece)
        if end is not None:
            return reader.head.target, before + end
        before += len(piece)
    raise AssertionError("no end")


def content(body: ChunkedBody, *pieces: bytes) -> tuple[bytes, int]:
    """The content, and how many bytes were the body's."""
    taken = bytearray()
    used = sum(body.feed(piece, taken.extend) for piece in pieces)
    return bytes(taken), used


def status(*pieces: bytes) -> int:
    """Of the refusal."""
    with pytest.raises(HttpError) as caught:
        read(*pieces)
    return caught.value.status


@pytest.mark.parametrize("behind", [b"", b"x", HEAD, b"\r\n\r\n", b"\x00" * 10])
def test_a_head_ends_where_it_ends_wherever_it_is_cut(behind: bytes) -> None:
    for at in range(len(HEAD) + 1):
        assert read(HEAD[:at], HEAD[at:] + behind) == (b"/a?b", len(HEAD))
    assert read(*(bytes([byte]) for byte in HEAD + behind)) == (b"/a?b", len(HEAD))


def test_empty_lines_before_a_request_are_its_own() -> None:
    for count in range(1, 8):
        lines = b"\r\n" * count
        assert read(lines + HEAD + HEAD) == (b"/a?b", len(lines + HEAD))
        assert read(lines, HEAD[:9], HEAD[9:]) == (b"/a?b", len(lines + HEAD))


@given(st.data())
def test_any_cut_of_any_head_gives_the_same_answer(data: st.DataObject) -> None:
    parts = st.sampled_from(
        [
            b"GET / HTTP/1.1",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"A: b",
            b"A : b",
            b" c",
            b"\x00",
            b"HTTP/2.0",
            b"GET ",
        ]
    )
    stream = b"".join(data.draw(st.lists(parts, min_size=1, max_size=8)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    def outcome(*given_: bytes) -> object:
        try:
            return read(*given_)
        except HttpError as error:
            return error.status, str(error)
        except AssertionError:
            return None

    assert outcome(*pieces) == outcome(stream) == outcome(*(bytes([byte]) for byte in stream))


def test_the_bound_of_a_head_is_exact_wherever_it_is_cut() -> None:
    start, end = b"GET / HTTP/1.1\r\nX: ", b"\r\n\r\n"
    most = start + b"x" * (HEAD_MAX_BYTES - len(start + end)) + end
    assert read(most)[1] == HEAD_MAX_BYTES
    assert read(most[:40_000], most[40_000:] + HEAD)[1] == HEAD_MAX_BYTES
    over = most.replace(b"x", b"xx", 1)
    assert status(over) == status(over[:40_000], over[40_000:]) == status(over[:-1], over[-1:]) == 431


@pytest.mark.parametrize(
    "endless", [b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"\r\n" * 40_000]
)
def test_a_head_without_an_end_is_431(endless: bytes) -> None:
    assert status(endless) == status(*(endless[at : at + 1000] for at in range(0, len(endless), 1000))) == 431


def test_the_number_of_headers_is_bounded() -> None:
    def request(count: int) -> bytes:
        return b"GET / HTTP/1.1\r\n" + b"A:b\r\n" * count + b"\r\n"

    assert read(request(HEADERS_MAX))[1] == len(request(HEADERS_MAX))
    assert status(request(HEADERS_MAX + 1)) == 431


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\nA: b\n\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_what_is_no_request_is_400(head: bytes) -> None:
    assert status(head) == 400


@pytest.mark.parametrize(
    ("fault", "head"),
    [
        (501, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (413, b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n"),
    ],
)
def test_bodies_that_are_not_taken(fault: int, head: bytes) -> None:
    reader = HeadReader()
    assert reader.feed(head) == len(head)
    with pytest.raises(HttpError) as caught:
        body_of(reader, MAX_BYTES)
    assert caught.value.status == fault


@pytest.mark.parametrize("size_bytes", [0, 1, 100])
def test_a_body_with_its_length(size_bytes: int) -> None:
    reader = HeadReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size_bytes)
    body = body_of(reader, MAX_BYTES)
    if body is None:
        assert size_bytes == 0
        return
    taken = bytearray()
    assert body.feed(b"x" * size_bytes + HEAD, taken.extend) == size_bytes
    assert body.is_complete
    assert bytes(taken) == b"x" * size_bytes


def test_chunks_end_where_they_end_wherever_they_are_cut() -> None:
    for at in range(len(CHUNKED) + 1):
        body = ChunkedBody(MAX_BYTES)
        assert content(body, CHUNKED[:at], CHUNKED[at:] + HEAD) == (b"first second", len(CHUNKED))
        assert body.is_complete


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.data())
def test_chunks_as_h11_writes_them(chunks: list[bytes], data: st.DataObject) -> None:
    client = h11.Connection(h11.CLIENT)
    headers = [("Host", "a"), ("Transfer-Encoding", "chunked")]
    client.send(h11.Request(method="POST", target="/", headers=headers))
    wire = b"".join(client.send(h11.Data(data=chunk)) or b"" for chunk in chunks)
    wire += client.send(h11.EndOfMessage()) or b""
    at = data.draw(st.integers(0, len(wire)))
    body = ChunkedBody(0)
    assert content(body, wire[:at], wire[at:]) == (b"".join(chunks), len(wire))
    assert body.is_complete


@pytest.mark.parametrize(
    ("fault", "wire"),
    [
        (400, b"\r\n"),
        (400, b"x\r\n"),
        (400, b"-1\r\n"),
        (400, b"0x1\r\n"),
        (400, b"1\n"),
        (400, b"1 \x00\r\n"),
        (400, b"1;\x00\r\n"),
        (400, b"1\r\nab\r\n"),
        (400, b"1\r\na\n"),
        (400, b"1" * 17 + b"\r\n"),
        (400, b"0\r\nno colon\r\n\r\n"),
        (400, b"0\r\nA : b\r\n\r\n"),
        (400, b"1;" + b"x" * CHUNK_LINE_MAX_BYTES),
        (400, (b"1;" + b"x" * 1000 + b"\r\na\r\n") * (CHUNK_EXTENSIONS_MAX_BYTES // 1000 + 1)),
        (413, b"65\r\n"),
        (413, b"32\r\n" + b"x" * 50 + b"\r\n33\r\n"),
        (413, b"ffffffffffffffff\r\n"),
        (431, b"0\r\n" + (b"A:" + b"x" * 1000 + b"\r\n") * (TRAILERS_MAX_BYTES // 1000 + 1)),
    ],
)
def test_chunks_that_are_not_taken(fault: int, wire: bytes) -> None:
    for pieces in ([wire], [bytes([byte]) for byte in wire]):
        with pytest.raises(HttpError) as caught:
            content(ChunkedBody(MAX_BYTES), *pieces)
        assert caught.value.status == fault


def test_a_body_of_tiny_chunks_is_taken_a_few_lines_at_a_time() -> None:
    """One read may hold 40,000 chunks of one byte: all at once they stopped everybody for a quarter of a second."""
    body, parts = ChunkedBody(0), list[bytes]()
    wire = b"1\r\na\r\n" * 1000 + b"0\r\n\r\n"
    calls = at = 0
    while not body.is_complete:
        at += body.feed(wire[at:], parts.append)
        calls += 1
    assert (at, b"".join(parts)) == (len(wire), b"a" * 1000)
    assert calls >= 2000 // CHUNK_LINES_AT_ONCE
    assert len(parts) <= calls


@pytest.mark.parametrize("piece_bytes", [1, 30, 1000, 20_000])
def test_empty_lines_before_a_request_are_few(piece_bytes: int) -> None:
    """The parser took each two of them by itself: 16,000 calls for what a head may have."""
    wire = b"\r\n" * 10_000
    assert status(*(wire[at : at + piece_bytes] for at in range(0, len(wire), piece_bytes))) == 431
