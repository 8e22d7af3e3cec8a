"""The address of the broker: `REDIS_URL`, in each of its forms.

    redis://[user:password@]host[:port][/db]        one Redis or Valkey; `rediss://` with TLS
    unix:///path/of/the/socket[?db=0]
    redis+sentinel://[user:password@]host[:port],host[:port],…/master[/db]
    redis+cluster://[user:password@]host[:port],host[:port],…

`rediss+sentinel://` and `rediss+cluster://` use TLS to every server. User and password are those of the data
servers; those of the sentinels are in the options `sentinel_username` and `sentinel_password`. With `?prefix=`
several sites share one broker.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode

from realtime.core.hosts import PORT_MAX
from realtime.protocol.errors import RealtimeError

DEFAULT_PREFIX = "rockstar"
PORT, SENTINEL_PORT = 6379, 26379
DATABASE_MAX = 2**31 - 1
NODES_MAX = 64

# `urlsplit` knows one host only: some versions of Python refuse an IPv6 address after the first.
_PARTS = re.compile(r"(?P<scheme>[A-Za-z+]+)://(?P<hosts>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MASTER = re.compile(r"[A-Za-z0-9._-]{1,255}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
_FORMS = (
    "redis://host:port/number, rediss://host:port/number, unix:///path, "
    "redis+sentinel://host:port,host:port/master or redis+cluster://host:port,host:port"
)
# Options of redis-py that a URL may set. Its time-outs are not among them: each use has its own.
_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
)
_CONNECTION_OPTIONS = frozenset({"client_name", "health_check_interval", "socket_keepalive"})
_SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})


class BrokerUrlError(RealtimeError, ValueError):
    """The URL is wrong; the text says how, and holds no password."""


class BrokerKind(Enum):
    """The arrangement of a broker's servers."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A parsed `REDIS_URL`. `nodes` are the servers to ask: the one, the sentinels, or some of a cluster.

    `url` is for redis-py, without the options that it does not know; empty unless the kind is SINGLE. `options` are
    connection arguments of redis-py beside host and port, `sentinel_options` those for the sentinels.
    """

    kind: BrokerKind
    nodes: tuple[tuple[str, int], ...] = ()
    master: str = ""
    prefix: str = DEFAULT_PREFIX
    url: str = field(default="", repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_tls: bool = False


def parse_broker_url(url: str) -> BrokerAddress:
    """Return the address in a `REDIS_URL`; raises BrokerUrlError, with one sentence for the first mistake found."""
    parts = _split(url)
    options = _options(parts)
    prefix = options.pop("prefix", DEFAULT_PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise BrokerUrlError("prefix: expected 1 to 64 letters, digits, dots, hyphens and underscores.")
    match parts.scheme:
        case "redis" | "rediss" | "unix":
            return _single(url, parts, options, prefix)
        case "redis+sentinel" | "rediss+sentinel":
            return _sentinel(parts, options, prefix)
        case "redis+cluster" | "rediss+cluster":
            return _cluster(parts, options, prefix)
    raise BrokerUrlError(f"Expected {_FORMS}.")


def is_cluster(url: str) -> bool:
    """Return whether this `REDIS_URL` names a cluster, which neither the cache nor the channel layer can use."""
    return bool(url) and parse_broker_url(url).kind is BrokerKind.CLUSTER


def parse_single_url(url: str) -> BrokerAddress:
    """Return the address of one server, or of one primary that sentinels name; raises BrokerUrlError."""
    address = parse_broker_url(url)
    if address.kind is BrokerKind.CLUSTER:
        raise BrokerUrlError(
            "Neither the cache nor the channel layer can use a cluster: expected redis:// or redis+sentinel://."
        )
    return address


def channel_layer_settings(url: str) -> dict[str, Any]:
    """Return the value for `CHANNEL_LAYERS["default"]` with this URL; raises BrokerUrlError for a cluster."""
    address = parse_single_url(url)
    # By default redis-py ends a read after 5 s, which would end every idle subscription.
    host: dict[str, Any] = {"socket_timeout": 30}
    if address.kind is BrokerKind.SENTINEL:
        host |= {
            "sentinels": list(address.nodes),
            "master_name": address.master,
            "sentinel_kwargs": dict(address.sentinel_options),
            **address.options,
        }
        if address.is_tls:
            host["ssl"] = True
    else:
        host["address"] = address.url
    return {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [host], "prefix": address.prefix},
    }


def cache_settings(url: str) -> dict[str, Any]:
    """Return the value for `CACHES["default"]` with this URL; raises BrokerUrlError for a cluster."""
    address = parse_single_url(url)
    # Requests wait for the cache. If it hangs, they get an error after 1 s.
    options: dict[str, Any] = {"socket_timeout": 1, "socket_connect_timeout": 1}
    if address.kind is BrokerKind.SENTINEL:
        options["pool_class"] = "realtime.topics.engine.redis_client.CachePool"
    return {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        # A list, because Django splits a text at commas.
        "LOCATION": [address.url or url],
        "KEY_PREFIX": "" if address.prefix == DEFAULT_PREFIX else address.prefix,
        "OPTIONS": options,
    }


def _split(url: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in url):
        raise BrokerUrlError("Expected a URL without spaces and control characters.")
    if "#" in url:
        raise BrokerUrlError("Write # as %23.")
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise BrokerUrlError(f"Expected {_FORMS}.")
    return SplitResult(parts["scheme"].lower(), parts["hosts"], parts["path"], parts["query"] or "", "")


def _options(parts: SplitResult) -> dict[str, str]:
    """Return the options of the query; raises BrokerUrlError for one that is unknown, empty or given twice."""
    known = {"prefix", "db"} | _CONNECTION_OPTIONS
    if parts.scheme.startswith("rediss"):
        known |= _TLS_OPTIONS
    if parts.scheme.endswith("+sentinel"):
        known |= _SENTINEL_OPTIONS
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise BrokerUrlError(f"Unknown option {name!r}; expected one of {', '.join(sorted(known))}.")
        if name in options or not value:
            raise BrokerUrlError(f"{name}: expected one value.")
        _value(name, value)
        options[name] = value
    return options


def _single(url: str, parts: SplitResult, options: dict[str, str], prefix: str) -> BrokerAddress:
    if parts.scheme == "unix":
        if not parts.path.strip("/") or "," in parts.netloc:
            raise BrokerUrlError("Expected a path, as in unix:///run/redis/redis.sock.")
        nodes: tuple[tuple[str, int], ...] = ()
    else:
        nodes = _nodes(parts, PORT)
        if len(nodes) > 1:
            raise BrokerUrlError("Several hosts: expected redis+sentinel:// or redis+cluster://.")
        _database(parts.path.strip("/") or "0")
    _database(options.get("db", "0"))
    query = f"?{urlencode(options)}" if options else ""
    # Not `geturl`, which takes away the empty host of unix:///path.
    url = url.partition("?")[0] + query
    return BrokerAddress(
        BrokerKind.SINGLE, nodes, prefix=prefix, url=url, is_tls=parts.scheme.startswith("rediss")
    )


def _sentinel(parts: SplitResult, options: dict[str, str], prefix: str) -> BrokerAddress:
    nodes = _nodes(parts, SENTINEL_PORT)
    master, _, database = parts.path.strip("/").partition("/")
    if not _MASTER.fullmatch(master):
        raise BrokerUrlError("Expected the name of the master behind the hosts, as in /mymaster.")
    is_tls = parts.scheme.startswith("rediss")
    sentinel: dict[str, Any] = {
        name.removeprefix("sentinel_"): options.pop(name) for name in _SENTINEL_OPTIONS & options.keys()
    }
    # They are asked one after the other: one that is down must not take the time of the whole call.
    sentinel |= {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    if is_tls:
        sentinel |= {"ssl": True} | {name: options[name] for name in _TLS_OPTIONS & options.keys()}
    number = _database(database or options.pop("db", "0"))
    data = _typed(options) | _credentials(parts) | ({"db": number} if number else {})
    return BrokerAddress(BrokerKind.SENTINEL, nodes, master, prefix, "", data, _typed(sentinel), is_tls)


def _cluster(parts: SplitResult, options: dict[str, str], prefix: str) -> BrokerAddress:
    nodes = _nodes(parts, PORT)
    if parts.path.strip("/") not in {"", "0"} or options.pop("db", "0") != "0":
        raise BrokerUrlError("A cluster has database 0 only.")
    data = _typed(options) | _credentials(parts)
    return BrokerAddress(
        BrokerKind.CLUSTER, nodes, prefix=prefix, options=data, is_tls=parts.scheme.startswith("rediss")
    )


def _nodes(parts: SplitResult, default_port: int) -> tuple[tuple[str, int], ...]:
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if len(hosts) > NODES_MAX:
        raise BrokerUrlError(f"Expected at most {NODES_MAX} hosts.")
    nodes = tuple(_node(host, default_port) for host in hosts)
    if len(set(nodes)) < len(nodes):
        raise BrokerUrlError("A host is named twice.")
    return nodes


def _node(text: str, default_port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(?P<host>\[.*\]|[^:]*)(:(?P<port>.*))?", text)
    if match is None or not _HOST.fullmatch(match["host"]):
        raise BrokerUrlError(
            "Expected a host name or an address, as in host:port; an IPv6 address as [::1]:port."
        )
    port = match["port"]
    if port is None:
        return match["host"].strip("[]"), default_port
    if not _NUMBER.fullmatch(port) or not 0 < int(port) <= PORT_MAX:
        raise BrokerUrlError(f"port: expected 1 to {PORT_MAX}.")
    return match["host"].strip("[]"), int(port)


def _database(text: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > DATABASE_MAX:
        raise BrokerUrlError("Expected the number of a database, as in /0.")
    return int(text)


def _credentials(parts: SplitResult) -> dict[str, str]:
    credentials, at, _ = parts.netloc.rpartition("@")
    username, colon, password = credentials.partition(":")
    if at and not (colon and password):
        raise BrokerUrlError("Expected user:password@ or :password@ before the hosts.")
    found = {"username": unquote(username), "password": unquote(password)}
    return {name: value for name, value in found.items() if value}


def _typed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a URL as redis-py takes them as arguments."""
    return {name: _value(name, value) for name, value in options.items()}


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in {"ssl_check_hostname", "socket_keepalive"}:
        return value.casefold() not in {"0", "f", "false", "n", "no"}
    if name == "health_check_interval":
        if not _NUMBER.fullmatch(value):
            raise BrokerUrlError(f"{name}: expected a number of seconds.")
        return int(value)
    return value
