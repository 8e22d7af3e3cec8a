"""The envelope of every JSON endpoint: `{"id": …, "type": "…", "payload": {…}}`."""

from collections.abc import Mapping
from typing import Any

import msgspec

RequestId = str | int


class Request(msgspec.Struct, frozen=True):
    """A decoded request. `id` is None where the client wants no reply."""

    type: str
    payload: dict[str, Any]
    id: RequestId | None = None


class Reply(msgspec.Struct, frozen=True):
    """What a verb answers: a type and its payload; the id is added by whoever sends it.

    `always` sends the reply even when the request had no id (pong, rows).
    """

    type: str
    payload: Mapping[str, Any]
    always: bool = False
