"""Cross-origin requests: pages of other origins may ask for tokens and tickets, without cookies."""

import re

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.http import HttpRequest

from realtime import Tenant, is_own_origin, parse_host, parse_origin


class TenantCorsMiddleware(CorsMiddleware):
    """Allows the origins of the settings, and those of the tenant's own hosts. It goes behind TenantMiddleware.

    `Access-Control-Allow-Credentials` is never sent: a browser adds no cookie, and a page has to bring a password
    or a token.
    """

    def check_signal(self, request: HttpRequest) -> bool:
        """Return whether this is a page of another host of the tenant. Here the library asks a signal."""
        if not re.match(settings.CORS_URLS_REGEX, request.path_info):
            return False
        tenant: Tenant | None = request.tenant  # type: ignore[attr-defined]  # TenantMiddleware's
        origin = parse_origin(request.headers.get("Origin", ""))
        host = parse_host(request.get_host())
        if tenant is None or origin is None or host is None:
            return False
        scheme = "https" if settings.REALTIME["HTTPS"] else str(request.scheme)
        return is_own_origin(origin, hosts=tenant.hosts, scheme=scheme, requested=host)
