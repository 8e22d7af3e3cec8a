"""The work that a node does by timer: it closes expired credentials, cuts stalled clients,
and repairs gaps."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from time import monotonic, time
from typing import Any

from realtime.conf import RealtimeSettings
from realtime.core.topics import TopicKey
from realtime.node.credentials import Credentials
from realtime.node.database import Database
from realtime.node.joining import Joiner
from realtime.node.stalls import cut_stalled
from realtime.sockets.connection import Connection
from realtime.topics.engine.ports import EngineUnavailableError, History
from realtime.topics.hub import Hub

logger = logging.getLogger(__name__)

# How often the expiry of credentials and the age of publications are checked, in seconds.
EXPIRY_INTERVAL_S = 0.5
# How often the hub is asked to compare the topics that are due with their history, in seconds.
GAP_CHECK_INTERVAL_S = 1.0


class Sweeps:
    """The periodic work of one node. Each coroutine of `all` runs as a task for as long as the node."""

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
        # The topics that may have missed something (None: all), and control messages.
        self._missed: dict[TopicKey, None] | None = {}
        self._is_control_missed = False

    def all(self, database: Database) -> Iterator[Coroutine[Any, Any, None]]:
        """The coroutines to run, each in its own task."""
        yield self._credentials.keep()
        yield self._credentials.sweep(database)
        yield self._repair_gaps()
        yield self._expire()
        yield cut_stalled(self._connections, self._settings.OUTBOX_STALL_S)

    def notice_gap(self, topics: Iterable[TopicKey] | None = None, *, is_control_missed: bool = True) -> None:
        """The bus may have lost messages to `topics` (None: to all), and control messages: look after them now."""
        if topics is None:
            self._missed = None
        elif self._missed is not None:
            self._missed |= dict.fromkeys(topics)
        self._is_control_missed |= is_control_missed
        self._gap.set()

    async def _expire(self) -> None:
        """Check expiring credentials and sweep the history; one timer serves both."""
        while True:
            await asyncio.sleep(EXPIRY_INTERVAL_S)
            self._history.sweep(monotonic())
            now_s = time()
            due = [each for each in self._connections.values() if each.expiry_due_s <= now_s]
            for connection in due:
                connection.check_expiry(now_s)

    async def _repair_gaps(self) -> None:
        """Compare topics with their history: at intervals, and at once if the bus may have lost messages to them."""
        while True:
            # The timeout is the usual case: no gap was reported.
            with suppress(TimeoutError):
                async with asyncio.timeout(GAP_CHECK_INTERVAL_S):
                    await self._gap.wait()
            self._gap.clear()
            missed, self._missed = self._missed, {}
            try:
                await self._hub.compare(missed)
                await self._judge_if_missed()
            except EngineUnavailableError:
                logger.warning("The history cannot be reached; topics are compared with it later")
                self._miss_again(missed)
            except Exception:
                logger.exception("Topics and their subscribers could not be checked; they are checked again")
                self._miss_again(missed)

    def _miss_again(self, missed: dict[TopicKey, None] | None) -> None:
        """Note topics that could not be compared: the next interval compares them."""
        if missed is None or self._missed is None:
            self._missed = None
        else:
            self._missed |= missed

    async def _judge_if_missed(self) -> None:
        """Check rights again after a gap: control messages about lost rights may have been
        among the lost messages."""
        if not self._is_control_missed:
            return
        # Before the checks: a gap during them asks for new ones.
        self._is_control_missed = False
        try:
            await self._judge_all_again()
        except Exception:
            self._is_control_missed = True
            raise

    async def _judge_all_again(self) -> None:
        for connection in list(self._connections.values()):
            if any(each.rule.subscribe_in_db for each in connection.subscriptions.values()):
                await self._joiner.judge_again(connection)
