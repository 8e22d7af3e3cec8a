"""The bans that a node keeps: how many connections one has ended, whoever closed them."""

from datetime import UTC, datetime
from time import monotonic, time
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from realtime import tables
from realtime.core.bans import Ban
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.node import bans
from realtime.node.bans import BanBook, ban_value

ACME = Tenant(1, "acme")
BAN = Ban(1, "acme", "7", "", time() + 3600, "spam")


class Connection(SimpleNamespace):
    """A connection as the book sees it."""

    def close(self, code: int, reason: str) -> None:
        """Note the first close."""
        self.close_code: int | None = self.close_code or code


def connection(user_id: int) -> Any:
    who = Identity(user_id, "x", ACME.slug, frozenset(), CredentialKind.SESSION)
    return Connection(tenant=ACME, address="", identity=who, close_code=None)


@pytest.mark.parametrize("is_read_first", [False, True])
async def test_a_ban_counts_the_connections_that_it_ended(is_read_first: bool) -> None:
    connections = {str(n): connection(user_id) for n, user_id in enumerate((7, 7, 8))}
    book = BanBook(connections)
    if is_read_first:
        # The poll finds the row before the operator's order arrives, and one connection is gone by then.
        book._read = [BAN]
        await book.apply()
        del connections["0"]
    assert await book.add(BAN) == 2
    assert connections["2"].close_code is None


@pytest.mark.django_db
def test_a_ban_that_was_lifted_elsewhere_ends_although_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a broker tells nobody: the poll finds it, also in the moment after the ban."""
    until = datetime.fromtimestamp(BAN.until_s, UTC)
    row = tables.Ban.objects.create(tenant="acme", user_id="7", until=until)
    book = BanBook({})

    def poll() -> int:
        book.read()
        async_to_sync(book.apply)()
        return len(book.bans)

    async_to_sync(book.add)(ban_value(row))
    row.delete()
    assert poll() == 1
    monkeypatch.setattr(bans, "monotonic", lambda: monotonic() + bans.TOLD_S)
    assert poll() == 0
