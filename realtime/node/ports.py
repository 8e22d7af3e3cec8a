"""What this package asks of the site around it; `REALTIME["TENANTS"]` and `["IDENTITY"]` name the classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime.core.identity import Identity, Tenant
from realtime.core.revocations import Revocation
from realtime.protocol.close_codes import CloseCode


class TenantDirectory(Protocol):
    """Hosts and their tenants, kept in memory so that a lookup costs no query, hit or miss."""

    def lookup(self, host: str) -> Tenant | None:
        """The active tenant of `host` (lower case, no port), from memory. Called on the loop: no I/O."""
        ...

    def refresh(self) -> None:
        """Read the table again. Called in a database thread, at start and then twice a second."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedSession:
    """A live Django session of this tenant; `identity` is None while nobody has signed in with it."""

    session_key: str
    identity: Identity | None


class Authenticator(Protocol):
    """Turns credentials into identities. Raises `Refusal`: 401 for a bad one, 403 for another tenant's.

    What verified identities still hold is asked of `Revocations`, which the process keeps in memory.
    """

    def revocations(self) -> Sequence[Revocation]:
        """Revocations that became known since the last call; at the first call, all that are in force.

        Called in a database thread, at start and then twice a second. Empty where there are none to tell of.
        """
        ...

    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        """Check a signed access token. Called on the loop: no I/O."""
        ...

    def redeem_ticket(self, ticket: str, tenant: Tenant) -> Identity:
        """Use up a single-use ticket. Called in a database thread."""
        ...

    def load_session(self, session_key: str, tenant: Tenant) -> LoadedSession:
        """Load a session made on this tenant. Called in a database thread."""
        ...

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, CloseCode]:
        """Those of `identities` that no longer hold, and the code to close them with: 4403 where the membership
        was lost, 4401 else (signed out, deactivated, password changed, token family revoked).
        Called in a database thread, for everybody once in a round of 30 s, with at most 500.
        """
        ...

    def sweep(self) -> bool:
        """Delete some of what has expired (tokens, tickets, sessions, revocations); whether some may be left.

        Called in a database thread about once a minute, on every node; one call takes well under a second.
        """
        ...
