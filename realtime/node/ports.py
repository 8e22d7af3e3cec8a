"""What this package needs from the site; `REALTIME["TENANTS"]` and `REALTIME["IDENTITY"]`
name the classes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from realtime.core.identity import Identity, Tenant
from realtime.core.revocations import Revocation
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import ErrorCode, RequestError


class TenantDirectory(Protocol):
    """Maps hosts to tenants, in memory, so that a lookup makes no query, even for an unknown host.

    Two methods are optional. `has_slug(slug: str) -> bool`: whether there is a tenant of this slug, active or
    not. With it, `publish` refuses other tenants. It is called in any thread, and on the loop, where it may
    not read the database (Django refuses, and it is called again in a thread).
    `search_tenants(text: str, limit: int)`: the first tenants with `text` in slug or name, as mappings
    `{slug, name, is_active}`. With it, the live page lists tenants. Called in a database thread.
    """

    def lookup(self, host: str) -> Tenant | None:
        """Return the active tenant of `host` (lower case, no port), from memory. Called on the loop, so no I/O.

        A directory of one tenant may have the attribute `only_slug: str`, for calls of `publish` that name none.
        """
        ...

    def refresh(self) -> None:
        """Read the table again. Called in a database thread, at start and then twice a second."""
        ...

    def set_active(self, slug: str, *, is_active: bool) -> bool:
        """Suspend a tenant or let it go on: while it is suspended, `lookup` finds none of its hosts.

        False if there is no such tenant. Called in a database thread.
        """
        ...


def only_slug(directory: TenantDirectory) -> str:
    """Return the slug of a site's only tenant; "" if callers must name the tenant."""
    slug: str = getattr(directory, "only_slug", "")
    return slug


def require_tenant(directory: TenantDirectory, slug: str) -> None:
    """Raise RequestError(not_found) if the directory says that there is no tenant of this slug.

    It may read the database: on the event loop Django raises SynchronousOnlyOperation then.
    """
    has_slug = getattr(directory, "has_slug", None)
    if not slug or (has_slug is not None and not has_slug(slug)):
        raise RequestError(ErrorCode.NOT_FOUND, f"There is no tenant {slug!r}.", details={"field": "tenant"})


@dataclass(frozen=True, slots=True)
class LoadedSession:
    """A valid Django session of this tenant; `identity` is None if no user has signed in with it."""

    session_key: str
    identity: Identity | None


class Authenticator(Protocol):
    """Turns credentials into identities. Raises `Refusal`: 401 for an invalid credential,
    403 for another tenant's.

    Whether a verified identity has been revoked is checked with `Revocations`, which the
    process keeps in memory.

    Three methods are optional, and called in a database thread. `tenant` is None for all tenants.

    - `search_users(text: str, tenant: str | None, limit: int)` returns the first users with `text` in their name, as
      mappings `{id, username}`. With it, the live page finds users that are not connected.
    - `knows_user(user_id: str, tenant: str | None) -> bool` says whether the user exists. Without it any id can be
      banned.
    - `sign_out_everywhere(user_id: str, tenant: str | None) -> bool` ends all tokens, tickets and sessions of a
      user and tells the nodes. It returns False if there is no such user. Without it `revoke` is answered with
      `conflict`.
    """

    def revocations(self) -> Sequence[Revocation]:
        """Revocations that became known since the last call; at the first call, all that are in force.

        Called in a database thread, at start and then twice a second. Empty if there are none.
        """
        ...

    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        """Check an access token. Called on the loop, so no I/O.

        An authenticator with the attribute `tokens_in_db = True` is called in a database thread instead.
        """
        ...

    def redeem_ticket(self, ticket: str, tenant: Tenant) -> Identity:
        """Use up a single-use ticket. Called in a database thread."""
        ...

    def load_session(self, session_key: str, tenant: Tenant) -> LoadedSession:
        """Load a session made on this tenant. Called in a database thread."""
        ...

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, CloseCode]:
        """The `identities` that are no longer valid, with the close code: 4403 for a lost membership,
        otherwise 4401 (signed out, deactivated, password changed, token family revoked).

        Called in a database thread with at most 500 identities; each identity in use is checked once in 30 s.
        """
        ...

    def sweep(self) -> bool:
        """Delete some expired rows (tokens, tickets, sessions, revocations); return whether some may be left.

        Called in a database thread about once a minute, on every node. One call should take
        well under a second.
        """
        ...
