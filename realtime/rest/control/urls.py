"""The control endpoints. Include them at /api/realtime/."""

from django.urls import path, re_path

from realtime.rest.control import reads, schema, writes
from realtime.rest.views import NothingHereView

__all__ = ["schema", "urlpatterns"]

urlpatterns = [
    path("nodes/", reads.NodesView.as_view(), name="realtime_nodes"),
    path("connections/", reads.ConnectionsView.as_view(), name="realtime_connections"),
    path("connections/<str:connection_id>/", reads.ConnectionView.as_view(), name="realtime_connection"),
    path("topics/", reads.TopicsView.as_view(), name="realtime_topics"),
    path("presence/", reads.PresenceView.as_view(), name="realtime_presence"),
    path("history/", reads.HistoryView.as_view(), name="realtime_history"),
    path("audit/", reads.AuditView.as_view(), name="realtime_audit"),
    path("audit/export/", reads.AuditExportView.as_view(), name="realtime_audit_export"),
    path("publish/", writes.PublishView.as_view(), name="realtime_publish"),
    path("broadcast/", writes.BroadcastView.as_view(), name="realtime_broadcast"),
    path("batch/", writes.BatchView.as_view(), name="realtime_batch"),
    path("disconnect/", writes.DisconnectView.as_view(), name="realtime_disconnect"),
    path("unsubscribe/", writes.UnsubscribeView.as_view(), name="realtime_unsubscribe"),
    path("subscribe/", writes.SubscribeView.as_view(), name="realtime_subscribe"),
    path("revoke/", writes.RevokeView.as_view(), name="realtime_revoke"),
    path("ban/", writes.BansView.as_view(), name="realtime_bans"),
    path("ban/<int:ban_id>/", writes.BanView.as_view(), name="realtime_ban"),
    path("announce/", writes.AnnounceView.as_view(), name="realtime_announce"),
    path("drain/", writes.DrainView.as_view(), name="realtime_drain"),
    path("tenants/<slug:slug>/suspend/", writes.SuspendView.as_view(), name="realtime_suspend"),
    path("tenants/<slug:slug>/resume/", writes.ResumeView.as_view(), name="realtime_resume"),
    # With the final slash only: a path without one is tried with it first.
    re_path(r"^(?:.+/)?$", NothingHereView.as_view()),
]
