"""Addresses of clients: which connections are one client's, and whose word about others is believed."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# What one customer of a provider has, and may change at will.
IPV6_PREFIX_BITS = 64
# What a proxy writes that is no address counts as it is, up to here.
TEXT_MAX_CHARS = 64
# Every address.
ANY = "*"
ADDRESSES_REMEMBERED = 4096


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def address_key(address: str) -> str:
    """What limits count by: an IPv4 address (an IPv4-mapped one as what it is), or the /64 network of an IPv6 one."""
    parsed = _parse(address)
    if parsed is None:
        return address[:TEXT_MAX_CHARS]
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((int(parsed), IPV6_PREFIX_BITS), strict=False))


class TrustedProxies:
    """The proxies whose X-Forwarded-* headers are believed: addresses and networks; `*` is everybody."""

    def __init__(self, written: Iterable[str]) -> None:
        """Raises ValueError, naming the first that is neither address nor network."""
        entries = [entry.strip() for entry in written]
        self._is_any = ANY in entries
        self._networks = [_network(entry) for entry in entries if entry and entry != ANY]

    def __contains__(self, address: str) -> bool:
        if self._is_any or not self._networks:
            return self._is_any
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def spelled_out(self) -> list[str]:
        """All of them as a server compares them that knows nothing of IPv4-mapped addresses."""
        if self._is_any:
            return [ANY]
        plain = [str(network) for network in self._networks]
        mapped = [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}"
            for network in self._networks
            if isinstance(network, IPv4Network)
        ]
        return plain + mapped


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _network(entry: str) -> Network:
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(f"Expected an address or network, received {entry!r}.") from None
