"""Deleting what has expired, a bounded batch at a time, so that no table grows for ever and no lock is held for long."""

from django.db.models import Model, QuerySet
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import Revocation, Ticket, UserSession

# Rows of one table in one sweep.
BATCH = 500


def sweep() -> bool:
    """Delete up to BATCH expired rows of each kind; whether some may be left. Harmless on many nodes at once."""
    now = timezone.now()
    # Used refresh tokens are on a blacklist that goes with them.
    counts = [
        _delete(OutstandingToken.objects.filter(expires_at__lte=now)),
        _delete(Ticket.objects.filter(expires_at__lte=now)),
        _delete(UserSession.objects.filter(expire_date__lte=now)),
        _delete(Revocation.objects.filter(expires_at__lte=now)),
    ]
    return BATCH in counts


def _delete(expired: "QuerySet[Model]") -> int:
    # Looked for first: without any there is no write, and nothing to wait for.
    keys = list(expired.order_by().values_list("pk", flat=True)[:BATCH])
    if keys:
        expired.filter(pk__in=keys).delete()
    return len(keys)
