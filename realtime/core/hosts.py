"""Reading the `Host` header: exactly one, well-formed; anything else is a bad request."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from realtime.protocol.errors import Refusal

# A DNS name or IPv4 address, or an IPv6 address in brackets; then, perhaps, a port.
_HOST = re.compile(
    r"(?P<name>(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?|\[[0-9a-f:.]+\])"
    r"\.?(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
HOST_MAX_CHARS = 253
PORT_MAX = 65535
# A site has a few hosts; what else is asked for drives out no more than what was parsed once.
HOSTS_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Host:
    """A host as a client named it: lower case, without the root dot; `port` is None where none was given."""

    name: str
    port: int | None


def read_host(headers: Iterable[Sequence[bytes]]) -> Host:
    """The host of a request's headers; raises Refusal(400) unless there is exactly one and it is well-formed."""
    values = [value for name, value in headers if name.lower() == b"host"]
    if len(values) != 1:
        raise Refusal(400, "bad_host", f"Expected exactly one Host header, received {len(values)}.")
    host = parse_host(values[0].decode("latin-1"))
    if host is None:
        raise Refusal(400, "bad_host", "Expected a host name with an optional port in the Host header.")
    return host


@lru_cache(maxsize=HOSTS_REMEMBERED)
def parse_host(text: str) -> Host | None:
    """The host in `name[:port]`, or None where it is malformed. One object for all connections that name it."""
    match = _HOST.fullmatch(text.lower())
    if match is None or len(match["name"]) > HOST_MAX_CHARS:
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port <= PORT_MAX:
        return None
    return Host(match["name"], port)
