"""The parts of rooms and messages that are the same for everyone, which topics carry, and how much a reply lists."""

from typing import Any, TypeVar

import msgspec
from msgspec import to_builtins

from chat import wire

# Bytes of JSON of what one reply lists. A page of long messages has fewer of them, and says that there are more.
PAGE_BYTES_MAX = 512 * 1024

_Listed = TypeVar("_Listed", bound=msgspec.Struct)


def fitting(listed: list[_Listed], bytes_max: int) -> list[_Listed]:
    """Return the first things that take about `bytes_max` bytes of JSON together, at least one of them."""
    size = 0
    for count, each in enumerate(listed):
        size += len(msgspec.json.encode(each))
        if count and size > bytes_max:
            return listed[:count]
    return listed


def shared_room_payload(room: wire.Room) -> dict[str, Any]:
    """Return the part of a room's payload that is the same for everyone."""
    return {key: value for key, value in to_builtins(room).items() if key not in wire.VIEWERS_OWN}


def shared_message_payload(message: wire.Message) -> dict[str, Any]:
    """Return the payload of a message for all readers, without fields that depend on one."""
    payload: dict[str, Any] = to_builtins(message)
    for reaction in payload["reactions"]:
        del reaction["mine"]
    return payload
