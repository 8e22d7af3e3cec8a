"""What is sent of rooms, messages and people: as `chat.wire` has them, in values of JSON."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, to_builtins

from chat import wire


def payload_of(part: Struct) -> dict[str, Any]:
    """Return a part of a reply. Times have milliseconds."""
    payload: dict[str, Any] = to_builtins(part, builtin_types=(datetime,))
    return {name: _time(value) if isinstance(value, datetime) else value for name, value in payload.items()}


def shared_room_payload(room: wire.Room) -> dict[str, Any]:
    """Return the part of a room's payload that is the same for everyone."""
    return {key: value for key, value in payload_of(room).items() if key not in wire.VIEWERS_OWN}


def shared_message_payload(message: wire.Message) -> dict[str, Any]:
    """Return the payload of a message for all readers, without fields that depend on one."""
    payload = payload_of(message)
    for reaction in payload["reactions"]:
        del reaction["mine"]
    return payload


def _time(time: datetime) -> str:
    # Databases give UTC.
    utc = time if time.tzinfo is UTC else time.astimezone(UTC)
    return f"{utc.isoformat(timespec='milliseconds')[:-6]}Z"
