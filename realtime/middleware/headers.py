"""Reading the headers and the client address of a scope."""

from realtime.core.addresses import address_key
from realtime.sockets.types import Scope


def remote_host(scope: Scope) -> str:
    """Return the client's address without the port; "" if the server does not know it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def limit_key(scope: Scope) -> str:
    """Return the address by which limits count the client: an IPv6 /64, or IPv4 (also if IPv4-mapped)."""
    return address_key(remote_host(scope))


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return all values of the header `name` (lower case), in order."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
