"""The envelope of every JSON endpoint: `{"id": …, "type": "…", "payload": {…}}`."""

from collections.abc import Mapping
from typing import Any

import msgspec

RequestId = str | int


class Request(msgspec.Struct, frozen=True):
    """A decoded request. `id` is None if the client wants no reply."""

    type: str
    payload: dict[str, Any]
    id: RequestId | None = None


class Reply(msgspec.Struct, frozen=True):
    """The answer of a verb: a type and its payload; the id is added when it is sent.

    With `always` the reply is sent even if the request had no id (pong, rows).
    """

    type: str
    payload: Mapping[str, Any]
    always: bool = False
