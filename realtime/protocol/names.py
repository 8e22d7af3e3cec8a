"""Names that are part of the wire protocol."""

import unicodedata

from realtime.protocol.errors import ErrorCode, RequestError

TOPIC_MAX_CHARS = 255
SUBPROTOCOL = "rockstar.v1"
# The same protocol, with several messages in one text frame, one in each line. Only JSON endpoints have it.
BATCH_SUBPROTOCOL = "rockstar.v1.batch"
SUBPROTOCOLS = frozenset({SUBPROTOCOL, BATCH_SUBPROTOCOL})
BEARER_SUBPROTOCOL_PREFIX = "bearer."


def check_topic_name(name: str) -> str:
    """Return `name` if it has 1 to 255 characters and no control characters; else raises
    RequestError(invalid_message)."""
    if not 0 < len(name) <= TOPIC_MAX_CHARS:
        raise _bad(f"Expected a topic name of 1 to {TOPIC_MAX_CHARS} characters, received {len(name)}.")
    if not name.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in name):
        raise _bad("A topic name holds no control characters.")
    return name


def topic_prefix(name: str) -> str | None:
    """The part before the first `:`, by which topic rules are found; None if there is no `:`."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon else None


def _bad(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": "payload.topic"})
