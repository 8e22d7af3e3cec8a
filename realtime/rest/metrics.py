"""The metrics pages: JSON with sums over all nodes, and Prometheus by worker or for all nodes."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from prometheus_client.exposition import choose_encoder
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.core.figures import Figures
from realtime.node import node as nodes
from realtime.rest.access import MayReadMetrics, MetricsTokenAuthentication, visible_tenant
from realtime.rest.control.access import ApiKeyAuthentication
from realtime.rest.prometheus import registry_of
from realtime.rest.views import JsonView
from realtime.sockets.metrics import json_of

SERVE_SCOPE, CLUSTER_SCOPE = "serve", "cluster"


class MetricsErrorBody(serializers.Serializer[dict[str, Any]]):
    """The code and message of an error."""

    code = serializers.CharField()
    message = serializers.CharField()


class MetricsError(serializers.Serializer[dict[str, Any]]):
    """Why the figures are not shown."""

    error = MetricsErrorBody()


_DENIED = {
    401: OpenApiResponse(MetricsError, "No credential, or a bad one."),
    403: OpenApiResponse(MetricsError, "Neither staff nor the scope `metrics:read`."),
}


class FiguresBody(serializers.Serializer[dict[str, Any]]):
    """Counters of a route on all nodes, or sums of them. All but two only rise while a node lives."""

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


class RouteFigures(FiguresBody):
    """The counters of one route of one tenant."""

    tenant = serializers.CharField()
    route = serializers.CharField()


class WebSocketMetrics(serializers.Serializer[dict[str, Any]]):
    """The figures of all nodes: of the one that answered as of now, of others at most 2 s old."""

    node = serializers.CharField(help_text="The process that answered.")
    nodes = serializers.ListField(child=serializers.CharField(), help_text="The processes that are alive.")
    active_connections = serializers.IntegerField(help_text="On all nodes.")
    total_messages = serializers.IntegerField(help_text="Messages received from clients, on all nodes.")
    total_errors = serializers.IntegerField(help_text="Error replies and failed handlers, on all nodes.")
    totals = FiguresBody()
    tenants = serializers.DictField(child=FiguresBody(), help_text="By the tenant's slug.")
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
        process, tenant = nodes.current_node(), visible_tenant(request)
        everywhere = process.figures.everywhere()
        figures = json_of(everywhere if tenant is None else everywhere.of_tenant(tenant))
        totals = figures["totals"]
        return Response(
            {
                "node": process.id,
                "nodes": [state.node for state in process.nodes()],
                "active_connections": totals["active_connections"],
                "total_messages": totals["messages_in"],
                "total_errors": sum(totals["errors"].values()),
                **figures,
            }
        )


class PrometheusMetricsView(MetricsView):
    """The metrics in Prometheus' format."""

    @extend_schema(
        summary="Figures of the sockets, for Prometheus",
        description="In the text format or in OpenMetrics, as `Accept` asks.",
        parameters=[
            OpenApiParameter(
                "scope",
                enum=[SERVE_SCOPE, CLUSTER_SCOPE],
                description="`serve`: each worker of the `serve` that answers. `cluster`: sums over all nodes.",
            )
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR, **_DENIED},
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the metrics of the workers of this `serve`, or the sums over all nodes.

        Readers that see all tenants also get the metrics of the processes.
        """
        reporter = nodes.current_node().figures
        scope = request.query_params.get("scope", SERVE_SCOPE)
        if scope not in {SERVE_SCOPE, CLUSTER_SCOPE}:
            raise ValidationError({"scope": f"Expected {SERVE_SCOPE} or {CLUSTER_SCOPE}."})
        parts: Mapping[str, Figures] = (
            {"": reporter.everywhere()} if scope == CLUSTER_SCOPE else reporter.by_worker()
        )
        encode, content_type = choose_encoder(request.META.get("HTTP_ACCEPT", ""))
        return HttpResponse(encode(registry_of(parts, visible_tenant(request))), content_type=content_type)
