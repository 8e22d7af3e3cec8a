"""Announces messages that were stored and not announced: their process was killed, or the broker was away.

No outbox is needed: the history of a room's topic is compared with the table of messages. This is done before
a newer message of the room is announced, which keeps the order, and by a sweep over the newest messages.
Repeated announcements of a message are one publication, because of its idempotency key.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Max
from django.utils import timezone

from chat import wire
from chat.announcements import aannounce_message
from chat.messages.reading import messages_between
from chat.models import Message
from realtime import Node, RealtimeError, RequestError

logger = logging.getLogger(__name__)

# Seconds between two sweeps, and the age from which a message should have been announced.
SWEEP_S = 0.4
GRACE_S = 0.4
# Seconds after which a missing message is left alone: the topic would have dropped it.
TOO_OLD = timedelta(seconds=300)
# Messages that one sweep reads, and with which the first one begins.
SWEPT = 1000
# Messages of a room that are compared, from the newest.
COMPARED = 200
MARGIN = 20
# Rooms whose newest announced message is kept in mind.
KNOWN_ROOMS = 10_000
# Seconds that a sweep waits for its rooms. Those whose server of the broker hangs go on by themselves.
FILL_WAIT_S = 0.2
# Rooms that a sweep may leave to later ones; above it, the next sweep begins with the same messages.
DUE_ROOMS_MAX = 10_000


# A tenant's slug and the id of a room.
Room = tuple[str, int]


class Unannounced:
    """The announced messages that one node knows of. Used only on its event loop."""

    def __init__(self, node: Node) -> None:
        self._node = node
        # By room, the message up to which all are announced. The last used room is last.
        self._known: OrderedDict[int, int] = OrderedDict()
        # The newest message that was looked at; None if another node sweeps.
        self._swept_id: int | None = None
        # By room, the newest message that should be announced by now, and the tasks that announce.
        self._due: dict[Room, int] = {}
        self._filling: dict[Room, asyncio.Task[None]] = {}
        self._is_away = False

    def announced(self, room_id: int, seq: int) -> None:
        """Note that the room's messages up to this one are announced."""
        self._known[room_id] = max(seq, self._known.get(room_id, 0))
        self._known.move_to_end(room_id)
        if len(self._known) > KNOWN_ROOMS:
            self._known.popitem(last=False)

    async def fill(self, tenant: str, room_id: int, below_seq: int) -> None:
        """Announce the messages before `below_seq` that the room's topic lacks.

        Raises EngineUnavailableError, DatabaseError, and RequestError if the database is busy.
        """
        if self._known.get(room_id, 0) >= below_seq - 1:
            return
        known = self._known.get(room_id)
        # A few more than are missing, because other events stand between them.
        limit = COMPARED if known is None else min(2 * (below_seq - known) + MARGIN, COMPARED)
        newest = await self._node.newest(wire.room_topic(room_id), tenant=tenant, limit=limit)
        seqs = {data["message"]["seq"] for data in newest if data.get("event") == "message"}
        # Messages before the oldest one in the history do not count: the topic may have dropped them.
        after_seq = known if known is not None else max(min(seqs, default=0), below_seq - COMPARED)
        if not seqs.issuperset(range(after_seq + 1, below_seq)):
            missing = await self._node.background.run(
                messages_between, room_id, after_seq, below_seq, since=self._oldest(), besides=seqs
            )
            await self._announce(tenant, missing)
        self.announced(room_id, below_seq - 1)

    async def _announce(self, tenant: str, messages: Sequence[wire.Message]) -> None:
        # Younger ones are on their way: another node is about to announce them.
        late_from = wire.time_of(_late_from())
        if late := [message.room_id for message in messages if message.sent_at <= late_from]:
            logger.warning("%d message(s) of room %s had not been announced", len(late), late[0])
        for message in messages:
            try:
                await aannounce_message(self._node, tenant, message)
            except RequestError as refused:
                logger.error("Message %d cannot be announced: %s", message.id, refused.message)  # noqa: TRY400

    async def run(self) -> None:
        """Sweep again and again, until cancelled."""
        try:
            await self._run()
        finally:
            for task in self._filling.values():
                task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self._sweep()
                self._is_away = False
            except* (RealtimeError, DatabaseError) as away:
                if not self._is_away:
                    logger.warning("Messages cannot be announced now: %s", away.exceptions[0])
                self._is_away = True
            except* Exception:
                logger.exception("Messages that were not announced could not be looked for")

    async def _sweep(self) -> None:
        if not self._sweeps_for_all():
            self._swept_id = None
            self._due.clear()
            return
        if self._swept_id is None:
            self._swept_id = await self._node.background.run(_first_id)
        swept_id = await self._look_for_due(self._swept_id)
        if len(self._due) <= DUE_ROOMS_MAX:
            self._swept_id = swept_id
        await self._fill_due()

    async def _look_for_due(self, after_id: int) -> int:
        """Note the rooms with stored messages after this one that should be announced by now. Return the last of them."""
        oldest, late_from = self._oldest(), _late_from()
        stored = await self._node.background.run(_stored_after, after_id)
        for message_id, tenant, room_id, seq, sent_at in stored:
            if sent_at > late_from:
                break
            after_id = message_id
            if sent_at >= oldest and self._known.get(room_id, 0) < seq:
                # The ids of a batch are not in the order of its numbers.
                self._due[tenant, room_id] = max(seq, self._due.get((tenant, room_id), 0))
        return after_id

    async def _fill_due(self) -> None:
        """Fill the due rooms side by side. Those that fail, or take longer than FILL_WAIT_S, stay due.

        Raises a group with the error of each room that failed.
        """
        for room in self._due.keys() - self._filling.keys():
            self._filling[room] = asyncio.create_task(self._fill_room(room))
        if not self._filling:
            return
        ended, _ = await asyncio.wait(self._filling.values(), timeout=FILL_WAIT_S)
        self._filling = {room: task for room, task in self._filling.items() if task not in ended}
        failures = [error for task in ended if (error := task.exception()) is not None]
        if failures:
            raise BaseExceptionGroup("Rooms could not be filled", failures)

    async def _fill_room(self, room: Room) -> None:
        (tenant, room_id), seq = room, self._due[room]
        await self.fill(tenant, room_id, seq + 1)
        if self._due.get(room) == seq:
            del self._due[room]

    def _is_alone(self) -> bool:
        return not self._node.settings.REDIS_URL

    def _sweeps_for_all(self) -> bool:
        """Return whether this node sweeps. With a broker one node does, otherwise every node."""
        nodes = [each.node for each in self._node.nodes()]
        return self._is_alone() or not nodes or min(nodes) == self._node.id

    def _oldest(self) -> datetime:
        """Return the time before which nothing is announced. A history in memory begins with the process."""
        oldest = timezone.now() - TOO_OLD
        return max(oldest, self._node.started_at) if self._is_alone() else oldest


def _late_from() -> datetime:
    return timezone.now() - timedelta(seconds=GRACE_S)


def _first_id() -> int:
    newest: int | None = Message.objects.aggregate(newest=Max("id"))["newest"]
    return max((newest or 0) - SWEPT, 0)


def _stored_after(message_id: int) -> list[tuple[int, str, int, int, datetime]]:
    rows = Message.objects.filter(id__gt=message_id).order_by("id")[:SWEPT]
    return list(rows.values_list("id", "tenant__slug", "room_id", "seq", "sent_at"))
