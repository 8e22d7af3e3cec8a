"""Telling the sockets, in every process, that somebody's standing has changed."""

from importlib import import_module

from django.db import transaction


def recheck_sockets_on_commit() -> None:
    """After the commit every process reads tenants and revocations again and checks its connections.

    The change stands even where the others cannot be told; they find out by themselves within a second.
    """
    transaction.on_commit(_recheck, robust=True)


def _recheck() -> None:
    import_module("realtime.api").recheck()
