"""Several messages in one frame: what is joined, and that an outbox sends the form its client takes."""

import asyncio
from typing import Any

import pytest

from realtime.protocol.frames import BINARY, TEXT, encode_frame
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import SHARED_FRAME_MAX_BYTES, PreparedBatch, PreparedMessage, WriteCoalescer
from realtime.sockets.transport import TRANSPORT_EXTENSION


def payloads(batch: PreparedBatch) -> list[bytes]:
    """Of the frames that a client gets who takes several messages a frame."""
    return [frame.payload for frame in batch.joined.frames]


def text(size_bytes: int, char: str = "x") -> PreparedMessage:
    """A text message of this size."""
    return PreparedMessage(char * size_bytes)


def test_texts_share_a_frame_a_line_each() -> None:
    batch = PreparedBatch(
        [PreparedMessage('{"n":1}'), PreparedMessage('{"n":"ä"}'), PreparedMessage('{"n":3}')]
    )
    line = '{"n":1}\n{"n":"ä"}\n{"n":3}'
    assert batch.encoded_batch == encode_frame(TEXT, line.encode())
    assert batch.batch_events == [{"type": "websocket.send", "text": line}]


def test_a_single_message_is_as_it_is_to_everybody() -> None:
    frame = PreparedMessage("one")
    assert frame.encoded_batch is frame.encoded
    assert frame.batch_events[0] is frame.events[0]


def test_what_is_joined_is_joined_once_for_all() -> None:
    batch = PreparedBatch([PreparedMessage("one"), PreparedMessage("two")])
    assert batch.encoded_batch is batch.encoded_batch
    assert batch.batch_events[0] is batch.batch_events[0]


def test_joining_leaves_the_single_frames_and_the_counts_alone() -> None:
    batch = PreparedBatch([PreparedMessage("one"), PreparedMessage("two")])
    assert batch.encoded_batch != batch.encoded == encode_frame(TEXT, b"one") + encode_frame(TEXT, b"two")
    assert (batch.count, batch.size_bytes) == (2, 6)


def test_a_shared_frame_is_filled_to_its_last_byte_and_no_further() -> None:
    half = SHARED_FRAME_MAX_BYTES // 2
    assert [len(each) for each in payloads(PreparedBatch([text(half), text(half - 1)]))] == [
        SHARED_FRAME_MAX_BYTES
    ]
    assert [len(each) for each in payloads(PreparedBatch([text(half), text(half)]))] == [half, half]


def test_the_size_of_a_shared_frame_is_counted_in_bytes() -> None:
    assert len(payloads(PreparedBatch([text(SHARED_FRAME_MAX_BYTES // 2, "ä"), PreparedMessage("b")]))) == 2


def test_a_large_message_has_a_frame_to_itself_in_its_place() -> None:
    large = text(SHARED_FRAME_MAX_BYTES + 1)
    batch = PreparedBatch(
        [PreparedMessage("a"), PreparedMessage("b"), large, PreparedMessage("c"), PreparedMessage("d")]
    )
    assert payloads(batch) == [b"a\nb", large.payload, b"c\nd"]
    assert batch.joined.frames[1] is large


def test_binary_messages_stay_frames_of_their_own_in_their_place() -> None:
    batch = PreparedBatch(
        [
            PreparedMessage("a"),
            PreparedMessage("b"),
            PreparedMessage(data=b"\n"),
            PreparedMessage(data=b""),
            PreparedMessage("c"),
        ]
    )
    joined = [(TEXT, b"a\nb"), (BINARY, b"\n"), (BINARY, b""), (TEXT, b"c")]
    assert batch.encoded_batch == b"".join(encode_frame(opcode, payload) for opcode, payload in joined)


def test_empty_texts_are_messages_too() -> None:
    assert payloads(PreparedBatch([PreparedMessage(""), PreparedMessage(""), PreparedMessage("")])) == [
        b"\n\n"
    ]


class SocketTransport:
    """A server with our extension, of a client that reads or does not."""

    def __init__(self) -> None:
        self.buffered_bytes = 0
        self.is_writable = True
        self.deflate_bits = 0
        self.on_flow: Any = None
        self.writes: list[bytes] = []

    @property
    def direct(self) -> "SocketTransport | None":
        return self if self.is_writable else None

    def write(self, frames: bytes) -> None:
        self.writes.append(frames)

    def close(self, code: int, reason: str) -> None:
        raise AssertionError("nobody closes")


async def no_send(event: Any) -> None:
    raise AssertionError("there is a shorter way")


@pytest.mark.parametrize("has_batches", [False, True])
async def test_ready_frames_go_out_in_the_form_the_client_takes(has_batches: bool) -> None:
    wire, batch, reply = (
        SocketTransport(),
        PreparedBatch([PreparedMessage("one"), PreparedMessage("two")]),
        PreparedMessage("reply"),
    )
    scope = {"extensions": {TRANSPORT_EXTENSION: wire}}
    outbox = make_outbox(
        scope, no_send, 100, lambda: None, RouteMetrics("", ""), WriteCoalescer(), has_batches=has_batches
    )
    expected = batch.encoded_batch if has_batches else batch.encoded
    outbox.put(batch)
    wire.is_writable = False
    wire.on_flow()
    outbox.put(batch)
    assert (outbox.pending_bytes, outbox.dropped) == (6, 0)
    wire.is_writable = True
    await outbox.send(reply)
    wire.on_flow()
    assert wire.writes == [expected, expected + reply.encoded]
    outbox.abandon()
    outbox.put(batch)
    assert outbox.dropped == 2


@pytest.mark.parametrize("has_batches", [False, True])
async def test_asgi_events_go_out_in_the_form_the_client_takes(has_batches: bool) -> None:
    sent: list[str] = []

    async def send(event: Any) -> None:
        sent.append(event["text"])

    outbox = make_outbox(
        {}, send, 100, lambda: None, RouteMetrics("", ""), WriteCoalescer(), has_batches=has_batches
    )
    outbox.put(PreparedBatch([PreparedMessage("one"), PreparedMessage("two")]))
    await outbox.drained()
    await asyncio.sleep(0)
    assert sent == (["one\ntwo"] if has_batches else ["one", "two"])
    assert outbox.pending_bytes == 0
