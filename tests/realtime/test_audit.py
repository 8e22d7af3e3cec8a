"""The audit log is kept for its time, by the clock of the database."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from realtime.conf import RealtimeSettings
from realtime.models import AuditEntry, IdempotentAnswer
from realtime.node.audit import AuditRetention

DAYS = 30


@pytest.mark.django_db
def test_old_entries_go_and_a_clock_far_ahead_takes_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one node deletes is gone for all, so its clock does not decide."""
    for days in (DAYS + 1, DAYS - 1, 0):
        AuditEntry.objects.create(action=f"{days}", actor_kind="code", at=Now() - timedelta(days=days))
    for age_s in (7200, 0):
        made = Now() - timedelta(seconds=age_s)
        IdempotentAnswer.objects.create(actor="user:1:", key=f"{age_s}", fingerprint="f", created_at=made)
    at = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: at + timedelta(days=3650))
    retention = AuditRetention(RealtimeSettings(AUDIT_RETENTION_DAYS=DAYS, IDEMPOTENCY_RETENTION_S=3600))
    assert retention.sweep() is False
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {f"{DAYS - 1}", "0"}
    assert list(IdempotentAnswer.objects.values_list("key", flat=True)) == ["0"]
