"""The revocations of the table, each once, as they come."""

from collections.abc import Collection, Mapping
from time import monotonic

from django.db.models import Max, Q
from django.utils import timezone

from accounts.models import Revocation
from accounts.rights import revocation_value
from realtime import CloseCode, Identity
from realtime import Revocation as RevocationValue

# Rows of one read; more come with the next.
READ_MAX = 5000
# Ids are given at the insert and seen after the commit, so a lower one may come later: gaps are asked for again for
# so many seconds, the newest so many of them.
GAP_S = 60.0
GAPS_MAX = 500


def revocations_of(identities: Collection[Identity]) -> dict[int, list[RevocationValue]]:
    """Those in force that may concern them, by user; under 0 those of an older version, which name no user."""
    names = {name for each in identities for name in (each.family, each.password_stamp)}
    rows = Revocation.objects.filter(
        Q(user_id__in={each.user_id for each in identities}) | Q(user_id=None, value__in=names),
        expires_at__gt=timezone.now(),
    )
    found: dict[int, list[RevocationValue]] = {}
    for row in rows:
        found.setdefault(row.user_id or 0, []).append(revocation_value(row))
    return found


def first_end(revocations: Mapping[int, list[RevocationValue]], identity: Identity) -> CloseCode | None:
    """The code of the first that ends `identity`; None where it holds."""
    for revocation in (*revocations.get(identity.user_id, ()), *revocations.get(0, ())):
        code: CloseCode | None = revocation.ends(identity)
        if code is not None:
            return code
    return None


class RevocationLog:
    """A reader of its own place in the table. Used by one thread at a time."""

    def __init__(self) -> None:
        self._last_id: int | None = None
        # Ids below it that were not there yet, each with the monotonic second until which it is asked for.
        self._gaps: dict[int, float] = {}

    def read(self) -> list[RevocationValue]:
        """What came since the last read; at first, all that are in force. One query."""
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
        """Begin lower down where the table was emptied or restored, and its ids with it. One query."""
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
