"""Takes a deleted message out of publications that were made before. A pure function of their JSON."""

from typing import Any

import msgspec


def without_message(data: bytes, *, seq: int) -> bytes | None:
    """Return the data of a publication without a message's text and files; None if the message is not in it.

    The message may be the publication's own, or the one that it replies to.
    """
    # Most publications are about other messages, and need not be decoded.
    if b'"seq":%d' % seq not in data:
        return None
    decoded: dict[str, Any] = msgspec.json.decode(data)
    message = decoded.get("message")
    if not isinstance(message, dict):
        return None
    quote = message["reply_to"]
    if message["seq"] == seq:
        gone: dict[str, Any] = {"text": "", "html": "", "deleted": True}
        message |= {**gone, "reactions": [], "files": [], "mentions": []}
    elif quote is not None and quote["seq"] == seq:
        quote |= {"text": "", "deleted": True}
    else:
        return None
    return msgspec.json.encode(decoded)
