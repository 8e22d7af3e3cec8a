"""A cache of verified tokens, so that a client that reconnects with the same token is not verified again."""

from datetime import UTC, datetime
from hashlib import sha256

from cachetools import LRUCache

from realtime import Identity

TOKENS_MAX = 10_000


class VerifiedTokens:
    """The identities of verified tokens, by the SHA-256 of each token. No token is stored.

    A signature stays valid until `exp`. Revocations and the requested tenant are checked elsewhere, at every
    use. At most TOKENS_MAX are kept; beyond it the least recently used one goes. It is not safe for threads:
    a node verifies tokens on its loop only.
    """

    def __init__(self) -> None:
        self._identities: LRUCache[bytes, Identity] = LRUCache(TOKENS_MAX)

    def find(self, token: str) -> Identity | None:
        """Return the identity of this token if it is known and has not expired."""
        identity = self._identities.get(_digest(token))
        if identity is None or identity.expires_at is None or identity.expires_at <= datetime.now(UTC):
            return None
        return identity

    def add(self, token: str, identity: Identity) -> None:
        """Store the identity of a token whose signature and claims are valid."""
        self._identities[_digest(token)] = identity


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
