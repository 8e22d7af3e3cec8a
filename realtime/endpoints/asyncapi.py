"""The sockets of a site as an AsyncAPI 3 document, made from its routes, verbs, methods, queries and sources.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from inspect import getdoc
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from realtime.core.hosts import parse_host
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.data import DataConsumer
from realtime.endpoints.consumers.pubsub import PUBSUB_VERBS
from realtime.endpoints.consumers.rpc import RpcConsumer
from realtime.endpoints.consumers.stream import StreamConsumer
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Route
from realtime.node.figures import VERSION
from realtime.protocol.codec import TYPE_MAX_CHARS
from realtime.protocol.errors import ErrorCode

Json = dict[str, Any]

SCHEMAS = "#/components/schemas"
# A parameter of a path, as Django writes it.
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
# The replies of this package's verbs; other verbs name their reply in their documentation.
REPLIES: Mapping[str, str] = {
    "cancel": "cancelled",
    "get": "value",
    "history": "history",
    "ping": "pong",
    "presence": "presence",
    "publish": "published",
    "query": "rows",
    "refresh": "refreshed",
    "rpc.methods": "rpc.methods",
    "set": "saved",
    "start": "started",
    "stop": "stopped",
    "subscribe": "subscribed",
    "unsubscribe": "unsubscribed",
    "unwatch": "unwatched",
    "whoami": "session",
}
PUSHES: Mapping[str, str] = {
    "welcome": "The first message: who is connected, and the limits.",
    "expiring": "The credential ends soon: refresh it.",
    "announcement": "A text of the operators.",
}
TOPIC_PUSHES: Mapping[str, str] = {
    "publication": "Something was published in a topic.",
    "presence": "Users came or left.",
    "unsubscribed": "The server has ended a subscription.",
}
STREAM_PUSHES: Mapping[str, str] = {"data": "A value of a stream.", "stopped": "A stream has ended."}
DATA_PUSHES: Mapping[str, str] = {"change": "A row of a watched query has changed."}


def asyncapi_document(routes: Iterable[Route], registry: Registry, *, host: str, is_secure: bool) -> Json:
    """Return the document for a client of `host` (with its port): its own routes and those of every host.

    `registry` has the methods, queries and sources. The document is plain JSON.
    """
    document = _Document(registry)
    for route in routes:
        document.add(route)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sockets",
            "version": VERSION,
            "description": "One envelope of JSON in text frames: `{id, type, payload}`. A request with an `id` has "
            "exactly one final reply with the same `id`; messages without an `id` are pushed by the server.",
        },
        "defaultContentType": "application/json",
        "servers": _servers(host, is_secure=is_secure),
        "channels": document.channels,
        "operations": document.operations,
        "components": {"messages": document.messages, "schemas": document.schemas},
    }


class SiteDocument:
    """The documents of this process: one for each host that has routes of its own, and one for all others."""

    def __init__(self, routes: str) -> None:
        """`routes` is the setting ROUTES."""
        self._routes: list[Route] = list(import_string(f"{routes}.routes"))
        self._registry = Registry.discover()
        self._hosts = frozenset(each.host for each in self._routes)
        self._made: dict[str | None, Json] = {}

    def of(self, host: str, *, is_secure: bool) -> Json:
        """Return the document for a client of `host`, which is a name with or without a port."""
        parsed = parse_host(host)
        name = parsed.name if parsed is not None and parsed.name in self._hosts else None
        if name not in self._made:
            routes = [each for each in self._routes if each.host in {None, name}]
            self._made[name] = asyncapi_document(routes, self._registry, host=host, is_secure=is_secure)
        return self._made[name] | {"servers": _servers(host, is_secure=is_secure)}


def _servers(host: str, *, is_secure: bool) -> Json:
    return {"site": {"host": host, "protocol": "wss" if is_secure else "ws"}}


class _Document:
    """The parts of a document that grow with each route."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.channels: Json = {}
        self.operations: Json = {}
        self.messages: Json = {
            "error": _envelope("error", {"$ref": f"{SCHEMAS}/error"}, "The request failed.")
        }
        self.schemas: Json = {
            "id": {
                "description": "Chosen by the client, and the same in the reply.",
                "oneOf": [{"type": "string", "minLength": 1, "maxLength": 64}, {"type": "integer"}],
            },
            "error": {
                "type": "object",
                "required": ["code", "message", "retryable"],
                "properties": {
                    "code": {"type": "string", "enum": [str(each) for each in ErrorCode]},
                    "message": {"type": "string"},
                    "retryable": {"type": "boolean"},
                    "retry_after_ms": {"type": "integer"},
                    "details": {"type": "object"},
                },
            },
        }

    def add(self, route: Route) -> None:
        """Add the channel of a route, with its operations."""
        key = _key(f"{route.path.strip('/')}@{route.host}" if route.host else route.path.strip("/"))
        self.channels[key] = {
            "address": _PARAMETER.sub(r"{\1}", route.path),
            "summary": _summary(route.consumer),
            "description": f"For {_who(route)}.",
            "messages": {},
        }
        if names := _PARAMETER.findall(route.path):
            self.channels[key]["parameters"] = {
                name: {"description": "A part of the path."} for name in names
            }
        if issubclass(route.consumer, JsonConsumer):
            self._add_json(key, route.consumer)
        else:
            self._add_raw(key)

    def _add_json(self, channel: str, consumer: type[JsonConsumer]) -> None:
        for name, verb in consumer.verbs.items():
            self._add_request(channel, name, verb.payload, REPLIES.get(name, ""), _summary(verb.handle))
        if issubclass(consumer, RpcConsumer):
            for name, method in self._registry.methods.items():
                self._add_request(channel, name, method.parameters, method.reply, _summary(method.function))
        if issubclass(consumer, DataConsumer):
            self.channels[channel]["description"] += f" Queries: {_listed(self._registry.queries)}."
        if issubclass(consumer, StreamConsumer):
            self.channels[channel]["description"] += f" Sources: {_listed(self._registry.sources)}."
        for name, text in _pushes(consumer):
            message = self._message(
                channel, f"push.{name}", _envelope(name, {"type": "object"}, text, has_id=False)
            )
            self._operate(channel, f"push.{name}", "send", [message], text)

    def _add_request(
        self, channel: str, name: str, payload: type[msgspec.Struct], reply: str, summary: str
    ) -> None:
        schema = self._schema(f"{channel}.{name}", payload)
        request = self._message(channel, name, _envelope(name, schema, summary, is_id_needed=False))
        answer = _envelope(reply, {"type": "object"}, f"The reply to `{name}`.")
        replies = [self._message(channel, f"{name}.reply", answer), self._known(channel, "error")]
        self._operate(channel, name, "receive", [request], summary)
        self.operations[_key(f"{channel}.{name}")]["reply"] = {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": replies,
        }

    def _add_raw(self, channel: str) -> None:
        frame = {"name": "frame", "summary": "A frame without an envelope.", "payload": {"type": "string"}}
        message = self._message(channel, "frame", frame | {"contentType": "text/plain"})
        for action in ("receive", "send"):
            self._operate(channel, f"frame.{action}", action, [message], f"Frames that the server {action}s.")

    def _schema(self, owner: str, kind: type[msgspec.Struct]) -> Json:
        template = f"{SCHEMAS}/{_key(owner)}.{{name}}"
        try:
            [schema], parts = msgspec.json.schema_components([kind], ref_template=template)
        except TypeError:
            # A parameter of a type that JSON Schema does not know.
            return {"type": "object"}
        for name, part in parts.items():
            self.schemas[_key(f"{owner}.{name}")] = part
        return schema

    def _message(self, channel: str, name: str, message: Json) -> Json:
        key = _key(f"{channel}.{name}")
        self.messages[key] = message
        return self._known(channel, name, key)

    def _known(self, channel: str, name: str, key: str = "") -> Json:
        inner = _key(name)
        self.channels[channel]["messages"][inner] = {"$ref": f"#/components/messages/{key or inner}"}
        return {"$ref": f"#/channels/{channel}/messages/{inner}"}

    def _operate(self, channel: str, name: str, action: str, messages: list[Json], summary: str) -> None:
        self.operations[_key(f"{channel}.{name}")] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": messages,
        }


def _envelope(
    name: str, payload: Json, summary: str, *, has_id: bool = True, is_id_needed: bool = True
) -> Json:
    """Return a message. Without a `name` its type is not known."""
    kind: Json = {"const": name} if name else {"type": "string", "maxLength": TYPE_MAX_CHARS}
    properties: Json = {"type": kind, "payload": payload}
    if has_id:
        properties["id"] = {"$ref": f"{SCHEMAS}/id"}
    required = ["id", "type", "payload"] if has_id and is_id_needed and name != "error" else ["type"]
    return {
        "name": name or "reply",
        "summary": summary,
        "payload": {"type": "object", "required": required, "properties": properties},
    }


def _pushes(consumer: type[JsonConsumer]) -> Iterator[tuple[str, str]]:
    yield from PUSHES.items()
    if PUBSUB_VERBS.keys() <= consumer.verbs.keys():
        yield from TOPIC_PUSHES.items()
    if issubclass(consumer, StreamConsumer):
        yield from STREAM_PUSHES.items()
    if issubclass(consumer, DataConsumer):
        yield from DATA_PUSHES.items()


def _who(route: Route) -> str:
    if route.scopes:
        return f"holders of the scopes {_listed(route.scopes)}"
    if route.is_staff:
        return "staff"
    if route.is_signed_in:
        return "signed-in users"
    return "holders of a session" if route.needs_session else "anyone"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


def _summary(documented: object) -> str:
    return (getdoc(documented) or "").partition("\n")[0]


def _key(text: str) -> str:
    """Return `text` with `_` for each character that names of components may not have."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)
