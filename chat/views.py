"""The chat page. It contains the list of rooms; everything later comes over the socket."""

from csp.decorators import csp_update
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe
from msgspec import to_builtins

from chat.files.settings import file_settings
from chat.payloads import FILES_MAX
from chat.people.profiles import profile_get
from chat.selectors import room_list
from realtime import Tenant

# Rooms that are links in the page until its modules run, or if they do not.
ROOMS_LINKED_MAX = 50


# Text becomes elements in one module only, and only if the server has cleaned it: `view/server-html.js`.
@csp_update({"require-trusted-types-for": ["'script'"], "trusted-types": ["server-html"]})
@require_safe
@never_cache
# 1,000 rooms are 370 KB, 18 compressed. Django adds random bytes and masks its CSRF token anew each time (BREACH).
@gzip_page
@login_required
def chat_page(request: HttpRequest) -> HttpResponse:
    """Return the page with the user's rooms, so that they show before the socket opens."""
    tenant: Tenant = request.tenant  # type: ignore[attr-defined]  # set by TenantMiddleware
    assert request.user.pk is not None, "login_required lets nobody else in"
    rooms = to_builtins(room_list(tenant.id, request.user.pk))
    limits = {"files_max": FILES_MAX, "file_bytes_max": file_settings().file_bytes_max}
    profile = to_builtins(profile_get(tenant.id, request.user.pk))
    links = [room for room in rooms if room["is_member"]][:ROOMS_LINKED_MAX]
    page = {"tenant": tenant, "room_list": rooms, "links": links, "profile": profile, **limits}
    return render(request, "chat/chat.html", page)
