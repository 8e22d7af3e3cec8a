"""Operators: their credentials, and the tenants that they may act on."""

from dataclasses import dataclass
from enum import StrEnum

READ_SCOPE = "control:read"
WRITE_SCOPE = "control:write"


class ActorKind(StrEnum):
    """The kind of credential that an operator used."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 a kind, not a secret
    KEY = "key"
    COMMAND = "command"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Actor:
    """An operator. `tenant` is the slug that they are bound to; None: they may name any.

    `id` is the user's or the key's, as text.
    """

    kind: ActorKind
    id: str
    name: str
    tenant: str | None
    scopes: frozenset[str]
    address: str = ""

    @property
    def key(self) -> str:
        """A text that names this operator, for limits and idempotency keys."""
        kind = "key" if self.kind is ActorKind.KEY else "user"
        return f"{kind}:{self.id}:{self.tenant or ''}"


# The project's own code, and anyone who may run commands on the machine: both may do everything.
CODE = Actor(ActorKind.CODE, "", "", None, frozenset({READ_SCOPE, WRITE_SCOPE}))
COMMAND = Actor(ActorKind.COMMAND, "", "", None, frozenset({READ_SCOPE, WRITE_SCOPE}))
