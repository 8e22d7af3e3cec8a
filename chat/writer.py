"""The chat's writers: what people of one tenant send is stored in groups, one transaction at a time.

Each tenant has a writer of its own: where a room is locked, or the database holds one tenant up, the others go on.
While one group is in the database the next one gathers: nobody waits for company when it is quiet, and the busier it
is the more messages share a commit. All on the loop; the work itself is done where `store` does it.
A group of several is followed by a short pause, in which those just answered send their next: without it half of the
senders would be in every group, and each would cost as much as one with all of them.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from chat.batches import MessageDraft
from chat.selectors import MessageView
from chat.services import Outcome, Sent
from realtime import ErrorCode, RealtimeError, RequestError

logger = logging.getLogger(__name__)

Store = Callable[[Sequence[MessageDraft]], Awaitable[list[Outcome]]]
Announce = Callable[[Sequence[Sent]], Coroutine[Any, Any, None]]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]

# Milliseconds between a group of several messages and the next transaction.
GATHER_MS = 3.0
# Messages stored in one transaction; more wait for the next.
BATCH_MAX = 128
# Messages of a tenant that wait; beyond it `limit_exceeded`. A few seconds of work: who waits longer has given up.
WAITING_MAX = 5000
# Writers that are kept although they have nothing to do.
IDLE_WRITERS_MAX = 100


class NotStoredError(RealtimeError):
    """A transaction failed as nobody expected; the writer has logged it. Sending again is safe."""


class _Waiting(NamedTuple):
    draft: MessageDraft
    stored: "asyncio.Future[MessageView]"


class MessageWriters:
    """Those of a process, by tenant. `make` gives a new one.

    There are no more of them than tenants with a message on its way, and IDLE_WRITERS_MAX.
    """

    def __init__(self, make: Callable[[], "MessageWriter"]) -> None:
        self._make = make
        self._writers: dict[int, MessageWriter] = {}

    def send(self, draft: MessageDraft) -> Coroutine[Any, Any, MessageView]:
        """As `MessageWriter.send`, in the queue of the draft's tenant. To be awaited at once."""
        writer = self._writers.get(draft.tenant.id)
        if writer is None:
            if len(self._writers) >= IDLE_WRITERS_MAX:
                self._writers = {key: each for key, each in self._writers.items() if not each.is_idle}
            writer = self._writers[draft.tenant.id] = self._make()
        return writer.send(draft)


class MessageWriter:
    """One of a tenant. `store` is one transaction; `announce` is called after it, batch after batch."""

    def __init__(
        self,
        store: Store,
        announce: Announce,
        spawn: Spawn,
        *,
        gather_ms: float = GATHER_MS,
        batch_max: int = BATCH_MAX,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._store = store
        self._announce = announce
        self._spawn = spawn
        self._gather_s = gather_ms / 1000
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[_Waiting] = deque()
        # Runs while there is something to write.
        self._writing: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being stored or announced, and nothing waits."""
        is_announcing = self._announcing is not None and not self._announcing.done()
        return self._writing is None and not is_announcing

    async def send(self, draft: MessageDraft) -> MessageView:
        """The message as it was stored, once that has committed; messages are stored in the order of these calls.

        Raises what `services.message_send` does; RequestError(limit_exceeded | timeout) and NotStoredError, after
        which sending it again is safe.
        """
        if len(self._waiting) >= self._waiting_max:
            raise RequestError(ErrorCode.LIMIT_EXCEEDED, "Too many messages wait to be stored; try again.")
        stored: asyncio.Future[MessageView] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(draft, stored))
        if self._writing is None:
            self._writing = self._spawn(self._write())
            # Cancelled at the end of the process, perhaps before it began: whoever waits is told.
            self._writing.add_done_callback(self._ended)
        return await stored

    async def _write(self) -> None:
        while batch := self._take():
            outcomes = await self._store_batch(batch)
            _answer(batch, outcomes)
            await self._announce_next([each for each in outcomes if isinstance(each, Sent) and each.is_new])
            if len(batch) > 1 and len(self._waiting) < self._batch_max:
                await asyncio.sleep(self._gather_s)
        self._writing = None

    async def _store_batch(self, batch: Sequence[_Waiting]) -> Sequence[Outcome | Exception]:
        """What became of each. Errors are not shared: a connection puts the id of its request into its own."""
        try:
            return await self._store([each.draft for each in batch])
        except asyncio.CancelledError:
            _answer(batch, [_stopping() for _ in batch])
            raise
        except RequestError as busy:
            return [RequestError(busy.code, busy.message) for _ in batch]
        except Exception:
            logger.exception("A transaction of %d messages failed", len(batch))
            return [NotStoredError() for _ in batch]

    def _take(self) -> list[_Waiting]:
        """The next batch, without those whose sender waits no more."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._batch_max:
            if not (first := self._waiting.popleft()).stored.done():
                batch.append(first)
        return batch

    async def _announce_next(self, sent: Sequence[Sent]) -> None:
        """Announce beside the next transaction, but after the batch before: at most one is being announced."""
        if not sent:
            return
        if self._announcing is not None:
            await asyncio.wait([self._announcing])
        self._announcing = self._spawn(self._announce(sent))

    def _ended(self, writing: "asyncio.Task[None]") -> None:
        if self._writing is writing:
            self._writing = None
            rest = list(self._waiting)
            self._waiting.clear()
            _answer(rest, [_stopping() for _ in rest])


def in_turns(store: Callable[[Sequence[MessageDraft]], list[Outcome]]) -> Callable[..., list[Outcome]]:
    """`store`, one thread at a time: for a database with one writer (SQLite), whose own way to wait is to look again."""
    turn = threading.Lock()

    def stored(drafts: Sequence[MessageDraft]) -> list[Outcome]:
        with turn:
            return store(drafts)

    return stored


def _answer(batch: Sequence[_Waiting], outcomes: Sequence[Outcome | Exception]) -> None:
    for each, outcome in zip(batch, outcomes, strict=True):
        if each.stored.done():
            continue
        if isinstance(outcome, Sent):
            each.stored.set_result(outcome.message)
        else:
            each.stored.set_exception(outcome)


def _stopping() -> RequestError:
    reason = "The server is stopping; send it again with the same client_msg_id."
    return RequestError(ErrorCode.TIMEOUT, reason)
