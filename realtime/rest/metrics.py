"""The metrics pages: JSON with sums over all nodes, and Prometheus with those of the answering process."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from prometheus_client.exposition import choose_encoder
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.node import node as nodes
from realtime.rest.access import MayReadMetrics, MetricsTokenAuthentication, visible_tenant
from realtime.rest.control.access import ApiKeyAuthentication
from realtime.rest.prometheus import registry_of
from realtime.rest.views import JsonView

_DENIED = {
    401: OpenApiResponse(OpenApiTypes.OBJECT, "No credential, or a bad one."),
    403: OpenApiResponse(OpenApiTypes.OBJECT, "Neither staff nor the scope `metrics:read`."),
}


class Figures(serializers.Serializer[dict[str, Any]]):
    """Counters of a route, or sums of them. All but two only rise while the process lives."""

    active_connections = serializers.IntegerField(help_text="Open now.")
    opened = serializers.IntegerField(help_text="Accepted connections.")
    messages_in = serializers.IntegerField(help_text="Messages from clients.")
    messages_out = serializers.IntegerField(help_text="Messages to clients.")
    bytes_in = serializers.IntegerField()
    bytes_out = serializers.IntegerField()
    subscriptions = serializers.IntegerField(help_text="Topics subscribed to now.")
    dropped = serializers.IntegerField(help_text="Messages dropped because the client read too slowly.")
    closed = serializers.DictField(child=serializers.IntegerField(), help_text="By close code.")
    errors = serializers.DictField(  # type: ignore[assignment]  # a field, not the property
        child=serializers.IntegerField(), help_text="By error code."
    )
    refused = serializers.DictField(child=serializers.IntegerField(), help_text="By HTTP status.")


class RouteFigures(Figures):
    """The counters of one route of one tenant."""

    tenant = serializers.CharField()
    route = serializers.CharField()


class WebSocketMetrics(serializers.Serializer[dict[str, Any]]):
    """The sums over all nodes, then the metrics of the process that answered."""

    node = serializers.CharField(help_text="The process that answered.")
    nodes = serializers.ListField(child=serializers.CharField(), help_text="The processes that are alive.")
    active_connections = serializers.IntegerField(help_text="On all nodes.")
    total_messages = serializers.IntegerField(help_text="Messages received from clients, on all nodes.")
    total_errors = serializers.IntegerField(help_text="Error replies and failed handlers, on all nodes.")
    totals = Figures()
    tenants = serializers.DictField(child=Figures(), help_text="By the tenant's slug.")
    routes = RouteFigures(many=True)


class MetricsView(JsonView):
    """The base of both pages: who may read them."""

    authentication_classes = [
        MetricsTokenAuthentication,
        ApiKeyAuthentication,
        *JsonView.authentication_classes,
    ]
    permission_classes = [MayReadMetrics]


class WebSocketMetricsView(MetricsView):
    """The metrics as JSON."""

    @extend_schema(
        summary="Figures of the sockets, as JSON",
        description="A superuser's session and the operator's token see all tenants, others the host's.",
        responses={200: WebSocketMetrics, **_DENIED},
    )
    def get(self, request: Request) -> Response:
        """Return the totals, then the metrics by tenant and by route."""
        process = nodes.current_node()
        figures = process.metrics.snapshot(visible_tenant(request))
        counters = site_counters(process, visible_tenant(request))
        return Response(
            {
                "node": process.id,
                "nodes": [state.node for state in process.nodes()],
                "active_connections": counters["active_connections"],
                "total_messages": counters["messages_in"],
                "total_errors": counters["errors"],
                **figures,
            }
        )


def site_counters(process: nodes.Node, tenant: str | None) -> dict[str, int]:
    """Sum up the counters of all nodes: of this node now, of others at their last beat (at most 2 s ago)."""
    own = process.metrics.counters()
    others = [dict(state.counters) for state in process.nodes() if state.node != process.id]
    sums = {"active_connections": 0, "messages_in": 0, "errors": 0}
    for counters in (own, *others):
        for name, value in counters.items():
            slug, _, figure = name.partition(" ")
            if tenant is None or slug == tenant:
                sums[figure] += int(value)
    return sums


class PrometheusMetricsView(MetricsView):
    """The metrics in Prometheus' format."""

    @extend_schema(
        summary="Figures of the sockets, for Prometheus",
        description="In the text format or in OpenMetrics, as `Accept` asks.",
        responses={(200, "text/plain"): OpenApiTypes.STR, **_DENIED},
    )
    def get(self, request: Request) -> HttpResponse:
        """Return this process' part of `/metrics/websocket`.

        Readers that see all tenants also get process metrics.
        """
        process = nodes.current_node()
        encode, content_type = choose_encoder(request.META.get("HTTP_ACCEPT", ""))
        registry = registry_of(process.metrics, process.id, process.loop_lag, visible_tenant(request))
        return HttpResponse(encode(registry), content_type=content_type)
