"""Compression without I/O: what is agreed on, by table; what is inflated, by property and by table."""

import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.protocol import deflate as module
from realtime.protocol.deflate import (
    DEFLATE_MAX_BYTES,
    INFLATED_AT_ONCE_BYTES,
    WINDOW_BITS,
    Deflate,
    InflatingParser,
    deflate,
    inflate,
    negotiate,
)
from realtime.protocol.frames import FrameError, FrameParser, Message
from realtime.sockets.asgi_outbox import as_deflated
from realtime.sockets.outbox import PreparedBatch, PreparedMessage
from tests.server.test_frames import FAULTS
from tests.server.wire import BINARY, CONTINUATION, PING, TEXT, client_frame

MAX_BYTES = 10_000
RSV1 = 4
PLAIN = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TAIL = b"\x00\x00\xff\xff"

AGREED = {
    b"permessage-deflate": (b"", 12),
    b"permessage-deflate; client_max_window_bits": (b"", 12),
    b'permessage-deflate; client_max_window_bits="10"': (b"", 12),
    b"permessage-deflate; client_max_window_bits=8": (b"", 12),
    b"permessage-deflate; server_no_context_takeover; client_no_context_takeover": (b"", 12),
    b"permessage-deflate; server_max_window_bits=9": (b"; server_max_window_bits=9", 9),
    b"permessage-deflate; server_max_window_bits=12": (b"; server_max_window_bits=12", 12),
    b"permessage-deflate;server_max_window_bits=15": (b"; server_max_window_bits=15", 12),
    b'permessage-deflate ; server_max_window_bits = "1\\1"': (b"; server_max_window_bits=11", 11),
    b"x-other, permessage-deflate": (b"", 12),
    b", ,permessage-deflate ,": (b"", 12),
    b'x-other; a="b, c; \\" permessage"; d, permessage-deflate': (b"", 12),
    # The first that can be kept counts.
    b"permessage-deflate; server_max_window_bits=8, permessage-deflate": (b"", 12),
    b"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10, permessage-deflate": (
        b"; server_max_window_bits=10",
        10,
    ),
}
DECLINED = [
    b"",
    b"x-webkit-deflate-frame",
    b"permessage-bzip2",
    b"permessage-deflate; unknown",
    b"permessage-deflate; server_max_window_bits",
    *[
        b"permessage-deflate; server_max_window_bits=" + bits
        for bits in (b"8", b"7", b"16", b"09", b"x", b'""')
    ],
    b"permessage-deflate; server_max_window_bits=" + b"9" * 5000,
    *[b"permessage-deflate; client_max_window_bits=" + bits for bits in (b"7", b"16", b"010", b"-9", b"1x")],
    b"permessage-deflate; server_no_context_takeover=1",
    b'permessage-deflate; client_no_context_takeover=""',
    b"permessage-deflate; client_max_window_bits; client_max_window_bits",
    b"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
    # Not of the grammar: nothing in it is believed.
    b"permessage-deflate;",
    b"permessage-deflate; ,",
    b"permessage-deflate; a b",
    b"permessage-deflate=1",
    b'permessage-deflate; server_max_window_bits="10',
    b"permessage-deflate, =",
    b"; permessage-deflate",
    b"permessage-deflate, \xff",
]


@pytest.mark.parametrize("offer", AGREED)
def test_what_is_agreed_on(offer: bytes) -> None:
    answer, bits = AGREED[offer]
    assert negotiate([(b"host", b"x"), (b"sec-websocket-extensions", offer)]) == (PLAIN + answer, bits)


@pytest.mark.parametrize("offer", DECLINED)
def test_what_is_declined(offer: bytes) -> None:
    assert negotiate([(b"sec-websocket-extensions", offer)]) is None


def test_offers_in_several_headers() -> None:
    offers = [b"permessage-deflate; unknown", b"x-other", b"permessage-deflate; server_max_window_bits=10"]
    agreement = negotiate([(b"sec-websocket-extensions", offer) for offer in offers])
    assert agreement == (PLAIN + b"; server_max_window_bits=10", 10)
    assert negotiate([]) is None


@given(st.text(alphabet='permsag-dflt;,="\\ \t19', max_size=60))
def test_no_offer_is_an_error(offer: str) -> None:
    negotiate([(b"sec-websocket-extensions", offer.encode())])


def library_deflated(payload: bytes, level: int = 6, window_bits: int = 15) -> bytes:
    """As a client compresses, by the book."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -window_bits)
    return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


compressible = st.one_of(
    st.binary(max_size=400),
    st.builds(lambda part, times: part * times, st.binary(max_size=20), st.integers(0, 200)),
)


@given(payload=compressible, bits=st.integers(9, 15))
def test_what_is_deflated_is_inflated(payload: bytes, bits: int) -> None:
    stream = zlib.decompressobj(-bits)
    assert stream.decompress(deflate(payload, bits) + TAIL) == payload
    assert inflate(deflate(payload, bits), len(payload)) == payload


@given(payload=compressible, level=st.integers(0, 9), bits=st.integers(9, 15))
def test_what_clients_deflate_is_inflated(payload: bytes, level: int, bits: int) -> None:
    assert inflate(library_deflated(payload, level, bits), len(payload)) == payload


# RFC 7692 section 7.2.3: "Hello" in each of its forms.
HELLO = {
    "one block": "f248cdc9c90700",
    "a block without compression": "000500faff48656c6c6f00",
    "a final block": "f348cdc9c9070000",
    "two blocks": "f248050000 00ffff cac9c90700",
}


@pytest.mark.parametrize("form", HELLO)
def test_the_examples_of_the_rfc(form: str) -> None:
    assert inflate(bytes.fromhex(HELLO[form]), 5) == b"Hello"


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x02\x00", b"\x03\x00\x00"])
def test_empty_messages(data: bytes) -> None:
    assert inflate(data, 0) == b""


NOISE = bytes(range(256)) * 4
BAD = {
    "not deflated": b"plain text",
    "a reserved kind of block": b"\x07",
    "cut short": library_deflated(NOISE)[:-20],
    "cut short without compression": library_deflated(NOISE, 0)[:-20],
    "without its last block": library_deflated(b"Hello")[:-1],
    "something behind the end": bytes.fromhex("f348cdc9c90700") + b"and more",
    "a final block alone": bytes.fromhex("f348cdc9c90700"),
    "the tail left on": library_deflated(b"Hello") + TAIL,
    "ends without end": b"\x03\x00" * 1000,
    "a distance beyond the beginning": bytes.fromhex("02132200"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_1007(case: str) -> None:
    with pytest.raises(FrameError) as caught:
        inflate(BAD[case], MAX_BYTES)
    assert caught.value.code == 1007


def test_more_than_the_limit_is_1009_and_never_made() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    ended = zlib.compress(bytes(9_000), wbits=-15) * 2 + b"\x00"
    tracemalloc.start()
    try:
        for each in (data, ended, library_deflated(bytes(MAX_BYTES + 1))):
            with pytest.raises(FrameError) as caught:
                inflate(each, MAX_BYTES)
            assert caught.value.code == 1009
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The data some times over; all of it inflated would be 64 MiB.
    assert peak < 1 << 20
    assert inflate(library_deflated(bytes(MAX_BYTES)), MAX_BYTES) == bytes(MAX_BYTES)


def test_what_grows_waits_for_a_call_without_data() -> None:
    """The data of many sockets may arrive at the same moment."""
    parser = InflatingParser(MAX_BYTES)
    small, large = (client_frame(TEXT, library_deflated(b"x" * size), reserved=RSV1) for size in (4096, 4097))
    assert [len(message.data) for message in parser.feed(small)] == [4096]
    assert parser.feed(small * 2 + large)[0].data == b"x" * 4096
    assert parser.has_more
    assert [len(message.data) for message in parser.feed(b"")] == [4096, 4097]
    assert not parser.has_more
    assert parser.feed(large) == []
    # What comes meanwhile is kept behind it.
    assert parser.feed(small) == []
    assert [len(message.data) for message in parser.feed(b"")] == [4097, 4096]


def outcome(pieces: list[bytes], max_bytes: int = MAX_BYTES) -> tuple[list[Message], int | None]:
    """The messages, and the code of the error that ends them, if any."""
    parser = InflatingParser(max_bytes)
    messages: list[Message] = []
    try:
        for piece in pieces:
            messages += parser.feed(piece)
            while parser.has_more:
                messages += parser.feed(b"")
    except FrameError as error:
        return messages, error.code
    return messages, None


def cut(data: bytes, at: list[int]) -> list[bytes]:
    cuts = [0, *sorted(each % (len(data) + 1) for each in at), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


def fragments(opcode: int, payload: bytes, at: list[int], *, is_deflated: bool) -> list[bytes]:
    """A message as frames, a ping between any two."""
    parts = cut(library_deflated(payload) if is_deflated else payload, at)
    sent = []
    for number, part in enumerate(parts):
        reserved = RSV1 if is_deflated and not number else 0
        is_last = number == len(parts) - 1
        frame = client_frame(CONTINUATION if number else opcode, part, fin=is_last, reserved=reserved)
        sent += [frame] if is_last else [frame, client_frame(PING, b"between")]
    return sent


cuts = st.lists(st.integers(0, 10**6), max_size=4)
message = st.tuples(st.sampled_from([TEXT, BINARY]), compressible, cuts, st.booleans())


@settings(max_examples=150)
@given(sent=st.lists(message, max_size=6), at=cuts)
def test_compressed_and_plain_messages_in_any_pieces(
    sent: list[tuple[int, bytes, list[int], bool]], at: list[int]
) -> None:
    stream, expected = b"", []
    for opcode, payload, parts, is_deflated in sent:
        stream += b"".join(fragments(opcode, payload, parts, is_deflated=is_deflated))
        expected += [(PING, b"between")] * len(parts) + [(opcode, payload)]
    assert outcome(cut(stream, at)) == (expected, None)


@given(data=st.binary(max_size=80), parts=cuts, at=cuts)
def test_how_the_bytes_are_cut_makes_no_difference(data: bytes, parts: list[int], at: list[int]) -> None:
    pieces = cut(data, parts)
    stream = client_frame(TEXT, b"before")
    for number, piece in enumerate(pieces):
        reserved = 0 if number else RSV1
        is_last = number == len(pieces) - 1
        stream += client_frame(CONTINUATION if number else TEXT, piece, fin=is_last, reserved=reserved)
    whole = outcome([stream], 1000)
    assert whole[0][0] == (TEXT, b"before")
    assert outcome(cut(stream, at), 1000) == whole
    assert outcome([stream[index : index + 1] for index in range(len(stream))], 1000) == whole


RESERVED = {
    "on a ping": client_frame(PING, b"x", reserved=RSV1),
    "on a continuation": client_frame(TEXT, b"", fin=False, reserved=RSV1)
    + client_frame(CONTINUATION, b"", reserved=RSV1),
    "on a continuation of a plain one": client_frame(TEXT, b"x", fin=False)
    + client_frame(CONTINUATION, reserved=RSV1),
    "another one": client_frame(TEXT, b"x", reserved=2),
    "two": client_frame(TEXT, b"\x00", reserved=6),
    "of an unknown opcode": client_frame(3, b"x", reserved=RSV1),
    **{name: frame for name, frame in FAULTS.items() if name != "reserved 1"},
}


@pytest.mark.parametrize("fault", RESERVED)
def test_all_other_faults_stay_1002(fault: str) -> None:
    messages, code = outcome([client_frame(TEXT, b"before") + RESERVED[fault]])
    assert (messages[0], code) == ((TEXT, b"before"), 1002)


def test_without_the_extension_the_bit_is_a_fault() -> None:
    with pytest.raises(FrameError) as caught:
        FrameParser(MAX_BYTES).feed(client_frame(TEXT, library_deflated(b"Hello"), reserved=RSV1))
    assert caught.value.code == 1002


def test_one_call_inflates_so_much_and_not_more() -> None:
    payload = bytes(100_000)
    parser = InflatingParser(len(payload))
    counts = [len(parser.feed(client_frame(BINARY, library_deflated(payload), reserved=RSV1) * 10))]
    while parser.has_more:
        counts.append(len(parser.feed(b"")))
    assert sum(counts) == 10
    assert max(counts) * len(payload) < INFLATED_AT_ONCE_BYTES + len(payload)


# What is sent

TEXTS = '{"type":"publication"}' * 40


def received(wire: bytes) -> list[tuple[int, bytes]]:
    """What a client with the extension makes of it."""
    found, at = [], 0
    while at < len(wire):
        length, start = wire[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(wire[start : start + size])
            start += size
        payload = wire[start : start + length]
        if wire[at] & 0x40:
            payload = zlib.decompressobj(-WINDOW_BITS).decompress(payload + TAIL)
        found.append((wire[at] & 0x0F, payload))
        at = start + length
    return found


@pytest.mark.parametrize("data", [b"", b"x" * 255, bytes(range(256)), b"x" * (DEFLATE_MAX_BYTES + 1)])
def test_what_is_not_worth_it_goes_out_plain(data: bytes) -> None:
    frame = PreparedMessage(data=data)
    assert frame.deflated(Deflate(WINDOW_BITS, 256)) is frame.encoded


@settings(max_examples=40)
@given(st.lists(st.one_of(st.text(max_size=50), compressible, st.just(TEXTS)), min_size=1, max_size=5))
def test_every_form_says_the_same(messages: list[str | bytes]) -> None:
    frames = [
        PreparedMessage(each) if isinstance(each, str) else PreparedMessage(data=each) for each in messages
    ]
    batch = PreparedBatch(frames)
    agreed = Deflate(WINDOW_BITS, 10)
    assert received(batch.deflated(agreed)) == received(batch.encoded)
    assert received(batch.deflated_batch(agreed)) == received(batch.encoded_batch)
    assert len(batch.deflated(agreed)) <= len(batch.encoded)
    assert received(frames[0].deflated_batch(agreed)) == received(frames[0].encoded)


def test_each_agreement_costs_one_compression(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(payload: bytes, window_bits: int) -> bytes:
        windows.append(window_bits)
        return deflate(payload, window_bits)

    windows: list[int] = []
    monkeypatch.setattr(module, "deflate", counted)
    frame, other = PreparedMessage(TEXTS), PreparedMessage(TEXTS)
    batch = PreparedBatch([frame, other])
    for bits in (12, 9, 12, 12, 9):
        form = as_deflated(Deflate(bits, 256), has_batches=False)
        assert form(frame) is form(frame)
        assert form(batch) is form(batch)
    assert sorted(windows) == [9, 9, 12, 12]
    shared = as_deflated(Deflate(12, 256), has_batches=True)
    assert shared(batch) is shared(batch)
    assert sorted(windows) == [9, 9, 12, 12, 12]
