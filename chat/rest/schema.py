"""The operations in the API schema (OpenAPI), made from their payload types and docstrings."""

from collections.abc import Mapping
from typing import Any

import msgspec
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from chat.rest.payloads import ALIASES
from chat.wire import REPLIES

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
ERRORS = dict.fromkeys((400, 401, 403, 404, 409, 413, 429), _ERROR)


def answers(kind: type[msgspec.Struct], *statuses: int) -> dict[int, dict[str, Any]]:
    """Return the answers of an endpoint: a reply's payload, and the form of all errors."""
    return dict.fromkeys(statuses, schema_of(kind)) | ERRORS


def schema_of(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a type as OpenAPI 3.0 writes it, with all of its parts inside."""
    (schema,), parts = msgspec.json.schema_components([kind], ref_template="{name}")
    whole: dict[str, Any] = _as_openapi(schema, parts)
    return whole


def _as_openapi(schema: Any, parts: Mapping[str, Any]) -> Any:
    """Return a JSON Schema without references and without the type `null`: OpenAPI 3.0 says `nullable`."""
    if isinstance(schema, list):
        return [_as_openapi(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _as_openapi(parts[schema["$ref"]], parts)
    return _nullable({name: _as_openapi(value, parts) for name, value in schema.items()})


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    members = schema.get("anyOf", ())
    kept = [each for each in members if each.get("type") != "null"]
    if len(kept) < len(members):
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept}) | {"nullable": True}
    if None in schema.get("enum", ()):
        return schema | {"enum": [each for each in schema["enum"] if each is not None], "nullable": True}
    return schema


class ChatSchema(AutoSchema):
    """Describes an endpoint of the chat."""

    def get_tags(self) -> list[str]:
        """All of them have one tag."""
        return ["chat"]


class OperationSchema(ChatSchema):
    """Describes the operation of a view's method."""

    @property
    def _operation(self) -> Any:
        return self.view.operations[self.method]  # type: ignore[attr-defined]  # an OperationView

    def get_operation_id(self) -> str:
        """Return the operation's function name, which is unique."""
        return f"chat_{self._operation.run.__name__}"

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular asks without arguments
        """Return the operation's docstring."""
        return str(self._operation.description)

    def get_override_parameters(self) -> list[Any]:
        """Return the query parameters: the fields of a GET's payload that are not in the path."""
        if self.method != "GET":
            return []
        properties, required = self._fields()
        aliases = {name: alias for alias, name in ALIASES.items()}
        return [
            OpenApiParameter(aliases.get(name, name), schema, required=name in required)
            for name, schema in properties.items()
        ]

    def get_request_serializer(self) -> Any:
        """Return the body: the fields of the payload that are not in the path."""
        properties, required = self._fields()
        if self.method in {"GET", "DELETE"} or not properties:
            return None
        body = {"type": "object", "properties": properties}
        return {"application/json": body | ({"required": required} if required else {})}

    def get_response_serializers(self) -> Any:
        """Return the reply's payload, and the form of all errors."""
        statuses = (200, 201) if self.method in {"POST", "PUT"} else (200,)
        return answers(REPLIES[self._operation.reply], *statuses)

    def _fields(self) -> tuple[dict[str, Any], list[str]]:
        """Return the fields of the payload that are not in the path, and the names of those that are required."""
        described = schema_of(self._operation.payload)
        names = [name for name in described.get("properties", ()) if f":{name}>" not in self._operation.route]
        required = described.get("required", ())
        return {name: described["properties"][name] for name in names}, [
            each for each in names if each in required
        ]
