"""Closes connections that may no longer be open: by revocations, by regular rechecks, and
when tenants are gone.

A revocation is matched in memory against the connections of its user. Changes without a revocation
(`update()`, raw SQL) are found by rechecks, which read the identities of all open connections again, one
slice at a time.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from secrets import SystemRandom
from time import time
from typing import Protocol

import msgspec
from django.db import InterfaceError, OperationalError

from realtime.core.identity import CredentialKind, Identity, Tenant, UserId, user_ids_of
from realtime.core.revocations import Revocation, Revocations
from realtime.node.database import Database
from realtime.node.ports import Authenticator, TenantDirectory
from realtime.node.slices import in_slices
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import RequestError, forbidden, unauthenticated
from realtime.sockets.connection import Connection

logger = logging.getLogger(__name__)

# How often tenants and new revocations are read, in seconds. Without a bus, revocations arrive only this way.
POLL_INTERVAL_S = 0.5
# All identities in use are rechecked within this many seconds, or in slices of SLICE_MIN if that is faster.
ROUND_S = 30.0
SLICE_MIN = 100
# How many identities one database call rechecks.
RECHECK_BATCH = 500
# Expired rows are deleted about this often, in seconds; if some are left, again after SWEEP_AGAIN_S.
SWEEP_INTERVAL_S = 60.0
SWEEP_AGAIN_S = 1.0

# The database cannot be reached, or has no free thread: nothing can be concluded about any identity.
AWAY = (InterfaceError, OperationalError, RequestError)

_decoder = msgspec.msgpack.Decoder(list[Revocation])


class Table(Protocol):
    """Rows that decide who may connect, kept in memory; read together with the revocations."""

    def read(self) -> None:
        """Read the rows that have changed. Called in a database thread, at start and then twice a second."""
        ...

    async def apply(self) -> None:
        """Apply the rows that were read. Called on the loop after `read`."""
        ...

    def sweep(self) -> bool:
        """Delete some expired rows; return whether some may be left. Called in a database thread."""
        ...


class Credentials:
    """The credentials in use in this process. Used only on its event loop; `database` must
    be set before `load`.

    `database` has its own thread, so that revoked rights end in time even if the other threads are busy.
    """

    database: Database

    def __init__(
        self, authenticator: Authenticator, directory: TenantDirectory, tables: Sequence[Table] = ()
    ) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._tables = tables
        self._revocations = Revocations()
        self._open: dict[str, Connection] = {}
        # A user's only connection, or a dict of all of them: most users have one, and a
        # dict for each would cost memory.
        self._of_user: dict[UserId, Connection | dict[Connection, None]] = {}
        self._waiting: list[Identity] = []
        self._slice = SLICE_MIN
        self._is_away = False

    async def load(self) -> None:
        """Read the tenants and the revocations in force. Called before the first connection."""
        for revocation in await self.database.run(self._read):
            self._revocations.add(revocation)
        await self._apply()

    def require_live(self, identity: Identity) -> Identity:
        """Return `identity` unless it was revoked; raises Refusal(401, or 403 for a lost
        membership). Makes no query."""
        code = self._revocations.ends(identity)
        if code is None:
            return identity
        if code is CloseCode.FORBIDDEN:
            raise forbidden("permission_denied", "This user is no longer a member here.")
        raise unauthenticated("This credential was revoked.")

    def opened(self, connection: Connection) -> None:
        """Register a new connection. It is closed at once if its credential was revoked
        during the handshake."""
        self._open[connection.id] = connection
        identity = connection.identity
        if identity is None:
            return
        held = self._of_user.get(identity.user_id)
        if held is None:
            self._of_user[identity.user_id] = connection
        elif isinstance(held, dict):
            held[connection] = None
        else:
            self._of_user[identity.user_id] = {held: None, connection: None}
        if code := self._revocations.ends(identity):
            _end(connection, code)

    def released(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        del self._open[connection.id]
        if connection.identity is None:
            return
        held = self._of_user.get(connection.identity.user_id)
        if isinstance(held, dict):
            held.pop(connection, None)
        if held is connection or not held:
            self._of_user.pop(connection.identity.user_id, None)

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Remember revocations, and close the connections that they end. Checks only the
        connections of their users."""
        for revocation in revocations:
            if not self._revocations.add(revocation):
                continue
            for connection in self._connections_of(revocation.user_id):
                if connection.identity is not None and (code := revocation.ends(connection.identity)):
                    _end(connection, code)

    def on_message(self, body: bytes) -> None:
        """Handle the revocations that another node sent."""
        try:
            self.revoke(_decoder.decode(body))
        except msgspec.MsgspecError:
            logger.warning("A message that is not a revocation came over the bus and was dropped")

    async def recheck(self, user_id: UserId | None) -> None:
        """Check the identities of a user's connections now (None: of all users).

        If they cannot be read now, the regular recheck finds them within ROUND_S.
        """
        identities = [each.identity for each in self.connections_of(user_id) if each.identity is not None]
        try:
            for at in range(0, len(identities), RECHECK_BATCH):
                await self._recheck(identities[at : at + RECHECK_BATCH])
        except AWAY as error:
            logger.warning("Credentials cannot be read again now: %s", type(error).__name__)

    def connections_of(self, user_id: UserId | None) -> list[Connection]:
        """Return the open connections of a user (None: all of this process)."""
        return list(self._open.values()) if user_id is None else list(self._connections_of(user_id))

    async def keep(self) -> None:
        """Read tenants and revocations and recheck a slice of the identities, repeatedly and without end."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                await self.read_now()
                await self._recheck_slice()
                self._is_away = False
            except AWAY as error:
                # Open connections stay open, and known revocations stay in force.
                if not self._is_away:
                    logger.warning("Credentials cannot be read again now: %s", type(error).__name__)
                self._is_away = True
            except Exception:
                logger.exception("Credentials could not be read again")

    async def read_now(self) -> int:
        """Read tenants, revocations and tables, and let them take effect. Returns the number of connections
        whose tenant is no longer served."""
        self.revoke(await self.database.run(self._read))
        await self._apply()
        return await self._close_homeless()

    async def sweep(self, database: Database) -> None:
        """Delete expired rows at intervals, without end. The interval is random, so that
        nodes do not all do it at once.

        It is not urgent, so it uses the shared `database` and waits for its turn there.
        """
        wait_s = SWEEP_INTERVAL_S * SystemRandom().uniform(0.1, 0.5)
        while True:
            await asyncio.sleep(wait_s)
            is_left = False
            try:
                is_left = await database.run(self._sweep_rows)
            except AWAY as error:
                logger.info("Expired rows cannot be deleted now: %s", type(error).__name__)
            except Exception:
                logger.exception("Expired rows could not be deleted")
            self._revocations.drop_expired(time())
            wait_s = SWEEP_AGAIN_S if is_left else SWEEP_INTERVAL_S * SystemRandom().uniform(0.8, 1.2)

    async def _recheck_slice(self) -> None:
        if not self._waiting:
            self._waiting = self._identities()
            self._slice = max(SLICE_MIN, math.ceil(len(self._waiting) * POLL_INTERVAL_S / ROUND_S))
        chosen, self._waiting = self._waiting[: self._slice], self._waiting[self._slice :]
        for at in range(0, len(chosen), RECHECK_BATCH):
            await self._recheck(chosen[at : at + RECHECK_BATCH])

    def _identities(self) -> list[Identity]:
        """The identities in use. Compared by object, because connections with one token
        share one and hashing is slower."""
        identities = (each.identity for each in self._open.values())
        return list({id(identity): identity for identity in identities if identity is not None}.values())

    async def _recheck(self, identities: Sequence[Identity]) -> None:
        try:
            self._close_gone(await self.database.run(self._authenticator.recheck, identities))
        except AWAY:
            raise
        except Exception:
            if len(identities) == 1:
                # An identity that cannot be checked is treated as invalid.
                logger.exception("A credential could not be read again")
                self._close_gone({identities[0]: CloseCode.UNAUTHENTICATED})
                return
            # Checked one by one, so that an identity that fails does not affect the others.
            for identity in identities:
                await self._recheck([identity])

    def _close_gone(self, gone: Mapping[Identity, CloseCode]) -> None:
        for identity, code in gone.items():
            if identity.kind is CredentialKind.TOKEN:
                # Sessions and tickets are looked up at each handshake; tokens are not.
                self._revocations.found(identity, code)
            for connection in self._connections_of(identity.user_id):
                if connection.identity == identity:
                    _end(connection, code)

    def connections_named(self, user_id: str) -> Iterator[Connection]:
        """Yield the connections of a user, whose id is given as text."""
        for each in user_ids_of(user_id):
            yield from self._connections_of(each)

    def _connections_of(self, user_id: UserId) -> Iterator[Connection]:
        """The connections of a user, or all connections if `user_id` is 0."""
        if user_id == 0:
            yield from list(self._open.values())
            return
        held = self._of_user.get(user_id)
        if held is not None:
            yield from list(held) if isinstance(held, dict) else (held,)

    def _read(self) -> Sequence[Revocation]:
        self._directory.refresh()
        for table in self._tables:
            table.read()
        return self._authenticator.revocations()

    def _sweep_rows(self) -> bool:
        return any([self._authenticator.sweep(), *(table.sweep() for table in self._tables)])

    async def _apply(self) -> None:
        for table in self._tables:
            await table.apply()

    async def _close_homeless(self) -> int:
        """Close all connections, signed in or not, of tenants that are no longer served by
        any of their hosts; returns how many there are."""
        tenants = {id(each.tenant): each.tenant for each in self._open.values()}
        homeless = {each for each in tenants.values() if each.hosts and not self._is_served(each, each.hosts)}
        # A tenant that names no hosts is looked up by the hosts of its connections.
        hostless = {each for each in tenants.values() if not each.hosts}
        count = 0
        async for some in in_slices(list(self._open.values()) if homeless or hostless else ()):
            for connection in some:
                tenant = connection.tenant
                is_unserved = tenant in hostless and not self._is_served(tenant, (connection.host,))
                if is_unserved or tenant in homeless:
                    connection.close(CloseCode.NOT_FOUND, "this site is no longer served here")
                    count += 1
        return count

    def _is_served(self, tenant: Tenant, hosts: Iterable[str]) -> bool:
        found = (self._directory.lookup(host) for host in hosts)
        # Topics go by the slug: with another one, a connection that stayed would hear nothing more.
        return any(each is not None and (each.id, each.slug) == (tenant.id, tenant.slug) for each in found)


def encode(revocations: Sequence[Revocation]) -> bytes:
    """Revocations as one node sends them to the others."""
    return msgspec.msgpack.encode(revocations)


def _end(connection: Connection, code: CloseCode) -> None:
    connection.close(code, "no longer allowed here")
