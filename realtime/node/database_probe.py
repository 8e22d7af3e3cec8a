"""Whether the database can be used, tried out before a command or a server needs it."""

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.db import Error as DatabaseFailure
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.node.migrations_missing import missing_migrations

ADVICE = "Check that it runs, and that its address is right."


def database_fault() -> str:
    """Connect once and return in a sentence why the database cannot be used; "" if it can. Its tables are not looked at."""
    probe = _probe()
    try:
        probe.ensure_connection()
    except ImproperlyConfigured:
        # A project without a database.
        return ""
    except DatabaseFailure as error:
        return _unreachable(error)
    finally:
        probe.close()
    return ""


def own_tables_fault() -> str:
    """As `database_fault`, and the migrations of this package, without which no connection is taken, must be there."""
    probe = _probe()
    try:
        missing = missing_migrations(probe, "realtime")
    except ImproperlyConfigured:
        return ""
    except DatabaseFailure as error:
        return _unreachable(error)
    finally:
        probe.close()
    return 'The database has no tables of "realtime" yet. Run: manage.py migrate' if missing else ""


def serving_fault() -> str:
    """As `database_fault`, and without its tables a server could only fail with a database error, in each worker."""
    probe = _probe()
    try:
        missing = missing_migrations(probe)
    except DatabaseFailure as error:
        return _unreachable(error)
    finally:
        probe.close()
    return f"The database lacks {missing} migration(s). Run: manage.py migrate" if missing else ""


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
