"""Deletion of expired rows in bounded batches, so that tables do not grow and locks are short."""

from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import Revocation, Ticket, UserSession

# Rows of one table that one sweep deletes at most.
BATCH = 500


def sweep() -> bool:
    """Delete up to BATCH expired rows of each kind.

    Return whether some may be left. Several nodes may run it at once.
    """
    # The database's clock. A node's that is far ahead would sign everybody out, and forget revocations of tokens that are
    # good again when it is set right.
    now = Now()
    # The blacklist entries of used refresh tokens are deleted with them.
    counts = [
        _delete(OutstandingToken.objects.filter(expires_at__lte=now)),
        _delete(Ticket.objects.filter(expires_at__lte=now)),
        _delete(UserSession.objects.filter(expire_date__lte=now)),
        _delete(Revocation.objects.filter(expires_at__lte=now)),
    ]
    return BATCH in counts


def _delete(expired: "QuerySet[Model]") -> int:
    # Read first, so that there is no write and no lock without expired rows.
    keys = list(expired.order_by().values_list("pk", flat=True)[:BATCH])
    if keys:
        expired.filter(pk__in=keys).delete()
    return len(keys)
