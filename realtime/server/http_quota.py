"""Limits on connections that are not open WebSockets, by address and process, and on their bodies.

A connection is counted from its accept until it becomes an open WebSocket or ends. Open WebSockets are
counted by the application's connection quotas. A WebSocket that is being closed, also one that was accepted
only to send a close code, is counted here again until it ends.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from uvicorn.config import Config
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from realtime.conf import load_settings
from realtime.core.addresses import TrustedProxies, address_key
from realtime.protocol.http import HttpError
from realtime.server.scope import Address
from realtime.sockets.backlogs import Backlogs, Holder

logger = logging.getLogger(__name__)

_RETRY_AFTER = ((b"retry-after", b"5"),)
# Connections beyond the limits that are sent an answer at the same time. Any more are aborted.
LINGERING_MAX = 100
# One address may use this fraction (1/4) of the bytes that all bodies of a process may hold.
ADDRESS_PARTS = 4
# Bytes of a message that is not complete that do not count against the budget.
PARTIAL_FREE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of plain HTTP, and of what arrives on sockets; 0 switches one off. realtime/conf.py explains each."""

    # Connections that are not open WebSockets, of the process and of one address.
    connections: int = 20_000
    connections_per_address: int = 200
    # Seconds in which a head must be complete.
    head_timeout_s: float = 10.0
    # Bytes of one body, and of all bodies whose requests are not answered yet.
    body_bytes: int = 2_621_440
    bodies_bytes: int = 64 * 1024 * 1024
    # Bytes of all WebSocket messages that are not complete yet.
    messages_bytes: int = 256 * 1024 * 1024
    # Limits that replace `body_bytes` at targets with these beginnings.
    body_bytes_at: Mapping[str, int] = field(default_factory=dict)
    # Trusted proxies carry connections of many clients, so they are not counted by address.
    proxies: TrustedProxies = field(default_factory=lambda: TrustedProxies(()))

    def body_bytes_of(self, target: bytes) -> int:
        """Return the limit of a body at this target."""
        for beginning, size_bytes in self.body_bytes_at.items():
            if target.startswith(beginning.encode()):
                return size_bytes
        return self.body_bytes


class HttpQuota:
    """Counts the connections by transport. All protocols of a server share one object."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        # The address key of each transport; "" if it is not counted by address.
        self._inside: dict[asyncio.BaseTransport, str] = {}
        self._by_address: dict[str, int] = {}
        self._lingering: set[asyncio.BaseTransport] = set()
        # Bytes of all bodies whose requests are not answered yet.
        self.bodies_bytes = 0
        self._bodies_by_address: dict[str, int] = {}
        # Open WebSockets with a part of a large message; beyond the budget the largest are closed.
        self.partial_messages = Backlogs(limits.messages_bytes)
        self._has_warned = False

    def note_partial(self, socket: Holder, held_bytes: int) -> None:
        """Record the bytes that an open WebSocket holds of a message that is not complete."""
        self.partial_messages.note(socket, held_bytes if held_bytes > PARTIAL_FREE_BYTES else 0)

    @property
    def count(self) -> int:
        """The number of connections that are counted."""
        return len(self._inside)

    def enter(self, transport: asyncio.BaseTransport, client: Address) -> HttpError | None:
        """Count a new connection. Return the refusal if there are too many (503: process, 429: address)."""
        limits, key = self.limits, self._key(client)
        if limits.connections and len(self._inside) >= limits.connections:
            return HttpError(503, "This server is full.", _RETRY_AFTER, code="full")
        most = limits.connections_per_address
        if key and most and self._by_address.get(key, 0) >= most:
            self._warn(key, most)
            return HttpError(
                429, "Too many connections from this address.", _RETRY_AFTER, code="rate_limited"
            )
        self._add(transport, key)
        return None

    def come_back(self, transport: asyncio.BaseTransport) -> None:
        """Count a WebSocket that is being closed until it ends, even beyond the limits."""
        if transport not in self._inside:
            client = get_remote_addr(transport)  # type: ignore[arg-type] # uvicorn asks for more than it needs
            self._add(transport, self._key(client))

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Stop counting a connection that became an open WebSocket or ended. Safe to call again."""
        self._lingering.discard(transport)
        key = self._inside.pop(transport, "")
        if key:
            _subtract(self._by_address, key, 1)

    def may_linger(self, transport: asyncio.BaseTransport) -> bool:
        """Return whether a refused connection may stay open for its answer. If True, it counts until `leave`."""
        if len(self._lingering) >= LINGERING_MAX:
            return False
        self._lingering.add(transport)
        return True

    def hold_body(self, transport: asyncio.BaseTransport, size_bytes: int) -> None:
        """Count bytes that are kept for a request. Raises HttpError(503) if bodies would hold too many."""
        key, most = self._inside.get(transport, ""), self.limits.bodies_bytes
        of_address = self._bodies_by_address.get(key, 0) + size_bytes
        is_too_much = self.bodies_bytes + size_bytes > most or (key and of_address > most // ADDRESS_PARTS)
        if most and is_too_much:
            raise HttpError(
                503, "Too many request bodies are being received; try again.", _RETRY_AFTER, code="busy"
            )
        self.bodies_bytes += size_bytes
        self._bodies_by_address[key] = of_address

    def drop_body(self, transport: asyncio.BaseTransport, size_bytes: int) -> None:
        """Stop counting these bytes: the request is answered or has ended."""
        self.bodies_bytes -= size_bytes
        _subtract(self._bodies_by_address, self._inside.get(transport, ""), size_bytes)

    def _key(self, client: Address) -> str:
        """Return the key to count by; "" for a trusted proxy or a Unix socket, which only a proxy uses."""
        address = str(client[0]) if client else ""
        return "" if not address or address in self.limits.proxies else address_key(address)

    def _add(self, transport: asyncio.BaseTransport, key: str) -> None:
        self._inside[transport] = key
        if key:
            self._by_address[key] = self._by_address.get(key, 0) + 1

    def _warn(self, key: str, most: int) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s has %d connections, the limit of an address. If it is your proxy, name it in "
                "REALTIME_TRUSTED_PROXIES: until then all its clients count as one.",
                key,
                most,
            )


def shared_http_quota(server_state: ServerState, config: Config) -> HttpQuota:
    """Return the server's one HttpQuota.

    It is kept on uvicorn's ServerState, which all protocols of a server share.
    """
    shared: dict[str, HttpQuota] = vars(server_state)
    if "http_quota" not in shared:
        shared["http_quota"] = HttpQuota(_limits(config))
    return shared["http_quota"]


def _limits(config: Config) -> HttpLimits:
    settings = load_settings()
    written = config.forwarded_allow_ips if config.proxy_headers else ""
    return HttpLimits(
        connections=settings.MAX_CONNECTIONS,
        connections_per_address=settings.MAX_CONNECTIONS_PER_IP,
        head_timeout_s=settings.HTTP_HEAD_TIMEOUT_S,
        body_bytes=settings.HTTP_BODY_BYTES,
        bodies_bytes=settings.HTTP_BODIES_BYTES,
        messages_bytes=settings.INBOXES_BYTES,
        body_bytes_at=settings.HTTP_BODY_BYTES_AT,
        proxies=TrustedProxies(written.split(",") if isinstance(written, str) else written or ()),
    )


def _subtract(counts: dict[str, int], key: str, amount: int) -> None:
    left = counts.get(key, 0) - amount
    if left > 0:
        counts[key] = left
    else:
        counts.pop(key, None)
