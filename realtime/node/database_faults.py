"""A database that cannot be used now: away, full, locked for too long, or only to be read. It is no fault of the code, so
it costs a line of the log and not a traceback."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.db import InternalError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.node.logs import DATABASE_LOGGER

logger = logging.getLogger(DATABASE_LOGGER)

UNAVAILABLE = "The database is unavailable now; try again."
# PostgreSQL's code of a write to a server that only reads: a replica after a failover, or a disk that is nearly full.
READ_ONLY = "25006"


def log_database_fault(what: str, error: BaseException, about: Mapping[str, Any] | None = None) -> None:
    """Write that `what` failed because of the database, and why, once a minute. `about` are fields of the line."""
    logger.error("%s failed because of the database: %s", what, error, extra=about)


def tell_read_only(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Make a write to a PostgreSQL that only reads an OperationalError, as with SQLite.

    Django calls it an InternalError, the name of a fault. A receiver of `connection_created`.
    """
    wrappers = connection.execute_wrappers
    if connection.vendor == "postgresql" and _as_operational not in wrappers:
        # First: a `with connection.execute_wrapper(…)` takes away the last.
        wrappers.insert(0, _as_operational)


def _as_operational(execute: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return execute(*arguments)
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", "") != READ_ONLY:
            raise
        # With the driver's own error, which has the code.
        raise OperationalError(*error.args) from error.__cause__
