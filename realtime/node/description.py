"""The environment of a node's process, for its page: versions, settings without secrets, broker, database, limits."""

import os
import re
from dataclasses import fields
from platform import python_version
from socket import gethostname
from typing import Any, Protocol

import django
from django.db import connections

from realtime.conf import RealtimeSettings
from realtime.node.broker_watch import BrokerWatch
from realtime.node.figures import VERSION, Process, Reporter

# Settings of which only is said whether they are set.
_SECRETS = frozenset({"METRICS_TOKEN"})
_CREDENTIALS = re.compile(r"//.*@", re.DOTALL)
_SET, _NOT_SET = "set", "not set"


class Described(Process, Protocol):
    """The parts of a node that its description is made from."""

    id: str
    figures: Reporter

    def shared(self, kind: type[Any], make: Any) -> Any:
        """Return the process's only object of this type."""
        ...


def describe_process(node: Described) -> dict[str, Any]:
    """Return the description, as JSON. It holds no secret."""
    place = node.figures.place
    return {
        "id": node.id,
        "versions": {"rockstar": VERSION, "python": python_version(), "django": django.get_version()},
        "process": {"host": gethostname(), "pid": os.getpid(), "serve": place.serve, "worker": place.worker},
        "started_at": node.started_at.isoformat(),
        "settings": settings_of(node.settings),
        "broker": _broker(node),
        "database": _database(node),
        "limits": node.figures.own().gauges["limit_fill"],
    }


def settings_of(settings: RealtimeSettings) -> list[dict[str, Any]]:
    """Return name, value as a text, and whether it is the default, of each setting."""
    return [
        {
            "name": each.name,
            "value": _text(each.name, value := getattr(settings, each.name)),
            "is_default": value == each.default,
        }
        for each in fields(settings)
    ]


def _text(name: str, value: Any) -> str:
    if name in _SECRETS:
        return _SET if value else _NOT_SET
    if name.endswith("_URL"):
        return without_password(value)
    if name == "TOPIC_RULES":
        return ", ".join(sorted(prefix or "(no prefix)" for prefix in value))
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return str(value)


def without_password(url: str) -> str:
    """Return a URL with `***` instead of its user and password, and without its options.

    It may have several hosts, and a password with characters that should have been quoted.
    """
    return _CREDENTIALS.sub("//***@", url).partition("?")[0]


def _broker(node: Described) -> dict[str, Any]:
    if not node.settings.REDIS_URL:
        return {"kind": "memory", "is_up": None, "fault": ""}
    fault = node.shared(BrokerWatch, BrokerWatch).fault
    return {"kind": "redis", "is_up": node.bus.is_open, "fault": fault}


def _database(node: Described) -> dict[str, Any]:
    slots = node.database.slots
    return {
        "vendor": connections["default"].vendor,
        "threads": node.settings.DATABASE_THREADS,
        "waiting": slots.waiting,
        "waits": slots.waits,
        "waited_s": round(slots.waited_s, 3),
    }
