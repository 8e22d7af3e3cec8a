"""The metrics in Prometheus' format. They are made for each scrape, so that no count is kept twice."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from realtime.sockets.metrics import LoopLag, Metrics

_ROUTE_LABELS = ("tenant", "route")
_MS_PER_S = 1000

# Name, attribute of RouteMetrics, meaning.
_GAUGES = (
    ("realtime_connections", "active", "Open connections."),
    ("realtime_subscriptions", "subscriptions", "Topics subscribed to."),
)
_COUNTERS = (
    ("realtime_connections_opened", "opened_total", "Accepted connections."),
    ("realtime_messages_received", "messages_in", "Messages from clients."),
    ("realtime_messages_sent", "messages_out", "Messages to clients."),
    ("realtime_messages_dropped", "dropped", "Messages dropped because the client read too slowly."),
    ("realtime_received_bytes", "bytes_in", "Bytes of messages from clients."),
    ("realtime_sent_bytes", "bytes_out", "Bytes of messages to clients."),
)
# Name, attribute of RouteMetrics, meaning, label of the counts.
_LABELLED_COUNTERS = (
    ("realtime_connections_closed", "closed_by_code", "Connections ended, by close code.", "code"),
    (
        "realtime_connections_refused",
        "refused_by_status",
        "Refused connections, by HTTP status.",
        "status",
    ),
    ("realtime_errors", "errors_by_code", "Error replies and failed handlers.", "code"),
)


class RouteCollector(Collector):
    """The metrics of every route of `tenant`, or of all tenants."""

    def __init__(self, metrics: Metrics, tenant: str | None) -> None:
        self._routes = metrics.routes(tenant)
        self._publish_failures = metrics.publish_failures(tenant)

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each metric, with one sample for each route and label."""
        for name, attribute, text in _GAUGES:
            yield self._fill(GaugeMetricFamily(name, text, labels=_ROUTE_LABELS), attribute)
        for name, attribute, text in _COUNTERS:
            yield self._fill(CounterMetricFamily(name, text, labels=_ROUTE_LABELS), attribute)
        for name, attribute, text, label in _LABELLED_COUNTERS:
            family = CounterMetricFamily(name, text, labels=(*_ROUTE_LABELS, label))
            for route in self._routes:
                for value, count in sorted(dict(getattr(route, attribute)).items()):
                    family.add_metric((route.tenant, route.route, value), count)
            yield family

        failed = CounterMetricFamily(
            "realtime_publish_failures", "Publications that failed after a commit.", labels=("tenant",)
        )
        for tenant, count in sorted(self._publish_failures.items()):
            failed.add_metric((tenant,), count)
        yield failed

    def _fill(self, family: GaugeMetricFamily | CounterMetricFamily, attribute: str) -> Metric:
        for route in self._routes:
            family.add_metric((route.tenant, route.route), getattr(route, attribute))
        return family


class NodeCollector(Collector):
    """The metrics of the whole process: its name and the lag of its event loop."""

    def __init__(self, node: str, loop_lag: LoopLag) -> None:
        self._node = node
        self._lag = loop_lag.snapshot()

    def collect(self) -> Iterator[Metric]:
        """Yield the node's name as a label of a constant, and the lag over the last minute."""
        node = GaugeMetricFamily("realtime_node_info", "The process that answered.", labels=("node",))
        node.add_metric((self._node,), 1)
        yield node
        lag = GaugeMetricFamily(
            "realtime_loop_lag_seconds", "How late timers run, over the last minute.", labels=("stat",)
        )
        for stat in ("last", "p99", "max"):
            lag.add_metric((stat,), self._lag[f"{stat}_ms"] / _MS_PER_S)
        yield lag


def registry_of(metrics: Metrics, node: str, loop_lag: LoopLag, tenant: str | None) -> CollectorRegistry:
    """Return all that a reader of `tenant` may see. None reads all tenants and the metrics of the process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RouteCollector(metrics, tenant))
    if tenant is None:
        registry.register(NodeCollector(node, loop_lag))
        ProcessCollector(registry=registry)
    return registry
