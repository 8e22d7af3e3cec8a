"""The settings of this package, in Django's `REALTIME` dict, with default, unit and consequence of exceeding.

A limit of 0 is switched off.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from math import isfinite
from types import MappingProxyType
from typing import Any

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from realtime.core.topics import TopicRule, rule_faults

APP_MISSING = 'Put "realtime" first in INSTALLED_APPS: it has the tables and the commands.'
# Settings that cannot be switched off: at least 1.
NOT_ZERO = frozenset({"DATABASE_THREADS"})
_NONE_GIVEN: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """The settings of a process."""

    # Dotted paths of the classes that implement realtime.node.ports. The defaults: one tenant `main` for all of
    # ALLOWED_HOSTS, and the users and sessions of django.contrib.auth.
    TENANTS: str = "realtime.defaults.tenants.OneTenant"
    IDENTITY: str = "realtime.defaults.identity.DjangoIdentity"
    # The module whose `routes` list names every WebSocket route.
    ROUTES: str = "realtime.defaults.routes"
    # Topic rules by the part of the topic's name before the first `:`; "" is for names without one.
    TOPIC_RULES: Mapping[str, TopicRule] = field(default_factory=dict)

    # Redis or Valkey, needed by several processes; "" keeps everything in this process.
    REDIS_URL: str = ""
    # Messages of a connection: beyond it `rate_limited`, beyond it for too long close 4429.
    MESSAGES_PER_S: float = 1000.0
    MESSAGES_BURST: int = 2000
    # Bytes of a connection, counted after decompression: beyond it as for messages. A single larger message
    # passes.
    BYTES_PER_S: float = 1024 * 1024
    BYTES_BURST: int = 4 * 1024 * 1024
    # Failed handshakes of one address. Tickets of one user and refreshes of one sign-in, counted apart. Beyond it 429.
    ATTEMPTS_PER_S: float = 20.0
    ATTEMPTS_BURST: int = 1000
    # Open WebSockets of this process (503), of one address (IPv6: one /64) and of one user in it (429). The
    # first two also limit, counted separately, all other connections: plain HTTP, incomplete heads,
    # WebSockets that are being closed.
    MAX_CONNECTIONS: int = 20_000
    MAX_CONNECTIONS_PER_IP: int = 200
    MAX_CONNECTIONS_PER_USER: int = 50
    # Addresses and networks of proxies whose X-Forwarded-* headers are trusted (`serve` only); `*` trusts all
    # clients.
    TRUSTED_PROXIES: tuple[str, ...] = ()
    # Seconds in which the head of an HTTP request must be complete (408; `serve` only).
    HTTP_HEAD_TIMEOUT_S: float = 10.0
    # Bytes of one request's body (413), and of all bodies of a process that are not answered yet (503; one
    # address may use a quarter; `serve` only).
    HTTP_BODY_BYTES: int = 2_621_440
    HTTP_BODIES_BYTES: int = 64 * 1024 * 1024
    # Limits that replace HTTP_BODY_BYTES at paths with these beginnings.
    HTTP_BODY_BYTES_AT: Mapping[str, int] = field(default_factory=dict)
    # Open connections of /ws/pooled/ (503).
    POOL_SIZE: int = 1000
    # Seconds without a message from the client on /ws/timeout/ before close 4408.
    IDLE_TIMEOUT_S: float = 60.0
    # Seconds between pings, and seconds to wait for a pong before close 4408.
    PING_INTERVAL_S: float = 25.0
    PING_TIMEOUT_S: float = 20.0
    # Bytes that may wait for one connection before close 4410.
    OUTBOX_BYTES: int = 1024 * 1024
    # Bytes that wait for all slow consumers of this process: beyond it the slowest are closed with 4410.
    OUTBOXES_BYTES: int = 256 * 1024 * 1024
    # Bytes of messages that have not arrived whole, of all sockets of this process (`serve` only): beyond it the
    # largest are closed with 4503. The first 64 KiB of each are free.
    INBOXES_BYTES: int = 256 * 1024 * 1024
    # Seconds that a client may read nothing while bytes wait for it; after that it is closed with 4410.
    OUTBOX_STALL_S: float = 10.0
    # Whether to compress messages for clients that offer it, and from how many bytes on (`serve` only).
    COMPRESSION: bool = False
    COMPRESSION_MIN_BYTES: int = 256
    # Seconds over which open connections are closed when the server stops.
    DRAIN_S: float = 5.0
    # Origins that are allowed besides the tenant's own: scheme://host[:port].
    ALLOWED_ORIGINS: tuple[str, ...] = ()
    # Topics that one connection may subscribe to: beyond it `limit_exceeded`.
    MAX_SUBSCRIPTIONS: int = 1000
    # Publications of one connection that wait for the broker: beyond it its next message waits for one of them.
    MAX_PUBLISHING: int = 256
    # Bytes of the data of all publications of this process that wait so: beyond it a connection has one at a time.
    PUBLISHING_BYTES: int = 64 * 1024 * 1024
    # Calls (RPC, queries) in flight on one connection: beyond it `limit_exceeded`.
    MAX_CALLS: int = 8
    # Seconds that a call may take before `timeout`, and any other request, which those behind it wait for.
    CALL_TIMEOUT_S: float = 10.0
    # Watched queries of one user (or of one address that is not signed in), and different queries watched in a tenant,
    # in this process: beyond it `limit_exceeded`.
    MAX_WATCHES_PER_USER: int = 1000
    MAX_WATCHES_PER_TENANT: int = 5000
    # Rows that the watched queries of a tenant keep in memory in this process: beyond it `limit_exceeded`.
    MAX_WATCHED_ROWS_PER_TENANT: int = 100_000
    # Threads for database work, at least 1. A user gets at most a quarter of them, all who are not signed in half, and a
    # tenant half while others wait.
    DATABASE_THREADS: int = 8
    # Seconds that database work waits for a thread before `timeout`.
    DATABASE_WAIT_S: float = 5.0
    # Database jobs that may wait for a thread, of all tenants and of one (half of it not signed in): beyond it
    # `rate_limited` at once.
    DATABASE_WAITING: int = 8000
    DATABASE_WAITING_PER_TENANT: int = 2000
    # Plain HTTP requests that Django answers at once in a process (0: no limit): an address has at most a quarter of
    # them, and a tenant half while others wait. More would keep the sockets of the process from their turn.
    PAGES: int = 8
    # Seconds that a request waits for its turn before 503.
    PAGES_WAIT_S: float = 10.0
    # Requests that may wait for a turn, of all tenants and of one: beyond it 503 at once.
    PAGES_WAITING: int = 1000
    PAGES_WAITING_PER_TENANT: int = 250
    # Dotted path of a function that is called with a PublishFailure, in a thread that may use the database, if
    # something could not be published after a commit; "" only logs and counts it.
    PUBLISH_ERRORS: str = ""
    # Whether `publish` inside a transaction of the default database stores a row, which commits with the caller's own and
    # is sent after it, whatever happens to this process. If not, it is sent after the commit by this process.
    TRANSACTIONAL_OUTBOX: bool = True
    # Rows that may wait in the transactional outbox: beyond it a publication is dropped and reported as by PUBLISH_ERRORS.
    TRANSACTIONAL_OUTBOX_ROWS: int = 100_000
    # Seconds that a row may wait; an older one is dropped and reported likewise.
    TRANSACTIONAL_OUTBOX_MAX_AGE_S: float = 86_400.0
    # Bytes of one publication's data that the server publishes, as JSON: beyond it `message_too_large`. The
    # default fits into the reply to a `subscribe`.
    PUBLICATION_BYTES: int = 512 * 1024
    # Bytes of publications that a history keeps: of a topic (also in Redis), of a tenant and of this process
    # (both in memory only). Beyond it the oldest are dropped; beyond the process's limit, those of the tenant
    # that holds most. Each counts its data and 640 bytes.
    HISTORY_BYTES_PER_TOPIC: int = 4 * 1024 * 1024
    HISTORY_BYTES_PER_TENANT: int = 64 * 1024 * 1024
    HISTORY_BYTES_PER_PROCESS: int = 256 * 1024 * 1024
    # Topics that the in-memory history keeps, of this process and of a tenant. Beyond it the least recently
    # used topic is dropped, of the tenant that holds most.
    MAX_TOPICS: int = 100_000
    MAX_TOPICS_PER_TENANT: int = 50_000
    # Requests of one operator or API key to /api/realtime/ in this process: beyond it 429. A command of a
    # batch counts as one.
    CONTROL_REQUESTS_PER_S: float = 100.0
    CONTROL_REQUESTS_BURST: int = 500
    # Days that the audit log is kept, and seconds that an Idempotency-Key is remembered (0: for ever).
    AUDIT_RETENTION_DAYS: int = 365
    IDEMPOTENCY_RETENTION_S: int = 86_400
    # Whether replies, values, items and data of topics are checked against their declared types before they are sent, which
    # costs as much as encoding them again. With DEBUG, and in tests with realtime.testing, they always are.
    CHECK_CONTRACTS: bool = False
    # Seconds between two samples of the figures of all nodes, which the charts of the live page show, at least 1
    # (0: there are none).
    SAMPLE_INTERVAL_S: float = 10.0
    # Seconds that samples are kept (0: for ever).
    SAMPLE_RETENTION_S: int = 86_400
    # Routes, each of one tenant on one node, that a sample keeps apart; about 60 bytes each. Beyond it the least
    # busy routes of a tenant are one.
    SAMPLE_ROWS: int = 500
    # Seconds in which 99 of 100 requests are to be answered: a line in the charts of the live page, which also shows
    # a node whose loop is later than this as busy (0: none).
    LATENCY_OBJECTIVE_S: float = 0.25
    # Bearer token for the metrics pages; "" switches it off.
    METRICS_TOKEN: str = ""
    # Hosts that serve the first tenant in development.
    DEVELOPMENT_HOSTS: tuple[str, ...] = ()
    # Whether clients use https (a proxy terminates TLS). It decides the scheme of the tenant's own origins.
    HTTPS: bool = False


def load_settings(**instead: Any) -> RealtimeSettings:
    """Return the settings of this process; those in `instead` replace what `REALTIME` says.

    Raises ImproperlyConfigured for an unknown name, a topic rule that is wrong, and values of the wrong kind: all
    in one message; and for a project without the app, of which no check can tell.
    """
    if apps.apps_ready and not apps.is_installed("realtime"):
        raise ImproperlyConfigured(APP_MISSING)
    given = given_settings()
    if instead and isinstance(given, Mapping):
        given = {**given, **instead}
    if faults := list(setting_faults(given)):
        raise ImproperlyConfigured(" ".join(faults))
    return RealtimeSettings(**given)


def given_settings() -> Mapping[str, Any]:
    """Return `REALTIME` of Django's settings, not checked; empty if there is none: everything has a default."""
    given: Mapping[str, Any] = getattr(django_settings, "REALTIME", _NONE_GIVEN)
    return given


def default_of(name: str) -> Any:
    """Return the default of a setting."""
    return next(each.default for each in fields(RealtimeSettings) if each.name == name)


def setting_faults(given: Any) -> Iterator[str]:
    """Yield the faults of `REALTIME`, one sentence for each."""
    if not isinstance(given, Mapping):
        yield f"REALTIME must be a dict, received {given!r}."
        return
    known = {each.name for each in fields(RealtimeSettings)}
    for name in given:
        if name not in known:
            yield f"REALTIME has an unknown setting: {name!r}.{_suggestion(name, known)}"
    rules = given.get("TOPIC_RULES", {})
    if isinstance(rules, Mapping):
        yield from rule_faults(rules)
    else:
        yield f"REALTIME: TOPIC_RULES must be a dict of prefixes and TopicRules, received {rules!r}."
    yield from _value_faults(given)


def _suggestion(name: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(name).upper().strip(), sorted(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _value_faults(given: Mapping[str, Any]) -> Iterator[str]:
    for each in fields(RealtimeSettings):
        if each.name not in given or each.default is MISSING:
            continue
        value = given[each.name]
        # A number may be annotated as float and have a whole one as its default.
        kind = float if each.type is float else type(each.default)
        expected = _expected(each.name, kind, value)
        if expected:
            yield f"REALTIME: {each.name} must be {expected}, received {value!r}."


def _expected(name: str, kind: type, value: Any) -> str:
    """Return in words the value that is expected of a setting; "" if `value` is valid."""
    if kind in (int, float):
        numbers = int if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers) or not isfinite(value):
            return "a whole number" if kind is int else "a number"
        least = 1 if name in NOT_ZERO else 0
        return "" if value >= least else f"{least} or more"
    if kind is tuple:
        is_right = isinstance(value, list | tuple | set | frozenset) and all(
            isinstance(part, str) for part in value
        )
        return "" if is_right else "a list of texts"
    return "" if isinstance(value, kind) else {bool: "True or False", str: "a text"}.get(kind, kind.__name__)


class _Loaded:
    """The settings of this process, and the dict that they were read from."""

    source: object = None
    settings: RealtimeSettings | None = None


def current_settings() -> RealtimeSettings:
    """As `load_settings`, read once for each `REALTIME` dict: a test may override it."""
    given = given_settings()
    if _Loaded.settings is None or _Loaded.source is not given:
        _Loaded.source, _Loaded.settings = given, load_settings()
    return _Loaded.settings
