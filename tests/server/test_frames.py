"""Frames without I/O, by table and by property."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.frames import CloseCode as LibraryCloseCode
from websockets.frames import Frame as LibraryFrame
from websockets.frames import Opcode

from realtime.protocol.deflate import InflatingParser
from realtime.protocol.frames import (
    FRAMES_AT_ONCE,
    SHORT_FRAME_MAX_BYTES,
    FrameError,
    FrameParser,
    Message,
    decode_close,
    encode_close,
    encode_frame,
)
from tests.server.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, client_frame, close_frame

MAX_BYTES = 1000
LENGTHS = [0, 1, 2, 125, 126, 127, 65535, 65536, 70_000]


def take(parser: FrameParser, data: bytes) -> Iterator[Message]:
    """All that `data` completes."""
    yield from parser.feed(data)
    while parser.has_more:
        yield from parser.feed(b"")


def outcome(pieces: list[bytes], max_bytes: int = MAX_BYTES) -> tuple[list[Message], int | None]:
    """The messages, and the code of the error that ends them, if any."""
    parser = FrameParser(max_bytes)
    messages: list[Message] = []
    try:
        for piece in pieces:
            messages.extend(take(parser, piece))
    except FrameError as error:
        return messages, error.code
    return messages, None


def split(data: bytes, at: list[int]) -> list[bytes]:
    cuts = [0, *sorted(each % (len(data) + 1) for each in at), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


payloads = st.binary(max_size=300)
frames = st.builds(
    client_frame,
    st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG]),
    payloads,
    fin=st.booleans(),
)
odd_frames = st.builds(
    client_frame,
    st.integers(0, 15),
    payloads,
    fin=st.booleans(),
    reserved=st.sampled_from([0, 0, 0, 1, 2, 4]),
    masked=st.sampled_from([True, True, True, False]),
    length_bytes=st.sampled_from([None, None, 8]),
)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_of_any_length(opcode: int, length: int) -> None:
    payload = bytes(range(256)) * (length // 256 + 1)
    payload = payload[:length]
    assert outcome([client_frame(opcode, payload)], 70_000) == ([(opcode, payload)], None)


@given(opcode=st.sampled_from([TEXT, BINARY, PING, PONG, CLOSE]), payload=st.binary(max_size=125))
def test_takes_what_the_library_sends(opcode: int, payload: bytes) -> None:
    sent = LibraryFrame(Opcode(opcode), payload).serialize(mask=True)
    assert outcome([sent]) == ([(opcode, payload)], None)


@pytest.mark.parametrize("length", LENGTHS)
def test_sends_what_the_library_sends(length: int) -> None:
    for opcode in (TEXT, BINARY):
        assert encode_frame(opcode, b"x" * length) == LibraryFrame(Opcode(opcode), b"x" * length).serialize(
            mask=False
        )


@settings(max_examples=150)
@given(
    sent=st.lists(st.one_of(frames, odd_frames), max_size=8), at=st.lists(st.integers(0, 10**6), max_size=12)
)
@example(sent=[client_frame(TEXT, b"first"), client_frame(3)], at=[])
@example(sent=[client_frame(PING, b"abc", length_bytes=2)], at=[2])
@example(sent=[client_frame(TEXT, b"abc", length_bytes=8)], at=[5])
def test_how_the_bytes_are_cut_makes_no_difference(sent: list[bytes], at: list[int]) -> None:
    data = b"".join(sent)
    whole = outcome([data])
    assert outcome(split(data, at)) == whole
    assert outcome([data[index : index + 1] for index in range(len(data))]) == whole


@given(
    opcode=st.sampled_from([TEXT, BINARY]),
    parts=st.lists(payloads, min_size=1, max_size=6),
    ping=st.binary(max_size=125),
)
def test_fragments_make_one_message_and_let_control_frames_pass(
    opcode: int, parts: list[bytes], ping: bytes
) -> None:
    sent = []
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        sent += [
            client_frame(CONTINUATION if number else opcode, part, fin=is_last),
            client_frame(PING, ping),
        ]
    pings = [(PING, ping)] * len(parts)
    expected = [*pings[:-1], (opcode, b"".join(parts)), pings[-1]]
    assert outcome([b"".join(sent)], 10_000) == (expected, None)


FAULTS = {
    "reserved 1": client_frame(TEXT, b"x", reserved=4),
    "reserved 2": client_frame(TEXT, b"x", reserved=2),
    "reserved 3": client_frame(TEXT, b"x", reserved=1),
    "reserved on a control frame": client_frame(PING, b"x", reserved=4),
    "unmasked": client_frame(TEXT, b"x", masked=False),
    "unmasked control frame": client_frame(PONG, masked=False),
    **{f"opcode {opcode}": client_frame(opcode, b"x") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "fragmented ping": client_frame(PING, b"x", fin=False),
    "fragmented close": client_frame(CLOSE, b"", fin=False),
    "ping of 126 bytes": client_frame(PING, b"x" * 126),
    "long close": client_frame(CLOSE, b"\x03\xe8" + b"x" * 124),
    "short ping with a long length": client_frame(PING, b"x", length_bytes=2),
    "continuation of nothing": client_frame(CONTINUATION, b"x"),
    "continuation of nothing that goes on": client_frame(CONTINUATION, b"x", fin=False),
    "message within a message": client_frame(TEXT, b"x", fin=False) + client_frame(TEXT, b"x"),
    "continuation after the end": client_frame(TEXT, b"x") + client_frame(CONTINUATION, b"x"),
    "length in 2 bytes that fits 7 bits": client_frame(TEXT, b"x" * 125, length_bytes=2),
    "length in 8 bytes that fits 7 bits": client_frame(TEXT, b"x", length_bytes=8),
    "length in 8 bytes that fits 2": client_frame(BINARY, b"x" * 65535, length_bytes=8),
    "length with the highest bit": client_frame(TEXT, b"", length_bytes=8, length=1 << 63),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_protocol_is_1002(fault: str) -> None:
    assert outcome([client_frame(PING), FAULTS[fault]])[1] == 1002


@pytest.mark.parametrize("fault", FAULTS)
def test_what_came_before_a_fault_is_not_lost(fault: str) -> None:
    messages, code = outcome([client_frame(TEXT, b"before") + FAULTS[fault]])
    assert messages[0] == (TEXT, b"before")
    assert code == 1002


@pytest.mark.parametrize("made", [FrameParser, InflatingParser])
def test_short_fragments_are_counted_but_for_the_last(made: type[FrameParser]) -> None:
    frames = [client_frame(TEXT, b"x", fin=False), client_frame(CONTINUATION, b"", fin=False)]
    frames += [client_frame(CONTINUATION, b"x" * 64, fin=False), client_frame(CONTINUATION, b"y")]
    parser = made(MAX_BYTES)
    assert parser.feed(b"".join(frames)) == [(TEXT, b"x" * 65 + b"y")]
    assert parser.short_fragments == 2
    assert parser.feed(client_frame(TEXT, b"whole")) == [(TEXT, b"whole")]
    assert parser.short_fragments == 0


TOO_LARGE = {
    "one frame": client_frame(TEXT, b"x" * 1001),
    "one frame, its head only": client_frame(BINARY, b"", length=1001),
    "a huge one": client_frame(BINARY, b"", length=(1 << 63) - 1),
    "in fragments": client_frame(TEXT, b"x" * 600, fin=False) + client_frame(CONTINUATION, b"", length=401),
    "one byte at a time": client_frame(TEXT, b"x" * 1000, fin=False) + client_frame(CONTINUATION, b"x"),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_too_large_is_1009_as_soon_as_it_is_known(case: str) -> None:
    assert outcome([TOO_LARGE[case]]) == ([], 1009)


def test_exactly_the_limit_passes() -> None:
    halves = client_frame(TEXT, b"x" * 400, fin=False) + client_frame(CONTINUATION, b"x" * 600)
    assert outcome([client_frame(TEXT, b"x" * 1000) + halves]) == ([(TEXT, b"x" * 1000)] * 2, None)


def test_the_limit_begins_anew_with_each_message() -> None:
    messages, code = outcome([client_frame(BINARY, b"x" * 1000) * 5])
    assert (len(messages), code) == (5, None)


def test_at_most_so_many_frames_at_once() -> None:
    parser = FrameParser(MAX_BYTES)
    sent = b"".join(client_frame(TEXT, b"%d" % number) for number in range(FRAMES_AT_ONCE * 2 + 1))
    counts = [len(parser.feed(sent))]
    while parser.has_more:
        counts.append(len(parser.feed(b"")))
    assert counts == [FRAMES_AT_ONCE, FRAMES_AT_ONCE, 1]


def test_what_comes_while_more_is_there_goes_behind_it() -> None:
    parser = FrameParser(MAX_BYTES)
    messages = parser.feed(client_frame(TEXT, b"first") * FRAMES_AT_ONCE + client_frame(TEXT, b"second"))
    assert parser.has_more
    messages += take(parser, client_frame(TEXT, b"third"))
    assert [each.data for each in messages[-3:]] == [b"first", b"second", b"third"]


def test_a_flood_of_fragments_uses_no_memory() -> None:
    parser = FrameParser(20_000)
    list(take(parser, client_frame(TEXT, b"", fin=False)))
    flood = client_frame(CONTINUATION, b"x", fin=False) * 1000
    tracemalloc.start()
    try:
        for _ in range(10):
            assert list(take(parser, flood)) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


def test_a_large_message_in_many_small_pieces_is_not_copied_for_each() -> None:
    """Or a megabyte sent byte by byte would cost a terabyte of copying."""
    parser = FrameParser(1 << 20)
    parser.feed(client_frame(BINARY, b"", length=1 << 20) + bytes((1 << 20) - 1000))
    # The buffer makes room for more than is asked when it grows.
    parser.feed(b"x")
    tracemalloc.start()
    try:
        for _ in range(900):
            assert parser.feed(b"x") == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 512 * 1024


SENDABLE = {*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999}
NOT_SENDABLE = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", sorted(SENDABLE))
def test_close_codes_that_may_be_sent(code: int) -> None:
    assert decode_close(code.to_bytes(2) + "ä".encode()) == (code, "ä")


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_close_codes_that_may_not(code: int) -> None:
    with pytest.raises(FrameError) as caught:
        decode_close(code.to_bytes(2))
    assert caught.value.code == 1002


def test_malformed_closes() -> None:
    assert decode_close(b"") == (1005, "")
    for payload, code in ((b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xc3", 1007)):
        with pytest.raises(FrameError) as caught:
            decode_close(payload)
        assert caught.value.code == code


@given(
    code=st.sampled_from([int(each) for each in LibraryCloseCode if each in SENDABLE]),
    reason=st.text(max_size=200),
)
def test_a_reason_is_cut_between_characters(code: int, reason: str) -> None:
    frame = encode_close(code, reason)
    assert len(frame) <= 127
    got_code, got_reason = decode_close(frame[2:])
    assert got_code == code
    assert reason.startswith(got_reason)
    assert len(got_reason.encode()) > 119 or got_reason == reason


def test_a_close_frame_is_what_the_tests_send() -> None:
    assert outcome([close_frame(1000, b"bye")]) == ([(CLOSE, b"\x03\xe8bye")], None)


def test_a_long_frame_waits_for_a_call_without_data() -> None:
    parser = FrameParser(1 << 20)
    long = client_frame(BINARY, bytes(SHORT_FRAME_MAX_BYTES + 1))
    assert len(parser.feed(client_frame(BINARY, bytes(SHORT_FRAME_MAX_BYTES)))) == 1
    assert parser.feed(long[:1000]) == []
    assert not parser.has_more
    assert parser.feed(long[1000:]) == []
    assert parser.has_more
    assert [len(message.data) for message in parser.feed(b"")] == [SHORT_FRAME_MAX_BYTES + 1]
    assert not parser.has_more
