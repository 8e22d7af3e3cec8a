"""Two probes for a load balancer: is the process alive, and should it receive requests?"""

import asyncio
from typing import Any

from django.core.cache import cache
from django.db import connection
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.node import node as nodes
from realtime.node.broker_watch import BrokerWatch
from realtime.node.migrations_missing import missing_migrations
from realtime.rest.readiness import DEADLINE_S, OK, Probe, Readiness
from realtime.rest.views import JsonView
from realtime.topics.engine.ports import BusUnavailableError

# A channel-layer group without members. Sending to it only tells whether the broker accepts messages.
PROBE_GROUP = "readyz"
# The key under which the cache is tried, and the seconds that its value is kept.
PROBE_KEY = "readyz"
PROBE_TIMEOUT_S = 5
# True if PostgreSQL takes writes. A primary that became a standby still answers.
WRITABLE = "NOT current_setting('transaction_read_only')::boolean"


class Health(serializers.Serializer[Any]):
    """The process answers."""

    status = serializers.ChoiceField(["ok"])


class ReadinessBody(serializers.Serializer[Any]):
    """Whether the process can do its work, and each part that it needs: `ok`, or what is wrong with it."""

    status = serializers.ChoiceField(["ok", "degraded", "unavailable"])
    parts = serializers.DictField(child=serializers.CharField())


class HealthView(JsonView):
    """The liveness probe: the process answers."""

    authentication_classes = []
    permission_classes = []

    @extend_schema(summary="Is the process alive?", responses={200: Health}, auth=[])
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
            200: OpenApiResponse(ReadinessBody, "`status` is `ok`, or `degraded` without broker or cache."),
            503: OpenApiResponse(ReadinessBody, "`parts` says which of them failed."),
        },
        auth=[],
    )
    def get(self, request: Request) -> Response:
        """Return `{"status", "parts": {database, migrations, started, draining, broker, cache}}`, within 1 s.

        Each part is `ok` or says what is wrong. Without its broker or cache a process still works for its own users.
        """
        readiness = nodes.current_node().shared(Readiness, _readiness)
        parts = readiness.parts()
        failed = {name for name, outcome in parts.items() if outcome != OK}
        if failed - DEGRADING:
            unavailable = {"status": "unavailable", "parts": parts}
            response = Response(unavailable, status.HTTP_503_SERVICE_UNAVAILABLE)
            # Readiness logs changes. Django would write a line for each probe.
            response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001 as its log_response() does
            return response
        return Response({"status": "degraded" if failed else "ok", "parts": parts})


def _readiness() -> Readiness:
    return Readiness(PROBES, settled={"migrations"})


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {WRITABLE if connection.vendor == 'postgresql' else 1}")
            return "" if cursor.fetchone()[0] else "read-only"
    finally:
        # The thread is not Django's: nothing else closes its connections.
        connection.close()


def _migrations() -> str:
    try:
        missing = missing_migrations(connection)
    finally:
        connection.close()
    return f"{missing} not applied" if missing else ""


def _started() -> str:
    return "" if nodes.current_node().is_started else "not started"


def _draining() -> str:
    return "draining" if nodes.current_node().is_draining else ""


def _broker() -> str:
    process = nodes.current_node()
    if not process.is_started or process.loop is None:
        return "not started"
    if fault := process.shared(BrokerWatch, BrokerWatch).fault:
        return fault
    sent = asyncio.run_coroutine_threadsafe(process.bus.send(PROBE_GROUP, b""), process.loop)
    try:
        sent.result(DEADLINE_S)
    except (BusUnavailableError, TimeoutError):
        sent.cancel()
        return "unreachable"
    return ""


def _cache() -> str:
    try:
        cache.set(PROBE_KEY, 1, PROBE_TIMEOUT_S)
        return "" if cache.get(PROBE_KEY) == 1 else "forgets"
    except Exception as error:
        if fault := _cache_fault(error):
            return fault
        raise


def _cache_fault(error: Exception) -> str:
    """Return what a failure of the cache means; "" if only its class says it.

    Each backend has classes of its own, and its package may be missing: they are known by their names.
    """
    names = {each.__name__ for each in type(error).__mro__}
    if "AuthenticationError" in names:
        return "The cache does not accept the user and password of its URL."
    return "unreachable" if names & {"ConnectionError", "TimeoutError", "OSError"} else ""


PROBES: dict[str, Probe] = {
    "database": _database,
    "migrations": _migrations,
    "started": _started,
    "draining": _draining,
    "broker": _broker,
    "cache": _cache,
}
# Without these a process still does its work, as far as its own users go.
DEGRADING = frozenset({"broker", "cache"})
