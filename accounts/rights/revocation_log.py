"""Reads new revocations from the table, each once."""

from collections.abc import Collection, Mapping
from time import monotonic

from django.db.models import Max, Q
from django.utils import timezone

from accounts.models import Revocation
from accounts.rights.revocations import revocation_value
from realtime import CloseCode, Identity, UserId
from realtime import Revocation as RevocationValue

# Rows of one read; the next read returns more.
READ_MAX = 5000
# An id is assigned at the insert and visible after the commit, so a lower id may appear later. Missing ids
# are read again for this many seconds, at most this many of them (the newest).
GAP_S = 60.0
GAPS_MAX = 500


def revocations_of(identities: Collection[Identity]) -> dict[UserId, list[RevocationValue]]:
    """Return the revocations that may concern the identities, by user. Key 0 has those without a user."""
    names = {name for each in identities for name in (each.family, each.password_stamp)}
    rows = Revocation.objects.filter(
        Q(user_id__in={each.user_id for each in identities}) | Q(user_id=None, value__in=names),
        expires_at__gt=timezone.now(),
    )
    found: dict[UserId, list[RevocationValue]] = {}
    for row in rows:
        found.setdefault(row.user_id or 0, []).append(revocation_value(row))
    return found


def first_end(revocations: Mapping[UserId, list[RevocationValue]], identity: Identity) -> CloseCode | None:
    """Return the close code of the first revocation that ends `identity`; None if it is valid."""
    for revocation in (*revocations.get(identity.user_id, ()), *revocations.get(0, ())):
        code: CloseCode | None = revocation.ends(identity)
        if code is not None:
            return code
    return None


class RevocationLog:
    """A reader that remembers its position in the table. Only one thread may use it at a time."""

    def __init__(self) -> None:
        self._last_id: int | None = None
        # Missing ids below the position, each with the monotonic second until which it is read again.
        self._gaps: dict[int, float] = {}

    def read(self) -> list[RevocationValue]:
        """Return the revocations since the last read; at first, all that are in force. One query."""
        now_s = monotonic()
        self._gaps = {number: until_s for number, until_s in self._gaps.items() if until_s > now_s}
        rows = Revocation.objects.filter(expires_at__gt=timezone.now()).order_by("id")
        if self._last_id is None:
            found = list(rows)
        else:
            found = list(rows.filter(Q(id__gt=self._last_id) | Q(id__in=list(self._gaps)))[:READ_MAX])
        for row in found:
            self._seen(row.pk, now_s + GAP_S)
        self._last_id = self._last_id or 0
        return [revocation_value(row) for row in found]

    def rewind(self) -> None:
        """Move the position back if the table was emptied or restored, so that its ids are lower.

        One query.
        """
        highest = Revocation.objects.aggregate(highest=Max("id"))["highest"] or 0
        if self._last_id is not None and highest < self._last_id:
            self._last_id = highest

    def _seen(self, number: int, gap_until_s: float) -> None:
        last_id = number - 1 if self._last_id is None else self._last_id
        if number <= last_id:
            self._gaps.pop(number, None)
            return
        for missing in range(max(last_id + 1, number - GAPS_MAX), number):
            self._gaps[missing] = gap_until_s
        while len(self._gaps) > GAPS_MAX:
            del self._gaps[next(iter(self._gaps))]
        self._last_id = number
