"""`manage.py asyncapi`: prints the description of the sockets."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from realtime.conf import load_settings
from realtime.endpoints.asyncapi import SiteDocument


class Command(BaseCommand):
    """Prints the AsyncAPI document of a host."""

    help = "Print the WebSocket endpoints as an AsyncAPI 3 document, in JSON."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the host."""
        parser.add_argument("--host", default="localhost", help="host of the clients (default localhost)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        settings = load_settings()
        document = SiteDocument(settings).of(options["host"], is_secure=settings.HTTPS)
        self.stdout.write(json.dumps(document, indent=2))
