"""The transactions of the code under test. The transaction around the test itself is none of them."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime.node.commits import Commits


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the code under test is in a transaction. Django marks the blocks of its test cases."""
    blocks: list[Any] = getattr(connection, "atomic_blocks", [])
    is_tests = bool(blocks) and all(getattr(each, "_from_testcase", False) for each in blocks)
    return connection.in_atomic_block and not is_tests


class Waiting:
    """Work that waits for a commit. It may be called several times and is done once."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.is_done = False

    def __call__(self) -> None:
        """Do it, if it is not done."""
        if not self.is_done:
            self.is_done = True
            self._work()


class CommitsOfTest(Commits):
    """Does after the commit of the code under test what otherwise waits for the test's own, which never comes.

    Django keeps such work with the connection, and drops it with a savepoint that is rolled back. `committed`
    finds what is left of it when the code has committed.
    """

    def is_open(self, using: str | None) -> bool:
        """As `Commits.is_open`."""
        return in_transaction(transaction.get_connection(using))

    def on_commit(self, work: Callable[[], Any], using: str | None) -> None:
        """As `Commits.on_commit`."""
        super().on_commit(Waiting(work), using)


def committed(of: Iterable[BaseDatabaseWrapper] | None = None) -> list[Waiting]:
    """Return the work whose commit has come, on the connections `of` (None: those of this thread)."""
    found = connections.all(initialized_only=True) if of is None else of
    return [
        work
        for connection in found
        if not in_transaction(connection)
        for _, work, *_ in connection.run_on_commit
        if isinstance(work, Waiting) and not work.is_done
    ]
