"""`manage.py seed_demo`: the demo tenants, users, items and rooms."""

from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo.catalogue import ADMIN, PASSWORD, SHOPS
from demo.services import seed


class Command(BaseCommand):
    """Add the demo's missing data. Existing data stays unchanged, so the command can be repeated."""

    help = "Add the demo data: two tenants, their people, rooms and items. Repeatable."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add `--force`, which seeds a site without DEBUG although the passwords are public."""
        parser.add_argument("--force", action="store_true", help="also when DEBUG is off")
        parser.add_argument(
            "--port", type=int, default=8000, help="port of the addresses shown (default 8000)"
        )

    def handle(self, *args: object, **options: bool | int) -> None:
        """Seed the demo and print its hosts and users."""
        if not settings.DEBUG and not options["force"]:
            raise CommandError(
                "The demo's passwords are public. For development set DEBUG=1 (`make run` does); "
                "where DEBUG is off on purpose, give --force."
            )
        seed()
        if options["verbosity"] < 1:
            return
        for shop in SHOPS:
            people = ", ".join((*shop.members, ADMIN))
            self.stdout.write(f"{shop.name:<7} http://{shop.host}:{options['port']}/  sign in as {people}")
        self.stdout.write(f"The password of all of them is {PASSWORD}; {ADMIN} also opens /admin/.")
