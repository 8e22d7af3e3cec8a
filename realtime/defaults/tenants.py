"""One tenant for the whole site: every host of ALLOWED_HOSTS is its own."""

from django.conf import settings
from django.http.request import validate_host

from realtime.core.identity import Tenant

SLUG = "main"
# Django's own, for DEBUG without ALLOWED_HOSTS.
DEVELOPMENT_HOSTS = (".localhost", "127.0.0.1", "[::1]")


class OneTenant:
    """The tenant `main`, for all of ALLOWED_HOSTS.

    Exact names there are origins of the tenant, on each of its hosts. If one of them is a pattern (`*`,
    `.example.com`), only the host that the client asked for is its own.
    """

    only_slug = SLUG

    def __init__(self) -> None:
        self._allowed: tuple[str, ...] = ()
        self._tenant = Tenant(1, SLUG)

    def lookup(self, host: str) -> Tenant | None:
        """Return the tenant if ALLOWED_HOSTS has `host` (lower case, no port)."""
        allowed = _allowed_hosts()
        if allowed != self._allowed:
            self._allowed, self._tenant = allowed, Tenant(1, SLUG, hosts=_exact(allowed))
        return self._tenant if validate_host(host, list(allowed)) else None

    def has_slug(self, slug: str) -> bool:
        """Return whether `slug` is the tenant's."""
        return slug == SLUG

    def refresh(self) -> None:
        """Read nothing: settings do not change."""


def _allowed_hosts() -> tuple[str, ...]:
    given = tuple(settings.ALLOWED_HOSTS)
    return given if given or not settings.DEBUG else DEVELOPMENT_HOSTS


def _exact(allowed: tuple[str, ...]) -> frozenset[str]:
    is_pattern = any(each == "*" or each.startswith(".") for each in allowed)
    return frozenset() if is_pattern else frozenset(each.lower() for each in allowed)
