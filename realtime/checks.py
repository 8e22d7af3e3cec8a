"""System checks of the settings, for `manage.py check`. `check --deploy` adds warnings for production."""

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from traceback import extract_tb
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 Django's name
from django.core.exceptions import ImproperlyConfigured

from realtime.conf import default_of, given_settings
from realtime.core.topics import rule_faults
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Route, Router
from realtime.node.publish_failures import load_reporter

# With a shorter timeout, connections to a quiet broker would end between two messages.
SOCKET_TIMEOUT_MIN_S = 20.0
# No limit holds up guesses of it: it is compared before any user is known.
METRICS_TOKEN_MIN_CHARS = 32


def check_layer(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the channel layer of other apps is shared between processes and has long enough socket timeouts."""
    layers: Mapping[str, Any] = getattr(settings, "CHANNEL_LAYERS", {})
    return [*_unshared(layers), *_short_timeouts(layers)]


def check_gates(**_kwargs: Any) -> list[CheckMessage]:
    """Check that every topic rule can match, and that its gates can refuse."""
    rules = _given().get("TOPIC_RULES", {})
    if not isinstance(rules, Mapping):
        return []
    return [Error(fault, id="realtime.E003") for fault in rule_faults(rules)]


def check_publish_errors(**_kwargs: Any) -> list[CheckMessage]:
    """Check that PUBLISH_ERRORS names a plain function."""
    try:
        load_reporter(_given().get("PUBLISH_ERRORS", ""))
    except ImproperlyConfigured as error:
        hint = "Give the dotted path of a function that takes a PublishFailure."
        return [Error(str(error), hint=hint, id="realtime.E004")]
    return []


def check_declarations(**_kwargs: Any) -> list[CheckMessage]:
    """Check what apps declare: methods, streams, queries, and the routes with their consumers and verbs."""
    try:
        Registry.discover()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="realtime.E005")]
    except Exception as error:
        # A module of an app fails while it is imported.
        return [
            Error(f"The `realtime` module of an app cannot be imported: {_told(error)}", id="realtime.E005")
        ]
    return []


def check_routes(**_kwargs: Any) -> list[CheckMessage]:
    """Check that ROUTES names a module with a list of routes, no two of them alike."""
    path = _given().get("ROUTES", default_of("ROUTES"))
    if not isinstance(path, str):
        return []
    try:
        Router(_routes_of(path))
    except ImproperlyConfigured as error:
        return [Error(str(error), id="realtime.E005")]
    except Exception as error:
        text = f"REALTIME: ROUTES names {path!r}, which cannot be imported: {_told(error)}"
        return [Error(text, hint="Name a module that has a list `routes`.", id="realtime.E005")]
    return []


def _routes_of(path: str) -> Iterable[Route]:
    module = import_module(path)
    routes = getattr(module, "routes", None)
    if not isinstance(routes, list | tuple):
        raise ImproperlyConfigured(f"REALTIME: ROUTES names {path!r}, which has no list `routes`.")
    for each in routes:
        if not isinstance(each, Route):
            text = (
                f"{path}.routes holds {each!r}, which is no route: make it with `websocket(…)` of `realtime`."
            )
            hint = " `host(…)` gives a list: write `*host(…)`." if isinstance(each, list) else ""
            raise ImproperlyConfigured(text + hint)
    return routes


def _told(error: Exception) -> str:
    """Return the error with the last place outside of this package and of Python: most likely the place to correct."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})."
    frames = extract_tb(error.__traceback__)
    places = [each for each in frames if "importlib" not in each.filename and each.filename != __file__]
    place = f" ({places[-1].filename}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {error}{place}."


def _given() -> Mapping[str, Any]:
    """Return REALTIME; empty if it is not a dict, which `check_settings` reports."""
    given: Any = given_settings()
    return given if isinstance(given, Mapping) else {}


def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """Return the warnings of `check --deploy`."""
    realtime = _given()
    problems = (
        (
            settings.DEBUG,
            "W001",
            "DEBUG is on.",
            "Remove it in production: error pages show settings and code, and all queries are kept in memory.",
        ),
        (
            # Without DEBUG it may come from `.env` or a store of secrets, and Django warns of one of `startproject` (W009).
            settings.DEBUG and os.environ.get("SECRET_KEY") != settings.SECRET_KEY,
            "W002",
            "SECRET_KEY does not come from the environment.",
            "Set SECRET_KEY: every machine must sign sessions and tokens with the same one.",
        ),
        (
            not realtime.get("REDIS_URL"),
            "W003",
            "REDIS_URL is not set.",
            "Set it before starting a second process: without it, processes do not share topics.",
        ),
        (
            not realtime.get("HTTPS"),
            "W004",
            "HTTPS is off.",
            "Set HTTPS=1 behind a proxy that ends TLS: otherwise cookies and tokens are sent unencrypted.",
        ),
        (
            realtime.get("HTTPS") and not realtime.get("TRUSTED_PROXIES"),
            "W005",
            "HTTPS is on, but REALTIME_TRUSTED_PROXIES is empty.",
            "Name the proxy that ends TLS: otherwise all its clients count as one address and share its limits.",
        ),
        (
            0 < len(str(realtime.get("METRICS_TOKEN") or "")) < METRICS_TOKEN_MIN_CHARS,
            "W014",
            f"METRICS_TOKEN has fewer than {METRICS_TOKEN_MIN_CHARS} characters.",
            "It opens the metrics of all tenants: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        ),
    )
    return [
        Warning(message, hint=hint, id=f"realtime.{number}")
        for applies, number, message, hint in problems
        if applies
    ]


def _unshared(layers: Mapping[str, Any]) -> Iterator[CheckMessage]:
    # Topics do not use the layer; consumers of other apps may. A site without a default layer needs none, it seems.
    url = _given().get("REDIS_URL")
    if not url or not isinstance(url, str):
        return
    backend = layers["default"].get("BACKEND", "") if "default" in layers else "channels_redis."
    if not backend.startswith("channels_redis."):
        yield Warning(
            "REDIS_URL is set, but the default channel layer does not use it: `group_send` of other apps reaches one "
            "process only.",
            hint='Set CHANNEL_LAYERS["default"] to realtime.channel_layer_settings(REDIS_URL).',
            id="realtime.W009",
        )
    # A wrong URL is reported elsewhere.
    if "default" not in layers and url.partition(":")[0].endswith("+cluster"):
        yield Warning(
            "There is no default channel layer, because it cannot use a cluster: `group_send` of other apps does not work.",
            hint="Set CHANNEL_REDIS_URL to one server or to Sentinel, if an app of this site needs a channel layer.",
            id="realtime.W010",
        )


def _short_timeouts(layers: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for name, layer in layers.items():
        if not str(layer.get("BACKEND", "")).startswith("channels_redis."):
            continue
        for host in layer.get("CONFIG", {}).get("hosts") or ["redis://localhost:6379"]:
            if not _is_patient(host):
                yield Error(
                    f"A host of the channel layer {name!r} needs a socket_timeout of at least "
                    f"{SOCKET_TIMEOUT_MIN_S:g} s.",
                    hint="By default redis-py ends a read after 5 s, which ends every quiet subscription.",
                    id="realtime.E001",
                )


def _is_patient(host: Any) -> bool:
    options = dict(host) if isinstance(host, Mapping) else {"address": host if isinstance(host, str) else ""}
    if "socket_timeout" in options:
        timeout = options["socket_timeout"]
    else:
        timeout = parse_qs(urlsplit(options.get("address") or "").query).get("socket_timeout", ["5"])[-1]
    return timeout is None or float(timeout) >= SOCKET_TIMEOUT_MIN_S
