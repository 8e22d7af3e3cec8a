"""Reading headers of a scope."""

from realtime.core.addresses import address_key
from realtime.sockets.types import Scope


def remote_host(scope: Scope) -> str:
    """The client's address without its port; "" where the server does not know it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def limit_key(scope: Scope) -> str:
    """What limits count the client by: IPv6 by its /64, IPv4-mapped as IPv4."""
    return address_key(remote_host(scope))


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of the header `name` (lower case), in order."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]
