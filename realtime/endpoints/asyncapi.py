"""The sockets of a site as an AsyncAPI 3 document, made from its routes, verbs, methods, queries and sources.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import re
from collections.abc import Iterable, Mapping
from inspect import getdoc
from types import MappingProxyType
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from realtime.conf import RealtimeSettings
from realtime.core.hosts import parse_host
from realtime.core.topics import TopicRule
from realtime.endpoints import wire
from realtime.endpoints.consumers.base import JsonConsumer
from realtime.endpoints.consumers.data import DataConsumer
from realtime.endpoints.consumers.pubsub import PUBSUB_VERBS
from realtime.endpoints.consumers.rpc import RpcConsumer
from realtime.endpoints.consumers.stream import StreamConsumer
from realtime.endpoints.queries import LiveQuery
from realtime.endpoints.registry import Registry
from realtime.endpoints.routing import Route
from realtime.endpoints.streams import StreamSource
from realtime.node.figures import VERSION
from realtime.protocol.codec import TYPE_MAX_CHARS

Json = dict[str, Any]
NO_RULES: Mapping[str, TopicRule] = MappingProxyType({})

SCHEMAS = "#/components/schemas"
# A parameter of a path, as Django writes it.
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def asyncapi_document(
    routes: Iterable[Route],
    registry: Registry,
    rules: Mapping[str, TopicRule] = NO_RULES,
    *,
    host: str,
    is_secure: bool,
) -> Json:
    """Return the document for a client of `host` (with its port): its own routes and those of every host.

    `registry` has the methods, queries and sources, `rules` the types of what is published. The document is plain JSON.
    """
    document = _Document(registry, rules)
    for route in routes:
        document.add(route)
    document.schemas.update(document.types.filled())
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

    def __init__(self, settings: RealtimeSettings) -> None:
        """`settings` name the routes and the topic rules."""
        self._routes: list[Route] = list(import_string(f"{settings.ROUTES}.routes"))
        self._rules = settings.TOPIC_RULES
        self._registry = Registry.discover()
        self._hosts = frozenset(each.host for each in self._routes)
        self._made: dict[str | None, Json] = {}

    def of(self, host: str, *, is_secure: bool) -> Json:
        """Return the document for a client of `host`, which is a name with or without a port."""
        parsed = parse_host(host)
        name = parsed.name if parsed is not None and parsed.name in self._hosts else None
        if name not in self._made:
            routes = [each for each in self._routes if each.host in {None, name}]
            self._made[name] = asyncapi_document(
                routes, self._registry, self._rules, host=host, is_secure=is_secure
            )
        return self._made[name] | {"servers": _servers(host, is_secure=is_secure)}


def _servers(host: str, *, is_secure: bool) -> Json:
    return {"site": {"host": host, "protocol": "wss" if is_secure else "ws"}}


class _Types:
    """The schemas of Python types. All are made at once, so that types of the same name are told apart."""

    def __init__(self) -> None:
        self._asked: list[tuple[Any, Json]] = []

    def schema(self, kind: Any) -> Json:
        """Return a place for the schema of a type; it is filled by `filled`."""
        place: Json = {}
        try:
            msgspec.json.schema_components([kind])
        except TypeError:
            # A parameter of a type that JSON Schema does not know.
            place["type"] = "object"
        else:
            self._asked.append((kind, place))
        return place

    def filled(self) -> Json:
        """Fill all places; return the schemas that they refer to, by name."""
        kinds = [kind for kind, _ in self._asked]
        schemas, parts = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "/{name}")
        for (_, place), schema in zip(self._asked, schemas, strict=True):
            place.update(_with_keys(schema))
        return {_key(name): _with_keys(part) for name, part in parts.items()}


def _with_keys(schema: Any) -> Any:
    """Return a schema whose references are to names that components may have.

    The discriminator of OpenAPI is left out: here it is a text, and the tags are constants anyway.
    """
    if isinstance(schema, dict):
        return {
            name: f"{SCHEMAS}/{_key(value.removeprefix(SCHEMAS + '/'))}"
            if name == "$ref"
            else _with_keys(value)
            for name, value in schema.items()
            if not (name == "discriminator" and "propertyName" in value)
        }
    return [_with_keys(each) for each in schema] if isinstance(schema, list) else schema


class _Document:
    """The parts of a document that grow with each route."""

    def __init__(self, registry: Registry, rules: Mapping[str, TopicRule]) -> None:
        self._registry = registry
        self._rules = rules
        self.types = _Types()
        self.channels: Json = {}
        self.operations: Json = {}
        error = self.types.schema(wire.ErrorPayload)
        self.messages: Json = {"error": _envelope("error", error, "The request failed.")}
        self.schemas: Json = {
            "id": {
                "description": "Chosen by the client, and the same in the reply.",
                "oneOf": [{"type": "string", "minLength": 1, "maxLength": 64}, {"type": "integer"}],
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
            self._add_request(channel, name, verb.payload, verb.reply, verb.returns, _summary(verb.handle))
        if issubclass(consumer, RpcConsumer):
            for name, method in self._registry.methods.items():
                returns = method.contract and method.contract.kind
                summary = _summary(method.function)
                self._add_request(channel, name, method.parameters, method.reply, returns, summary)
        for name, kind in pushes_of(consumer).items():
            self._add_push(channel, name, self.types.schema(kind), _summary(kind))
        self._add_typed(channel, consumer)

    def _add_typed(self, channel: str, consumer: type[JsonConsumer]) -> None:
        """Add what is known of topics, sources and queries."""
        if PUBSUB_VERBS.keys() <= consumer.verbs.keys():
            for prefix, rule in self._rules.items():
                if rule.contract is not None:
                    self._add_publication(channel, prefix, rule.contract.kind)
        if issubclass(consumer, StreamConsumer):
            self.channels[channel]["description"] += f" Sources: {_listed(self._registry.sources)}."
            for source in self._registry.sources.values():
                self._add_source(channel, source)
        if issubclass(consumer, DataConsumer):
            self.channels[channel]["description"] += f" Queries: {_listed(self._registry.queries)}."
            for query in self._registry.queries.values():
                self._add_query(channel, query)

    def _add_source(self, channel: str, source: StreamSource) -> None:
        value = self.types.schema(Any if source.contract is None else source.contract.kind)
        payload = _narrowed(
            self.types.schema(wire.StreamValue), {"source": {"const": source.name}, "value": value}
        )
        self._add_push(channel, "data", payload, _summary(source.generate), source=source.name)

    def _add_publication(self, channel: str, prefix: str, kind: Any) -> None:
        topic = {"type": "string", "pattern": f"^{re.escape(prefix)}:" if prefix else "^[^:]*$"}
        payload = _narrowed(
            self.types.schema(wire.Publication), {"topic": topic, "data": self.types.schema(kind)}
        )
        named = f"topics that begin with `{prefix}:`" if prefix else "topics without a prefix"
        self._add_push(channel, "publication", payload, f"Published in {named}.", topic=prefix)

    def _add_query(self, channel: str, query: LiveQuery) -> None:
        asked = {"query": {"const": query.name}, "params": self.types.schema(query.parameters)}
        item = self.types.schema(query.contract.kind) if query.contract else {"type": "object"}
        found = {"items": {"type": "array", "items": item}}
        self._add_exchange(
            channel,
            "query",
            (
                _narrowed(self.types.schema(DataConsumer.verbs["query"].payload), asked),
                _summary(query.select),
            ),
            ("rows", _narrowed(self.types.schema(wire.Rows), found)),
            query=query.name,
        )

    def _add_push(self, channel: str, name: str, payload: Json, text: str, **of: str) -> None:
        key = ".".join(["push", name, *of.values()])
        message = self._message(channel, key, _envelope(name, payload, text, has_id=False) | _of(of))
        self._operate(channel, key, "send", [message], text)

    def _add_request(
        self, channel: str, name: str, payload: type[msgspec.Struct], reply: str, returns: Any, summary: str
    ) -> None:
        answer = {"type": "object"} if returns is None else self.types.schema(returns)
        self._add_exchange(channel, name, (self.types.schema(payload), summary), (reply, answer))

    def _add_exchange(
        self, channel: str, verb: str, asked: tuple[Json, str], answered: tuple[str, Json], **of: str
    ) -> None:
        """Add a request, and its reply. `of` says which of several it is, if the verb has several forms."""
        key = ".".join([verb, *of.values()])
        payload, summary = asked
        request = self._message(channel, key, _envelope(verb, payload, summary, is_id_needed=False) | _of(of))
        answer = _envelope(*answered, f"The reply to `{verb}`.") | _of(of)
        replies = [self._message(channel, f"{key}.reply", answer), self._known(channel, "error")]
        self._operate(channel, key, "receive", [request], summary)
        self.operations[_key(f"{channel}.{key}")]["reply"] = {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": replies,
        }

    def _add_raw(self, channel: str) -> None:
        frame = {"name": "frame", "summary": "A frame without an envelope.", "payload": {"type": "string"}}
        message = self._message(channel, "frame", frame | {"contentType": "text/plain"})
        for action in ("receive", "send"):
            self._operate(channel, f"frame.{action}", action, [message], f"Frames that the server {action}s.")

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


def pushes_of(consumer: type[JsonConsumer]) -> dict[str, Any]:
    """Return the types of what a consumer pushes, by the type of the message."""
    pushes = dict(wire.PUSHES)
    if PUBSUB_VERBS.keys() <= consumer.verbs.keys():
        pushes |= wire.TOPIC_PUSHES
    if issubclass(consumer, StreamConsumer):
        pushes |= wire.STREAM_PUSHES
    if issubclass(consumer, DataConsumer):
        pushes |= wire.DATA_PUSHES
    return pushes | dict(consumer.pushes)


def _of(of: Mapping[str, str]) -> Json:
    """Return which topic, source or query a message is of, for programs that read the document."""
    return {f"x-{name}": value for name, value in of.items()}


def _narrowed(schema: Json, properties: Json) -> Json:
    """Return a schema for what fits `schema` and has these properties."""
    return {"allOf": [schema, {"type": "object", "properties": properties}]}


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
    """Return the first line of the docstring; of a class its own only, not that of `Struct` or of another consumer."""
    is_silent = isinstance(documented, type) and not documented.__dict__.get("__doc__")
    return "" if is_silent else (getdoc(documented) or "").partition("\n")[0]


def _key(text: str) -> str:
    """Return `text` with `_` for each character that names of components may not have."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)
