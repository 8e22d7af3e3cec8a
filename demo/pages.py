"""Template context for the pages of demo tenants."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from demo.catalogue import SHOPS


def demo_users(request: HttpRequest) -> dict[str, Any]:
    """A context processor: the users to sign in as, on a demo tenant in development."""
    slug = getattr(getattr(request, "tenant", None), "slug", "")
    if not settings.DEBUG:
        return {}
    return {"demo_users": next((shop.members for shop in SHOPS if shop.slug == slug), ())}
