"""The endpoints that read: nodes, connections, topics, presence, history, bans, the audit log."""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from realtime.control import lists
from realtime.control.export import export
from realtime.control.link import call
from realtime.endpoints.consumers.pubsub import HISTORY_DEFAULT_LIMIT, HISTORY_MAX_LIMIT
from realtime.models import AuditEntry, Ban
from realtime.node.lists import SORTS
from realtime.rest.control import serializers as bodies
from realtime.rest.control.base import (
    ERRORS,
    TENANT_PARAMETER,
    ControlView,
    Elsewhere,
    ListView,
    Query,
)
from realtime.rest.control.fields import TopicName

_TEXT_MAX_CHARS = 255
# The slug of no tenant: its topics are as topics that were never written.
NOWHERE = ""
# The fields of ConnectionsQuery that choose and sort.
_FILTERS = ("user", "route", "address", "topic", "q", "sort")


def _sorts(names: Any) -> list[str]:
    return [name for each in names for name in (each, f"-{each}")]


class _Text(serializers.CharField):
    """A part of a filter; an empty text is treated as absent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default="", allow_blank=True, max_length=_TEXT_MAX_CHARS, **kwargs)


class ConnectionsQuery(Query):
    """Filters, order and page of connections."""

    user = _Text(help_text="Id or username.")
    route = _Text()
    address = _Text(help_text="Address or network.")
    # White space is part of a topic's name.
    topic = _Text(trim_whitespace=False)
    q = _Text(help_text="Part of id, username, address, route or User-Agent.")
    sort = serializers.ChoiceField(_sorts(SORTS), default="-opened_at")


class TopicsQuery(Query):
    """Filter, order and page of topics."""

    q = _Text(help_text="Part of the name.", trim_whitespace=False)
    sort = serializers.ChoiceField(_sorts(lists.TOPIC_SORTS), default="topic")


class TopicNamed(serializers.Serializer[Any]):
    """One topic."""

    topic = TopicName()
    tenant = _Text()


class HistoryQuery(TopicNamed):
    """One topic, and the number of publications."""

    limit = serializers.IntegerField(default=HISTORY_DEFAULT_LIMIT, min_value=1, max_value=HISTORY_MAX_LIMIT)


class AuditFilter(serializers.Serializer[Any]):
    """The filter of the audit log."""

    tenant = _Text()
    action = _Text()
    actor = _Text(help_text="Name or id.")
    outcome = serializers.ChoiceField(AuditEntry.Outcome.choices, required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    q = _Text(help_text="Part of reason, actor or address.")


class AuditQuery(AuditFilter, Query):
    """Filter and page of the audit log."""

    tenant = _Text()


class ExportQuery(AuditFilter):
    """Filter and form of an export."""

    form = serializers.ChoiceField(("csv", "json"), default="csv")


class NodesView(ListView):
    """The nodes."""

    @extend_schema(
        summary="The nodes that are alive",
        operation_id="realtime_nodes",
        parameters=[TENANT_PARAMETER],
        responses={200: bodies.NodesAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the nodes; one that does not answer in time is listed with `answered: false`."""
        return self.listed(_nodes, _empty_page)


class ConnectionsView(ListView):
    """The open connections of all nodes."""

    query_class = ConnectionsQuery

    @extend_schema(
        summary="Open connections of all nodes",
        operation_id="realtime_connections",
        parameters=[ConnectionsQuery],
        responses={200: bodies.ConnectionsAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List connections. Nodes that do not answer in time are left out, and counted in `nodes_total`."""
        return self.listed(_connections, _empty_page)


class ConnectionView(ControlView):
    """One open connection."""

    @extend_schema(
        summary="One open connection, with all its topics",
        operation_id="realtime_connection",
        responses={200: bodies.ConnectionAnswer, 404: ERRORS[400], **ERRORS},
    )
    def get(self, request: Request, connection_id: str) -> Response:
        """Return it, whichever node it is on."""
        tenant = self.actor.tenant
        found = call(lambda link: lists.find_connection(link, connection_id, tenant))
        if found is None:
            raise NotFound("There is no such connection.")
        return Response(found)


class TopicsView(ListView):
    """The topics that have subscriptions."""

    query_class = TopicsQuery

    @extend_schema(
        summary="Topics with subscriptions on any node",
        operation_id="realtime_topics",
        parameters=[TopicsQuery],
        responses={200: bodies.TopicsAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List topics; their data is not shown."""
        return self.listed(_topics, _empty_page)


class PresenceView(ListView):
    """The users in a topic."""

    query_class = TopicNamed

    @extend_schema(
        summary="The users in a topic",
        operation_id="realtime_presence",
        parameters=[TopicNamed],
        responses={200: bodies.PresenceAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Return the users on all nodes."""
        return self.listed_of_one(_presence, lambda values: _presence(NOWHERE, values))


class HistoryView(ListView):
    """The newest publications of a topic."""

    query_class = HistoryQuery

    @extend_schema(
        summary="The newest publications of a topic",
        operation_id="realtime_history",
        parameters=[HistoryQuery],
        responses={200: bodies.HistoryAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Return them in order; 403 if the rule of the topic keeps it from operators."""
        return self.listed_of_one(_history, lambda values: _history(NOWHERE, values))


class AuditView(ListView):
    """The audit log."""

    query_class = AuditQuery

    @extend_schema(
        summary="What operators did",
        operation_id="realtime_audit",
        parameters=[AuditQuery],
        responses={200: bodies.AuditAnswer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List entries, the newest first."""
        return self.listed(page_of_audit, no_rows)


class AuditExportView(ListView):
    """The audit log as a file."""

    query_class = ExportQuery

    @extend_schema(
        summary="The audit log as CSV or JSON lines",
        operation_id="realtime_audit_export",
        parameters=[ExportQuery],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/x-ndjson"): OpenApiTypes.STR,
            **ERRORS,
        },
    )
    def get(self, request: Request) -> Any:
        """Stream the newest 100,000 entries that match."""
        values = self.values()
        try:
            tenant = self.tenant(values["tenant"], otherwise=None)
        except Elsewhere:
            return export(AuditEntry.objects.none(), values["form"])
        return export(filter_audit(AuditEntry.objects.all(), tenant, values), values["form"])


def filter_audit(
    rows: QuerySet[AuditEntry], tenant: str | None, values: dict[str, Any]
) -> QuerySet[AuditEntry]:
    """Return the entries that match."""
    if tenant is not None:
        rows = rows.filter(tenant=tenant)
    for name, lookup in (
        ("action", "action"),
        ("outcome", "outcome"),
        ("since", "at__gte"),
        ("until", "at__lt"),
    ):
        if values.get(name):
            rows = rows.filter(**{lookup: values[name]})
    if values["actor"]:
        rows = rows.filter(Q(actor=values["actor"]) | Q(actor_id=values["actor"]))
    if values["q"]:
        part = values["q"]
        rows = rows.filter(Q(reason__icontains=part) | Q(actor__icontains=part) | Q(address__icontains=part))
    return rows


def page_of_bans(tenant: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return a page of the bans in force that an operator of `tenant` may see."""
    rows = Ban.objects.filter(until__gt=timezone.now())
    return _page_of(rows if tenant is None else rows.filter(tenant=tenant), values, bodies.BanRow)


def no_rows(values: dict[str, Any]) -> dict[str, Any]:
    """Return a page of a table without rows."""
    return {"count": 0, "results": []}


def page_of_audit(tenant: str | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return a page of the entries that match and that an operator of `tenant` may see."""
    return _page_of(filter_audit(AuditEntry.objects.all(), tenant, values), values, bodies.AuditRow)


def _page_of(rows: QuerySet[Any], values: dict[str, Any], row_class: Any) -> dict[str, Any]:
    first = (values["page"] - 1) * values["page_size"]
    shown = rows[first : first + values["page_size"]]
    return {"count": rows.count(), "results": row_class(shown, many=True).data}


def _connections(tenant: str | None, values: dict[str, Any]) -> dict[str, Any]:
    query = lists.connection_query(tenant, **{name: values[name] for name in _FILTERS})
    page, size = values["page"], values["page_size"]
    return call(lambda link: lists.list_connections(link, query, page, size)).as_json()


def _topics(tenant: str | None, values: dict[str, Any]) -> dict[str, Any]:
    asked = (values["q"], values["sort"], values["page"], values["page_size"])
    return call(lambda link: lists.topic_page(link, tenant, *asked)).as_json()


def _presence(tenant: str, values: dict[str, Any]) -> dict[str, Any]:
    return call(lambda link: lists.read_presence(link, tenant, values["topic"]))


def _history(tenant: str, values: dict[str, Any]) -> dict[str, Any]:
    return call(lambda link: lists.read_history(link, tenant, values["topic"], values["limit"]))


def _nodes(tenant: str | None, values: dict[str, Any]) -> dict[str, Any]:
    return call(lambda link: lists.list_nodes(link, tenant)).as_json()


def _empty_page(values: dict[str, Any]) -> dict[str, Any]:
    found = call(lambda link: lists.list_nodes(link, None))
    return lists.Page([], 0, found.nodes_answered, found.nodes_total).as_json()
