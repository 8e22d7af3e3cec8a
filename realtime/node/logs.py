"""The form of log lines: one event is one line of JSON, or a line for people, and never holds a credential.

`log_settings` is Django's LOGGING. Each line says when (ISO 8601, UTC), how grave, which node and worker, and, if it
is about one connection or HTTP request, its id, tenant, user and verb.
"""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context, ContextVar, copy_context
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import Any, Literal

import msgspec
from django.utils.log import CallbackFilter
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from realtime.protocol.codec import time_text
from realtime.sockets.labels import scope_log_fields
from realtime.sockets.types import Scope

LogForm = Literal["json", "console"]
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
# Characters of one message, traceback or field; the rest is left out.
TEXT_MAX_CHARS = 16 * 1024
# Why the database cannot be used now.
DATABASE_LOGGER = "realtime.database"
# The loggers whose messages repeat themselves, several times a second or for each request: each message is written
# once in this many seconds.
REPEATING = frozenset({DATABASE_LOGGER, "psycopg.pool"})
REPEAT_S = 60.0

# The ASGI scope and the verb that the current task works for. Set once in a task that serves one connection or
# request, so it is not reset.
log_scope: ContextVar[Scope | None] = ContextVar("log_scope", default=None)
log_verb: ContextVar[str] = ContextVar("log_verb", default="")

# The names of secrets, also at the end of a longer name: `METRICS_TOKEN`, `csrfmiddlewaretoken`.
_NAMES = r"(?:token|ticket|passw(?:or)?d|secret|secret_?key|session_?(?:id|key)|api[-_]?key|signature)"
_HEADERS = r"(?:(?:proxy-)?authorization|(?:set-)?cookie|sec-websocket-protocol)"
# Behind a name: as in a query, a header, JSON, or a tuple of Python's.
_SEPARATOR = r"(?:\\*[\"']\s*(?:,|:|=>?)|\s*(?:=>?|:|%3[dD]))\s*"
_QUOTED = r"b?\\*(?:\"(?:[^\"\\]|\\.)*|'(?:[^'\\]|\\.)*)"
_SECRETS = re.compile(
    # A JSON Web Token; an API key.
    r"(?:(?<![\w-])|(?<=%[\da-f]{2}))eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?|\brk_[\w-]{8,}"
    # The credentials in the address of a broker or a database.
    r"|(?<=://)[^/\s\"']*(?=@)"
    rf"|(?P<header>{_HEADERS}{_SEPARATOR})(?:{_QUOTED}|[^\"'\r\n]+)"
    rf"|(?P<name>{_NAMES}{_SEPARATOR})(?:{_QUOTED}|[^\s\"'&;,)}}\]\\]+)"
    r"|(?<=bearer[ .])[\w.~+/=-]+",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
# A quick look before the search: most lines hold none of these.
_HINTS = (
    *("eyj", "rk_", "://", "bearer", "authorization", "cookie", "sec-websocket-protocol"),
    *("token", "ticket", "passw", "secret", "session", "apikey", "api_key", "api-key", "signature"),
)
_SECRET_NAME = re.compile(rf"{_NAMES}$|^{_HEADERS}$", re.IGNORECASE)
# Characters that end a line or steer a terminal.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_HIDDEN = "***"
_PLAIN = (str, int, float, bool, type(None))
# Attributes of a record that are no fields, and names that every line has for something else.
_NOT_FIELDS = frozenset({*RESERVED_ATTRS, "time", "level", "logger", "node", "worker"})


class _Process:
    """The node of this process and its worker, for its log lines; None in a process that serves nothing."""

    node: str | None = None
    worker: int | None = None


def name_process(node: str, worker: int) -> None:
    """Put the node of this process and its worker into its lines from now on."""
    _Process.node, _Process.worker = node, worker


def process_context() -> Context:
    """Return a copy of the current context whose log lines are about no connection or request."""
    context = copy_context()
    if log_scope.get() is not None:
        context.run(log_scope.set, None)
        context.run(log_verb.set, "")
    return context


def log_settings(form: LogForm = "json", level: str = "INFO") -> dict[str, Any]:
    """Return Django's LOGGING: every logger writes to standard error, in one form.

    `level` is that of this project's loggers. Those of libraries are at INFO or above: below it they write whole
    requests and queries, with the secrets in them.
    """
    of_libraries = max(level, "INFO", key=LOG_LEVELS.index)
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "realtime.node.logs.JsonLines"},
            "console": {"()": "realtime.node.logs.ConsoleLines"},
        },
        "filters": {"once": {"()": OncePerMinute}, "faults": {"()": CallbackFilter, "callback": _is_fault}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["once"]}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own handlers would write these a second time.
            "django": {"handlers": [], "level": of_libraries, "propagate": True},
            "django.server": {"handlers": [], "level": of_libraries, "propagate": True},
            # Every answer has a line already; this one would repeat those of 4xx and of 503.
            "django.request": {"level": "ERROR", "filters": ["faults"]},
            # uvicorn logs every WebSocket with its whole query string, at INFO.
            "uvicorn.error": {"level": "WARNING"},
            "daphne": {"level": "WARNING"},
            "django.channels.server": {"level": "WARNING"},
            # Five lines each time that a connection is taken from the pool.
            "psycopg": {"level": "WARNING"},
            **{
                name: {"level": of_libraries}
                for name in ("asyncio", "channels_redis", "PIL", "redis", "websockets")
            },
        },
    }


class OncePerMinute(logging.Filter):
    """Leaves out lines of REPEATING loggers that say the same as one of the last minute, whatever their arguments."""

    def __init__(self, name: str = "", clock: Callable[[], float] = monotonic) -> None:
        super().__init__(name)
        self._clock = clock
        # When each message was last written, by its logger and its text without arguments: as many as in the code.
        self._written_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line."""
        if record.name not in REPEATING:
            return True
        now_s, told = self._clock(), (record.name, str(record.msg))
        is_new = now_s - self._written_s.get(told, -inf) >= REPEAT_S
        if is_new:
            self._written_s[told] = now_s
        return is_new


def _is_fault(record: logging.LogRecord) -> bool:
    return getattr(record, "status_code", 0) != HTTPStatus.SERVICE_UNAVAILABLE


def redact(text: str) -> str:
    """Return `text` with every credential in it replaced by `***`."""
    return _SECRETS.sub(_hide, text) if _may_hold_secrets(text) else text


def _may_hold_secrets(text: str) -> bool:
    lower = text.lower()
    for hint in _HINTS:  # noqa: SIM110 `any` takes twice as long, and every line passes here
        if hint in lower:
            return True
    return False


def _hide(found: re.Match[str]) -> str:
    return (found["header"] or found["name"] or "") + _HIDDEN


class JsonLines(JsonFormatter):
    """One JSON object a line, in ASCII: no text of a client can begin a line or steer a terminal."""

    def __init__(self) -> None:
        super().__init__(json_serializer=_encode)

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Fill `log_data`; called by the base class, which encodes it."""
        log_data |= head_of(record)
        if isinstance(record.msg, dict):
            # An event, which names what it is about.
            log_data |= record.msg
            return
        log_data.update(fields_of(record))
        for name in ("exc_info", "stack_info"):
            # Formatted by the base class. The end of a traceback says most.
            if text := message_dict.get(name):
                log_data[name] = str(text)[-TEXT_MAX_CHARS:]

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line. Its parts are searched for secrets only if something in it looks like one."""
        line = super().serialize_log_record(log_data)
        if not _may_hold_secrets(line):
            return line
        return super().serialize_log_record({name: _clean(name, value) for name, value in log_data.items()})


class ConsoleLines(logging.Formatter):
    """A line for people: time, level, logger, message, and the fields behind it. A traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of one event. Only those of a traceback are indented, so no text can pass for an event."""
        fields = {name: value for name, value in fields_of(record) if value is not None}
        head = head_of(record)
        message = fields.pop("message", "") or fields.pop("event", "")
        fields |= {name: head[name] for name in ("node", "worker") if head[name] is not None}
        said = [f"{name}={_shown(value, name)}" for name, value in fields.items()]
        line = " ".join([head["time"], record.levelname, f"{record.name}:", _shown(message), *said])
        return "\n".join([line, *self._trace(record)])

    def _trace(self, record: logging.LogRecord) -> Iterator[str]:
        text = self.formatException(record.exc_info) if record.exc_info else record.exc_text or ""
        for part in (text, record.stack_info or ""):
            yield from (f"    {_shown(line)}" for line in part[-TEXT_MAX_CHARS:].split("\n") if part)


_encoder = msgspec.json.Encoder(enc_hook=str)


def _encode(log_data: Mapping[str, Any], **options: Any) -> str:
    """Return JSON in ASCII. The quick encoder writes other characters as they are, and no lone surrogates."""
    try:
        line = _encoder.encode(log_data)
    except UnicodeEncodeError:
        return json.dumps(log_data, default=str)
    is_plain = line.isascii() and b"\x7f" not in line
    return line.decode() if is_plain else json.dumps(log_data, default=str).replace("\x7f", "\\u007f")


def head_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what every line says."""
    return {
        "time": time_text(int(record.created * 1e9)),
        "level": record.levelname,
        "logger": record.name,
        "node": _Process.node,
        "worker": _Process.worker,
    }


def fields_of(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """Yield the connection or request that the line is about, then its message, or the event that it reports."""
    scope = log_scope.get()
    if scope is not None:
        yield from scope_log_fields(scope).items()
    if verb := log_verb.get():
        yield "verb", verb
    # Typed as a text; `logging` takes anything.
    event: Any = record.msg
    if isinstance(event, Mapping):
        yield from _plain(event)
        return
    yield "message", record.getMessage()[:TEXT_MAX_CHARS]
    yield from _plain(vars(record))


def _plain(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if name not in _NOT_FIELDS and isinstance(value, _PLAIN):
            yield name, value[:TEXT_MAX_CHARS] if isinstance(value, str) else value


def _clean(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _HIDDEN if value and _SECRET_NAME.search(name) else redact(value)


def _shown(value: Any, name: str = "") -> str:
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", str(_clean(name, value)))
