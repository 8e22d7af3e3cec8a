"""The REST endpoints under /api/."""

from django.urls import path

from accounts import api, schema

__all__ = ["schema", "urlpatterns"]

urlpatterns = [
    path("token/", api.TokenView.as_view(), name="token"),
    path("token/refresh/", api.TokenRefreshView.as_view(), name="token_refresh"),
    path("token/verify/", api.TokenVerifyView.as_view(), name="token_verify"),
    path("token/revoke/", api.TokenRevokeView.as_view(), name="token_revoke"),
    path("ws-ticket/", api.TicketView.as_view(), name="ws_ticket"),
]
