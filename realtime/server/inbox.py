"""Received messages: handed to the application at once if it is idle, otherwise kept in a bounded queue."""

import asyncio
from time import perf_counter

from realtime.core.token_bucket import TokenBucket
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.frames import FrameError
from realtime.server.scheduler import Scheduler
from realtime.sockets.completed import COMPLETED
from realtime.sockets.transport import Receiver
from realtime.sockets.types import Event

# Messages, and bytes, that may wait for the application before reading the socket is paused.
QUEUE_MAX_MESSAGES = 64
QUEUE_MAX_BYTES = 64 * 1024
# Pings, pongs that answer none of ours, and short fragments: how many a client may send in a second, and at once.
# A message of thousands of fragments is legal.
CONTROL_FRAMES_PER_S = 1_000
CONTROL_FRAMES_BURST = 10_000
# A single message up to this size is handed over at once. Others take turns with those of other sockets.
SHORT_MAX_BYTES = 4 * 1024
# Seconds of one socket's turn. No message is started after it.
TURN_S = 0.0005


class ClientGoneError(OSError):
    """The application sends to a client that has disconnected."""


class Inbox(asyncio.Protocol):
    """The reading half of a socket's protocol: passes messages to ASGI's `receive`, with back-pressure."""

    __slots__ = (
        "_controls",
        "_disconnect",
        "_handling",
        "_is_more_due",
        "_is_paused",
        "_is_turn_due",
        "_loop",
        "_queue",
        "_queued_bytes",
        "_scheduler",
        "_turn_end_s",
        "_waiter",
        "receiver",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler) -> None:
        self._loop = loop
        self._scheduler = scheduler
        # Messages that wait for the application. A list, because an empty deque takes more memory and the
        # queue is short.
        self._queue: list[Event] = []
        self._queued_bytes = 0
        # What `receive` returns after the end, when the queue is empty.
        self._disconnect: Event | None = None
        self._waiter: asyncio.Future[None] | None = None
        # The awaitable that the receiver returned for its last message.
        self._handling = COMPLETED
        # Made at the first such frame: most clients send none.
        self._controls: TokenBucket | None = None
        self._is_paused = False
        self._is_more_due = False
        self._is_turn_due = False
        self._turn_end_s = 0.0
        # Set by an application that takes messages by a direct call instead of `receive`.
        self.receiver: Receiver | None = None

    async def receive(self) -> Event:
        """ASGI's `receive`. After the end, every call returns the disconnect."""
        while not self._queue or self.receiver is not None:
            if self._queue:
                if perf_counter() < self._turn_end_s:
                    break
                self._ask_for_turn()
            elif self._disconnect is not None:
                return self._disconnect
            self._waiter = self._loop.create_future()
            await self._waiter
            if self._handling is not COMPLETED:
                handling, self._handling = self._handling, COMPLETED
                # From now: others may have had their turns since that message was handed over.
                self._turn_end_s = perf_counter() + TURN_S
                await handling
        event = self._queue.pop(0)
        if not self._queue:
            self._queue_emptied()
        return event

    def _take(self, text: str | None, data: bytes | None, size_bytes: int) -> None:
        """Hand a message to the receiver, or append it to the queue."""
        receiver = self.receiver
        if receiver is not None and not self._queue and self._is_idle():
            self._hand_over(receiver, text, data)
            return
        self._keep(text, data, size_bytes)
        if receiver is None:
            self._wake_reader()

    def _keep(self, text: str | None, data: bytes | None, size_bytes: int) -> None:
        content = {"bytes": data} if text is None else {"text": text}
        self._queue.append({"type": "websocket.receive", **content})
        self._queued_bytes += size_bytes
        if len(self._queue) >= QUEUE_MAX_MESSAGES or self._queued_bytes >= QUEUE_MAX_BYTES:
            self._pause_reading()

    def _take_kept(self) -> None:
        """Hand over a single short message at once. More messages, or larger ones, wait for a turn."""
        if self.receiver is None:
            if self._queue:
                self._wake_reader()
        elif self._queue and self._is_idle():
            if len(self._queue) == 1 and self._queued_bytes <= SHORT_MAX_BYTES and not self._is_turn_due:
                self._hand_over_next(self.receiver)
            else:
                self._ask_for_turn()

    def _ask_for_turn(self) -> None:
        if not self._is_turn_due:
            self._is_turn_due = True
            self._scheduler.add(self._take_turn)

    def _take_turn(self) -> bool:
        """Hand over waiting messages until the turn ends.

        If the receiver becomes busy, `receive` continues.
        """
        self._is_turn_due = False
        receiver = self.receiver
        if not self._queue or receiver is None or not self._is_idle():
            return False
        self._turn_end_s = perf_counter() + TURN_S
        self._hand_over_next(receiver)
        while self._queue and self._is_idle() and perf_counter() < self._turn_end_s:
            self._hand_over_next(receiver)
        if not self._is_idle():
            return True
        if self._queue:
            self._ask_for_turn()
        elif self._disconnect is not None:
            self._wake_reader()
        return False

    def _hand_over_next(self, receiver: Receiver) -> None:
        event = self._queue.pop(0)
        if not self._queue:
            self._queue_emptied()
        self._hand_over(receiver, event.get("text"), event.get("bytes"))

    def _is_idle(self) -> bool:
        """Whether the application waits in `receive`."""
        return self._waiter is not None and not self._waiter.done()

    def _hand_over(self, receiver: Receiver, text: str | None, data: bytes | None) -> None:
        handling = receiver.received(text, data)
        if handling is not COMPLETED:
            self._handling = handling
            self._wake_reader()

    def _queue_emptied(self) -> None:
        self._queued_bytes = 0
        if self._is_paused:
            self._take_more_soon()

    def _take_more_soon(self) -> None:
        """Continue in a later turn, so that other clients get a turn between two batches."""
        if not self._is_more_due:
            self._is_more_due = True
            self._scheduler.add(self._take_more_now)

    def _take_more_now(self) -> bool:
        self._take_more()
        return False

    def _take_more(self) -> None:
        """Parse the bytes that are left, then resume reading the socket."""
        raise NotImplementedError

    def _say_disconnect(self, code: int, reason: str) -> None:
        self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _count_small_frames(self, count: int, kind: str) -> None:
        """Count control frames that the client sent of its own accord, or short fragments. Raises FrameError(4429)."""
        now_s = self._loop.time()
        if self._controls is None:
            self._controls = TokenBucket(CONTROL_FRAMES_PER_S, CONTROL_FRAMES_BURST, now_s)
        if self._controls.take(now_s, count) > 0:
            raise FrameError(int(CloseCode.TOO_FAST), f"too many {kind}")

    def _forget_received(self) -> None:
        """Drop the messages that are left: the application has ended."""
        self.receiver = None
        self._queue.clear()
        if asyncio.iscoroutine(self._handling):
            self._handling.close()
        self._handling = COMPLETED

    def _pause_reading(self) -> None:
        if not self._is_paused and not self.transport.is_closing():
            self._is_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()
