"""Ending what should no longer be open: revocations as they come, everybody once in a round, tenants that are gone.

A revocation is matched in memory against the connections of its user. What no revocation tells of (`update()`, raw
SQL) is found by the round, which reads the identities of all open connections again, a slice at a time.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from secrets import SystemRandom
from time import time

import msgspec
from django.db import InterfaceError, OperationalError

from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.revocations import Revocation, Revocations
from realtime.node.database import Database
from realtime.node.ports import Authenticator, TenantDirectory
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import RequestError, forbidden, unauthenticated
from realtime.sockets.connection import Connection

logger = logging.getLogger(__name__)

# How often tenants and new revocations are asked for, in seconds: where there is no bus they come by this alone.
POLL_INTERVAL_S = 0.5
# All identities in use are read again within this many seconds, or in slices of so many, whichever is quicker.
ROUND_S = 30.0
SLICE_MIN = 100
# Identities read again in one visit to the database.
RECHECK_BATCH = 500
# Expired rows are deleted about this often, in seconds, and again soon where some are left.
SWEEP_INTERVAL_S = 60.0
SWEEP_AGAIN_S = 1.0

# The database is away, or has no thread free: nothing is known of anybody.
AWAY = (InterfaceError, OperationalError, RequestError)

_decoder = msgspec.msgpack.Decoder(list[Revocation])


class Credentials:
    """The credentials in use in this process. Touched only on its loop; `database` is set before `load`.

    It is a thread of its own: however busy the others are, what was taken away ends in time.
    """

    database: Database

    def __init__(self, authenticator: Authenticator, directory: TenantDirectory) -> None:
        self._authenticator = authenticator
        self._directory = directory
        self._revocations = Revocations()
        self._open: dict[str, Connection] = {}
        # A user's only connection, or all of them: most have one, and a container for each would cost as much as it.
        self._of_user: dict[int | str, Connection | dict[Connection, None]] = {}
        self._waiting: list[Identity] = []
        self._slice = SLICE_MIN
        self._is_away = False

    async def load(self) -> None:
        """Read tenants and the revocations in force, before the first connection."""
        for revocation in await self.database.run(self._read):
            self._revocations.add(revocation)

    def require_live(self, identity: Identity) -> Identity:
        """`identity`, unless it was revoked; raises Refusal(401, or 403 for a membership). Costs no query."""
        code = self._revocations.ends(identity)
        if code is None:
            return identity
        if code is CloseCode.FORBIDDEN:
            raise forbidden("permission_denied", "This user is no longer a member here.")
        raise unauthenticated("This credential was revoked.")

    def opened(self, connection: Connection) -> None:
        """A connection begins. It is closed at once where its credential was revoked on the way here."""
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
        """A connection is over."""
        del self._open[connection.id]
        if connection.identity is None:
            return
        held = self._of_user.get(connection.identity.user_id)
        if isinstance(held, dict):
            held.pop(connection, None)
        if held is connection or not held:
            self._of_user.pop(connection.identity.user_id, None)

    def revoke(self, revocations: Iterable[Revocation]) -> None:
        """Remember revocations, and close what they end. Looks at the connections of their users only."""
        for revocation in revocations:
            if not self._revocations.add(revocation):
                continue
            for connection in self._connections_of(revocation.user_id):
                if connection.identity is not None and (code := revocation.ends(connection.identity)):
                    _end(connection, code)

    def received(self, body: bytes) -> None:
        """Take in what another node said of revocations."""
        try:
            self.revoke(_decoder.decode(body))
        except msgspec.MsgspecError:
            logger.warning("Something that is no revocation came over the bus and was dropped")

    async def keep(self) -> None:
        """Ask for tenants and revocations, and read a slice of the identities again, for ever."""
        while True:
            await asyncio.sleep(POLL_INTERVAL_S)
            try:
                self.revoke(await self.database.run(self._read))
                self._close_homeless()
                await self._recheck_slice()
                self._is_away = False
            except AWAY as error:
                # Open connections stay, and what is known stays in force.
                if not self._is_away:
                    logger.warning("Credentials cannot be read again now: %s", type(error).__name__)
                self._is_away = True
            except Exception:
                logger.exception("Credentials could not be read again")

    async def sweep(self, database: Database) -> None:
        """Delete expired rows now and then, for ever; the nodes do not do it all at the same moment.

        Nobody waits for it, so it takes its turn in the `database` of everybody.
        """
        wait_s = SWEEP_INTERVAL_S * SystemRandom().uniform(0.1, 0.5)
        while True:
            await asyncio.sleep(wait_s)
            is_left = False
            try:
                is_left = await database.run(self._authenticator.sweep)
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
        """Those in use. Connections with one token share one object; looking at values would cost a hash for each."""
        identities = (each.identity for each in self._open.values())
        return list({id(identity): identity for identity in identities if identity is not None}.values())

    async def _recheck(self, identities: Sequence[Identity]) -> None:
        try:
            self._close_gone(await self.database.run(self._authenticator.recheck, identities))
        except AWAY:
            raise
        except Exception:
            if len(identities) == 1:
                # It cannot be judged, so it holds nothing.
                logger.exception("A credential could not be read again")
                self._close_gone({identities[0]: CloseCode.UNAUTHENTICATED})
                return
            # One that cannot be judged must not keep the others from it.
            for identity in identities:
                await self._recheck([identity])

    def _close_gone(self, gone: Mapping[Identity, CloseCode]) -> None:
        for identity, code in gone.items():
            if identity.kind is CredentialKind.TOKEN:
                # The others are looked up at each handshake.
                self._revocations.found(identity, code)
            for connection in self._connections_of(identity.user_id):
                if connection.identity == identity:
                    _end(connection, code)

    def _connections_of(self, user_id: int | str) -> Iterator[Connection]:
        """The connections of a user; of everybody for 0."""
        if user_id == 0:
            yield from list(self._open.values())
            return
        held = self._of_user.get(user_id)
        if held is not None:
            yield from list(held) if isinstance(held, dict) else (held,)

    def _read(self) -> Sequence[Revocation]:
        self._directory.refresh()
        return self._authenticator.revocations()

    def _close_homeless(self) -> None:
        """Close what was opened on a tenant that is no longer served by any of its hosts, signed in or not."""
        tenants = {id(each.tenant): each.tenant for each in self._open.values()}
        homeless = {tenant for tenant in tenants.values() if not self._is_served(tenant)}
        if not homeless:
            return
        for connection in list(self._open.values()):
            if connection.tenant in homeless:
                connection.close(CloseCode.NOT_FOUND, "no such host")

    def _is_served(self, tenant: Tenant) -> bool:
        found = (self._directory.lookup(host) for host in tenant.hosts)
        return any(each is not None and each.id == tenant.id for each in found)


def encode(revocations: Sequence[Revocation]) -> bytes:
    """Revocations as one node tells the others of them."""
    return msgspec.msgpack.encode(revocations)


def _end(connection: Connection, code: CloseCode) -> None:
    connection.close(code, "no longer allowed here")
