"""The chat's writers: the messages of a tenant are stored in batches, one transaction at a time.

Each tenant has its own writer, so that a locked room or a slow tenant does not hold up the others. While one
batch is being stored, the next one gathers. A single message does not wait for others, and under load more
messages share a commit. Everything here runs on the loop; `store` does its work in a thread.

After a batch of several messages there is a short pause, in which the senders that were just answered can
send their next message. Without it, about half of the senders would be in each batch.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _

from chat import wire
from chat.announcing import Announce, Announcer, Spawn
from chat.batches import MessageDraft
from chat.messages.sending import Outcome, Sent
from realtime import ErrorCode, RealtimeError, RequestError, Tenant, log_database_fault

logger = logging.getLogger(__name__)

Store = Callable[[Sequence[MessageDraft]], Awaitable[list[Outcome]]]

# Milliseconds between a batch of several messages and the next transaction.
GATHER_MS = 3.0
# Messages that are stored in one transaction; more wait for the next.
BATCH_MAX = 128
# Characters of the texts of one transaction, unless it has a single message. Hard Markdown takes 17 ms for 1,000 of
# them, and the other senders of the batch wait.
BATCH_MAX_CHARS = 32_000
# Messages of a tenant that may wait; beyond it `limit_exceeded`. Storing as many takes a few seconds, and
# senders do not wait much longer.
WAITING_MAX = 5000
# Idle writers that are kept.
IDLE_WRITERS_MAX = 100


class NotStoredError(RealtimeError):
    """A transaction failed unexpectedly.

    The writer has logged the error. Sending the message again is safe.
    """


class _Waiting(NamedTuple):
    draft: MessageDraft
    stored: "asyncio.Future[wire.Message]"


class MessageWriters:
    """The writers of a process, by tenant. `make` creates that of a tenant.

    There are at most IDLE_WRITERS_MAX besides those of tenants with messages on their way.
    """

    def __init__(self, make: Callable[[Tenant], "MessageWriter"]) -> None:
        self._make = make
        self._writers: dict[int, MessageWriter] = {}

    def send(self, draft: MessageDraft) -> Coroutine[Any, Any, wire.Message]:
        """Send by the writer of the draft's tenant (see `MessageWriter.send`). Await the result at once."""
        writer = self._writers.get(draft.tenant.id)
        if writer is None:
            if len(self._writers) >= IDLE_WRITERS_MAX:
                self._writers = {key: each for key, each in self._writers.items() if not each.is_idle}
            writer = self._writers[draft.tenant.id] = self._make(draft.tenant)
        return writer.send(draft)


@dataclass(eq=False)
class MessageWriter:
    """The writer of a tenant.

    `store` is one transaction. `announce` is called after it, with the messages of one room.
    """

    store: Store
    announce: Announce
    spawn: Spawn
    _: KW_ONLY
    gather_ms: float = GATHER_MS
    batch_max: int = BATCH_MAX
    batch_max_chars: int = BATCH_MAX_CHARS
    waiting_max: int = WAITING_MAX

    def __post_init__(self) -> None:
        """Begin with nothing to write."""
        self._announcer = Announcer(self.announce, self.spawn)
        self._waiting: deque[_Waiting] = deque()
        # Runs while messages wait.
        self._writing: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being stored or announced, and nothing waits."""
        return self._writing is None and self._announcer.is_idle

    async def send(self, draft: MessageDraft) -> wire.Message:
        """Return the stored message after its commit. Messages are stored in the order of these calls.

        Raises the errors of `sending.message_post`, and RequestError(limit_exceeded | timeout) and
        NotStoredError. After the last two, sending the message again is safe.
        """
        if len(self._waiting) >= self.waiting_max:
            raise RequestError(ErrorCode.LIMIT_EXCEEDED, _("Too many messages wait to be stored; try again."))
        stored: asyncio.Future[wire.Message] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(draft, stored))
        if self._writing is None:
            self._writing = self.spawn(self._write())
            # At the end of the process the task is cancelled, perhaps before it starts. Waiting senders must
            # get an error.
            self._writing.add_done_callback(self._ended)
        return await stored

    async def _write(self) -> None:
        while batch := self._take():
            outcomes = await self._store_batch(batch)
            _answer(batch, outcomes)
            sent = [each for each in outcomes if isinstance(each, Sent) and each.is_new]
            await self._announcer.add([each.message for each in sent])
            if len(batch) > 1 and len(self._waiting) < self.batch_max:
                await asyncio.sleep(self.gather_ms / 1000)
        self._writing = None

    async def _store_batch(self, batch: Sequence[_Waiting]) -> Sequence[Outcome | Exception]:
        """Return the result of each draft.

        Each gets its own error object, which will carry its request id.
        """
        try:
            return await self.store([each.draft for each in batch])
        except asyncio.CancelledError:
            _answer(batch, [_stopping() for _ in batch])
            raise
        except RequestError as busy:
            return [RequestError(busy.code, busy.message) for _ in batch]
        except (OperationalError, InterfaceError) as away:
            log_database_fault(f"A transaction of {len(batch)} messages", away)
            reason = _("The database is unavailable now; try again.")
            return [RequestError(ErrorCode.TIMEOUT, reason) for _each in batch]
        except Exception:
            logger.exception("A transaction of %d messages failed", len(batch))
            return [NotStoredError() for _ in batch]

    def _take(self) -> list[_Waiting]:
        """Return the next batch, without messages whose sender has stopped waiting."""
        batch: list[_Waiting] = []
        chars = 0
        while self._waiting and len(batch) < self.batch_max:
            first = self._waiting[0]
            if not first.stored.done():
                chars += len(first.draft.text)
                if batch and chars > self.batch_max_chars:
                    break
                batch.append(first)
            self._waiting.popleft()
        return batch

    def _ended(self, writing: "asyncio.Task[None]") -> None:
        if self._writing is writing:
            self._writing = None
            rest = list(self._waiting)
            self._waiting.clear()
            _answer(rest, [_stopping() for _ in rest])


def _answer(batch: Sequence[_Waiting], outcomes: Sequence[Outcome | Exception]) -> None:
    for each, outcome in zip(batch, outcomes, strict=True):
        if each.stored.done():
            continue
        if isinstance(outcome, Sent):
            each.stored.set_result(outcome.message)
        else:
            each.stored.set_exception(outcome)


def _stopping() -> RequestError:
    reason = _("The server is stopping; send it again with the same client_msg_id.")
    return RequestError(ErrorCode.TIMEOUT, reason)
