"""The REST endpoints under /api/."""

from django.urls import path

from accounts.rest import schema, views

__all__ = ["schema", "urlpatterns"]

urlpatterns = [
    path("token/", views.TokenView.as_view(), name="token"),
    path("token/refresh/", views.TokenRefreshView.as_view(), name="token_refresh"),
    path("token/verify/", views.TokenVerifyView.as_view(), name="token_verify"),
    path("token/revoke/", views.TokenRevokeView.as_view(), name="token_revoke"),
    path("ws-ticket/", views.TicketView.as_view(), name="ws_ticket"),
]
