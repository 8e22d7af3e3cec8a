"""The outbox: one contract for both ways down, then what each has of its own. Sockets here are made of two lists."""

import asyncio

import pytest

from realtime.protocol.frames import CLOSE, TEXT, FrameParser
from realtime.sockets.outbox import LOW_WATER_BYTES, PreparedBatch, PreparedMessage, WriteCoalescer
from tests.server.outbox_sockets import AsgiSocket, Socket, WireSocket, of, settle, texts
from tests.server.wire import apply

LIMIT_BYTES = 1000
SLOW = (CLOSE, (4410).to_bytes(2) + b"slow")
DONE = (CLOSE, (1000).to_bytes(2) + b"bye")


@pytest.fixture(params=[WireSocket, AsgiSocket])
def socket(request: pytest.FixtureRequest) -> Socket:
    made: Socket = request.param()
    return made


async def test_everything_goes_out_in_order(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    frames = [
        PreparedMessage("one"),
        PreparedMessage(data=b"two"),
        PreparedMessage(""),
        PreparedMessage(data=b""),
        *texts(10, 200, 300),
    ]
    for number, frame in enumerate(frames):
        if number % 2:
            await outbox.send(frame)
        else:
            outbox.put(frame)
    await settle()
    assert socket.got() == of(*frames)
    assert outbox.pending_bytes == 0
    assert outbox.dropped == 0


async def test_batches_stay_whole_and_in_order(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    frames = texts(1, 2, 3, 4, 5)
    outbox.put(frames[0])
    outbox.put(PreparedBatch(frames[1:4]))
    outbox.put(frames[4])
    await settle()
    assert socket.got() == of(*frames)


async def test_what_waits_goes_out_in_order_when_the_client_reads(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    frames = texts(*[50] * 10)
    socket.pause()
    for frame in frames:
        outbox.put(frame)
    await settle()
    before = len(socket.got())
    assert before <= 1
    assert 0 < outbox.pending_bytes <= LIMIT_BYTES
    await socket.resume()
    assert socket.got() == of(*frames)
    assert outbox.pending_bytes == 0


async def test_beyond_the_limit_it_overflows_once(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    for frame in texts(*[100] * 30):
        outbox.put(frame)
        assert outbox.pending_bytes <= LIMIT_BYTES
    outbox.put(PreparedBatch(texts(5, 5, 5)))
    await settle()
    assert socket.overflows == 1
    assert outbox.pending_bytes == 0
    await socket.resume()
    got = socket.got()
    assert got[-1] == SLOW
    # Every message either went out or was counted; one may have been on its way when it happened.
    assert outbox.dropped + len(got) - 1 in {32, 33}


async def test_exactly_the_limit_passes(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    frames = texts(*[100] * 10)
    for frame in frames:
        outbox.put(frame)
    assert outbox.pending_bytes == LIMIT_BYTES
    assert socket.overflows == 0
    await socket.resume()
    assert socket.got() == of(*frames)


async def test_one_that_is_larger_than_the_limit_passes_alone(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    large = PreparedMessage("x" * 5000)
    socket.pause()
    outbox.put(large)
    await socket.resume()
    assert socket.got() == of(large)
    socket.pause()
    outbox.put(PreparedMessage("small"))
    outbox.put(large)
    assert socket.overflows == 1


async def test_without_a_limit_nothing_overflows(socket: Socket) -> None:
    outbox = socket.make(0)
    socket.pause()
    frames = texts(*[5000] * 50)
    for frame in frames:
        outbox.put(frame)
    await socket.resume()
    assert socket.got() == of(*frames)
    assert socket.overflows == 0


async def test_a_close_comes_after_what_waits(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    frames = texts(10, 20, 30)
    socket.pause()
    for frame in frames:
        outbox.put(frame)
    outbox.close(1000, "bye", discard=False)
    outbox.close(4410, "slow", discard=True)
    outbox.put(PreparedMessage("late"))
    await socket.resume()
    assert socket.got() == [*of(*frames), DONE]
    assert outbox.pending_bytes == 0
    assert outbox.dropped == 1


async def test_a_close_that_discards(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    for frame in texts(10, 20, 30):
        outbox.put(frame)
    await settle()
    outbox.close(4410, "slow", discard=True)
    assert outbox.pending_bytes == 0
    await socket.resume()
    assert socket.got()[-1] == SLOW
    assert len(socket.got()) <= 2
    assert outbox.dropped >= 2


async def test_a_close_with_nothing_waiting(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    outbox.close(1000, "bye", discard=False)
    await settle()
    assert socket.got() == [DONE]


async def test_a_sender_waits_for_a_client_that_does_not_read(socket: Socket) -> None:
    outbox = socket.make(0)
    socket.pause()
    frames = texts(*[LOW_WATER_BYTES] * 3)

    async def sender() -> None:
        for frame in frames:
            await outbox.send(frame)

    task = asyncio.create_task(sender())
    await settle()
    assert not task.done()
    assert outbox.pending_bytes <= 2 * LOW_WATER_BYTES
    await socket.resume()
    await task
    await settle()
    assert socket.got() == of(*frames)


async def test_drained_waits_until_nothing_does(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    await outbox.drained()
    socket.pause()
    outbox.put(PreparedMessage("x"))
    outbox.put(PreparedMessage("y"))
    waiting = asyncio.create_task(outbox.drained())
    await settle()
    assert not waiting.done()
    await socket.resume()
    await waiting
    assert socket.got() == of(PreparedMessage("x"), PreparedMessage("y"))


@pytest.mark.parametrize("how", ["close", "discard", "abandon"])
async def test_an_end_wakes_who_waits(socket: Socket, how: str) -> None:
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    outbox.put(PreparedMessage("x"))
    outbox.put(PreparedMessage("y"))
    waiting = asyncio.create_task(outbox.drained())
    await settle()
    if how == "abandon":
        outbox.abandon()
    else:
        outbox.close(1000, "bye", discard=how == "discard")
    await waiting
    outbox.abandon()
    await settle()


async def test_a_lost_client_wakes_who_waits(socket: Socket) -> None:
    outbox = socket.make(0)
    socket.pause()
    sender = asyncio.ensure_future(outbox.send(PreparedMessage("x" * 2 * LOW_WATER_BYTES)))
    await settle()
    outbox.put(PreparedMessage("y" * 2 * LOW_WATER_BYTES))
    waiting = asyncio.create_task(outbox.drained())
    await settle()
    socket.lose()
    await sender
    await waiting


async def test_an_abandoned_outbox_takes_nothing_more(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    for frame in texts(10, 20, 30):
        outbox.put(frame)
    await settle()
    outbox.abandon()
    outbox.put(PreparedMessage("late"))
    await outbox.send(PreparedMessage("later"))
    outbox.close(1000, "bye", discard=False)
    assert outbox.pending_bytes == 0
    assert outbox.dropped >= 4
    await settle()
    socket.lose()
    await settle()
    assert socket.got() == []


# What only ready frames have: replies to messages that came together leave in one write.


async def test_replies_to_messages_that_came_together_leave_together() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    frames = texts(10, 20, 30)
    for frame in frames:
        await outbox.send(frame)
    assert socket.writes == []
    await settle()
    assert len(socket.writes) == 1
    assert socket.got() == of(*frames)


async def test_a_client_is_behind_for_what_it_has_not_taken(socket: Socket) -> None:
    outbox = socket.make(LIMIT_BYTES)
    assert not outbox.is_behind
    socket.pause()
    outbox.put(PreparedMessage("push"))
    await settle()
    assert outbox.is_behind
    await socket.resume()
    assert not outbox.is_behind


async def test_a_client_is_not_behind_for_what_is_held_back() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("reply"))
    assert outbox.pending_bytes
    assert not outbox.is_behind
    await settle()
    assert not outbox.is_behind


async def test_one_whose_replies_cannot_be_sent_keeps_nobody_elses(caplog: pytest.LogCaptureFixture) -> None:
    def fail(frames: bytes) -> None:
        raise ZeroDivisionError("broken")

    coalescer = WriteCoalescer()
    sockets = [WireSocket(), WireSocket()]
    for socket in sockets:
        await socket.make(LIMIT_BYTES, coalescer).send(PreparedMessage("reply"))
    sockets[0].write = fail  # type: ignore[method-assign]
    await settle()
    assert sockets[1].got() == of(PreparedMessage("reply"))
    assert caplog.text.count("Replies could not be sent") == 1


async def test_a_reply_never_waits_longer_than_the_turn() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("reply"))
    await asyncio.sleep(0)
    assert socket.got() == of(PreparedMessage("reply"))


async def test_a_push_goes_behind_replies_that_are_held_back() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("reply"))
    outbox.put(PreparedMessage("push"))
    await settle()
    assert socket.got() == of(PreparedMessage("reply"), PreparedMessage("push"))


@pytest.mark.parametrize("size", [10, 400, 900, 5000, LOW_WATER_BYTES])
async def test_replies_that_are_held_back_never_overflow(size: int) -> None:
    """The client reads: it does not owe anything for what we hold back ourselves."""
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    frames = texts(*[size] * 40)
    for frame in frames[:-1]:
        await outbox.send(frame)
        outbox.put(frame)
    await settle()
    assert socket.overflows == 0
    assert socket.got() == of(*[each for frame in frames[:-1] for each in (frame, frame)])


async def test_a_close_goes_behind_replies_that_are_held_back() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("reply"))
    outbox.close(1000, "bye", discard=False)
    await settle()
    assert socket.got() == [*of(PreparedMessage("reply")), DONE]


# What only ASGI's `send` has: somebody may be cancelled in it.


async def test_a_sender_that_is_cancelled_does_not_stop_the_others() -> None:
    socket = AsgiSocket()
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    sender = asyncio.ensure_future(outbox.send(PreparedMessage("cancelled")))
    await settle()
    outbox.put(PreparedMessage("next"))
    sender.cancel()
    await asyncio.wait([sender])
    await socket.resume()
    assert socket.got() == of(PreparedMessage("next"))
    assert outbox.pending_bytes == 0


def test_frames_are_made_once_and_can_be_read_by_a_client() -> None:
    frame = PreparedMessage("ä" * 1000)
    assert frame.encoded is frame.encoded
    assert frame.events[0] is frame.events[0]
    masked = bytes([frame.encoded[0], frame.encoded[1] | 0x80]) + frame.encoded[2:4] + b"mask"
    masked += apply(b"mask", frame.encoded[4:])
    assert FrameParser(10_000).feed(masked) == [(TEXT, frame.payload)]


# What the server's transport still holds is part of what waits.


async def test_what_the_transport_holds_counts_towards_the_limit() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    socket.buffered_bytes = 700
    socket.pause()
    # One may always wait, lest a client with a small limit never gets a message.
    outbox.put(PreparedMessage("x" * 500))
    assert socket.overflows == 0
    socket.buffered_bytes = 400
    outbox.put(PreparedMessage("x" * 100))
    assert socket.overflows == 0
    outbox.put(PreparedMessage("x"))
    assert socket.overflows == 1


async def test_a_large_reply_is_not_held_back_with_others() -> None:
    """Else all replies of a turn would go to the transport in one piece, whatever the limit."""
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("x" * LOW_WATER_BYTES))
    assert len(socket.writes) == 1
    await outbox.send(PreparedMessage("small"))
    await outbox.send(PreparedMessage("y" * LOW_WATER_BYTES))
    assert outbox.pending_bytes == 0
    assert len(socket.got()) == 3


async def test_replies_that_are_sent_at_a_close_are_not_dropped() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    await outbox.send(PreparedMessage("reply"))
    outbox.close(1000, "bye", discard=False)
    outbox.abandon()
    assert outbox.dropped == 0


async def test_a_mark_changes_when_the_client_takes_something() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    assert outbox.mark() is None
    socket.buffered_bytes = 900
    socket.pause()
    outbox.put(PreparedMessage("waits"))
    asleep = outbox.mark()
    outbox.put(PreparedMessage("waits too"))
    assert outbox.mark() == asleep
    socket.buffered_bytes = 899
    assert outbox.mark() not in {None, asleep}
    socket.buffered_bytes = 900
    await socket.resume()
    assert outbox.mark() not in {None, asleep}


async def test_what_goes_on_being_written_is_progress_where_the_transport_takes_it() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    socket.buffered_bytes = 10
    before = outbox.mark()
    assert outbox.mark() == before
    outbox.put(PreparedMessage("more"))
    assert outbox.mark() != before


async def test_asgi_tells_by_what_its_send_has_taken() -> None:
    socket = AsgiSocket()
    outbox = socket.make(0)
    assert outbox.mark() is None
    socket.pause()
    for frame in texts(10, 10, 10):
        outbox.put(frame)
    await settle()
    asleep = outbox.mark()
    assert asleep is not None
    outbox.put(PreparedMessage("more"))
    assert outbox.mark() == asleep
    await socket.resume()
    assert outbox.mark() is None


async def test_an_abort_ends_the_socket_and_forgets_what_waits() -> None:
    socket = WireSocket()
    outbox = socket.make(LIMIT_BYTES)
    socket.pause()
    outbox.put(PreparedMessage("waits"))
    outbox.abort()
    assert socket.is_aborted
    assert (outbox.pending_bytes, outbox.dropped) == (0, 1)
