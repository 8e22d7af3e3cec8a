"""Environment variables. They are read once, and all errors are reported together."""

import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.fields import Boolean

from chat.files.settings import FileSettings
from realtime import LOG_LEVELS, BrokerUrlError, parse_broker_url, parse_single_url
from rockstar_site.realtime_env import at_least_zero, one_of, read_realtime
from rockstar_site.secret_key import read_secret_key
from rockstar_site.unknown_variables import unknown_variables

# Ten years. Calculations with dates cannot overflow.
LIFETIME_MAX_S = 10 * 365 * 86400
# Seconds that a connection to PostgreSQL may take, unless DATABASE_URL has a `connect_timeout`; and that one of the pool is
# waited for.
DATABASE_CONNECT_S = 5
# Seconds that the pool goes on trying by itself. Its waits double: after a minute without a database it would not look for
# another minute. Once it has given up, each use tries at once.
DATABASE_RECONNECT_S = 2
DATABASE_EXPECTED = (
    "Expected sqlite:///path or postgresql://user:password@host:port/name; "
    "write @, # and / in a password as %40, %23 and %2F."
)
# The commands that serve. `serve` writes its log for machines unless told otherwise, the others for people.
SERVERS = ("serve", "runserver", "run_demo")


class Variables(Env):
    """The environment, in which an empty variable is as one that is not set."""

    def _get_value(self, env_key: str, default: Any) -> Any:
        value = super()._get_value(env_key, default)
        return default if isinstance(value, str) and not value.strip() else value

    def unknown(self) -> dict[str, list[str]]:
        """Return the variables that nothing has read and that look like ours, each with the nearest known ones."""
        return unknown_variables({**self._environ, **os.environ}, list(self._fields))


@dataclass(frozen=True, slots=True)
class Environment:
    """The checked values of the variables in .env.example."""

    debug: bool
    log_format: Literal["json", "console"]
    log_level: str
    secret_key: str
    api_docs: bool
    database: dict[str, Any]
    redis_url: str
    channel_redis_url: str
    cache_url: str
    https: bool
    metrics_token: str
    access_token_lifetime_s: int
    refresh_token_lifetime_s: int
    password_threads: int
    password_queue: int
    password_wait_s: float
    chat_files: dict[str, Any]
    chat_files_dir: Path
    realtime: dict[str, Any]
    # Names with a mistake, each with the nearest known names.
    unknown: dict[str, list[str]]


def read_environment(base_dir: Path) -> Environment:
    """Read the environment, and `.env` in `base_dir` for unset variables.

    Raises ImproperlyConfigured with all errors.
    """
    env = Variables(eager=False)
    _read_file(env, base_dir / ".env")
    # None if it is invalid. Then checks that depend on it are skipped.
    debug: bool | None = env.bool("DEBUG", False)
    values: dict[str, Any] = {
        "secret_key": env.str("SECRET_KEY", ""),
        "api_docs": env.str("API_DOCS", "", validate=_switch),
        "database_url": env.str("DATABASE_URL", "") or _default_database_url(base_dir),
        "redis_url": env.str("REDIS_URL", "", validate=_redis_url),
        "channel_redis_url": env.str("CHANNEL_REDIS_URL", "", validate=_single_url),
        "cache_url": env.str("CACHE_URL", "", validate=_single_url),
        "https": env.bool("HTTPS", False),
        "log_format": env.str("LOG_FORMAT", "", validate=one_of(("", "json", "console"))),
        "log_level": env.str("LOG_LEVEL", "INFO", validate=one_of(LOG_LEVELS)),
        "metrics_token": env.str("METRICS_TOKEN", ""),
        "access": env.int("ACCESS_TOKEN_LIFETIME_S", 900, validate=_lifetime),
        "refresh": env.int("REFRESH_TOKEN_LIFETIME_S", 14 * 86400, validate=_lifetime),
    }
    passwords = _read_passwords(env)
    chat_files = _read_chat_files(env)
    chat_files_dir = env.str("CHAT_FILES_DIR", "")
    realtime = read_realtime(env, is_development=bool(debug))
    faults = _seal(env)
    database, database_faults = _read_database(
        values["database_url"], base_dir, is_server=is_server(sys.argv)
    )
    secret_key, key_fault = read_secret_key(
        values["secret_key"], base_dir / "var" / "secret_key", debug=debug
    )
    _require_none(faults | database_faults | ({"SECRET_KEY": [key_fault]} if key_fault else {}))
    return Environment(
        debug=bool(debug),
        log_format=log_format_of(sys.argv, values["log_format"]),
        log_level=values["log_level"],
        secret_key=secret_key,
        api_docs=_is_on(values["api_docs"]) if values["api_docs"] else bool(debug),
        database=database,
        redis_url=values["redis_url"],
        channel_redis_url=values["channel_redis_url"],
        cache_url=values["cache_url"],
        https=values["https"],
        metrics_token=values["metrics_token"],
        access_token_lifetime_s=values["access"],
        refresh_token_lifetime_s=values["refresh"],
        **passwords,
        chat_files=chat_files,
        chat_files_dir=base_dir / (chat_files_dir or "var/files"),
        realtime=realtime,
        unknown=env.unknown(),
    )


def _read_file(env: Env, path: Path) -> None:
    try:
        env.read_env(path, recurse=False)
    except PermissionError:
        text = f"{path} cannot be read by this user: run the command as the one that serves (sudo -u rockstar …)."
        raise ImproperlyConfigured(text) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read: {error}.") from None


def log_format_of(
    command: Sequence[str], asked: Literal["", "json", "console"]
) -> Literal["json", "console"]:
    """Return the form of log lines: what was `asked` for where `command` serves, and text for people elsewhere."""
    if not is_server(command):
        return "console"
    return asked or ("json" if _name_of(command) in {"serve", ""} else "console")


def is_server(command: Sequence[str]) -> bool:
    """Whether this process serves: a command that does, or an ASGI server that is none of ours."""
    return not _is_manage(command) or _name_of(command) in SERVERS


def _name_of(command: Sequence[str]) -> str:
    return command[1] if _is_manage(command) and len(command) > 1 else ""


def _is_manage(command: Sequence[str]) -> bool:
    return bool(command) and Path(command[0]).name in {"manage.py", "django-admin"}


def _read_passwords(env: Env) -> dict[str, Any]:
    return {
        "password_threads": env.int("PASSWORD_THREADS", 2, validate=at_least_zero),
        "password_queue": env.int("PASSWORD_QUEUE", 32, validate=at_least_zero),
        "password_wait_s": env.float("PASSWORD_WAIT_S", 5.0, validate=at_least_zero),
    }


def _read_chat_files(env: Env) -> dict[str, Any]:
    """Read each field of FileSettings as CHAT_<name>."""
    with env.prefixed("CHAT_"):
        return {
            each.name: env.int(each.name.upper(), each.default, validate=at_least_zero)
            if isinstance(each.default, int)
            else env.str(each.name.upper(), "")
            for each in fields(FileSettings)
        }


def _require_none(faults: dict[str, list[str]]) -> None:
    if faults:
        lines = [f"  {name}: {' '.join(messages)}" for name, messages in sorted(faults.items())]
        raise ImproperlyConfigured(
            "These environment variables are wrong (.env.example explains each):\n" + "\n".join(lines)
        )


def _seal(env: Env) -> dict[str, list[str]]:
    try:
        env.seal()
    except EnvValidationError as error:
        faults: dict[str, Any] = dict(error.error_messages)  # type: ignore[arg-type] # a dict when sealed
        return {name: [str(message) for message in messages] for name, messages in faults.items()}
    return {}


def _default_database_url(base_dir: Path) -> str:
    return f"sqlite:///{_default_database(base_dir)}"


def _default_database(base_dir: Path) -> Path:
    return base_dir / "var" / "db.sqlite3"


def _read_database(
    url: str, base_dir: Path, *, is_server: bool
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    try:
        database: dict[str, Any] = dict(dj_database_url.parse(url))
    except (ValueError, dj_database_url.ParseError, dj_database_url.UnknownSchemeError):
        return {}, {"DATABASE_URL": [DATABASE_EXPECTED]}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        try:
            return _sqlite(database, base_dir), {}
        except OSError as error:
            return {}, {"DATABASE_URL": [f"Its file cannot be made: {error.strerror}."]}
    if database["ENGINE"] == "django.db.backends.postgresql":
        # PostgreSQL's own file of services may have the name instead.
        if not database["NAME"] and "service" not in database.get("OPTIONS", {}):
            return {}, {"DATABASE_URL": [DATABASE_EXPECTED]}
        return _postgresql(database, has_pool=is_server), {}
    return {}, {"DATABASE_URL": ["Only SQLite and PostgreSQL are supported."]}


def _sqlite(database: dict[str, Any], base_dir: Path) -> dict[str, Any]:
    # With IMMEDIATE a writer waits for the lock. A deferred transaction would fail without waiting.
    options = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    name = database["NAME"]
    if name != ":memory:":
        path = Path(name) if Path(name).is_absolute() else base_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _keep_private(path, is_ours=path == _default_database(base_dir))
        name = str(path)
    # Tests use threads, and threads cannot wait for a lock of an in-memory database.
    test = {"NAME": str(base_dir / "var" / f"test-{os.getpid()}.sqlite3")}
    return database | {"NAME": name, "OPTIONS": options, "CONN_MAX_AGE": 0, "TEST": test}


def _keep_private(path: Path, *, is_ours: bool) -> None:
    """Create a new database file that only its owner can read, because it holds session keys.

    SQLite gives its other files the same mode. An existing file keeps its mode, unless this project created
    it.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if not is_ours:
        return
    for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError):
            state = each.stat()
            if stat.S_IMODE(state.st_mode) & 0o077 and state.st_uid == os.geteuid():
                each.chmod(0o600)


def _postgresql(database: dict[str, Any], *, has_pool: bool) -> dict[str, Any]:
    # Django's persistent connections leak under ASGI. The driver's own pool does not. A command needs no pool, which would
    # take seconds and many lines of the log to say that the database is away.
    pool = {
        "min_size": 1,
        "max_size": 16,
        "timeout": DATABASE_CONNECT_S,
        "reconnect_timeout": DATABASE_RECONNECT_S,
    }
    # By default a connection waits as long as the network lets it.
    options = {"connect_timeout": DATABASE_CONNECT_S} | database.get("OPTIONS", {})
    return database | {"OPTIONS": options | ({"pool": pool} if has_pool else {}), "CONN_MAX_AGE": 0}


def _switch(text: str) -> None:
    if text:
        _is_on(text)


def _is_on(text: str) -> bool:
    return bool(Boolean().deserialize(text))


def _lifetime(seconds: float) -> None:
    if not 1 <= seconds <= LIFETIME_MAX_S:
        raise ValidationError(f"Expected a number of 1 to {LIFETIME_MAX_S}.")


def _redis_url(url: str) -> None:
    try:
        if url:
            parse_broker_url(url)
    except BrokerUrlError as error:
        raise ValidationError(str(error)) from error


def _single_url(url: str) -> None:
    try:
        if url:
            parse_single_url(url)
    except BrokerUrlError as error:
        raise ValidationError(str(error)) from error
