"""Client addresses: which connections count as one client, and which proxies are trusted."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# A provider usually assigns a network of this size to one customer, who can use any address in it.
IPV6_PREFIX_BITS = 64
# An IPv6 network with this prefix, ::ffff:0:0, holds the IPv4 addresses.
MAPPED_PREFIX_BITS = 96
# Text from a proxy that is not an address is used as it stands, up to this length.
TEXT_MAX_CHARS = 64
# Matches every address.
ANY = "*"
ADDRESSES_REMEMBERED = 4096


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def address_key(address: str) -> str:
    """The key that limits count by: an IPv4 address (also if it came IPv4-mapped), or the
    /64 network of an IPv6 one."""
    parsed = _parse(address)
    if parsed is None:
        return address[:TEXT_MAX_CHARS]
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((int(parsed), IPV6_PREFIX_BITS), strict=False))


def network_of(text: str) -> Network | None:
    """Return the network that an operator means by an address or network; None for any other text.

    A single IPv6 address means its /64, as in `address_key`. IPv4-mapped addresses are IPv4 ones.
    """
    address = _parse(text)
    if isinstance(address, IPv6Address):
        return IPv6Network((int(address), IPV6_PREFIX_BITS), strict=False)
    try:
        return ip_network(str(address) if address is not None else text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def is_within(address: str, network: Network) -> bool:
    """Return whether a client's address is in `network`; False if it is no address."""
    parsed = _parse(address)
    return parsed is not None and parsed.version == network.version and parsed in network


class TrustedProxies:
    """The proxies whose X-Forwarded-* headers are trusted: addresses and networks; `*` is every address."""

    def __init__(self, written: Iterable[str]) -> None:
        """Raises ValueError, naming the first entry that is neither an address nor a network."""
        entries = [entry.strip() for entry in written]
        self._is_any = ANY in entries
        self._networks = [_network(entry) for entry in entries if entry and entry != ANY]

    def __contains__(self, address: str) -> bool:
        if self._is_any or not self._networks:
            return self._is_any
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def spelled_out(self) -> list[str]:
        """All entries, with IPv4 networks also in their IPv4-mapped form, for servers that
        do not convert addresses."""
        if self._is_any:
            return [ANY]
        plain = [str(network) for network in self._networks]
        mapped = [
            f"::ffff:{network.network_address}/{MAPPED_PREFIX_BITS + network.prefixlen}"
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
        network = ip_network(entry, strict=False)
    except ValueError:
        raise ValueError(f"Expected an address or network, received {entry!r}.") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is not None and network.prefixlen >= MAPPED_PREFIX_BITS:
        # Addresses are compared as IPv4, however they were written.
        return IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX_BITS))
    return network
