"""The sockets that a server listens on: one for each address, the same for one worker and for many."""

import errno
import socket
from typing import Any

ANY_IPV6, ANY_IPV4 = "::", "0.0.0.0"  # noqa: S104 what an operator may ask for
# The errors of a machine without one of the two families.
NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})

# The argument of `bind`: an address and a port, and for IPv6 two more numbers.
Address = tuple[Any, ...]


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Return bound sockets for every address of `host`; `::` means all addresses of IPv6 and of IPv4.

    An IPv6 socket takes no IPv4 clients, so that the address of a client is never an IPv4-mapped one. Raises
    OSError if an address is in use, or none can be had.
    """
    hosts = (ANY_IPV6, ANY_IPV4) if host == ANY_IPV6 else (host,)
    opened: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in _addresses(hosts, port):
        try:
            opened.append(_open(family, address))
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                _close(opened)
                raise
            missing = error
    if missing is not None and not opened:
        raise missing
    return opened


def _addresses(hosts: tuple[str, ...], port: int) -> list[tuple[int, Address]]:
    found: dict[tuple[int, Address], None] = {}
    for host in hosts:
        known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        found |= {(family, address): None for family, _, _, _, address in known}
    return list(found)


def _open(family: int, address: Address) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    # Workers inherit it.
    opened.set_inheritable(True)
    return opened


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()
