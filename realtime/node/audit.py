"""Deletes old entries of the audit log and old answers, a few at a time."""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from realtime import tables
from realtime.conf import RealtimeSettings

# Rows of one table that one sweep deletes at most.
SWEEP_MAX = 500


class AuditRetention:
    """Implements `realtime.node.credentials.Table` for rows that only grow old."""

    def __init__(self, settings: RealtimeSettings) -> None:
        self._audit_days = settings.AUDIT_RETENTION_DAYS
        self._answers_s = settings.IDEMPOTENCY_RETENTION_S

    def read(self) -> None:
        """Nothing is kept in memory."""

    async def apply(self) -> None:
        """Nothing is kept in memory."""

    def sweep(self) -> bool:
        """Delete up to SWEEP_MAX rows of each kind; return whether some may be left."""
        now = timezone.now()
        is_left = False
        if self._answers_s:
            answers = tables.IdempotentAnswer.objects.filter(
                created_at__lte=now - timedelta(seconds=self._answers_s)
            )
            is_left = _delete(answers)
        if self._audit_days:
            entries = tables.AuditEntry.objects.filter(at__lte=now - timedelta(days=self._audit_days))
            is_left = _delete(entries) or is_left
        return is_left


def _delete(old: "QuerySet[tables.AuditEntry] | QuerySet[tables.IdempotentAnswer]") -> bool:
    # Read first, so that there is no write and no lock without old rows.
    keys = list(old.order_by().values_list("pk", flat=True)[:SWEEP_MAX])
    if keys:
        old.filter(pk__in=keys).delete()
    return len(keys) == SWEEP_MAX
