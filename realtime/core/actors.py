"""Operators: their credentials, and the tenants that they may act on."""

from dataclasses import dataclass
from enum import StrEnum

READ_SCOPE = "control:read"
WRITE_SCOPE = "control:write"
# The permissions of staff who act by their session: to see the live page and its lists, and to give each kind of order.
# A ban is a row of the admin too, with the permissions of Django's admin.
VIEW = "realtime.view_live"
PERMISSIONS = {
    "publish": "realtime.publish_topic",
    "broadcast": "realtime.publish_topic",
    "disconnect": "realtime.disconnect_connection",
    "subscribe": "realtime.subscribe_user",
    "unsubscribe": "realtime.subscribe_user",
    "revoke": "realtime.revoke_user",
    "ban": "realtime.add_ban",
    "unban": "realtime.delete_ban",
    "announce": "realtime.announce",
    "drain": "realtime.drain_node",
}
# Orders on tenants: for superusers and operators' keys.
FOR_ALL = frozenset({"suspend", "resume"})
OF_ALL = "This needs a superuser or an operator's key."


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

    `id` is the user's or the key's, as text. `permissions` are those of staff who act by their session, as
    `app.codename`. With None the scopes decide alone: a superuser, a token, a key.
    """

    kind: ActorKind
    id: str
    name: str
    tenant: str | None
    scopes: frozenset[str]
    address: str = ""
    permissions: frozenset[str] | None = None

    @property
    def key(self) -> str:
        """A text that names this operator, for limits and idempotency keys."""
        kind = "key" if self.kind is ActorKind.KEY else "user"
        return f"{kind}:{self.id}:{self.tenant or ''}"

    def fault_of(self, order: str) -> str:
        """Return why this operator may not give this order; "" if they may."""
        if WRITE_SCOPE not in self.scopes:
            return f"This needs the scope {WRITE_SCOPE}."
        if order in FOR_ALL:
            return OF_ALL if self.tenant is not None else ""
        if self.permissions is None:
            # A node serves all tenants.
            return OF_ALL if order == "drain" and self.tenant is not None else ""
        needed = PERMISSIONS[order]
        return "" if needed in self.permissions else f"This needs the permission {needed}."

    def orders(self) -> frozenset[str]:
        """Return the names of all orders that this operator may give."""
        return frozenset(name for name in (*PERMISSIONS, *FOR_ALL) if not self.fault_of(name))


# The project's own code, and anyone who may run commands on the machine: both may do everything.
CODE = Actor(ActorKind.CODE, "", "", None, frozenset({READ_SCOPE, WRITE_SCOPE}))
COMMAND = Actor(ActorKind.COMMAND, "", "", None, frozenset({READ_SCOPE, WRITE_SCOPE}))
