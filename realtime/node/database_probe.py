"""Whether the database can be used, tried out before a command or a server needs it."""

from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseFailure
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.node.migrations_missing import missing_migrations

ADVICE = "Check that it runs, and that its address is right."


def database_fault() -> str:
    """Connect once and return in a sentence why the database cannot be used; "" if it can. Its tables are not looked at."""

    def look(probe: BaseDatabaseWrapper) -> str:
        probe.ensure_connection()
        return ""

    return _fault(look)


def own_tables_fault() -> str:
    """As `database_fault`, and the migrations of this package, without which no connection is taken, must be there."""

    def look(probe: BaseDatabaseWrapper) -> str:
        missing = missing_migrations(probe, "realtime")
        return 'The database has no tables of "realtime" yet. Run: manage.py migrate' if missing else ""

    return _fault(look)


def serving_fault() -> str:
    """As `database_fault`, and no migration may be missing: each worker could only fail with a database error."""

    def look(probe: BaseDatabaseWrapper) -> str:
        missing = missing_migrations(probe)
        return f"The database lacks {missing} migration(s). Run: manage.py migrate" if missing else ""

    return _fault(look, without="The project has no database (DATABASES).")


def _fault(look: Callable[[BaseDatabaseWrapper], str], *, without: str = "") -> str:
    """Return what `look` says of the database, or why it cannot be reached; `without` if the project has none."""
    probe = _probe()
    try:
        return look(probe)
    except ImproperlyConfigured:
        return without
    except DatabaseFailure as error:
        return _unreachable(error)
    finally:
        probe.close()


def _probe() -> BaseDatabaseWrapper:
    """Return a connection of its own. The pool would try again for seconds, and log each try."""
    probe = connections.create_connection(DEFAULT_DB_ALIAS)
    settings = probe.settings_dict
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}
    probe.settings_dict = {**settings, "OPTIONS": options}
    return probe


def _unreachable(error: DatabaseFailure) -> str:
    # The other lines of PostgreSQL repeat it for each address of the host.
    reason = str(error).partition("\n")[0].strip().rstrip(".")
    return f"The database (DATABASE_URL, DATABASES) cannot be reached: {reason}. {ADVICE}"
