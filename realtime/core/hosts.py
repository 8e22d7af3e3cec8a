"""Reads the `Host` header. There must be exactly one, and it must be well-formed; otherwise
the request is refused."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address

from realtime.protocol.errors import Refusal

# A DNS name or IPv4 address, or an IPv6 address in brackets, and an optional port. The port has no leading
# zeros, as browsers write it, so that there is only one way to write each host.
_HOST = re.compile(
    r"(?P<name>(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?|\[[0-9a-f:.]+\])"
    r"(?P<root>\.?)(?::(?P<port>[1-9][0-9]{0,4}))?",
    re.ASCII,
)
# A request target in absolute form (RFC 9112 section 3.2.2).
_ABSOLUTE = re.compile(rb"(?:http|ws)(?P<secure>s?)://(?P<authority>[^/?]*)(?P<rest>.*)", re.IGNORECASE)
HOST_MAX_CHARS = 253
PORT_MAX = 65535
# A site has only a few hosts. The bound limits the memory that requests for other hosts can take.
HOSTS_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Host:
    """A host as a client named it: in lower case, without the root dot; `port` is None if none was given.

    Browsers treat a name with the root dot as a different site, so the check of an origin
    takes the dot into account.
    """

    name: str
    port: int | None
    has_root_dot: bool = False


def read_host(headers: Iterable[Sequence[bytes]]) -> Host:
    """The host in a request's headers; raises Refusal(400) unless there is exactly one and
    it is well-formed."""
    values = [value for name, value in headers if name.lower() == b"host"]
    if len(values) != 1:
        raise Refusal(400, "bad_host", f"Expected exactly one Host header, received {len(values)}.")
    host = parse_host(values[0].decode("latin-1"))
    if host is None:
        raise Refusal(400, "bad_host", "Expected a host name with an optional port in the Host header.")
    return host


def origin_form(target: bytes, headers: Iterable[Sequence[bytes]]) -> bytes:
    """Path and query of a request's target; raises Refusal(400) if it names another host
    than the Host header.

    So every program that reads the request, such as a proxy, sees the same host.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        named, requested = parse_host(absolute["authority"].decode("latin-1")), read_host(headers)
        default = 443 if absolute["secure"] else 80
        if named is None or named.name != requested.name:
            raise Refusal(400, "bad_target", "The request's target and its Host header name different hosts.")
        if (named.port or default) != (requested.port or default):
            raise Refusal(400, "bad_target", "The request's target and its Host header name different ports.")
        target = absolute["rest"] if absolute["rest"].startswith(b"/") else b"/" + absolute["rest"]
    if not target.startswith(b"/") or b"#" in target:
        raise Refusal(400, "bad_target", "Expected a path and query as the request's target.")
    return target


@lru_cache(maxsize=HOSTS_REMEMBERED)
def parse_host(text: str) -> Host | None:
    """The host in `name[:port]`, or None if it is malformed. Connections to one host share one object."""
    match = _HOST.fullmatch(text.lower())
    if match is None or len(match["name"]) > HOST_MAX_CHARS:
        return None
    port = int(match["port"]) if match["port"] else None
    name = _ipv6(match["name"]) if match["name"].startswith("[") else match["name"]
    if name is None or (port is not None and port > PORT_MAX):
        return None
    return Host(name, port, has_root_dot=bool(match["root"]))


def _ipv6(name: str) -> str | None:
    try:
        return f"[{IPv6Address(name[1:-1])}]"
    except ValueError:
        return None
