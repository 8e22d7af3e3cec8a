"""Who and where: the values middleware adds to a connection."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class CredentialKind(StrEnum):
    """How a connection proved who it is."""

    NONE = "none"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 a kind, not a secret
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as connections see it. `slug` is its name on the wire, in topic keys, metrics and logs.

    `hosts` are its active domain names, lower case, without ports: the hosts of its own origins.
    """

    id: int
    slug: str
    name: str = ""
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identity:
    """A user of a tenant, as a credential proved it.

    `expires_at` ends the connection; None means the credential does not end by itself.
    `family` ties all tokens of one sign-in; `session_key_hash` names a session without being its key;
    `password_stamp` is a fingerprint of the password the credential was made under; `rights` is the version of the
    user's rights it was made under: what was taken away since then may end it.
    """

    user_id: int
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


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret as it came in, not yet checked. Its representation never shows it."""

    kind: CredentialKind
    secret: str = field(repr=False)
