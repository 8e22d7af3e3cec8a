"""Telling the sockets, in every process, that somebody's standing has changed."""

from functools import partial

from django.db import transaction

import realtime
from realtime import Revocation


def revoke_on_commit(revocation: Revocation) -> None:
    """After the commit every process closes what `revocation` ends.

    The change stands even where the others cannot be told; they find its row by themselves within a second.
    """
    transaction.on_commit(partial(_revoke, revocation), robust=True)


def refresh_tenants_on_commit() -> None:
    """After the commit this process knows the tenants and hosts as they are now; the others within a second."""
    transaction.on_commit(_refresh_tenants, robust=True)


def _revoke(revocation: Revocation) -> None:
    realtime.revoke([revocation])


def _refresh_tenants() -> None:
    realtime.refresh_tenants()
