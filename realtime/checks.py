"""System checks of the settings, for `manage.py check`. `check --deploy` adds warnings for production."""

import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 Django's name
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from realtime.conf import given_settings
from realtime.core.topics import rule_faults
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Router
from realtime.node.publish_failures import load_reporter

# With a shorter timeout, connections to a quiet broker would end between two messages.
SOCKET_TIMEOUT_MIN_S = 20.0


def check_layer(**_kwargs: Any) -> list[CheckMessage]:
    """Check that the channel layer is shared between processes and has long enough socket timeouts."""
    layers: Mapping[str, Any] = getattr(settings, "CHANNEL_LAYERS", {})
    return [*_unshared(layers), *_short_timeouts(layers)]


def check_gates(**_kwargs: Any) -> list[CheckMessage]:
    """Check that every topic rule can match, and that its gates can refuse."""
    faults = rule_faults(given_settings().get("TOPIC_RULES", {}))
    return [
        Error(
            fault, hint="A gate allows only by returning True; a coroutine is never True.", id="realtime.E003"
        )
        for fault in faults
    ]


def check_publish_errors(**_kwargs: Any) -> list[CheckMessage]:
    """Check that PUBLISH_ERRORS names a plain function."""
    try:
        load_reporter(given_settings().get("PUBLISH_ERRORS", ""))
    except ImproperlyConfigured as error:
        hint = "Give the dotted path of a function that takes a PublishFailure."
        return [Error(str(error), hint=hint, id="realtime.E004")]
    return []


def check_declarations(**_kwargs: Any) -> list[CheckMessage]:
    """Check what apps declare: methods, streams, queries, and the routes with their consumers and verbs."""
    try:
        Registry.discover()
        if routes := given_settings().get("ROUTES"):
            Router(import_string(f"{routes}.routes"))
    except ImproperlyConfigured as error:
        return [Error(str(error), id="realtime.E005")]
    return []


def check_deployment(**_kwargs: Any) -> list[CheckMessage]:
    """Return the warnings of `check --deploy`."""
    realtime = given_settings()
    problems = (
        (
            settings.DEBUG,
            "W001",
            "DEBUG is on.",
            "Remove it in production: error pages show settings and code, and all queries are kept in memory.",
        ),
        (
            os.environ.get("SECRET_KEY") != settings.SECRET_KEY,
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
    )
    return [
        Warning(message, hint=hint, id=f"realtime.{number}")
        for applies, number, message, hint in problems
        if applies
    ]


def _unshared(layers: Mapping[str, Any]) -> Iterator[CheckMessage]:
    backend = layers.get("default", {}).get("BACKEND", "")
    if given_settings().get("REDIS_URL") and not backend.startswith("channels_redis."):
        yield Error(
            "REDIS_URL is set, but the default channel layer does not use it.",
            hint='Set CHANNEL_LAYERS["default"]["BACKEND"] to channels_redis.pubsub.RedisPubSubChannelLayer.',
            id="realtime.E002",
        )


def _short_timeouts(layers: Mapping[str, Any]) -> Iterator[CheckMessage]:
    for name, layer in layers.items():
        if not layer["BACKEND"].startswith("channels_redis."):
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
