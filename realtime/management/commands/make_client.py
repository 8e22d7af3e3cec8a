"""`manage.py make_client`: writes a typed TypeScript client of the sockets."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from realtime.conf import load_settings
from realtime.endpoints.asyncapi import SiteDocument
from realtime.endpoints.typescript import typescript_client

PACKAGE = "rockstar-realtime"


class Command(BaseCommand):
    """Writes a TypeScript module with the contract of each endpoint, and a function that makes its client."""

    help = "Write a typed TypeScript client of the WebSocket endpoints, on the npm package of the client."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the host, the file, and where the client is imported from."""
        parser.add_argument("--host", default="localhost", help="host of the clients (default localhost)")
        parser.add_argument("--output", default="-", help="file to write; - prints it (default)")
        parser.add_argument(
            "--package", default=PACKAGE, help=f"what the module imports the client from (default {PACKAGE})"
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing; fail if the file is not what would be written",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it, or compare."""
        settings = load_settings()
        document = SiteDocument(settings).of(options["host"], is_secure=settings.HTTPS)
        text = typescript_client(document, options["package"])
        if options["output"] == "-":
            self.stdout.write(text)
            return
        path = Path(options["output"])
        if options["check"]:
            if not path.is_file() or path.read_text() != text:
                raise CommandError(f"{path} is out of date: run manage.py make_client --output {path}")
            return
        path.write_text(text)
        if options["verbosity"] > 0:
            sys.stderr.write(f"Wrote {path}.\n")
