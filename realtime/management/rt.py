"""The subcommands of `manage.py rt`: their arguments, and how they are carried out."""

import getpass
import json
import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime, parse_duration

from realtime.control import lists, service
from realtime.control.link import call
from realtime.control.orders import Order
from realtime.core.actors import COMMAND
from realtime.endpoints.consumers.pubsub import HISTORY_DEFAULT_LIMIT, HISTORY_MAX_LIMIT
from realtime.rest.control import serializers as bodies
from realtime.rest.control.base import PAGE_MAX
from realtime.rest.control.reads import page_of_audit, page_of_bans

Options = Mapping[str, Any]
UNTIL_HINT = "Or say for how long: 30m, 1h, 7d."


def add_parsers(subparsers: Any) -> None:
    """Add every subcommand."""
    for name, text in (("nodes", "the nodes that are alive"), ("topics", "topics with subscriptions")):
        _listing(subparsers.add_parser(name, help=text))
    subparsers.choices["topics"].add_argument("--search", default="", help="part of the name")
    parser = _listing(subparsers.add_parser("connections", help="open connections of all nodes"))
    for name in ("user", "route", "address", "topic"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--search", default="", help="part of id, username, address, route or User-Agent")
    parser.add_argument("--sort", default="-opened_at")
    for name, text in (("presence", "the users in a topic"), ("history", "what was published to a topic")):
        parser = _of_tenant(subparsers.add_parser(name, help=text))
        parser.add_argument("topic")
    subparsers.choices["history"].add_argument(
        "--limit", type=whole_number(1, HISTORY_MAX_LIMIT), default=HISTORY_DEFAULT_LIMIT
    )
    _listing(subparsers.add_parser("bans", help="the bans in force"))
    parser = _listing(subparsers.add_parser("audit", help="what operators did, the newest first"))
    parser.add_argument("--action", default="", help="as `ban`")
    parser.add_argument("--actor", default="", help="name or id")
    parser.add_argument("--search", default="", help="part of reason, actor or address")
    _add_acts(subparsers)


def _add_acts(subparsers: Any) -> None:
    parser = _acting(subparsers, "publish", "publish to a topic", is_of_tenant=True)
    parser.add_argument("topic")
    parser.add_argument("data", type=_json, help="JSON, or a text that is not JSON")
    parser.add_argument("--idempotency-key")
    parser = _acting(subparsers, "broadcast", "publish the same to several topics", is_of_tenant=True)
    parser.add_argument("data", type=_json, help="JSON, or a text that is not JSON")
    parser.add_argument("topics", nargs="+")
    parser = _acting(subparsers, "disconnect", "close connections")
    for name in ("connection-id", "user-id", "address", "topic"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--everyone", action="store_true", default=None)
    parser.add_argument(
        "--stop", dest="reconnect", action="store_false", help="tell clients not to come back"
    )
    for name, text in (
        ("subscribe", "subscribe a user to a topic"),
        ("unsubscribe", "end a user's subscriptions"),
    ):
        parser = _acting(subparsers, name, text, is_of_tenant=True)
        parser.add_argument("topic")
        parser.add_argument("user_id")
    _acting(subparsers, "revoke", "end all tokens and sessions of a user").add_argument("user_id")
    parser = _acting(subparsers, "ban", "ban a user or an address until a time")
    parser.add_argument("--user-id", help="the id, not the name")
    parser.add_argument("--address", help="address or network")
    parser.add_argument(
        "--until", required=True, type=_until, help="a time (ISO 8601), or for how long: 1h, 30m, 7d"
    )
    _acting(subparsers, "unban", "lift a ban").add_argument("id", type=int)
    parser = _acting(subparsers, "announce", "announce something to everyone connected")
    parser.add_argument("text")
    parser.add_argument("--level", default="info", choices=bodies.LEVELS)
    parser.add_argument("--preview", action="store_true", help="only count the clients")
    _acting(subparsers, "drain", "drain a node").add_argument("node")
    for name in ("suspend", "resume"):
        _acting(subparsers, name, f"{name} a tenant").add_argument("slug")


def act(name: str, options: Options) -> dict[str, Any]:
    """Check the values and carry out an operation. Raises CommandError, which names all wrong values."""
    given = {key: value for key, value in options.items() if key in _names(name) and value is not None}
    body = bodies.BODIES[name](data=given)
    if not body.is_valid():
        raise CommandError(f"These values are wrong:\n{_faults(body.errors)}")
    target = {key: value for key, value in body.validated_data.items() if key not in {"tenant", "reason"}}
    for key in ("id", "slug"):
        if key in options:
            target[key] = options[key]
    tenant = options.get("tenant") or target.get("slug")
    actor = replace(COMMAND, name=_operator())
    order = Order(name, actor, tenant, target, options.get("reason") or "")
    return call(partial(service.carry_out, order=order))


def read(name: str, options: Options) -> dict[str, Any]:
    """Return the data that a reading subcommand shows."""
    tenant, page, size = options.get("tenant"), options.get("page", 1), options.get("page_size", 50)
    if name == "nodes":
        return call(lambda link: lists.list_nodes(link, tenant)).as_json()
    if name == "topics":
        return call(
            lambda link: lists.topic_page(link, tenant, options["search"], "topic", page, size)
        ).as_json()
    if name == "connections":
        filters = {key: options[key] for key in ("user", "route", "address", "topic")}
        query = lists.connection_query(tenant, sort=options["sort"], q=options["search"], **filters)
        return call(lambda link: lists.list_connections(link, query, page, size)).as_json()
    if name in {"bans", "audit"}:
        values = {key: options.get(key, "") for key in ("action", "actor")} | {"q": options.get("search", "")}
        rows = page_of_bans if name == "bans" else page_of_audit
        return rows(tenant, {**values, "page": page, "page_size": size})
    if name == "presence":
        return call(lambda link: lists.read_presence(link, options["tenant"], options["topic"]))
    return call(lambda link: lists.read_history(link, options["tenant"], options["topic"], options["limit"]))


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the type of an option that is a whole number from `low` to `high`."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else low - 1
        if not low <= number <= high:
            raise ArgumentTypeError(f"expected a whole number from {low} to {high}, received {text!r}")
        return number

    return read


def _faults(errors: Mapping[str, Any]) -> str:
    """Return a line for each fault, with all fields that have it."""
    fields: dict[str, list[str]] = {}
    for field, said in errors.items():
        hint = f" {UNTIL_HINT}" if field == "until" else ""
        fields.setdefault(" ".join(map(str, said)) + hint, []).append(field)
    return "\n".join(f"  {', '.join(names)}: {fault}" for fault, names in fields.items())


def _names(name: str) -> set[str]:
    return set(bodies.BODIES[name]().fields)


def _operator() -> str:
    """Return the user of the system who gives the order, for the audit log: with sudo the one who typed it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        # A user of the system without a name, as in a container.
        return ""


def _listing(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--tenant", help="slug; all tenants if it is left out")
    parser.add_argument("--page", type=whole_number(1, PAGE_MAX), default=1)
    parser.add_argument("--page-size", type=whole_number(1, lists.PAGE_SIZE_MAX), default=lists.PAGE_SIZE)
    parser.add_argument("--json", action="store_true", help="the whole answer as JSON")
    return parser


def _of_tenant(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument("--tenant", required=True, help="slug")
    parser.add_argument("--json", action="store_true", help="the whole answer as JSON")
    return parser


def _acting(subparsers: Any, name: str, text: str, *, is_of_tenant: bool = False) -> ArgumentParser:
    parser: ArgumentParser = subparsers.add_parser(name, help=text)
    said = "slug" if is_of_tenant else "slug; all tenants if it is left out"
    parser.add_argument("--tenant", required=is_of_tenant, help=said)
    parser.add_argument(
        "--reason", default="", help="kept in the audit log; some operations show it to clients"
    )
    return parser


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _until(text: str) -> str:
    try:
        moment = parse_datetime(text)
    except ValueError:
        # It has the form of a time, and is none.
        return text
    if moment is None:
        units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
        number, unit = text[:-1], text[-1:]
        with suppress(OverflowError):
            if number.isdigit() and unit in units:
                moment = timezone.now() + timedelta(**{units[unit]: int(number)})
            elif (duration := parse_duration(text)) is not None:
                moment = timezone.now() + duration
    return moment.isoformat() if moment is not None else text
