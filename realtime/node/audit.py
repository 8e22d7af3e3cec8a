"""Deletes old entries of the audit log and old answers, a few at a time."""

from datetime import timedelta

from django.db.models.functions import Now

from realtime import tables
from realtime.conf import RealtimeSettings
from realtime.node.old_rows import delete_some


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
        """Delete some rows of each kind; return whether some may be left."""
        # Rows have the database's time. Its clock is asked here, too: one node's may be far ahead.
        is_left = False
        if self._answers_s:
            answers = tables.IdempotentAnswer.objects.filter(
                created_at__lte=Now() - timedelta(seconds=self._answers_s)
            )
            is_left = delete_some(answers)
        if self._audit_days:
            entries = tables.AuditEntry.objects.filter(at__lte=Now() - timedelta(days=self._audit_days))
            is_left = delete_some(entries) or is_left
        return is_left
