"""Deletes rows that are too old, a few at a time."""

from typing import Any

from django.db.models import QuerySet

# Rows that are deleted at once.
SWEEP_MAX = 500


def delete_some(old: QuerySet[Any]) -> bool:
    """Delete up to SWEEP_MAX of these rows; return whether some may be left."""
    # Read first, so that there is no write and no lock without old rows.
    keys = list(old.order_by().values_list("pk", flat=True)[:SWEEP_MAX])
    if keys:
        old.filter(pk__in=keys).delete()
    return len(keys) == SWEEP_MAX
