"""What a node does by timer: it ends what has expired, cuts what stalls, and looks for what the bus may have lost."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from time import monotonic, time
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.node.credentials import Credentials
from realtime.node.database import Database
from realtime.node.joining import Joiner
from realtime.node.stalls import cut_stalled
from realtime.sockets.connection import Connection
from realtime.topics.engine.ports import EngineUnavailableError, History
from realtime.topics.hub import Hub

logger = logging.getLogger(__name__)

# How often the ends of credentials and the age of publications are looked at.
EXPIRY_INTERVAL_S = 0.5
# How often it is looked which topics are due to be compared with their history.
GAP_CHECK_INTERVAL_S = 1.0


class Sweeps:
    """The periodic work of one node. Each of `all` runs as a task for as long as the node."""

    def __init__(
        self,
        settings: RealtimeSettings,
        connections: Mapping[str, Connection],
        history: History,
        hub: Hub,
        joiner: Joiner,
        credentials: Credentials,
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._history = history
        self._hub = hub
        self._joiner = joiner
        self._credentials = credentials
        self._gap = asyncio.Event()

    def all(self, database: Database) -> Iterator[Coroutine[Any, Any, None]]:
        """What is to be run, side by side."""
        yield self._credentials.keep()
        yield self._credentials.sweep(database)
        yield self._repair_gaps()
        yield self._expire()
        yield cut_stalled(self._connections, self._settings.OUTBOX_STALL_S)

    def notice_gap(self) -> None:
        """The bus may have lost something: look at everything now."""
        self._gap.set()

    async def _expire(self) -> None:
        """Look at the credentials that are about to end, and at what the history need not keep: one timer for all."""
        while True:
            await asyncio.sleep(EXPIRY_INTERVAL_S)
            self._history.sweep(monotonic())
            now_s = time()
            due = [each for each in self._connections.values() if each.expiry_due_s <= now_s]
            for connection in due:
                connection.check_expiry(now_s)

    async def _repair_gaps(self) -> None:
        """Compare topics with their history: now and then, and all as soon as the bus may have lost something."""
        while True:
            # Running out of time is the usual way on: nothing reported a gap.
            with suppress(TimeoutError):
                async with asyncio.timeout(GAP_CHECK_INTERVAL_S):
                    await self._gap.wait()
            had_gap = self._gap.is_set()
            self._gap.clear()
            try:
                await self._hub.compare(everything=had_gap)
                if had_gap:
                    await self._judge_all_again()
            except EngineUnavailableError:
                logger.warning("The history is away; topics are compared with it later")
            except Exception:
                logger.exception("Topics and their subscribers could not be looked at")

    async def _judge_all_again(self) -> None:
        """Whoever lost the right to a topic while this process was deaf was not named to it."""
        for connection in list(self._connections.values()):
            if any(each.rule.subscribe_in_db for each in connection.subscriptions.values()):
                await self._joiner.judge_again(connection)
