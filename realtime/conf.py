"""The settings of this package, Django's `REALTIME` dict: each with default, unit and what exceeding it does.

A limit of 0 is switched off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from realtime.core.topics import TopicRule, gate_faults


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """One value of each setting, as the process uses it."""

    # Dotted paths of the classes behind realtime.node.ports.
    TENANTS: str
    IDENTITY: str
    # The module whose `routes` list names every WebSocket route.
    ROUTES: str
    # Topic rules by the part of the name before the first `:`; "" is for names without one.
    TOPIC_RULES: Mapping[str, TopicRule] = field(default_factory=dict)

    # Redis or Valkey for several processes; "" keeps everything in this process.
    REDIS_URL: str = ""
    # A connection's messages: beyond it `rate_limited`, beyond it for too long close 4429.
    MESSAGES_PER_S: float = 1000.0
    MESSAGES_BURST: int = 2000
    # A connection's bytes, counted after decompression: beyond it as for messages. A single larger message passes.
    BYTES_PER_S: float = 1024 * 1024
    BYTES_BURST: int = 4 * 1024 * 1024
    # Failed attempts to connect from one address: beyond it 429.
    ATTEMPTS_PER_S: float = 20.0
    ATTEMPTS_BURST: int = 1000
    # Open connections of this process (503), of one address (IPv6: one /64) and of one user in it (429). The first two
    # also bound, apart, the connections that are no open sockets: plain HTTP, half-sent heads, sockets being closed.
    MAX_CONNECTIONS: int = 20_000
    MAX_CONNECTIONS_PER_IP: int = 200
    MAX_CONNECTIONS_PER_USER: int = 50
    # Addresses and networks of the proxies whose X-Forwarded-* headers are believed (`serve` only); `*` is everybody.
    TRUSTED_PROXIES: tuple[str, ...] = ()
    # Seconds in which the head of an HTTP request must be complete (408; `serve` only).
    HTTP_HEAD_TIMEOUT_S: float = 10.0
    # Bytes of one request's body (413), and of all bodies a process keeps until they are answered (503; one address: a
    # quarter of it; `serve` only).
    HTTP_BODY_BYTES: int = 2_621_440
    HTTP_BODIES_BYTES: int = 64 * 1024 * 1024
    # Open connections of /ws/pooled/ (503).
    POOL_SIZE: int = 1000
    # Seconds without a frame from the client on /ws/timeout/ before close 4408.
    IDLE_TIMEOUT_S: float = 60.0
    # Seconds between pings, and for a pong to come before close 4408.
    PING_INTERVAL_S: float = 25.0
    PING_TIMEOUT_S: float = 20.0
    # Bytes a connection may be behind before close 4410.
    OUTBOX_BYTES: int = 1024 * 1024
    # Bytes that wait for all slow clients of this process: beyond it the worst are cut with 4410.
    OUTBOXES_BYTES: int = 256 * 1024 * 1024
    # Seconds in which a client may take no byte while something waits for it, before it is cut with 4410.
    OUTBOX_STALL_S: float = 10.0
    # Whether messages of at least so many bytes go out compressed to clients that offer it (`serve` only).
    COMPRESSION: bool = False
    COMPRESSION_MIN_BYTES: int = 256
    # Seconds over which open connections are closed when the server ends.
    DRAIN_S: float = 5.0
    # Origins allowed besides the tenant's own: scheme://host[:port].
    ALLOWED_ORIGINS: tuple[str, ...] = ()
    # Topics one connection may subscribe to: beyond it `limit_exceeded`.
    MAX_SUBSCRIPTIONS: int = 1000
    # Calls (RPC, queries) in flight on one connection: beyond it `limit_exceeded`.
    MAX_CALLS: int = 8
    # Seconds a call may take before `timeout`.
    CALL_TIMEOUT_S: float = 10.0
    # Watched queries of one user, and different ones of a tenant, in this process: beyond it `limit_exceeded`.
    MAX_WATCHES_PER_USER: int = 1000
    MAX_WATCHES_PER_TENANT: int = 5000
    # Rows that the watched queries of a tenant keep in this process: beyond it `limit_exceeded`.
    MAX_WATCHED_ROWS_PER_TENANT: int = 100_000
    # Threads for database work, at least 1: a user has at most a quarter of them, a tenant half while others wait.
    DATABASE_THREADS: int = 8
    # Seconds that database work waits for a thread before `timeout`.
    DATABASE_WAIT_S: float = 5.0
    # Database work that waits for a thread, of all and of one tenant: beyond it `rate_limited` at once.
    DATABASE_WAITING: int = 8000
    DATABASE_WAITING_PER_TENANT: int = 2000
    # Bytes of publications that a history keeps: of a topic (in Redis too), of a tenant and of this process (in
    # memory only). Beyond it the oldest go first; beyond the process's those of the tenant that holds the most.
    HISTORY_BYTES_PER_TOPIC: int = 4 * 1024 * 1024
    HISTORY_BYTES_PER_TENANT: int = 64 * 1024 * 1024
    HISTORY_BYTES_PER_PROCESS: int = 256 * 1024 * 1024
    # Topics remembered by the in-memory history, of this process and of a tenant; beyond it the longest unused is
    # forgotten, of the tenant that holds the most.
    MAX_TOPICS: int = 100_000
    MAX_TOPICS_PER_TENANT: int = 50_000
    # Bearer value that opens the metrics pages; "" switches it off.
    METRICS_TOKEN: str = ""
    # Hosts that serve the first tenant in development.
    DEVELOPMENT_HOSTS: tuple[str, ...] = ()
    # Whether clients reach the site by https (a proxy ends TLS): decides the scheme of own origins.
    HTTPS: bool = False


def load_settings() -> RealtimeSettings:
    """The settings of this process; raises ImproperlyConfigured for an unknown name and a gate that cannot say no."""
    given: dict[str, Any] = dict(django_settings.REALTIME)
    unknown = sorted(set(given) - {each.name for each in fields(RealtimeSettings)})
    if unknown:
        raise ImproperlyConfigured(f"REALTIME has unknown settings: {', '.join(unknown)}.")
    if faults := list(gate_faults(given.get("TOPIC_RULES", {}))):
        raise ImproperlyConfigured(" ".join(faults))
    settings = RealtimeSettings(**given)
    if settings.DATABASE_THREADS < 1:
        raise ImproperlyConfigured(
            f"REALTIME: DATABASE_THREADS must be 1 or more, received {settings.DATABASE_THREADS}."
        )
    return settings
