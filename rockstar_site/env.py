"""Environment variables, read once, every fault named at once."""

import math
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvValidationError
from marshmallow import ValidationError

from realtime.conf import RealtimeSettings

SECRET_KEY_MIN_CHARS = 32
# The settings of realtime that the environment may change, as REALTIME_<name>; types and defaults are theirs.
REALTIME_VARIABLES = (
    "MESSAGES_PER_S",
    "MESSAGES_BURST",
    "ATTEMPTS_PER_S",
    "ATTEMPTS_BURST",
    "MAX_CONNECTIONS",
    "MAX_CONNECTIONS_PER_IP",
    "MAX_CONNECTIONS_PER_USER",
    "POOL_SIZE",
    "IDLE_TIMEOUT_S",
    "PING_INTERVAL_S",
    "PING_TIMEOUT_S",
    "OUTBOX_BYTES",
    "COMPRESSION",
    "COMPRESSION_MIN_BYTES",
    "DRAIN_S",
)


@dataclass(frozen=True, slots=True)
class Environment:
    """The values of .env.example, checked."""

    debug: bool
    secret_key: str
    database: dict[str, Any]
    redis_url: str
    https: bool
    metrics_token: str
    access_token_lifetime_s: int
    refresh_token_lifetime_s: int
    realtime: dict[str, Any]


def read_environment(base_dir: Path) -> Environment:
    """The environment, with `.env` of `base_dir` below it; raises ImproperlyConfigured naming all that is wrong."""
    env = Env(eager=False)
    env.read_env(base_dir / ".env", recurse=False)
    debug = env.bool("DEBUG", True)
    values: dict[str, Any] = {
        "secret_key": env.str("SECRET_KEY", "", validate=_secret_key),
        "database_url": env.str("DATABASE_URL", "") or f"sqlite:///{base_dir / 'var' / 'db.sqlite3'}",
        "redis_url": env.str("REDIS_URL", "", validate=_redis_url),
        "https": env.bool("HTTPS", False),
        "metrics_token": env.str("METRICS_TOKEN", ""),
        "access": env.int("ACCESS_TOKEN_LIFETIME_S", 900, validate=_above_zero),
        "refresh": env.int("REFRESH_TOKEN_LIFETIME_S", 14 * 86400, validate=_above_zero),
    }
    realtime = _read_realtime(env)
    faults = _seal(env)
    database, database_faults = _read_database(values["database_url"], base_dir)
    faults.update(database_faults)
    if faults:
        lines = [f"  {name}: {' '.join(messages)}" for name, messages in sorted(faults.items())]
        raise ImproperlyConfigured(
            "These environment variables are wrong (.env.example explains each):\n" + "\n".join(lines)
        )
    return Environment(
        debug=debug,
        secret_key=values["secret_key"] or _own_secret_key(base_dir / "var" / "secret_key"),
        database=database,
        redis_url=values["redis_url"],
        https=values["https"],
        metrics_token=values["metrics_token"],
        access_token_lifetime_s=values["access"],
        refresh_token_lifetime_s=values["refresh"],
        realtime=realtime,
    )


def _read_realtime(env: Env) -> dict[str, Any]:
    defaults: dict[str, Any] = {each.name: each.default for each in fields(RealtimeSettings)}
    readers: dict[type, Callable[..., Any]] = {bool: env.bool, int: env.int, float: env.float}
    values: dict[str, Any] = {}
    with env.prefixed("REALTIME_"):
        for name in REALTIME_VARIABLES:
            read = readers[type(defaults[name])]
            values[name] = read(name, defaults[name], validate=_at_least_zero)
        # None where it was wrong: that is told later, with all else that is.
        values["ALLOWED_ORIGINS"] = tuple(env.list("ALLOWED_ORIGINS", [], validate=_origins) or ())
    return values


def _seal(env: Env) -> dict[str, list[str]]:
    try:
        env.seal()
    except EnvValidationError as error:
        faults: dict[str, Any] = dict(error.error_messages)  # type: ignore[arg-type] # a dict when sealed
        return {name: [str(message) for message in messages] for name, messages in faults.items()}
    return {}


def _own_secret_key(path: Path) -> str:
    """A key made at the first start and kept beside the database, for whoever has set none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_urlsafe(48)
        file.write(key)
    return key


def _read_database(url: str, base_dir: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    try:
        database = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError, dj_database_url.UnknownSchemeError):
        return {}, {"DATABASE_URL": ["Expected sqlite:///path or postgresql://user:password@host:port/name."]}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        try:
            return _sqlite(database, base_dir), {}
        except OSError as error:
            return {}, {"DATABASE_URL": [f"Its directory cannot be made: {error.strerror}."]}
    if database["ENGINE"] == "django.db.backends.postgresql":
        return _postgresql(database), {}
    return {}, {"DATABASE_URL": ["Only SQLite and PostgreSQL are supported."]}


def _sqlite(database: dict[str, Any], base_dir: Path) -> dict[str, Any]:
    # Writers take their lock at once and wait for it: a deferred transaction fails without waiting.
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    name = database["NAME"]
    if name != ":memory:":
        path = Path(name) if Path(name).is_absolute() else base_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        name = str(path)
    # Tests use threads, and threads cannot wait for each other on a database in memory.
    test = {"NAME": str(base_dir / "var" / f"test-{os.getpid()}.sqlite3")}
    return database | {"NAME": name, "OPTIONS": options, "CONN_MAX_AGE": 0, "TEST": test}


def _postgresql(database: dict[str, Any]) -> dict[str, Any]:
    # Persistent connections leak under ASGI; the driver's own pool does not.
    options = database.get("OPTIONS", {}) | {"pool": {"min_size": 1, "max_size": 16, "timeout": 5}}
    return database | {"OPTIONS": options, "CONN_MAX_AGE": 0}


def _secret_key(key: str) -> None:
    if key and len(key) < SECRET_KEY_MIN_CHARS:
        raise ValidationError(f"Expected at least {SECRET_KEY_MIN_CHARS} characters, received {len(key)}.")


def _at_least_zero(number: float) -> None:
    if not math.isfinite(number) or number < 0:
        raise ValidationError("Expected a number of 0 or more.")


def _above_zero(number: float) -> None:
    if number < 1:
        raise ValidationError("Expected a number of 1 or more.")


def _redis_url(url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in {"redis", "rediss", "unix"} or not (parts.hostname or parts.path)):
        raise ValidationError("Expected redis://host:port/number.")


def _origins(origins: list[str]) -> None:
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query:
            raise ValidationError("Expected origins like https://app.example.com, comma-separated.")
