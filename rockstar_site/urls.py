"""Every URL of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularSwaggerView

from realtime.rest.methods import only_read
from realtime.rest.views import NothingHereView
from rockstar_site.api_schema import SchemaView

handler500 = "rockstar_site.failures.server_error"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="chat:page")),
    path("chat/", include("chat.urls")),
    path("admin/", admin.site.urls),
    path("accounts/", include("accounts.web.urls")),
    path("api/", include("accounts.rest.urls")),
    path("api/chat/", include("chat.rest.urls")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("", include("realtime.rest.urls")),
]

if settings.API_DOCS:
    # OPTIONS would answer a description with the page's template, and fail.
    page = only_read(SpectacularSwaggerView.as_view(url_name="schema"))
    urlpatterns.append(path("api/docs/", page, name="api_docs"))

# Final slashes only, because a path without one is tried with it first.
urlpatterns.append(re_path(r"^(?:api|ws)/(?:.+/)?$", NothingHereView.as_view()))
