"""Sends the publications that transactions stored in the outbox: at once after the commit, in order by topic, each once.

One node at a time sends, for all nodes: it holds a lease, a row that it counts up while it works. A lease
that stands still is taken over; the clocks of other machines are not read. If two nodes send at the same time
after all, the idempotency key of each row keeps it a single publication, and each of the two keeps the order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic, time

from django.db import DatabaseError, InterfaceError

from realtime.core.history import Draft
from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.node import outbox_rows as rows
from realtime.node.database import Database
from realtime.node.outbox_rows import Lease, Row
from realtime.node.publish_failures import PublishFailure
from realtime.protocol.errors import PublishUnavailableError, RequestError
from realtime.topics.engine.ports import EngineUnavailableError

logger = logging.getLogger(__name__)

# Seconds between two looks for rows that another process stored, or that a killed one left.
POLL_S = 0.5
# Seconds until the next try if another node is sending; doubled up to POLL_S.
AGAIN_S = 0.02
# Seconds after which a lease that stands still is taken over. Its node is dead, or very slow, which does no harm.
STALE_S = 1.0
# Rows that are read and deleted together.
BATCH = 100
# Seconds without a publication after which the sender leaves the topics on their way, whose server of the broker hangs,
# and goes on with others.
SLOW_S = 0.2
# Topics that may be on their way then; above it the sender waits for them.
SENDING_MAX = 1000
# Seconds for which the idempotency key of a sent row is known: longer than it takes to start a server again.
KEY_TTL_S = 3600.0

AWAY = (DatabaseError, InterfaceError, RequestError)


class TransactionalOutbox:
    """The sender of one node. Used only on its event loop; `database` has a thread of its own.

    Rows older than `max_age_s` seconds (0: no bound) are not sent any more but reported.
    """

    def __init__(
        self,
        holder: str,
        database: Database,
        publish: Callable[[str, str, Draft], Awaitable[Position]],
        report: Callable[[PublishFailure], None],
        *,
        max_age_s: float,
    ) -> None:
        self._holder = holder
        self._database = database
        self._publish = publish
        self._report = report
        self._max_age_s = max_age_s
        self._woken = asyncio.Event()
        # The lease of another node, and the time since which it stands still.
        self._seen: tuple[Lease, float] | None = None
        self._again_s = AGAIN_S
        # Rows that were sent, and could not be deleted yet. At most BATCH for each topic on its way.
        self._sent: set[int] = set()
        # The topics on their way. A task returns False if the topic cannot be published to now.
        self._sending: dict[TopicKey, asyncio.Task[bool]] = {}
        self._is_away = False

    def wake(self) -> None:
        """Look for rows at once, because one was stored."""
        self._again_s = AGAIN_S
        self._woken.set()

    async def run(self) -> None:
        """Send stored publications again and again, until cancelled."""
        try:
            await self._run()
        finally:
            for task in self._sending.values():
                task.cancel()

    async def _run(self) -> None:
        wait_s = 0.0
        while True:
            # The timeout is the usual case: nothing was stored here.
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            self._woken.clear()
            try:
                wait_s = await self.send_all()
            except AWAY as error:
                wait_s = POLL_S
                self._note(f"The outbox cannot be read now: {type(error).__name__}")
            except Exception:
                wait_s = POLL_S
                logger.exception("The outbox could not be sent")

    async def send_all(self) -> float:
        """Send the stored publications, unless another node is sending. Return the seconds until the next look.

        Raises DatabaseError, and RequestError if no thread is free.
        """
        if not await self._database.run(rows.read, 0, 1):
            self._note(None)
            return POLL_S
        if not await self._has_lease():
            wait_s, self._again_s = self._again_s, min(self._again_s * 2, POLL_S)
            return wait_s
        try:
            is_whole = await self._send_batches()
        finally:
            # Also if the task is cancelled, so that the next node need not wait.
            await asyncio.shield(self._database.run(rows.release_lease, self._holder))
        self._note(None if is_whole else "The broker is away; publications wait in the outbox")
        return POLL_S

    async def _has_lease(self) -> bool:
        stale = self._seen[0] if self._seen and monotonic() - self._seen[1] >= STALE_S else None
        lease = await self._database.run(rows.take_lease, self._holder, stale)
        if lease.holder == self._holder:
            self._seen, self._again_s = None, AGAIN_S
            return True
        if self._seen is None or self._seen[0] != lease:
            self._seen = (lease, monotonic())
        return False

    async def _send_batches(self) -> bool:
        """Send all rows in batches. Return False if there are topics that cannot be published to now."""
        is_whole = True
        # Later rows of these must not overtake the earlier ones.
        held = set(self._sending)
        after_id = 0
        while batch := await self._database.run(rows.read, after_id, BATCH):
            after_id = batch[-1].id
            by_topic: dict[TopicKey, list[Row]] = {}
            for row in batch:
                if row.key not in held:
                    by_topic.setdefault(row.key, []).append(row)
            tasks = {key: self._start_topic(key, each) for key, each in by_topic.items()}
            await self._wait_for(set(tasks.values()))
            away = {key for key, task in tasks.items() if task.done() and not task.result()}
            is_whole = is_whole and not away
            held |= away | self._sending.keys()
            sent = list(self._sent)
            has_lease = await self._database.run(rows.finish, sent, self._holder)
            self._sent.difference_update(sent)
            if not has_lease:
                break
        return is_whole

    def _start_topic(self, key: TopicKey, topic_rows: Sequence[Row]) -> "asyncio.Task[bool]":
        task = self._sending[key] = asyncio.create_task(self._send_topic(topic_rows))

        def ended(_: "asyncio.Task[bool]") -> None:
            del self._sending[key]

        task.add_done_callback(ended)
        return task

    async def _wait_for(self, tasks: set["asyncio.Task[bool]"]) -> None:
        """Wait until these have ended, or nothing is published any more."""
        while tasks:
            before = len(self._sent)
            _, tasks = await asyncio.wait(tasks, timeout=SLOW_S)
            if len(self._sent) == before and len(self._sending) <= SENDING_MAX:
                break
        for slow in tasks:
            slow.add_done_callback(self._slow_ended)

    def _slow_ended(self, task: "asyncio.Task[bool]") -> None:
        if not task.cancelled() and task.result():
            # Its rows can be deleted now, and later rows of its topic can be sent.
            self.wake()

    async def _send_topic(self, topic_rows: Sequence[Row]) -> bool:
        """Send the rows of a topic in order, up to the first that cannot be sent now. Return whether it sent all."""
        for row in topic_rows:
            if row.id in self._sent:
                continue
            try:
                await self._send(row)
            except EngineUnavailableError:
                return False
            except Exception as error:
                # It would fail for ever, and hold up all later rows.
                self._report(PublishFailure("publish", row.key.tenant, row.key.topic, error))
            self._sent.add(row.id)
        return True

    async def _send(self, row: Row) -> None:
        if 0 < self._max_age_s < time() - row.stored_s:
            raise PublishUnavailableError(f"It waited in the outbox for more than {self._max_age_s:g} s.")
        draft = rows.draft_of(row, key_ttl_s=KEY_TTL_S)
        await self._publish(row.key.tenant, row.key.topic, draft)

    def _note(self, fault: str | None) -> None:
        """Log a fault when it begins, not at every try."""
        if fault is not None and not self._is_away:
            logger.warning(fault)
        self._is_away = fault is not None
