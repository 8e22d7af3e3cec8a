"""A TypeScript client of a site, made from its AsyncAPI document: `manage.py make_client`.

For each JSON endpoint it has a contract, by which `RealtimeClient` of the npm package knows its verbs, pushes, topics,
streams and queries, and a function that makes a client of it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]

HEAD = """/** Made by `manage.py make_client`. Changes are lost when it is made again. */
import {{ RealtimeClient, type ClientOptions, type Contract }} from "{package}";
"""
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_PRIMITIVES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}
_NOTHING = "Record<string, never>"
# What the written module needs under these names.
_TYPES_TAKEN = frozenset({"ClientOptions", "Contract", "Omit", "RealtimeClient", "Record"})
# Names that no function may have in a module.
_RESERVED = re.compile(
    "await|break|case|catch|class|const|continue|debugger|default|delete|do|else|enum|export|extends|false|finally|for"
    "|function|if|implements|import|in|instanceof|interface|let|new|null|package|private|protected|public|return|static"
    "|super|switch|this|throw|true|try|typeof|var|void|while|with|yield|eval|arguments"
)


def typescript_client(document: Json, package: str) -> str:
    """Return the module. `package` is what it imports the client from."""
    types = _Types(document["components"]["schemas"])
    endpoints = [_Endpoint(document, types, key) for key in document["channels"]]
    taken: set[str] = set()
    parts = [part for each in endpoints if each.is_json for part in each.written(taken)]
    return "\n".join([HEAD.format(package=package), *types.written(), *parts])


class _Types:
    """The schemas of a document as types of TypeScript."""

    def __init__(self, schemas: Json) -> None:
        self._schemas = {name: schema for name, schema in schemas.items() if name != "id"}
        self._names: dict[str, str] = {}
        for name in self._schemas:
            self._names[name] = _free(_pascal(name), self.taken())

    def taken(self) -> set[str]:
        """Return the names that are in use."""
        return {*_TYPES_TAKEN, *self._names.values()}

    def written(self) -> Iterator[str]:
        """Yield the declaration of each named type."""
        for name, schema in self._schemas.items():
            known = self._names[name]
            comment = _comment(schema.get("description", ""))
            if schema.get("properties"):
                yield f"{comment}export interface {known} {self._object(schema)}\n"
            else:
                yield f"{comment}export type {known} = {self.of(schema)};\n"

    def of(self, schema: Any) -> str:
        """Return the type of values that fit a schema."""
        if not isinstance(schema, Mapping) or not schema:
            return "unknown"
        if "$ref" in schema:
            return self._names.get(schema["$ref"].rpartition("/")[2], "unknown")
        if "const" in schema or "enum" in schema:
            return " | ".join(json.dumps(each) for each in schema.get("enum", [schema.get("const")]))
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return " | ".join(dict.fromkeys(self._member(each) for each in schema[union]))
        if "allOf" in schema:
            return self._narrowed(*schema["allOf"])
        return self._typed(schema)

    def _typed(self, schema: Mapping[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self._typed({**schema, "type": each}) for each in kind)
        if kind == "array":
            return self._array(schema)
        if kind == "object":
            return self._object(schema)
        return _PRIMITIVES.get(str(kind), "unknown")

    def _array(self, schema: Mapping[str, Any]) -> str:
        if "prefixItems" in schema:
            return f"[{', '.join(self.of(each) for each in schema['prefixItems'])}]"
        return f"{self._member(schema.get('items', {}))}[]"

    def _object(self, schema: Mapping[str, Any]) -> str:
        properties = schema.get("properties")
        if properties is None:
            return f"Record<string, {self.of(schema.get('additionalProperties', {}))}>"
        if not properties:
            return _NOTHING if schema.get("additionalProperties") is False else "{}"
        required = schema.get("required", ())
        lines = [
            f"  {_property(name)}{'' if name in required else '?'}: {_indented(self.of(each))};"
            for name, each in properties.items()
        ]
        return "\n".join(["{", *lines, "}"])

    def _narrowed(self, general: Any, special: Mapping[str, Any]) -> str:
        """Return a type with some properties of another type than the general one has."""
        names = " | ".join(json.dumps(name) for name in special["properties"])
        required = {**special, "required": list(special["properties"])}
        return f"Omit<{self.of(general)}, {names}> & {self._object(required)}"

    def _member(self, schema: Any) -> str:
        """Return a type that can stand before `[]` and within a union."""
        text = self.of(schema)
        return f"({text})" if " | " in text or " & " in text else text


class _Endpoint:
    """One channel of the document."""

    def __init__(self, document: Json, types: _Types, channel: str) -> None:
        self._document = document
        self._types = types
        self.address: str = document["channels"][channel]["address"]
        self._summary: str = document["channels"][channel].get("summary", "")
        self._name = _pascal(re.sub(r"^/?ws/", "", self.address) or "root")
        self._verbs: Json = {}
        self._pushes: Json = {}
        self._topics: Json = {}
        self._streams: Json = {}
        self._queries: Json = {}
        for operation in document["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{channel}":
                self._add(operation)

    @property
    def is_json(self) -> bool:
        """Whether it speaks the envelope."""
        return bool(self._verbs)

    def written(self, taken: set[str]) -> Iterator[str]:
        """Yield the contract, and the function that makes a client. Their names are added to those that are taken."""
        contract = _free(f"{self._name}Contract", self._types.taken() | taken)
        yield f"{_comment(f'What `{self.address}` speaks.')}export interface {contract} extends Contract {{"
        if "subscribe" in self._verbs:
            self._topics["[topic: string]"] = "unknown"
        for name in ("verbs", "pushes", "topics", "streams", "queries"):
            members: Json = getattr(self, f"_{name}")
            lines = [f"    {member}: {_indented(kind, 4)};" for member, kind in members.items()]
            yield "\n".join([f"  {name}: {{", *lines, "  };"])
        yield "}\n"
        made = self._name[0].lower() + self._name[1:]
        made = _free(f"{made}Client" if _RESERVED.fullmatch(made) else made, taken)
        taken |= {contract, made}
        given = f"options: ClientOptions = {{}}, url = {json.dumps(self.address)}"
        if "{" in self.address:
            # The caller has to fill the parameters of the path.
            given = "url: string, options: ClientOptions = {}"
        yield (
            f"{_comment(self._summary)}export function {made}({given}): RealtimeClient<{contract}> {{\n"
            f"  return new RealtimeClient<{contract}>(url, options);\n}}\n"
        )

    def _add(self, operation: Json) -> None:
        [message] = [self._message(each) for each in operation["messages"]]
        payload = message["payload"].get("properties", {}).get("payload")
        if payload is None:
            return
        kind = self._types.of(payload)
        if operation["action"] == "send":
            self._add_push(message, payload, kind)
            return
        reply = self._message(operation["reply"]["messages"][0])
        answer = reply["payload"]["properties"]["payload"]
        if "x-query" in message:
            params = payload["allOf"][1]["properties"]["params"]
            item = answer["allOf"][1]["properties"]["items"]["items"]
            self._queries[_property(message["x-query"])] = self._pair(params, "item", item)
        elif message["name"] != "query":
            self._verbs[_property(message["name"])] = self._pair(payload, "reply", answer)

    def _add_push(self, message: Json, payload: Json, kind: str) -> None:
        if "x-topic" in message:
            prefix = message["x-topic"]
            key = f"[topic: `{prefix}:${{string}}`]"
            # Topics without a prefix cannot be told from others by a type.
            if prefix:
                self._topics[key] = self._types.of(payload["allOf"][1]["properties"]["data"])
        elif "x-source" in message:
            value = payload["allOf"][1]["properties"]["value"]
            self._streams[_property(message["x-source"])] = self._types.of(value)
        else:
            self._pushes[_property(message["name"])] = kind

    def _pair(self, params: Json, name: str, answer: Json) -> str:
        return f"{{ params: {self._types.of(params)}; {name}: {self._types.of(answer)} }}"

    def _message(self, reference: Json) -> Json:
        _, _, channel, _, name = reference["$ref"].split("/")
        key = self._document["channels"][channel]["messages"][name]["$ref"].rpartition("/")[2]
        message: Json = self._document["components"]["messages"][key]
        return message


def _pascal(name: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", name)
    text = "".join(word[0].upper() + word[1:] for word in words) or "Anything"
    return f"_{text}" if text[0].isdigit() else text


def _free(name: str, taken: Any) -> str:
    number = 2
    free = name
    while free in taken:
        free = f"{name}{number}"
        number += 1
    return free


def _property(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _comment(text: str) -> str:
    plain = " ".join(text.replace("*/", "* /").split())
    return f"/** {plain} */\n" if plain else ""


def _indented(text: str, spaces: int = 2) -> str:
    return text.replace("\n", "\n" + " " * spaces)
