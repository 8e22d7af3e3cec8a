"""The migrations that a database lacks."""

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor


def missing_migrations(database: BaseDatabaseWrapper, app: str | None = None) -> int:
    """Return how many migrations of the code, or of an app and what it needs, are not applied.

    Reads one table; do not call it on the loop.
    """
    executor = MigrationExecutor(database)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes(app)))
