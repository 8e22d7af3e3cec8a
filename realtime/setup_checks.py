"""System checks of a project's settings for this package: one sentence for each mistake, before anything is served."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 Django's name
from django.utils.module_loading import import_string

from realtime.conf import RealtimeSettings, default_of, given_settings, setting_faults
from realtime.core.addresses import TrustedProxies
from realtime.core.broker_url import BrokerUrlError, parse_broker_url
from realtime.core.history import ENTRY_OVERHEAD_BYTES
from realtime.core.origins import parse_origin
from realtime.core.topics import rule_faults
from realtime.endpoints.consumers.plain import PlainConsumer
from realtime.endpoints.routing import Route

APPLICATION = "realtime.asgi.application"
# Apps whose `runserver` has no WebSockets, or not our settings.
RUNSERVERS = ("daphne", "django.contrib.staticfiles")
PREFIX = "REALTIME_"
# Engines whose sessions are rows of the app `django.contrib.sessions`.
SESSIONS_IN_DATABASE = ("django.contrib.sessions.backends.db", "django.contrib.sessions.backends.cached_db")
# The methods that the class in each setting must have.
PORTS = {
    "TENANTS": ("lookup", "refresh"),
    "IDENTITY": ("verify_token", "redeem_ticket", "load_session", "recheck", "revocations", "sweep"),
}


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Check the names and values in REALTIME, and find settings beside it that nothing reads."""
    given: Any = given_settings()
    rules = given.get("TOPIC_RULES", {}) if isinstance(given, Mapping) else {}
    # E003 reports the faults of rules.
    known = set(rule_faults(rules)) if isinstance(rules, Mapping) else set()
    found: list[CheckMessage] = [
        Error(fault, id="realtime.E006") for fault in setting_faults(given) if fault not in known
    ]
    return [*found, *_beside(), *_patterns(rules), *_histories(rules)]


def check_ports(**_kwargs: Any) -> list[CheckMessage]:
    """Check that TENANTS and IDENTITY name classes that do their work."""
    return [*_ports(), *_default_identity()]


def check_application(**_kwargs: Any) -> list[CheckMessage]:
    """Check that ASGI_APPLICATION names an application with sockets."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    hint = f'Set ASGI_APPLICATION = "{APPLICATION}".'
    if not isinstance(path, str) or not path:
        return [
            Error("ASGI_APPLICATION is not set: no server finds the sockets.", hint=hint, id="realtime.E008")
        ]
    if path == APPLICATION:
        return []
    fault = application_fault(path)
    if fault:
        return [Error(fault, hint=hint, id="realtime.E008")]
    source = _source_of(path.rpartition(".")[0]) or "realtime"
    if "realtime" in source:
        return []
    text = (
        f"ASGI_APPLICATION names {path!r}, whose sockets are those of Channels alone: "
        "routes of `realtime` are not served."
    )
    hint = f'Route your consumers in REALTIME = {{"ROUTES": …}} with `websocket(…)`, and {hint[0].lower()}{hint[1:]}'
    return [Warning(text, hint=hint, id="realtime.W012")]


def check_order(**_kwargs: Any) -> list[CheckMessage]:
    """Check that `runserver` is the one of this package."""
    names = [config.name for config in apps.get_app_configs()]
    earlier = [name for name in names[: names.index("realtime")] if name in RUNSERVERS]
    if not earlier:
        return []
    text = f'"realtime" comes after "{earlier[0]}" in INSTALLED_APPS, whose `runserver` is taken instead of this one\'s.'
    return [Error(text, hint='Put "realtime" first.', id="realtime.E009")]


def check_values(**_kwargs: Any) -> list[CheckMessage]:
    """Check the texts and numbers that are of the right kind and mean nothing."""
    return [Error(f"REALTIME: {fault}", hint=hint, id="realtime.E011") for fault, hint in _value_faults()]


def check_layer_of_consumers(**_kwargs: Any) -> list[CheckMessage]:
    """Check that consumers of Channels have a channel layer, if there are some."""
    plain = [route for route in _routes() if issubclass(route.consumer, PlainConsumer)]
    if not plain or "default" in getattr(settings, "CHANNEL_LAYERS", {}):
        return []
    text = (
        f"The route {plain[0].path} has a consumer of Channels, and CHANNEL_LAYERS has no `default`: "
        "its `channel_layer` is None, and it can use no groups."
    )
    hint = 'Set CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}} for one process.'
    return [Warning(text, hint=hint, id="realtime.W011")]


def check_hosts(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the one tenant has a host."""
    is_default = "TENANTS" not in _given()
    if not is_default or settings.ALLOWED_HOSTS or settings.DEBUG:
        return []
    text = "ALLOWED_HOSTS is empty and DEBUG is off: every host is answered with 404, sockets too."
    return [Warning(text, hint="Name the hosts of the site in ALLOWED_HOSTS.", id="realtime.W006")]


def check_broker(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the clients of a broker are installed if there is one."""
    if not _given().get("REDIS_URL"):
        return []
    missing = [name for name in ("redis", "hiredis", "channels_redis") if find_spec(name) is None]
    if not missing:
        return []
    text = f"There is a REDIS_URL, but {' and '.join(missing)} cannot be imported."
    return [Error(text, hint="Install rockstar-realtime[redis].", id="realtime.E010")]


def _given() -> Mapping[str, Any]:
    given: Any = given_settings()
    return given if isinstance(given, Mapping) else {}


def _beside() -> Iterator[CheckMessage]:
    """Settings of this package that stand beside REALTIME."""
    known = {each.name for each in fields(RealtimeSettings)}
    for name in dir(settings):
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in known:
            inner = name.removeprefix(PREFIX)
            text = f"The setting {name} is not read."
            yield Warning(text, hint=f'Write REALTIME = {{"{inner}": …}}.', id="realtime.W007")


def _patterns(rules: Any) -> Iterator[CheckMessage]:
    for prefix in rules if isinstance(rules, Mapping) else ():
        if isinstance(prefix, str) and any(char in prefix for char in "*?["):
            text = (
                f"The topic rule {prefix!r} is no pattern: it is for topics that begin with {prefix + ':'!r}."
            )
            yield Warning(text, hint="Give the part before the first `:` alone.", id="realtime.W008")


def _histories(rules: Any) -> Iterator[CheckMessage]:
    """Rules that ask for more publications than the bytes of a topic can hold."""
    max_bytes = _given().get("HISTORY_BYTES_PER_TOPIC", default_of("HISTORY_BYTES_PER_TOPIC"))
    if type(max_bytes) is not int or max_bytes <= 0:
        return
    # The data is a byte at least.
    holds = max(1, max_bytes // (ENTRY_OVERHEAD_BYTES + 1))
    for prefix, rule in rules.items() if isinstance(rules, Mapping) else ():
        size: object = getattr(rule, "history_size", 0)
        if type(size) is int and size > holds:
            text = (
                f"The topic rule {prefix!r} has a history_size of {size}, and a topic holds at most {holds}: each "
                f"counts its data and {ENTRY_OVERHEAD_BYTES} bytes, and HISTORY_BYTES_PER_TOPIC is {max_bytes}."
            )
            hint = "Raise HISTORY_BYTES_PER_TOPIC, or ask for fewer."
            yield Warning(text, hint=hint, id="realtime.W013")


def _ports() -> Iterator[CheckMessage]:
    for name, methods in PORTS.items():
        path = _given().get(name, default_of(name))
        if not isinstance(path, str):
            continue
        try:
            found = import_string(path)
        except Exception as error:
            text = (
                f"REALTIME: {name} names {path!r}, which cannot be imported: {type(error).__name__}: {error}."
            )
            yield Error(text, hint="Give the dotted path of a class.", id="realtime.E007")
            continue
        missing = [each for each in methods if not callable(getattr(found, each, None))]
        if not isinstance(found, type):
            yield Error(f"REALTIME: {name} names {path!r}, which is no class.", id="realtime.E007")
        elif missing:
            text = f"REALTIME: {name} names {path!r}, which lacks {', '.join(missing)}."
            yield Error(text, hint="The methods are those of realtime.node.ports.", id="realtime.E007")


def _value_faults() -> Iterator[tuple[str, str]]:
    """Yield the faults of values, each with a hint. Values of the wrong kind are those of `check_settings`."""
    given = _given()
    url, proxies, at = (
        given.get(name, default_of(name)) for name in ("REDIS_URL", "TRUSTED_PROXIES", "HTTP_BODY_BYTES_AT")
    )
    for origin in _texts(given.get("ALLOWED_ORIGINS")):
        if parse_origin(origin) is None:
            yield (
                f"ALLOWED_ORIGINS has {origin!r}, which is no origin.",
                "Write it as https://shop.example.com.",
            )
    if isinstance(url, str) and url:
        try:
            parse_broker_url(url)
        except BrokerUrlError as error:
            yield f"REDIS_URL: {error}", "Write it as redis://host:6379/0."
    try:
        TrustedProxies(_texts(proxies))
    except ValueError as error:
        yield f"TRUSTED_PROXIES: {error}", "Give addresses and networks, as 10.0.0.0/8."
    for path, size in at.items() if isinstance(at, Mapping) else ():
        if not (isinstance(path, str) and path.startswith("/") and type(size) is int and size >= 0):
            yield (
                f"HTTP_BODY_BYTES_AT has {path!r}: {size!r}.",
                'Give the bytes of each path, as {"/upload/": 1048576}.',
            )


def _texts(given: Any) -> list[str]:
    return (
        [each for each in given if isinstance(each, str)]
        if isinstance(given, list | tuple | set | frozenset)
        else []
    )


def _routes() -> list[Route]:
    """Return the routes, as far as they can be had: `check_routes` says what is wrong with them."""
    path = _given().get("ROUTES", default_of("ROUTES"))
    try:
        routes = import_string(f"{path}.routes")
    except Exception:
        return []
    return [each for each in routes if isinstance(each, Route)] if isinstance(routes, list | tuple) else []


def _default_identity() -> Iterator[CheckMessage]:
    if "IDENTITY" in _given():
        return
    needed = ["django.contrib.auth", "django.contrib.contenttypes"]
    if settings.SESSION_ENGINE in SESSIONS_IN_DATABASE:
        needed.append("django.contrib.sessions")
    for app in needed:
        if not apps.is_installed(app):
            text = f'REALTIME has no IDENTITY, and "{app}" is not in INSTALLED_APPS: nobody can be signed in.'
            hint = "Name a class of your own in IDENTITY, or install the app."
            yield Error(text, hint=hint, id="realtime.E007")


def application_fault(path: str) -> str:
    """Return the fault of an ASGI_APPLICATION, in a sentence; "" if it has sockets, as far as its source shows."""
    if ":" in path:
        return f"ASGI_APPLICATION names {path!r}; Django wants a dot between module and name."
    module, _, name = path.rpartition(".")
    source = _source_of(module) if module and name else None
    if source is None:
        return f"ASGI_APPLICATION names {path!r}, and there is no such module."
    if source and not re.search(rf"\b{re.escape(name)}\b", source):
        return f"ASGI_APPLICATION names {path!r}, and the module has no such name."
    if source and "realtime" not in source and "channels" not in source:
        return f"ASGI_APPLICATION names {path!r}, which builds no application with sockets."
    return ""


def _source_of(module: str) -> str | None:
    """Return the source of a module; "" if it has none that can be read, None if there is no such module."""
    # Not imported: an application may build everything as it is imported, and this runs before every command.
    package = module.rpartition(".")[0]
    try:
        # `find_spec` imports what is before the last dot.
        is_in_package = not package or _is_package(package)
        spec = find_spec(module) if is_in_package else None
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    read = getattr(spec.loader, "get_source", None)
    return (read(module) if read is not None else None) or ""


def _is_package(name: str) -> bool:
    parent = name.rpartition(".")[0]
    spec = find_spec(name) if not parent or _is_package(parent) else None
    return spec is not None and spec.submodule_search_locations is not None


ALL = (
    check_settings,
    check_values,
    check_ports,
    check_application,
    check_order,
    check_layer_of_consumers,
    check_hosts,
    check_broker,
)
