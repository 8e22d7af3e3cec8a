"""The callbacks that wait for the caller's commit. A test is in a transaction of its own, so it replaces this."""

from collections.abc import Callable
from typing import Any

from django.db import transaction


class Commits:
    """The transactions of the calling thread, by the alias of their database (None: the default one)."""

    def is_open(self, using: str | None) -> bool:
        """Return whether the caller is in a transaction, also without autocommit."""
        connection = transaction.get_connection(using)
        # Without autocommit a transaction is open, too. `on_commit` then raises, because it cannot wait for its end.
        is_manual = connection.connection is not None and not connection.autocommit
        return connection.in_atomic_block or is_manual

    def on_commit(self, work: Callable[[], Any], using: str | None) -> None:
        """Call `work` after the commit, and never if the transaction is rolled back."""
        transaction.on_commit(work, using=using, robust=True)


class _Current:
    """Holds the commits of this process."""

    commits: Commits = Commits()


def current_commits() -> Commits:
    """Return the commits of this process."""
    return _Current.commits


def replace_commits(commits: Commits) -> Commits:
    """Replace the commits of this process, in a test. Returns those before."""
    before, _Current.commits = _Current.commits, commits
    return before
