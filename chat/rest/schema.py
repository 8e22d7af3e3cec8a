"""The operations in the API schema (OpenAPI), made from their payload types and docstrings."""

from typing import Any

import msgspec
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from chat.rest.payloads import ALIASES

_STRING: dict[str, Any] = {"type": "string"}
_INTEGER: dict[str, Any] = {"type": "integer"}
_FLAG: dict[str, Any] = {"type": "boolean"}
_IDS: dict[str, Any] = {"type": "array", "items": _INTEGER}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _nullable(kind: dict[str, Any]) -> dict[str, Any]:
    return {**kind, "nullable": True}


_TIME = {"type": "string", "format": "date-time"}
_AUTHOR = _object(id=_nullable(_INTEGER), username=_nullable(_STRING), name=_STRING)
FILE = _object(
    id=_INTEGER,
    name=_STRING,
    type=_STRING,
    size=_INTEGER,
    url=_STRING,
    width=_nullable(_INTEGER),
    height=_nullable(_INTEGER),
)
_MESSAGE = _object(
    id=_INTEGER,
    room_id=_INTEGER,
    seq=_INTEGER,
    rev=_INTEGER,
    author=_AUTHOR,
    text=_STRING,
    html=_STRING,
    sent_at=_TIME,
    edited_at=_nullable(_TIME),
    deleted=_FLAG,
    reply_to=_nullable(_object(seq=_INTEGER, author=_AUTHOR, text=_STRING, deleted=_FLAG)),
    reactions=_list(_object(emoji=_STRING, count=_INTEGER, mine=_FLAG)),
    files=_list(FILE),
    mentions=_IDS,
    client_msg_id={"type": "string", "format": "uuid"},
)
_ROOM = _object(
    id=_INTEGER,
    name=_STRING,
    topic=_STRING,
    kind={"enum": ["public", "private", "direct"]},
    is_public=_FLAG,
    topic_line=_STRING,
    archived=_FLAG,
    is_member=_FLAG,
    member_count=_INTEGER,
    last_seq=_INTEGER,
    last_rev=_INTEGER,
    last_message_at=_nullable(_TIME),
    read_seq=_INTEGER,
    unread=_INTEGER,
    mentions=_INTEGER,
    level={"enum": ["all", "mentions", "nothing"]},
    is_favourite=_FLAG,
    role=_nullable({"enum": ["owner", "moderator", "member", "guest"]}),
)
_USER = _object(id=_INTEGER, username=_STRING, name=_STRING, status=_STRING, status_emoji=_STRING)
_IN_ROOM = {"room_id": _INTEGER}
# By the type of the reply.
REPLIES: dict[str, dict[str, Any]] = {
    "room": _object(room=_ROOM),
    "room.list": _object(rooms=_list(_ROOM)),
    "room.left": _object(**_IN_ROOM),
    "member.list": _object(**_IN_ROOM, members=_list(_USER)),
    "message.list": _object(
        **_IN_ROOM,
        messages=_list(_MESSAGE),
        has_older=_FLAG,
        has_newer=_FLAG,
        has_more=_FLAG,
        last_rev=_INTEGER,
    ),
    "message.changes": _object(messages=_list(_MESSAGE), last_rev=_INTEGER, has_more=_FLAG),
    "pin.list": _object(**_IN_ROOM, messages=_list(_MESSAGE)),
    "read": _object(**_IN_ROOM, seq=_INTEGER),
    "search": _object(messages=_list(_MESSAGE), has_more=_FLAG),
    "users": _object(users=_list(_USER)),
    "profile": _object(profile=_USER),
    **{
        f"message.{event}": _object(message=_MESSAGE)
        for event in ("sent", "edited", "deleted", "reacted", "pinned")
    },
}
_ERROR = _object(error=_object(code=_STRING, message=_STRING))
ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 429), _ERROR)


def _as_openapi(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON Schema as OpenAPI 3.0 writes it, which has no type `null`: it says `nullable`."""
    members = schema.get("anyOf", ())
    kept = [each for each in members if each.get("type") != "null"]
    if len(kept) == len(members):
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept}) | {"nullable": True}


class OperationSchema(AutoSchema):
    """Describes the operation of a view's method."""

    @property
    def _operation(self) -> Any:
        return self.view.operations[self.method]  # type: ignore[attr-defined]  # an OperationView

    def get_operation_id(self) -> str:
        """Return the operation's function name, which is unique."""
        return f"chat_{self._operation.run.__name__}"

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular asks without arguments
        """Return the operation's docstring."""
        return str(self._operation.run.__doc__)

    def get_tags(self) -> list[str]:
        """All operations of the chat have one tag."""
        return ["chat"]

    def get_override_parameters(self) -> list[Any]:
        """Return the query parameters: the fields of a GET's payload that are not in the path."""
        if self.method != "GET":
            return []
        return [
            OpenApiParameter(
                next((alias for alias, known in ALIASES.items() if known == name), name),
                schema,
                required=name in required,
            )
            for name, schema, required in self._properties()
        ]

    def get_request_serializer(self) -> Any:
        """Return the body: the fields of the payload that are not in the path."""
        properties = {name: schema for name, schema, _ in self._properties()}
        if self.method in {"GET", "DELETE"} or not properties:
            return None
        required = [name for name, _, required in self._properties() if name in required]
        body = {"type": "object", "properties": properties}
        return {"application/json": body | ({"required": required} if required else {})}

    def get_response_serializers(self) -> Any:
        """Return the reply's payload, and the form of all errors."""
        reply = REPLIES[self._operation.reply]
        new = {201: reply} if self.method in {"POST", "PUT"} else {}
        return {200: reply, **new, **ERRORS}

    def _properties(self) -> list[tuple[str, dict[str, Any], set[str]]]:
        kind = self._operation.payload
        (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
        described = components.get(kind.__name__, schema)
        required = set(described.get("required", ()))
        return [
            (name, _as_openapi(schema), required)
            for name, schema in described.get("properties", {}).items()
            if f":{name}>" not in self._operation.route
        ]
