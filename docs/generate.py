"""Writes the tables of the pages from the code: `.venv/bin/python docs/generate.py` (`--check` only compares)."""
# ruff: noqa: INP001 a script beside the pages, not a package

import dataclasses
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import getdoc, signature
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import django
import msgspec

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "docs" / name
    for name in ("protocol.md", "settings.md", "javascript-client.md", "python-client.md")
]
_MARKED = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ENV_LINE = re.compile(r"([A-Z_]+)=(.*)")
_FIELD_LINE = re.compile(r"    ([A-Z_]+): [^=]+?(?: = (.+))?")


def main() -> int:
    """Write the pages, or say whether they are current."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rockstar_site.settings")
    os.environ.setdefault("DEBUG", "1")
    django.setup()
    made = {page: render(page.read_text()) for page in PAGES}
    stale = [page.name for page, text in made.items() if text != page.read_text()]
    if "--check" in sys.argv:
        sys.stdout.write(f"out of date, run docs/generate.py: {', '.join(stale)}\n" if stale else "current\n")
        return len(stale)
    for page, text in made.items():
        page.write_text(text)
    return 0


def render(page: str) -> str:
    """`page` with what stands between its markers made anew; raises KeyError for a marker of no table."""
    tables = {
        "endpoints": endpoints,
        "verbs": verbs,
        "errors": errors,
        "close-codes": close_codes,
        "environment": environment,
        "settings": other_settings,
        "all-settings": all_settings,
        "scopes": scopes,
        "javascript": javascript,
        "python": python,
    }
    return _MARKED.sub(lambda found: f"{found[1]}\n{tables[found[2]]()}\n{found[3]}", page)


def endpoints() -> str:
    """Every WebSocket route: who may connect, and what its consumer says of itself."""
    from rockstar_site.routing import routes  # noqa: PLC0415 needs Django set up

    rows = [
        (
            f"`{route.path}`",
            f"`{route.host}`" if route.host else "every host",
            _who(route),
            _first_line(route.consumer) + _bounds(route),
        )
        for route in routes
    ]
    return _table(("path", "host", "who", "what it does"), rows)


def verbs() -> str:
    """The verbs of every JSON endpoint, a table each; what all of them have comes first."""
    from realtime.endpoints.consumers.base import JsonConsumer  # noqa: PLC0415
    from realtime.endpoints.consumers.core_verbs import CORE_VERBS  # noqa: PLC0415
    from rockstar_site.routing import routes  # noqa: PLC0415

    parts = ["Every JSON endpoint:\n", _verb_table(CORE_VERBS)]
    for route in routes:
        consumer = route.consumer
        if issubclass(consumer, JsonConsumer):
            own = {name: verb for name, verb in consumer.verbs.items() if name not in CORE_VERBS}
            parts += [f"\n`{route.path}`:\n", _verb_table(own)]
    return "\n".join(parts)


def errors() -> str:
    """Error codes, and whether sending the same again may help."""
    from realtime.protocol.errors import BAD_MESSAGE_CODES, RETRYABLE, ErrorCode  # noqa: PLC0415

    meanings = {
        ErrorCode.INVALID_JSON: "the frame is not strict JSON",
        ErrorCode.INVALID_MESSAGE: "not an object, no `type`, or a wrong payload; `details.field` names it",
        ErrorCode.UNKNOWN_TYPE: "no verb of this endpoint",
        ErrorCode.MESSAGE_TOO_LARGE: "more bytes than the endpoint takes",
        ErrorCode.UNAUTHENTICATED: "this needs a signed-in user",
        ErrorCode.PERMISSION_DENIED: "a scope or a topic rule says no",
        ErrorCode.NOT_FOUND: "it does not exist, or belongs to another tenant",
        ErrorCode.CONFLICT: "the same id or key means something else already",
        ErrorCode.RATE_LIMITED: "too many messages; wait `retry_after_ms`",
        ErrorCode.LIMIT_EXCEEDED: "a bound on how many: subscriptions, calls, streams, values",
        ErrorCode.UNRECOVERABLE_POSITION: "the history no longer reaches back that far; reload",
        ErrorCode.TIMEOUT: "it was not done in time",
        ErrorCode.CANCELLED: "the client cancelled it",
        ErrorCode.INTERNAL: "a handler failed; `details.connection_id` is in the server's log",
    }
    rows = [
        (
            f"`{code}`",
            meanings[code],
            "yes" if RETRYABLE[code] else "no",
            "yes" if code in BAD_MESSAGE_CODES else "no",
        )
        for code in ErrorCode
    ]
    return _table(("code", "meaning", "retryable", "counts as a bad message"), rows)


def close_codes() -> str:
    """Close codes."""
    from realtime.protocol.close_codes import CLOSE_RULES  # noqa: PLC0415

    rows = [(str(int(code)), rule.meaning, rule.client_should) for code, rule in CLOSE_RULES.items()]
    return _table(("code", "meaning", "a client should"), rows)


def environment() -> str:
    """The variables of .env.example with their comments."""
    found = _commented(ROOT / ".env.example", "#", _ENV_LINE)
    rows = [(f"`{name}`", f"`{value}`" if value else "empty", comment) for name, value, comment in found]
    return _table(("variable", "default", "meaning"), rows)


def other_settings() -> str:
    """The settings of `REALTIME` that the environment lacks, with their comments in realtime/conf.py."""
    from rockstar_site.realtime_env import NOT_READ_HERE, OUR_PARTS  # noqa: PLC0415

    # Another project must name the parts, which this one's environment may leave out.
    shown = OUR_PARTS.keys() | NOT_READ_HERE - {"REDIS_URL", "METRICS_TOKEN", "HTTPS"}
    rows = []
    for name, value, comment in _commented(ROOT / "realtime" / "conf.py", "    #", _FIELD_LINE):
        if name in shown:
            default = value.replace("field(default_factory=dict)", "{}")
            rows.append((f"`{name}`", f"`{default}`" if default else "none: required", comment))
    return _table(("name", "default", "meaning"), rows)


def all_settings() -> str:
    """Every setting of `REALTIME`, with its kind, its default and its comment in realtime/conf.py."""
    from realtime.conf import RealtimeSettings  # noqa: PLC0415

    kinds = {each.name: _setting_kind(each.type) for each in dataclasses.fields(RealtimeSettings)}
    rows = []
    for name, value, comment in _commented(ROOT / "realtime" / "conf.py", "    #", _FIELD_LINE):
        default = value.replace("field(default_factory=dict)", "{}")
        rows.append((f"`{name}`", kinds[name], f"`{default}`", comment))
    return _table(("name", "kind", "default", "meaning"), rows)


def _setting_kind(kind: Any) -> str:
    names = {
        str: "text",
        int: "whole number",
        float: "number",
        bool: "True or False",
        tuple[str, ...]: "list of texts",
    }
    return names.get(kind, "dict")


def scopes() -> str:
    """The scopes of each role."""
    from accounts.core.scopes import MEMBER_SCOPES, STAFF_SCOPES  # noqa: PLC0415

    def listed(held: Iterable[str]) -> str:
        return " ".join(f"`{scope}`" for scope in sorted(held))

    return _table(
        ("role", "scopes"), [("member", listed(MEMBER_SCOPES)), ("staff, besides", listed(STAFF_SCOPES))]
    )


def javascript() -> str:
    """The types of the JavaScript client: each class, interface and function with what is written above its members."""
    folder = ROOT / "clients" / "js"
    files = [
        *(folder / "src" / f"{name}.d.ts" for name in _TYPES),
        folder / "react.d.ts",
        folder / "vue.d.ts",
    ]
    return "\n".join(_declarations(file.relative_to(folder).as_posix(), file.read_text()) for file in files)


_TYPES = ("index", "stream", "live-query", "live-state", "presence", "page-watch", "reachable")
# A class or interface, or a comment with the line below it.
_DECLARED = re.compile(
    r"^export (?:class|interface) (\w+)|^( *)/\*\*(.*?)\*/\n *([^\n]*)", re.DOTALL | re.MULTILINE
)
_NAMED = re.compile(r"(?:export |readonly |class |interface |function |const |type )*(\w+)")


def _declarations(file: str, text: str) -> str:
    rows, owner = [], ""
    for found in _DECLARED.finditer(text):
        if found[1]:
            owner = found[1]
            continue
        named = _NAMED.match(found[4])
        assert named is not None, found[4]
        owner = owner if found[2] else named[1]
        name = f"{owner}.{named[1]}" if found[2] else named[1]
        rows.append((f"`{name}`", " ".join(found[3].replace("*", " ").split())))
    return f"`{file}`:\n\n" + _table(("name", "what it is"), rows)


def python() -> str:
    """The public names of the Python client, with the methods of its classes."""
    import realtime.client as module  # noqa: PLC0415

    rows = []
    for name in module.__all__:
        value = getattr(module, name)
        made = vars(value).get("__init__")
        is_told = made is not None and made.__doc__ is not None and name.endswith("Client")
        shown = f"{name}({', '.join(_arguments(made))})" if is_told else name
        rows.append((f"`{shown}`", f"{_prose(value)} {_prose(made)}" if is_told else _prose(value)))
        for member, each in vars(value).items():
            function = each.fget if isinstance(each, property) else each
            if member.startswith("_") or not callable(function) or not getdoc(function):
                continue
            shown = member if isinstance(each, property) else f"{member}({', '.join(_arguments(function))})"
            rows.append((f"`{name}.{shown}`", _prose(function)))
    return _table(("name", "what it is"), rows)


def _arguments(function: Any) -> list[str]:
    shown = []
    for name, each in signature(function).parameters.items():
        if name == "self":
            continue
        is_named = each.kind is each.KEYWORD_ONLY
        is_short = isinstance(each.default, str | int | float | None)
        default = f"={each.default!r}" if is_short else "" if each.default is each.empty else "=…"
        shown += ["*"] if is_named and "*" not in shown else []
        shown.append(f"{'**' if each.kind is each.VAR_KEYWORD else ''}{name}{default}")
    return shown


def _prose(documented: Any) -> str:
    """The paragraphs of a docstring, without the examples in it."""
    paragraphs = (getdoc(documented) or "").split("\n\n")
    return " ".join(" ".join(each.split()) for each in paragraphs if not each.startswith("    "))


def _commented(path: Path, mark: str, setting: re.Pattern[str]) -> Iterator[tuple[str, str, str]]:
    """Name, value and comment of each setting in a file; those under one comment share it."""
    comment = ""
    is_open = False
    for line in path.read_text().splitlines():
        if line.startswith(mark):
            text = line.removeprefix(mark).strip()
            comment = f"{comment} {text}" if is_open else text
            is_open = True
            continue
        is_open = False
        if found := setting.fullmatch(line):
            yield found[1], found[2] or "", comment


def _who(route: Any) -> str:
    if route.is_staff:
        return "staff session"
    if route.scopes:
        return "scopes " + " ".join(f"`{scope}`" for scope in sorted(route.scopes))
    if route.is_signed_in:
        return "signed in"
    return "a Django session" if route.needs_session else "anyone"


def _bounds(route: Any) -> str:
    seconds = getattr(route.app, "consumer_initkwargs", {}).get("idle_timeout_s")
    idle = " Closes with 4408 when nothing came for `REALTIME_IDLE_TIMEOUT_S`." if seconds is not None else ""
    return idle + (f" At most {_pool(route)} connections, then 503." if route.pool_size else "")


def _pool(route: Any) -> str:
    from django.conf import settings  # noqa: PLC0415

    is_setting = route.pool_size == settings.REALTIME["POOL_SIZE"]
    return "`REALTIME_POOL_SIZE`" if is_setting else str(route.pool_size)


def _verb_table(table: Any) -> str:
    rows = [
        (
            f"`{name}`",
            " ".join(_fields(verb.payload)) or "-",
            " ".join(f"`{scope}`" for scope in verb.scopes) or "-",
            _first_line(verb.handle),
        )
        for name, verb in table.items()
    ]
    return _table(("verb", "payload", "scopes", "what it does"), rows)


def _fields(payload: type[msgspec.Struct]) -> Iterator[str]:
    for field in msgspec.structs.fields(payload):
        name = field.encode_name if field.required else f"{field.encode_name}?"
        yield f"`{name}: {_kind(field.type)}`"


def _kind(kind: Any) -> str:
    if hasattr(kind, "__metadata__"):
        return _kind(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "{" + ", ".join(each.encode_name for each in msgspec.structs.fields(kind)) + "}"
    names = {str: "string", int: "integer", float: "number", bool: "bool", Any: "any JSON"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is dict:
        return "object"
    if get_args(kind):
        return _kinds(get_origin(kind), get_args(kind))
    return str(kind.__name__)


def _kinds(origin: Any, kinds: Sequence[Any]) -> str:
    if origin is Literal:
        return " or ".join(f'"{each}"' for each in kinds)
    if origin in {list, tuple}:
        return f"list of {_kind(kinds[0])}"
    return " or ".join(_kind(each) for each in kinds if each is not type(None))


def _first_line(documented: Any) -> str:
    return (getdoc(documented) or "").partition("\n")[0]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
