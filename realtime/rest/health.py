"""Two probes for a load balancer: is the process alive, and should it receive requests?"""

import asyncio
from collections.abc import Callable

from django.db import Error as DatabaseError
from django.db import connection
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.node import node as nodes
from realtime.rest.views import JsonView
from realtime.topics.engine.ports import BusUnavailableError

# A channel-layer group without members. Sending to it only tells whether the broker accepts messages.
PROBE_GROUP = "readyz"
PROBE_TIMEOUT_S = 2.0


class HealthView(JsonView):
    """The liveness probe: the process answers."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(summary="Is the process alive?", responses={200: OpenApiTypes.OBJECT}, auth=[])
    def get(self, request: Request) -> Response:
        """Return `{"status": "ok"}`. This uses neither the database nor the broker."""
        return Response({"status": "ok"})


class ReadinessView(JsonView):
    """The readiness probe: the process can do its work."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(
        summary="Should the process be given work?",
        responses={
            200: OpenApiTypes.OBJECT,
            503: OpenApiResponse(OpenApiTypes.OBJECT, "`checks` says which of them failed."),
        },
        auth=[],
    )
    def get(self, request: Request) -> Response:
        """Return `{"status", "checks": {database, runtime, bus}}`.

        Each check is `ok` or says what is wrong.
        """
        checks = {name: check() or "ok" for name, check in _CHECKS.items()}
        if all(outcome == "ok" for outcome in checks.values()):
            return Response({"status": "ok", "checks": checks})
        return Response({"status": "unavailable", "checks": checks}, status.HTTP_503_SERVICE_UNAVAILABLE)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return type(error).__name__
    return ""


def _runtime() -> str:
    process = nodes.current_node()
    if not process.is_started:
        return "not started"
    return "draining" if process.is_draining else ""


def _bus() -> str:
    process = nodes.current_node()
    if not process.is_started or process.loop is None:
        return "not started"
    sent = asyncio.run_coroutine_threadsafe(process.bus.send(PROBE_GROUP, b""), process.loop)
    try:
        sent.result(PROBE_TIMEOUT_S)
    except (BusUnavailableError, TimeoutError):
        sent.cancel()
        return "unreachable"
    return ""


_CHECKS: dict[str, Callable[[], str]] = {"database": _database, "runtime": _runtime, "bus": _bus}
