"""Include these at the root of the site: the paths are part of the protocol."""

from django.urls import include, path

from realtime.rest import asyncapi_urls, schema
from realtime.rest.health import HealthView, ReadinessView
from realtime.rest.metrics import PrometheusMetricsView, WebSocketMetricsView

__all__ = ["schema", "urlpatterns"]

urlpatterns = [
    *asyncapi_urls.urlpatterns,
    path("metrics/websocket", WebSocketMetricsView.as_view(), name="metrics-websocket"),
    path("metrics", PrometheusMetricsView.as_view(), name="metrics-prometheus"),
    path("healthz", HealthView.as_view(), name="healthz"),
    path("api/realtime/", include("realtime.rest.control.urls")),
    path("readyz", ReadinessView.as_view(), name="readyz"),
]
