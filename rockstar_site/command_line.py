"""What `manage.py` does: Django's command line, which explains a database that cannot be used in a sentence."""

import sys

from django.core.management import execute_from_command_line
from django.db import Error as DatabaseFailure
from django.db import OperationalError, connection
from django.db.migrations.exceptions import MigrationSchemaMissing


def run(command: list[str]) -> None:
    """Run a command. With `--traceback` a failure of the database is shown as Python shows it."""
    try:
        execute_from_command_line(command)
    except DatabaseFailure as failure:
        told = _told(failure)
        if not told or "--traceback" in command:
            raise
        sys.exit(told)


def _told(failure: DatabaseFailure) -> str:
    """Return the fault of the database and what to do, in a sentence; "" if the fault is most likely in the code."""
    # The other lines of PostgreSQL repeat it for each address of the host.
    reason = str(failure).partition("\n")[0].strip().rstrip(".")
    if reason.startswith("no such table") or type(failure.__cause__).__name__ == "UndefinedTable":
        return f"The database lacks a table: {reason}. Run: manage.py migrate"
    if not isinstance(failure, OperationalError | MigrationSchemaMissing):
        return ""
    # A server that answered gives each refusal a code.
    is_away = connection.vendor == "postgresql" and getattr(failure.__cause__, "sqlstate", None) is None
    advice = " Check that it runs, and that its address is right." if is_away else ""
    return f"The database (DATABASE_URL) cannot be used: {reason}.{advice}"
