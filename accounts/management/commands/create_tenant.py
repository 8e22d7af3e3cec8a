"""`manage.py create_tenant`: the first tenant of a new site. The admin opens on a tenant's host only."""

from argparse import ArgumentParser

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.services import tenant_create


class Command(BaseCommand):
    """Create a tenant with its hosts and a staff member."""

    help = "Add a tenant with its hosts, and make a user (createsuperuser makes one) its staff."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the tenant, its hosts and the staff member."""
        parser.add_argument("slug", help="its name in tokens, topics and logs")
        parser.add_argument(
            "host", nargs="+", help="hosts that serve it: lower case, without a port, other letters as xn--…"
        )
        parser.add_argument("--name", default="", help="its name on pages; the slug without one")
        parser.add_argument("--staff", default="", help="the username of a user who becomes its staff")

    def handle(self, *args: object, **options: str | list[str]) -> None:
        """Create the tenant; raises CommandError for an invalid or taken name."""
        slug, staff = str(options["slug"]), str(options["staff"])
        user = User.objects.filter(username=staff).first()
        if staff and user is None:
            raise CommandError(f"There is no user {staff}.")
        try:
            tenant_create(slug, str(options["name"]) or slug, hosts=list(options["host"]), staff=user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"{slug} answers to {', '.join(options['host'])}.")
