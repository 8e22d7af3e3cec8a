"""`manage.py run_demo`: migrate, seed and serve in one process. `make run` uses it."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from realtime import database_fault


class Command(BaseCommand):
    """Migrate the database, seed the demo, serve it."""

    help = "Migrate the database, seed the demo data and serve; repeatable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the address and port."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (default 8000)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the three commands in one process, so that Django starts only once.

        Raises CommandError without DEBUG, before anything is migrated, and if the database cannot be reached.
        """
        if not settings.DEBUG:
            raise CommandError(
                "The demo's passwords are public. For development set DEBUG=1 (`make run` does)."
            )
        if fault := database_fault():
            raise CommandError(fault)
        call_command("migrate", verbosity=0)
        call_command("seed_demo", port=options["port"], stdout=self.stdout)
        call_command("serve", host=options["host"], port=options["port"], stdout=self.stdout)
