"""The metrics in Prometheus' format. They are made for each scrape, so that no count is kept twice."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from realtime.core.figures import BOUNDS_S, Figures, Histogram


class _Routes(NamedTuple):
    """A metric of each route. `attribute` is one of RouteFigures; `label` names the keys of a dict."""

    make: type[GaugeMetricFamily] | type[CounterMetricFamily]
    name: str
    attribute: str
    text: str
    label: str = ""


class _Process(NamedTuple):
    """A metric of a process. `key` is one of the counts or gauges of Figures."""

    make: type[GaugeMetricFamily] | type[CounterMetricFamily]
    name: str
    key: str
    text: str
    label: str = ""


_G, _C = GaugeMetricFamily, CounterMetricFamily
_OF_ROUTES = (
    _Routes(_G, "realtime_connections", "active", "Open connections."),
    _Routes(_G, "realtime_subscriptions", "subscriptions", "Topics subscribed to."),
    _Routes(_C, "realtime_connections_opened", "opened_total", "Accepted connections."),
    _Routes(_C, "realtime_messages_received", "messages_in", "Messages from clients."),
    _Routes(_C, "realtime_messages_sent", "messages_out", "Messages to clients."),
    _Routes(
        _C, "realtime_messages_dropped", "dropped", "Messages dropped because the client read too slowly."
    ),
    _Routes(_C, "realtime_received_bytes", "bytes_in", "Bytes of messages from clients."),
    _Routes(_C, "realtime_sent_bytes", "bytes_out", "Bytes of messages to clients."),
    _Routes(_C, "realtime_connections_closed", "closed_by_code", "Connections ended, by close code.", "code"),
    _Routes(
        _C,
        "realtime_connections_refused",
        "refused_by_status",
        "Refused connections, by HTTP status.",
        "status",
    ),
    _Routes(_C, "realtime_errors", "errors_by_code", "Error replies and failed handlers.", "code"),
)
_OF_PROCESSES = (
    _Process(
        _G, "realtime_loop_lag_seconds", "loop_lag", "How late timers run, over the last minute.", "stat"
    ),
    _Process(_G, "realtime_outbox_bytes", "outbox_bytes", "Bytes that wait for clients that do not read."),
    _Process(_G, "realtime_draining", "draining", "1 while the process ends its connections."),
    _Process(
        _G, "realtime_broker_up", "broker_up", "Whether the broker is reached; absent without a broker."
    ),
    _Process(
        _G, "realtime_limit_fill_ratio", "limit_fill", "How much of a limit is used, from 0 to 1.", "limit"
    ),
    _Process(
        _G, "realtime_database_waiting", "database_waiting", "Database work that waits for a thread now."
    ),
    _Process(_C, "realtime_database_waits", "database_waits", "Database work that had to wait for a thread."),
    _Process(
        _C, "realtime_database_wait_seconds", "database_wait_s", "How long database work waited for a thread."
    ),
    _Process(
        _C, "realtime_slow_consumers", "slow_consumers", "Connections closed because the client fell behind."
    ),
    _Process(_C, "realtime_pings_lost", "pings_lost", "Connections closed because a ping was not answered."),
    _Process(_C, "realtime_gaps_repaired", "gaps_repaired", "Missing publications read from the history."),
    _Process(
        _C, "realtime_recoveries", "recoveries", "Subscriptions that asked for what they missed.", "result"
    ),
    _Process(
        _C,
        "realtime_http_requests",
        "http_requests",
        "Plain HTTP requests, by status of the answer.",
        "status",
    ),
    _Process(_C, "realtime_worker_restarts", "restarts", "Workers started because the one before had ended."),
    _Process(_G, "process_start_time_seconds", "start_time", "When the process started, in Unix time."),
    _Process(_G, "process_resident_memory_bytes", "resident_bytes", "Memory of the process."),
    _Process(_G, "process_max_fds", "max_fds", "File descriptors that the process may open."),
    _Process(_C, "process_cpu_seconds", "cpu", "Time on a processor, of the user and the system."),
)
# Name, key, meaning.
_HISTOGRAMS = (
    ("realtime_request_duration_seconds", "request", "From a request's arrival to its reply in the outbox."),
    (
        "realtime_delivery_duration_seconds",
        "delivery",
        "From a publication's arrival on a node to its last write to a subscriber there.",
    ),
    ("realtime_loop_delay_seconds", "lag", "How late timers of the event loop run."),
)


class FiguresCollector(Collector):
    """Figures by worker; the key "" stands for a sum, whose series have no label for the worker.

    `is_whole` adds the metrics of the processes to those of the routes.
    """

    def __init__(self, parts: Mapping[str, Figures], *, is_whole: bool) -> None:
        self._parts = parts
        self._is_whole = is_whole
        self._worker = () if "" in parts else ("worker",)

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each metric."""
        for metric in _OF_ROUTES:
            yield self._of_routes(metric)
        failed = CounterMetricFamily(
            "realtime_publish_failures",
            "Publications that failed after a commit.",
            labels=(*self._worker, "tenant"),
        )
        for worker, figures in self._each():
            # 0 before the first failure: Prometheus sees no rise of a series that begins with one.
            none = dict.fromkeys((row.tenant for row in figures.routes), 0)
            for tenant, count in sorted((none | figures.publish_failures).items()):
                failed.add_metric((*worker, tenant), count)
        yield failed
        if self._is_whole:
            yield from (self._of_process(metric) for metric in _OF_PROCESSES)
            yield from (self._histogram(*each) for each in _HISTOGRAMS)
            yield self._build_info()

    def _each(self) -> Iterator[tuple[tuple[str, ...], Figures]]:
        for worker, figures in self._parts.items():
            yield ((worker,) if worker else ()), figures

    def _of_routes(self, metric: _Routes) -> Metric:
        extra = (metric.label,) if metric.label else ()
        family = metric.make(metric.name, metric.text, labels=(*self._worker, "tenant", "route", *extra))
        for worker, figures in self._each():
            for row in figures.routes:
                labels = (*worker, row.tenant, row.route)
                value = getattr(row, metric.attribute)
                if metric.label:
                    for key, count in sorted(value.items()):
                        family.add_metric((*labels, key), count)
                else:
                    family.add_metric(labels, value)
        return family

    def _of_process(self, metric: _Process) -> Metric:
        extra = (metric.label,) if metric.label else ()
        family = metric.make(metric.name, metric.text, labels=(*self._worker, *extra))
        for worker, figures in self._each():
            values = figures.counts.get(metric.key) or figures.gauges.get(metric.key) or {}
            for key, value in sorted(values.items()):
                family.add_metric((*worker, *((key,) if metric.label else ())), value)
        return family

    def _histogram(self, name: str, key: str, text: str) -> Metric:
        family = HistogramMetricFamily(name, text, labels=self._worker)
        for worker, figures in self._each():
            histogram = figures.histograms.get(key, Histogram())
            bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
            family.add_metric(worker, buckets, histogram.sum_s)
        return family

    def _build_info(self) -> Metric:
        family = GaugeMetricFamily(
            "realtime_build_info", "The version that runs.", labels=(*self._worker, "version")
        )
        for worker, figures in self._each():
            family.add_metric((*worker, figures.version), 1)
        return family


def registry_of(parts: Mapping[str, Figures], tenant: str | None) -> CollectorRegistry:
    """Return all metrics that a reader of `tenant` may see. None reads those of all tenants and of the processes."""
    if tenant is not None:
        parts = {worker: figures.of_tenant(tenant) for worker, figures in parts.items()}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FiguresCollector(parts, is_whole=tenant is None))
    return registry
