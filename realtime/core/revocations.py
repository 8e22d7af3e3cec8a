"""Revocations: which credentials end before their time, and with which close code."""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from realtime.core.identity import Identity, UserId, as_user_id
from realtime.protocol.close_codes import CloseCode

# The names of the two flags of an identity in `lost`. They cannot be scopes, whose names hold a colon.
LOST_STAFF = "staff"
LOST_SUPERUSER = "superuser"

# How many single tokens are remembered.
FOUND_MAX = 10_000


class RevocationKind(StrEnum):
    """Says what the `name` of a revocation means."""

    FAMILY = "family"
    SESSION = "session"
    STAMP = "stamp"
    USER = "user"
    MEMBERSHIP = "membership"
    SIGN_OUT = "sign_out"


class Revocation(msgspec.Struct, array_like=True, frozen=True):
    """Ends credentials of one user, or of any user that holds `name` if the user is 0.

    `name` is a token family, the hash of a session's key, a password stamp or, for a membership and a
    sign-out, the tenant's slug. `rights_below` (user, membership, sign-out) selects credentials made under an
    older version of the user's rights. `lost` selects those of them that hold one of these scopes or flags;
    None selects all. After `until_s`, in seconds since 1970, every such credential has expired by itself.
    """

    kind: RevocationKind
    user_id: UserId
    name: str
    rights_below: int
    lost: tuple[str, ...] | None
    until_s: float

    def __post_init__(self) -> None:
        if type(self.user_id) is not int:
            msgspec.structs.force_setattr(self, "user_id", as_user_id(self.user_id))

    def ends(self, identity: Identity) -> CloseCode | None:
        """The code to close a connection of `identity` with; None if it is not affected."""
        if self.user_id not in {0, identity.user_id} or not _NAMES[self.kind](self, identity):
            return None
        is_place = self.kind is RevocationKind.MEMBERSHIP and self.lost is None
        return CloseCode.FORBIDDEN if is_place else CloseCode.UNAUTHENTICATED


class Revocations:
    """The revocations in force, in memory. A check takes a few dictionary look-ups, whatever their number."""

    def __init__(self) -> None:
        # Revocations that name a credential, by kind and name; the others by user.
        self._named: dict[tuple[RevocationKind, str], Revocation] = {}
        self._of_user: dict[UserId, list[Revocation]] = {}
        # Tokens that a recheck found to be invalid, by identity, with the close code.
        self._found: dict[Identity, CloseCode] = {}

    def __len__(self) -> int:
        return len(self._named) + sum(map(len, self._of_user.values()))

    def add(self, revocation: Revocation) -> bool:
        """Keep a revocation; False if it was already known."""
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
        """Remember a token that a recheck found to be invalid. The newest FOUND_MAX are kept."""
        self._found[identity] = code
        if len(self._found) > FOUND_MAX:
            del self._found[next(iter(self._found))]

    def ends(self, identity: Identity) -> CloseCode | None:
        """The close code for a revoked `identity`; None while it is valid."""
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
        """Forget revocations whose credentials have all expired. `now_s` is in seconds since 1970."""
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
    """Whether `one` ends everything that `other` ends, for at least as long. Both must be
    of one user and by rights."""
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


_BY_RIGHTS = frozenset({RevocationKind.USER, RevocationKind.MEMBERSHIP, RevocationKind.SIGN_OUT})
_NAMES: dict[RevocationKind, Callable[[Revocation, Identity], bool]] = {
    RevocationKind.FAMILY: lambda revocation, identity: identity.family == revocation.name,
    RevocationKind.SESSION: lambda revocation, identity: identity.session_key_hash == revocation.name,
    RevocationKind.STAMP: lambda revocation, identity: identity.password_stamp == revocation.name,
    RevocationKind.USER: _takes_from,
    RevocationKind.SIGN_OUT: lambda revocation, identity: (
        identity.tenant == revocation.name and _takes_from(revocation, identity)
    ),
    RevocationKind.MEMBERSHIP: lambda revocation, identity: (
        identity.tenant == revocation.name and _takes_from(revocation, identity)
    ),
}
