"""Tenant, identity and credential: the values that middleware adds to a connection."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

# A user's id as sockets, nodes and the wire know it. Keys of any other type, as UUIDs, are their text.
UserId = int | str


def as_user_id(key: object) -> UserId:
    """Return the id of the user whose primary key is `key`; raises TypeError for None and True, which are no key."""
    if type(key) is int or type(key) is str:
        return key
    if key is None or isinstance(key, bool):
        raise TypeError(f"Expected the primary key of a user, received {key!r}.")
    return int(key) if isinstance(key, int) else str(key)


def user_ids_of(text: str) -> Iterator[UserId]:
    """The ids that an operator may mean by a text: itself, and the number that it writes."""
    if text:
        yield text
    if text.isascii() and text.isdigit() and int(text):
        yield int(text)


class CredentialKind(StrEnum):
    """The kind of credential that a connection used."""

    NONE = "none"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 a kind, not a secret
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as connections see it. `slug` is its name on the wire, in topic keys, metrics and logs.

    `hosts` are its active domain names, lower case, without ports: the hosts of its own origins. Without any, its
    own origin is the host that the client asked for, which only the directory knows.
    """

    id: int
    slug: str
    name: str = ""
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of a tenant, as a credential proved it.

    The connection is closed at `expires_at`; None means that the credential does not expire by itself.
    `family` is common to all tokens of one sign-in. `session_key_hash` identifies a session without revealing
    its key. `password_stamp` is a fingerprint of the password at the time the credential was made. `rights`
    is the version of the user's rights at that time; rights that were taken away later may end it.

    `user_id` may be given as any primary key, as a UUID: it becomes an `int` or a `str`.
    """

    user_id: UserId
    username: str
    tenant: str
    scopes: frozenset[str]
    kind: CredentialKind
    is_staff: bool = False
    is_superuser: bool = False
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    family: str = ""
    session_key_hash: str = ""
    password_stamp: str = ""
    rights: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "user_id", as_user_id(self.user_id))


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret as it was received, not checked yet. Its representation never shows it."""

    kind: CredentialKind
    secret: str = field(repr=False)
