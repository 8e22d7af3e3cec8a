"""Takes a sample of the figures of all nodes at an interval, on one node at a time.

Every node looks at the lease at each tick. The node that holds it stores a sample. A lease that stands still is
taken over; the clocks of other machines are not compared. The counts as of the last sample are stored with the
lease, so that nothing is lost or counted twice when another node goes on.
"""

import asyncio
import logging
from datetime import datetime
from time import monotonic, time
from typing import Protocol

from django.db import DatabaseError, InterfaceError
from msgspec import structs

from realtime.conf import RealtimeSettings
from realtime.core.liveness import NodeState
from realtime.core.samples import Nodes
from realtime.node import sample_rows as rows
from realtime.node.database import Database
from realtime.node.figures import Reporter
from realtime.node.sample_rows import Lease, Taking
from realtime.protocol.errors import RequestError
from realtime.topics.cluster import Cluster

logger = logging.getLogger(__name__)

INTERVAL_MIN_S = 1.0
# Ticks after which a lease that stands still is taken over.
STALE_TICKS = 2
AWAY = (DatabaseError, InterfaceError, RequestError)


class Sampled(Protocol):
    """The parts of a node that samples are made from."""

    id: str
    settings: RealtimeSettings
    database: Database
    cluster: Cluster
    figures: Reporter

    def nodes(self) -> list[NodeState]:
        """Return the nodes that are alive, including this one, each as of its last beat."""
        ...


class Sampler:
    """The samples of one node. Used only on its event loop."""

    def __init__(self, node: Sampled) -> None:
        settings = node.settings
        self._node = node
        self._interval_s = max(settings.SAMPLE_INTERVAL_S, INTERVAL_MIN_S)
        # The lease of another node, and the time since which it stands still.
        self._seen: tuple[Lease, float] | None = None
        self._has_lease = False
        self._is_away = False

    async def run(self) -> None:
        """Take samples until cancelled. Ticks are whole intervals since the epoch, so that all nodes have the same."""
        try:
            while True:
                await asyncio.sleep(self._interval_s - time() % self._interval_s)
                await self._try()
        finally:
            if self._has_lease:
                # So that another node need not wait.
                await asyncio.shield(self._release())

    async def tick(self) -> bool:
        """Store a sample, unless another node does. Return whether it was stored.

        Raises DatabaseError, and RequestError if no thread is free.
        """
        lease = await self._node.database.run(rows.read_lease)
        self._has_lease = self._may_take(lease) and await self._node.database.run(
            rows.write, self._taking(), lease
        )
        return self._has_lease

    def _may_take(self, lease: Lease) -> bool:
        if lease.holder in {"", self._node.id}:
            return True
        if self._seen is None or self._seen[0] != lease:
            self._seen = (lease, monotonic())
        return monotonic() - self._seen[1] >= STALE_TICKS * self._interval_s

    def _taking(self) -> Taking:
        states, settings = self._node.nodes(), self._node.settings
        # Counts come from the last beats, which all nodes have. Anything newer would be counted again by the next
        # node with the lease.
        nodes: Nodes = {**self._node.cluster.ended_by_node(), **{each.node: each.figures for each in states}}
        # Gauges are not added up, so this node takes its newest ones. They tell that the broker is away when no
        # beats come.
        gauges = self._node.figures.own().gauges
        nodes[self._node.id] = structs.replace(nodes[self._node.id], gauges=gauges)
        return Taking(
            self._node.id,
            nodes,
            at_s=time(),
            started_s=min(datetime.fromisoformat(each.started).timestamp() for each in states),
            interval_s=self._interval_s,
            rows_max=settings.SAMPLE_ROWS,
            retention_s=settings.SAMPLE_RETENTION_S,
        )

    async def _try(self) -> None:
        try:
            await self.tick()
            self._is_away = False
        except AWAY as error:
            if not self._is_away:
                logger.warning("Samples cannot be stored now: %s", type(error).__name__)
            self._is_away = True
        except Exception:
            logger.exception("A sample could not be taken")

    async def _release(self) -> None:
        try:
            await self._node.database.run(rows.release, self._node.id)
        except AWAY as error:
            logger.info("The lease of the samples cannot be given up now: %s", type(error).__name__)
