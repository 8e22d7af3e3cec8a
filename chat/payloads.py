"""The parts of rooms and messages that are the same for everyone: what the topics of rooms carry."""

from typing import Any

from msgspec import to_builtins

from chat import wire


def shared_room_payload(room: wire.Room) -> dict[str, Any]:
    """Return the part of a room's payload that is the same for everyone."""
    return {key: value for key, value in to_builtins(room).items() if key not in wire.VIEWERS_OWN}


def shared_message_payload(message: wire.Message) -> dict[str, Any]:
    """Return the payload of a message for all readers, without fields that depend on one."""
    payload: dict[str, Any] = to_builtins(message)
    for reaction in payload["reactions"]:
        del reaction["mine"]
    return payload
