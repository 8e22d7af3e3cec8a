"""Telling the sockets, in every process, that somebody's standing has changed."""

from django.db import transaction

from realtime import api


def recheck_sockets_on_commit() -> None:
    """After the commit every process reads revocations again and checks its connections.

    The change stands even where the others cannot be told; they find out by themselves within a second.
    """
    transaction.on_commit(_recheck, robust=True)


def refresh_tenants_on_commit() -> None:
    """After the commit this process knows the tenants and hosts as they are now; the others within a second."""
    transaction.on_commit(_refresh_tenants, robust=True)


def _recheck() -> None:
    api.recheck()


def _refresh_tenants() -> None:
    api.refresh_tenants()
