"""`manage.py rt`: operate the site from the machine."""

import asyncio
import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseFailure
from django.utils import timezone

from realtime.control.keys import create_key
from realtime.control.link import guest
from realtime.core.topics import TopicKey
from realtime.management import rt
from realtime.management.doctor import examine
from realtime.models import KEY_SCOPES, ApiKey
from realtime.node import node as nodes
from realtime.node.database_probe import serving_fault
from realtime.node.ports import require_tenant
from realtime.protocol.errors import NotInForceError, PublishUnavailableError, Refusal, RequestError
from realtime.topics.engine.ports import EngineUnavailableError

# Columns of a list, besides its JSON.
COLUMNS = {
    "nodes": ("id", "answered", "connections", "topics", "draining", "uptime_s", "host", "pid"),
    "connections": (
        "id",
        "tenant",
        "user",
        "route",
        "address",
        "messages_in",
        "messages_out",
        "outbox_bytes",
        "node",
    ),
    "topics": ("tenant", "topic", "subscribers", "users", "offset"),
    "presence": ("id", "username", "connections"),
    "history": ("offset", "time", "publisher", "data"),
    "bans": ("id", "tenant", "user_id", "address", "until", "reason", "created_by"),
    "audit": ("at", "actor", "tenant", "action", "target", "reason", "outcome", "count"),
}
NOTHING_DONE = "Nothing like that was found, so nothing was done."
DAYS_MAX = 3650
READS = tuple(COLUMNS)
ROWS = {"presence": "users", "history": "publications"}


class Command(BaseCommand):
    """Lists connections, topics and nodes, and acts on them, on all nodes."""

    help = (
        "Operate the site: lists, disconnect, ban, announce, keys, and a doctor. Each subcommand has --help."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the subcommands."""
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        rt.add_parsers(subparsers)
        tail = subparsers.add_parser("tail", help="print the publications of a topic, until Ctrl+C")
        tail.add_argument("topic")
        tail.add_argument("--tenant", required=True, help="slug")
        token = subparsers.add_parser("token", help="make, list or delete API keys")
        token.add_argument("name", nargs="?", help="name of the person or program that uses the new key")
        token.add_argument("--tenant", default="", help="slug; left out: an operator's key, for all tenants")
        token.add_argument(
            "--scope", action="append", choices=KEY_SCOPES, help="may be repeated; default control:read"
        )
        token.add_argument(
            "--days",
            type=rt.whole_number(1, DAYS_MAX),
            help="days until it ends; left out: it does not end by itself",
        )
        token.add_argument("--list", action="store_true", help="list the keys, without their secrets")
        token.add_argument("--delete", type=int, metavar="ID")
        subparsers.add_parser(
            "doctor", help="try everything that a server needs, and say how to correct faults"
        )
        for each in subparsers.choices.values():
            # A word that is an option of one subcommand must not stand for another option of the next.
            each.allow_abbrev = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one subcommand; raises CommandError, which names the fault."""
        name = options["subcommand"]
        try:
            if options.get("tenant"):
                require_tenant(nodes.current_node().directory, options["tenant"])
            if name in READS:
                self._show(name, rt.read(name, options), as_json=options["json"])
            elif name in {"tail", "token", "doctor"}:
                getattr(self, f"_{name}")(options)
            else:
                answer = rt.act(name, options)
                self._line(answer)
                if answer.get("count") == 0 and "id" not in answer:
                    self.stderr.write(NOTHING_DONE)
        except (NotInForceError, PublishUnavailableError, RequestError, Refusal) as error:
            raise CommandError(str(error)) from error
        except EngineUnavailableError as error:
            why = str(error).removeprefix("The broker cannot be reached: ")
            raise CommandError(f"The broker (REDIS_URL) cannot be reached: {why}") from error
        except DatabaseFailure as error:
            reason = str(error).partition("\n")[0]
            fault = serving_fault() or f"The database (DATABASE_URL, DATABASES) cannot be used: {reason}"
            raise CommandError(fault) from error

    def _show(self, name: str, answer: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self._line(answer)
            return
        rows = answer[ROWS.get(name, "results")]
        self._table(COLUMNS[name], rows)
        if "count" in answer:
            self.stdout.write(f"{answer['count']} in all.")
        if "nodes_total" in answer:
            self.stdout.write(f"{answer['nodes_answered']} of {answer['nodes_total']} nodes answered.")

    def _table(self, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        lines = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
        for line in lines:
            self.stdout.write(
                "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            )

    def _line(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, default=str))

    def _tail(self, options: Mapping[str, Any]) -> None:
        with suppress(KeyboardInterrupt):
            asyncio.run(self._follow(TopicKey(options["tenant"], options["topic"])))

    async def _follow(self, key: TopicKey) -> None:
        async with guest(nodes.current_node().settings) as link:
            async for payload in link.follow(key):
                self.stdout.write(payload)
                self.stdout.flush()

    def _token(self, options: Mapping[str, Any]) -> None:
        if options["list"]:
            columns = ("id", "name", "tenant", "scopes", "prefix", "expires_at", "last_used_at")
            self._table(columns, list(ApiKey.objects.values(*columns)))
        elif options["delete"] is not None:
            if not ApiKey.objects.filter(pk=options["delete"]).delete()[0]:
                raise CommandError("There is no such key.")
        elif options["name"]:
            self._new_token(options)
        else:
            raise CommandError("Name the new key, or give --list or --delete ID.")

    def _new_token(self, options: Mapping[str, Any]) -> None:
        days = options["days"]
        ends = None if days is None else timezone.now() + timedelta(days=days)
        try:
            _, secret = create_key(
                options["name"],
                options["scope"] or ["control:read"],
                tenant=options["tenant"],
                expires_at=ends,
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stderr.write("Keep it: it cannot be shown again.")
        self.stdout.write(secret)

    def _doctor(self, options: Mapping[str, Any]) -> None:
        findings = list(examine(nodes.current_node().settings))
        for each in findings:
            mark = self.style.ERROR("fault") if each.advice else self.style.SUCCESS("ok   ")
            self.stdout.write(f"{mark} {each.what}: {each.seen}")
            if each.advice:
                self.stdout.write(f"      {each.advice}")
        if any(each.advice for each in findings):
            sys.exit(1)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict) and ("username" in value or "name" in value):
        return str(value.get("username") or value.get("name"))
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, default=str)
