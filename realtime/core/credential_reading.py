"""Finds the credentials in a handshake, without checking them."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qs

from realtime.core.identity import Credential, CredentialKind
from realtime.protocol.errors import Refusal, unauthenticated
from realtime.protocol.handshake import (
    BATCH_SUBPROTOCOL,
    BEARER_SUBPROTOCOL_PREFIX,
    SUBPROTOCOL,
    SUBPROTOCOLS,
)

# Three base64url parts, which distinguish a token from the name of a subprotocol.
_JSON_WEB_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
QUERY_MAX_FIELDS = 20


def bearer_credentials(
    authorization: Sequence[str], query_string: str, subprotocols: Sequence[str]
) -> list[Credential]:
    """Every token and ticket of the handshake. All of them must be valid; a bad one is never ignored.

    Raises Refusal(401) for an Authorization header of another scheme, Refusal(400) for an unreadable query.
    """
    found = [Credential(CredentialKind.TOKEN, _bearer(value)) for value in authorization]
    # An empty token is a bad one, as in the query.
    tokens = [token for token in map(subprotocol_token, subprotocols) if token is not None]
    found += [Credential(CredentialKind.TOKEN, token) for token in tokens]
    if not query_string:
        return found
    fields = _query(query_string)
    found += [Credential(CredentialKind.TOKEN, value) for value in fields.get("token", ())]
    found += [Credential(CredentialKind.TICKET, value) for value in fields.get("ticket", ())]
    return found


def choose_subprotocol(offered: Sequence[str], *, has_batches: bool) -> str | None:
    """The subprotocol to answer: one of the server's own if offered, otherwise the entry
    that carried a token.

    `has_batches`: the endpoint can put several messages in a frame. If it cannot, the batch subprotocol is
    still answered to a client that offers no other, because a browser fails if none of its
    offers is accepted.
    """
    if not offered:
        return None
    preferred = (BATCH_SUBPROTOCOL, SUBPROTOCOL) if has_batches else (SUBPROTOCOL, BATCH_SUBPROTOCOL)
    for own in preferred:
        if own in offered:
            return own
    return next((entry for entry in offered if subprotocol_token(entry) is not None), None)


def subprotocol_token(entry: str) -> str | None:
    """The token in a subprotocol entry, alone or after `bearer.`; None if the entry is a protocol's name."""
    if entry.startswith(BEARER_SUBPROTOCOL_PREFIX):
        return entry.removeprefix(BEARER_SUBPROTOCOL_PREFIX)
    return entry if _JSON_WEB_TOKEN.fullmatch(entry) and entry not in SUBPROTOCOLS else None


def _bearer(value: str) -> str:
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated("Expected `Authorization: Bearer <token>`.")
    return token.strip()


def _query(query_string: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query_string, keep_blank_values=True, max_num_fields=QUERY_MAX_FIELDS)
    except ValueError:
        raise Refusal(400, "bad_query", "The query string cannot be read.") from None
