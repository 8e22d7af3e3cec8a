"""Compares origins exactly: scheme, host and port (RFC 6454). A sibling domain or another
port does not match."""

from collections.abc import Collection
from dataclasses import dataclass

from realtime.core.hosts import Host, parse_host

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a page. `host` keeps a root dot, because browsers treat that as a different site."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return the origin as browsers write it: without the port if that is the scheme's own."""
        is_default = self.port == DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{self.host}" + ("" if is_default else f":{self.port}")


def parse_origin(text: str) -> Origin | None:
    """The origin in `scheme://host[:port]`; None for `null` and for any other text."""
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        return None
    host = parse_host(rest)
    if host is None:
        return None
    name = f"{host.name}." if host.has_root_dot else host.name
    return Origin(scheme, name, host.port or DEFAULT_PORTS[scheme])


def is_own_origin(origin: Origin, *, hosts: Collection[str], scheme: str, requested: Host) -> bool:
    """Whether `origin` is one of the tenant's `hosts`, with the scheme and port that the
    client itself used. If it names no hosts, the requested one is its own."""
    port = requested.port or DEFAULT_PORTS[scheme]
    own = hosts or {requested.name}
    return origin.scheme == scheme and origin.port == port and origin.host in own
