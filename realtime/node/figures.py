"""The figures that a process reports about itself, in its beats and to anyone that asks it."""

import os
import resource
import time
from datetime import UTC, datetime
from itertools import islice
from platform import python_version
from socket import gethostname
from typing import Any, Protocol

from django.utils.crypto import salted_hmac

from realtime.conf import RealtimeSettings
from realtime.core.figures import RESTARTS, SERVE, WORKER, Figures, Histogram, Place, Values, total
from realtime.core.liveness import NodeState
from realtime.node.database import Database
from realtime.node.memory import resident_bytes
from realtime.protocol.close_codes import CloseCode
from realtime.sockets.backlogs import Backlogs
from realtime.sockets.metrics import UNKNOWN, LoopLag, Metrics
from realtime.topics.cluster import Cluster
from realtime.topics.hub import Hub

# Rows of a beat, about 150 bytes each. The routes beyond it are one row.
ROWS_MAX = 2_000
# As in pyproject.toml, which is not there when the package is installed.
VERSION = "0.1.0"
_MS_PER_S = 1000


def place_of_process(node: str) -> Place:
    """Return the place of this process; without `serve` it is alone."""
    worker = os.environ.get(WORKER, "")
    return Place(os.environ.get(SERVE) or node, int(worker) if worker.isdecimal() else 0)


def site_mark() -> str:
    """Return a text that all nodes of a site share, and that tells nothing of their SECRET_KEY."""
    return salted_hmac("realtime.node.site", "", algorithm="sha256").hexdigest()[:16]


class Process(Protocol):
    """The parts of a node that figures are read from."""

    settings: RealtimeSettings
    metrics: Metrics
    loop_lag: LoopLag
    backlogs: Backlogs
    connections: Any
    started_at: datetime
    is_draining: bool
    # Set when the node starts.
    database: Database
    bus: Any

    @property
    def is_started(self) -> bool:
        """True if the node has started."""


class Member(Process, Protocol):
    """A node among others."""

    id: str
    # Set when the node starts.
    cluster: Cluster
    hub: Hub

    def nodes(self) -> list[NodeState]:
        """Return the nodes that are alive, including this one."""


class Reporter:
    """The figures of a node, of its `serve`, and of all nodes. Callable from any thread."""

    def __init__(self, node: Member) -> None:
        self._node = node
        self.place = place_of_process(node.id)
        self._ended_parts: list[Figures] = []
        self._ended_total = Figures()

    def own(self) -> Figures:
        """Return the figures of this node, as of now."""
        return with_process(of_metrics(self._node.metrics), self._node, self.place)

    def by_worker(self) -> dict[str, Figures]:
        """Return the figures of each worker of this `serve`, with the counts of workers that ended there.

        If there are other workers, all figures are as of the last beats, so that each worker gives the same
        answer. No beats come while the broker is away: then a worker answers for itself only, because what it last
        heard of another would take that one's counts back.
        """
        alive = {node: each for node, each in self._alive().items() if each.place.serve == self.place.serve}
        current = self._node.cluster.current() if self._node.is_started else set()
        here = [figures for node, figures in alive.items() if node in current]
        if len(here) < 2:  # noqa: PLR2004 this one and another
            here = [self.own()]
        unheard = {each.place.worker for each in alive.values()} - {each.place.worker for each in here}
        ended = [figures for figures in self._ended() if figures.place.serve == self.place.serve]
        workers: dict[int, list[Figures]] = {}
        for figures in (*ended, *here):
            if figures.place.worker not in unheard:
                workers.setdefault(figures.place.worker, []).append(figures)
        return {str(worker): total(parts) for worker, parts in sorted(workers.items())}

    def everywhere(self) -> Figures:
        """Return the sum over all nodes: this one as of now, others as of their last beats, at most 2 s ago."""
        return total([*self._ended(), *self.by_node().values()])

    def by_node(self) -> dict[str, Figures]:
        """Return the figures of each node that is alive: this one as of now, others as of their last beats."""
        return {**self._alive(), self._node.id: self.own()}

    def ended(self) -> Figures:
        """Return the sum of the counts of nodes that have ended. On the loop; do not change it."""
        parts = self._ended()
        # There may be thousands of rows, which change only when a node ends.
        if [id(each) for each in parts] != [id(each) for each in self._ended_parts]:
            self._ended_parts, self._ended_total = parts, total(parts)
        return self._ended_total

    def ages_s(self) -> dict[str, float]:
        """Return the seconds since the last beat of each node that is alive; 0 for this one."""
        ages_s = self._node.cluster.ages_s() if self._node.is_started else {}
        return {**ages_s, self._node.id: 0.0}

    def describe(self, tenant: str | None) -> dict[str, Any]:
        """Return what operators see of this node. Operators of one tenant get only the fields that concern it."""
        node = self._node
        figures = node.metrics.snapshot(tenant)["totals"]
        mine = {
            "id": node.id,
            "started_at": node.started_at.isoformat(),
            "uptime_s": int((datetime.now(UTC) - node.started_at).total_seconds()),
            "draining": node.is_draining,
            "connections": figures["active_connections"],
            "subscriptions": figures["subscriptions"],
            "messages_in": figures["messages_in"],
            "messages_out": figures["messages_out"],
        }
        if tenant is not None:
            return mine
        return {
            **mine,
            "host": gethostname(),
            "pid": os.getpid(),
            "python": python_version(),
            "topics": len(node.hub.topics()),
            "loop_lag_ms": node.loop_lag.snapshot(),
        }

    def _alive(self) -> dict[str, Figures]:
        return {state.node: state.figures for state in self._node.nodes()}

    def _ended(self) -> list[Figures]:
        return self._node.cluster.ended() if self._node.is_started else []


def of_metrics(metrics: Metrics, place: Place = Place()) -> Figures:  # noqa: B008 it is frozen
    """Return the counts of a process's connections."""
    rows = metrics.rows(ROWS_MAX)
    slow = sum(row.closed_by_code.get(str(int(CloseCode.SLOW_CONSUMER)), 0) for row in rows)
    counts: Values = {
        "slow_consumers": {"": slow},
        "pings_lost": {"": metrics.pings_lost},
        "gaps_repaired": {"": metrics.gaps_repaired},
        "recoveries": {"full": metrics.recoveries_full, "failed": metrics.recoveries_failed},
        "http_requests": {**metrics.http_by_status},
    }
    histograms = {
        "request": metrics.request_times,
        "delivery": metrics.delivery_times,
        "lag": metrics.lag_times,
    }
    return Figures(
        place,
        routes=rows,
        publish_failures=_first(metrics.publish_failures()),
        counts=counts,
        histograms={name: Histogram(list(each.counts), each.sum_s) for name, each in histograms.items()},
    )


def _first(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of as many tenants as a beat has rows for, and the rest as those of an unknown tenant."""
    first = dict(islice(counts.items(), ROWS_MAX))
    if len(counts) > len(first):
        first[UNKNOWN] = first.get(UNKNOWN, 0) + sum(counts.values()) - sum(first.values())
    return first


def with_process(figures: Figures, node: Process, place: Place) -> Figures:
    """Add the figures of the process."""
    figures.place, figures.version = place, VERSION
    lag = node.loop_lag.snapshot()
    settings = node.settings
    figures.gauges = {
        "loop_lag": {stat: lag[f"{stat}_ms"] / _MS_PER_S for stat in ("last", "p99", "max")},
        "outbox_bytes": {"": node.backlogs.total_bytes},
        "draining": {"": float(node.is_draining)},
        "start_time": {"": node.started_at.timestamp()},
        "max_fds": {"": resource.getrlimit(resource.RLIMIT_NOFILE)[0]},
        "restarts": {"": float(os.environ.get(RESTARTS) or 0)},
        "limit_fill": _fills(
            connections=(len(node.connections), settings.MAX_CONNECTIONS),
            outboxes_bytes=(node.backlogs.total_bytes, settings.OUTBOXES_BYTES),
        ),
    }
    if (memory := resident_bytes()) is not None:
        figures.gauges["resident_bytes"] = {"": memory}
    figures.counts["cpu"] = {"": time.process_time()}
    if node.is_started:
        _add_database(figures, node)
        if settings.REDIS_URL:
            figures.gauges["broker_up"] = {"": float(node.bus.is_open)}
    return figures


def _add_database(figures: Figures, node: Process) -> None:
    slots = node.database.slots
    figures.counts["database_waits"] = {"": slots.waits}
    figures.counts["database_wait_s"] = {"": slots.waited_s}
    figures.gauges["database_waiting"] = {"": slots.waiting}
    figures.gauges["limit_fill"] |= _fills(database_waiting=(slots.waiting, node.settings.DATABASE_WAITING))


def _fills(**limits: tuple[float, float]) -> dict[str, float]:
    """Return how much of each limit is used, from 0 to 1; a limit of 0 is none."""
    return {name: used / limit for name, (used, limit) in limits.items() if limit}
