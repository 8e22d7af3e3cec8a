"""Tells the sockets of every process that a user's rights have changed."""

from functools import partial

from django.db import transaction

import realtime
from realtime import Revocation


def revoke_on_commit(revocation: Revocation) -> None:
    """Make every process close the connections that `revocation` ends, after the commit.

    If other processes cannot be told, the change stays valid. They find its row within a second.
    """
    transaction.on_commit(partial(_revoke, revocation), robust=True)


def refresh_tenants_on_commit() -> None:
    """Read tenants and hosts again after the commit. Other processes do so within a second."""
    transaction.on_commit(_refresh_tenants, robust=True)


def _revoke(revocation: Revocation) -> None:
    realtime.revoke([revocation])


def _refresh_tenants() -> None:
    realtime.refresh_tenants()
