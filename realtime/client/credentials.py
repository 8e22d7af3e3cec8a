"""The credentials of a connection."""

import inspect
from collections.abc import Awaitable, Callable
from enum import StrEnum

# Refusals in a row after which there is no point in another credential.
REFUSALS_MAX = 2


class TokenReason(StrEnum):
    """Why a token is asked for."""

    CONNECT = "connect"
    # The server refused the last one.
    REFUSED = "refused"
    # The last one ends within a minute.
    EXPIRING = "expiring"


Maybe = str | None | Awaitable[str | None]
GetToken = Callable[[TokenReason], Maybe]
GetTicket = Callable[[], Maybe]


class Credentials:
    """A token, which is kept until it is refused, or a new ticket for each connection, or nothing."""

    def __init__(self, token: str | None, get_token: GetToken | None, get_ticket: GetTicket | None) -> None:
        self._token = token
        self._get_token = get_token
        self._get_ticket = get_ticket
        self._refusals = 0

    @property
    def can_refresh(self) -> bool:
        """Whether a new token can be had."""
        return self._get_token is not None

    async def next(self) -> tuple[str | None, str | None]:
        """Return token and ticket of the next connection; two None if nobody is signed in, or nobody has to be."""
        if self._get_ticket is not None:
            return None, await _awaited(self._get_ticket())
        if self._token is None and self._get_token is not None:
            reason = TokenReason.REFUSED if self._refusals else TokenReason.CONNECT
            self._token = await self.fresh(reason)
        return self._token, None

    @property
    def is_needed(self) -> bool:
        """Whether a connection without a credential is pointless."""
        return self._get_token is not None or self._get_ticket is not None

    async def fresh(self, reason: TokenReason) -> str | None:
        """Return a new token; None if nobody is signed in."""
        return None if self._get_token is None else await _awaited(self._get_token(reason))

    def keep(self, token: str) -> None:
        """Use `token` from now on: the server has taken it."""
        self._token = token

    def accepted(self) -> None:
        """The server has taken the credential."""
        self._refusals = 0

    def refused(self) -> bool:
        """The server has refused the credential. Return whether to try another one."""
        self._refusals += 1
        if not self.is_needed:
            return False
        self._token = None
        return self._refusals < REFUSALS_MAX


async def _awaited(value: Maybe) -> str | None:
    return await value if inspect.isawaitable(value) else value
