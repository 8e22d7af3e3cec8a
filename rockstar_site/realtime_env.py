"""The settings of realtime from the environment: each field of RealtimeSettings as REALTIME_<name>.

Types and defaults come from realtime/conf.py, so a new setting needs nothing here.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from importlib.util import find_spec
from typing import Any, Literal, get_args, get_origin, get_type_hints

from environs import Env
from marshmallow import ValidationError

from realtime import RealtimeSettings, TrustedProxies, parse_host, parse_origin
from realtime.conf import NOT_ZERO

# Their variables have no prefix (rockstar_site/env.py); topic rules and paths are code.
NOT_READ_HERE = frozenset({"REDIS_URL", "METRICS_TOKEN", "HTTPS", "TOPIC_RULES", "HTTP_BODY_BYTES_AT"})
# The parts that a site has to name. These are the ones of this site.
OUR_PARTS = {
    "TENANTS": "accounts.tenants.Directory",
    "IDENTITY": "accounts.credentials.identity.Authenticator",
    "ROUTES": "rockstar_site.routing",
}
DEVELOPMENT_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)

Values = Sequence[str]


def read_realtime(env: Env, *, is_development: bool) -> dict[str, Any]:
    """Read every setting that the environment may change. `env` collects the errors; a wrong value reads as None."""
    defaults: dict[str, Any] = {
        each.name: each.default for each in fields(RealtimeSettings) if each.default is not MISSING
    }
    defaults |= OUR_PARTS
    if is_development:
        defaults["DEVELOPMENT_HOSTS"] = DEVELOPMENT_HOSTS
    with env.prefixed("REALTIME_"):
        return {
            name: _read(env, name, kind, defaults[name])
            for name, kind in get_type_hints(RealtimeSettings).items()
            if name not in NOT_READ_HERE
        }


def at_least_zero(number: float) -> None:
    """Raise ValidationError unless `number` is finite and 0 or more."""
    if not math.isfinite(number) or number < 0:
        raise ValidationError("Expected a number of 0 or more.")


def _read(env: Env, name: str, kind: Any, default: Any) -> Any:
    if kind is bool:
        return env.bool(name, default)
    if kind in {int, float}:
        read = env.int if kind is int else env.float
        return read(name, default, validate=_at_least_one if name in NOT_ZERO else at_least_zero)
    if get_origin(kind) is Literal:
        return env.str(name, default, validate=one_of(get_args(kind)))
    if kind is str:
        return env.str(name, "", validate=_dotted_path) or default
    if kind == tuple[str, ...]:
        # None if it is wrong.
        written: list[str] = env.list(name, [], validate=_LISTS[name]) or []
        return tuple(each.strip() for each in written) or default
    raise TypeError(f"REALTIME_{name}: {kind} cannot be read from the environment.")


def _at_least_one(number: float) -> None:
    if not number >= 1:
        raise ValidationError("Expected a number of 1 or more.")


def one_of(choices: Values) -> Callable[[str], None]:
    """Return a check that raises ValidationError for a text that is none of `choices`."""

    def check(text: str) -> None:
        if text not in choices:
            raise ValidationError(f"Expected one of {', '.join(filter(None, choices))}.")

    return check


def _dotted_path(path: str) -> None:
    """Accept a dotted path whose package exists. It is imported later, because the apps are not loaded yet."""
    if path and not (_DOTTED.fullmatch(path) and find_spec(path.partition(".")[0])):
        raise ValidationError("Expected a dotted path like package.module.Name, of a package that exists.")


def _proxies(proxies: Values) -> None:
    try:
        TrustedProxies(proxies)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _origins(origins: Values) -> None:
    if not all(parse_origin(origin.strip()) for origin in origins):
        raise ValidationError("Expected origins like https://app.example.com, comma-separated.")


def _hosts(hosts: Values) -> None:
    for text in hosts:
        host = parse_host(text.strip())
        if host is None or host.port is not None:
            raise ValidationError("Expected hosts without a port, comma-separated: localhost,[::1]")


_LISTS: dict[str, Callable[[Values], None]] = {
    "ALLOWED_ORIGINS": _origins,
    "TRUSTED_PROXIES": _proxies,
    "DEVELOPMENT_HOSTS": _hosts,
}
