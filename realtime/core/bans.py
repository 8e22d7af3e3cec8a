"""Bans: users and networks that may not connect until a time. Times are in seconds since 1970."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from realtime.core.addresses import Network, network_of
from realtime.core.identity import Identity


@dataclass(frozen=True, slots=True)
class Ban:
    """A ban on one tenant, or on every tenant if `tenant` is "". Either `user_id` or `address` is set.

    `address` is an address or a network; a single IPv6 address means its /64. `reason` is shown to the client.
    """

    id: int
    tenant: str
    user_id: str
    address: str
    until_s: float
    reason: str


class Bans:
    """The bans in force, in memory. A check takes a few dictionary look-ups, whatever their number."""

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._users: dict[tuple[str, str], Ban] = {}
        self._networks: dict[tuple[str, Network], Ban] = {}
        # The different sizes of the networks above, by IP version.
        self._sizes: dict[int, set[int]] = {}
        for ban in bans:
            self.add(ban)

    def __len__(self) -> int:
        return len(self._users) + len(self._networks)

    def __iter__(self) -> Iterator[Ban]:
        yield from self._users.values()
        yield from self._networks.values()

    def add(self, ban: Ban) -> None:
        """Put one more in force. Of two that ban the same, the one that lasts longer counts."""
        if ban.user_id:
            self._users[ban.tenant, ban.user_id] = _longer(self._users.get((ban.tenant, ban.user_id)), ban)
            return
        network = network_of(ban.address)
        if network is not None:
            key = (ban.tenant, network)
            self._networks[key] = _longer(self._networks.get(key), ban)
            self._sizes.setdefault(network.version, set()).add(network.prefixlen)

    def of_user(self, identity: Identity | None, now_s: float) -> Ban | None:
        """Return the ban of a user of a tenant."""
        if identity is None or not self._users:
            return None
        return self.of_user_id(identity.tenant, str(identity.user_id), now_s)

    def of_user_id(self, tenant: str, user_id: str, now_s: float) -> Ban | None:
        """As `of_user`, by id."""
        for slug in (tenant, ""):
            ban = self._users.get((slug, user_id))
            if ban is not None and ban.until_s > now_s:
                return ban
        return None

    def of_address(self, tenant: str, address: str, now_s: float) -> Ban | None:
        """Return the ban of a network that holds a client's address."""
        if not self._networks:
            return None
        for network in self._around(address):
            for slug in (tenant, ""):
                ban = self._networks.get((slug, network))
                if ban is not None and ban.until_s > now_s:
                    return ban
        return None

    def _around(self, address: str) -> Iterable[Network]:
        """Return the networks of the known sizes that hold `address`."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        for bits in self._sizes.get(mapped.version, ()):
            network = network_of(f"{mapped}/{bits}")
            if network is not None:
                yield network


def _longer(known: Ban | None, ban: Ban) -> Ban:
    return ban if known is None or known.until_s <= ban.until_s else known
