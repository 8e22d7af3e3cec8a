"""What was taken away: which credentials end before their time, and the code that says so."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from realtime.core.identity import Identity
from realtime.protocol.close_codes import CloseCode

# What `lost` calls the two flags of an identity; no scope has a name without a colon.
LOST_STAFF = "staff"
LOST_SUPERUSER = "superuser"

# Tokens remembered one by one.
FOUND_MAX = 10_000


class RevocationKind(StrEnum):
    """What the `name` of a revocation means."""

    FAMILY = "family"
    SESSION = "session"
    STAMP = "stamp"
    USER = "user"
    MEMBERSHIP = "membership"


class Revocation(msgspec.Struct, array_like=True, frozen=True):
    """Ends credentials of one user (0: of whoever holds `name`).

    `name` is a token family, the hash of a session's key, a password stamp or, for a membership, the tenant's slug.
    `rights_below` (user and membership): credentials made under an older version of the user's rights. `lost`
    narrows it to those that hold one of these scopes or flags; None ends all. `until_s` is the time of day, in seconds
    since 1970, from which every such credential has ended by itself.
    """

    kind: RevocationKind
    user_id: int | str
    name: str
    rights_below: int
    lost: tuple[str, ...] | None
    until_s: float

    def ends(self, identity: Identity) -> CloseCode | None:
        """The code to close a connection of `identity` with; None where it holds."""
        if self.user_id not in {0, identity.user_id} or not _NAMES[self.kind](self, identity):
            return None
        is_place = self.kind is RevocationKind.MEMBERSHIP and self.lost is None
        return CloseCode.FORBIDDEN if is_place else CloseCode.UNAUTHENTICATED


class Revocations:
    """Those in force, in memory. A look costs a few dictionary look-ups, whatever their number."""

    def __init__(self) -> None:
        # By kind and name for what names a credential; by user for the rest.
        self._named: dict[tuple[RevocationKind, str], Revocation] = {}
        self._of_user: dict[int | str, list[Revocation]] = {}
        # Tokens that were found out otherwise, each by what it proves, with the code for it.
        self._found: dict[Identity, CloseCode] = {}

    def __len__(self) -> int:
        return len(self._named) + sum(map(len, self._of_user.values()))

    def add(self, revocation: Revocation) -> bool:
        """Keep one; False where it was known already."""
        if revocation.kind in _BY_RIGHTS:
            known = self._of_user.setdefault(revocation.user_id, [])
            if any(_covers(each, revocation) for each in known):
                return False
            known[:] = [each for each in known if not _covers(revocation, each)]
            known.append(revocation)
            return True
        key = (revocation.kind, revocation.name)
        is_new = key not in self._named
        self._named[key] = revocation
        return is_new

    def found(self, identity: Identity, code: CloseCode) -> None:
        """Remember that this very token no longer holds: what no revocation told of. The newest FOUND_MAX are kept."""
        self._found[identity] = code
        if len(self._found) > FOUND_MAX:
            del self._found[next(iter(self._found))]

    def ends(self, identity: Identity) -> CloseCode | None:
        """The code that `identity` has ended with; None while it holds."""
        if self._found and identity in self._found:
            return self._found[identity]
        for revocation in self._of_user.get(identity.user_id, ()):
            if code := revocation.ends(identity):
                return code
        for kind, name in (
            (RevocationKind.FAMILY, identity.family),
            (RevocationKind.SESSION, identity.session_key_hash),
            (RevocationKind.STAMP, identity.password_stamp),
        ):
            if name and (kind, name) in self._named:
                return CloseCode.UNAUTHENTICATED
        return None

    def drop_expired(self, now_s: float) -> None:
        """Forget those that nothing needs any more. `now_s` is the time of day, in seconds since 1970."""
        self._found = {
            identity: code
            for identity, code in self._found.items()
            if identity.expires_at is not None and identity.expires_at.timestamp() > now_s
        }
        self._named = {key: each for key, each in self._named.items() if each.until_s > now_s}
        left = {
            user_id: [each for each in revocations if each.until_s > now_s]
            for user_id, revocations in self._of_user.items()
        }
        self._of_user = {user_id: revocations for user_id, revocations in left.items() if revocations}


def _covers(one: Revocation, other: Revocation) -> bool:
    """Whether `one` ends all that `other` ends, for as long: both of one user, by the rights."""
    return (
        (one.kind, one.name) == (other.kind, other.name)
        and one.lost in {None, other.lost}
        and one.rights_below >= other.rights_below
        and one.until_s >= other.until_s
    )


def _takes_from(revocation: Revocation, identity: Identity) -> bool:
    if identity.rights >= revocation.rights_below:
        return False
    if revocation.lost is None:
        return True
    held = {LOST_STAFF: identity.is_staff, LOST_SUPERUSER: identity.is_superuser}
    return any(held.get(lost, lost in identity.scopes) for lost in revocation.lost)


_BY_RIGHTS = frozenset({RevocationKind.USER, RevocationKind.MEMBERSHIP})
_NAMES: dict[RevocationKind, Callable[[Revocation, Identity], bool]] = {
    RevocationKind.FAMILY: lambda revocation, identity: identity.family == revocation.name,
    RevocationKind.SESSION: lambda revocation, identity: identity.session_key_hash == revocation.name,
    RevocationKind.STAMP: lambda revocation, identity: identity.password_stamp == revocation.name,
    RevocationKind.USER: _takes_from,
    RevocationKind.MEMBERSHIP: lambda revocation, identity: (
        identity.tenant == revocation.name and _takes_from(revocation, identity)
    ),
}
