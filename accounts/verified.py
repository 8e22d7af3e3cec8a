"""Tokens that were verified already: who comes back with the same one is not made to wait for it again."""

from datetime import UTC, datetime
from hashlib import sha256

from realtime import Identity

TOKENS_MAX = 10_000


class VerifiedTokens:
    """What signed tokens proved, by the SHA-256 of each: no token is kept. A signature stays true, until `exp`.

    What may change meanwhile (revocations, the tenant asked for) is checked elsewhere, at every use. At most
    TOKENS_MAX are remembered: beyond it all are forgotten, and verified once more when they come.
    """

    def __init__(self) -> None:
        self._identities: dict[bytes, Identity] = {}

    def find(self, token: str) -> Identity | None:
        """What this very token proved, while it has not expired."""
        identity = self._identities.get(_digest(token))
        if identity is None or identity.expires_at is None or identity.expires_at <= datetime.now(UTC):
            return None
        return identity

    def add(self, token: str, identity: Identity) -> None:
        """Remember a token whose signature and claims hold."""
        if len(self._identities) >= TOKENS_MAX:
            self._identities.clear()
        self._identities[_digest(token)] = identity


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
