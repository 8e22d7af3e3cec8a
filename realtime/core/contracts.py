"""Contracts: the declared type of something that is sent, and the check that a value fits it.

A value is checked as its readers get it: as JSON. So a dict may stand for a Struct, and a date for its text.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from realtime.protocol.errors import ErrorCode, RequestError

_MISSING = re.compile(r"missing required field `(.+)`")


class ContractError(RequestError):
    """A value that was about to be sent does not fit its declared type. The message names declaration and field."""

    def __init__(self, what: str, kind_name: str, why: str, path: str) -> None:
        message = f"{what} does not fit {kind_name}: {why} (at {path})."
        super().__init__(ErrorCode.INTERNAL, message, details={"field": path})


class Contract:
    """The declared type `kind` of what is sent in one place.

    `what` names the place and begins the messages: "The reply of the method get_order (shop.realtime.get_order)".
    `root` is the name of the value in paths: "payload", "data". Raises TypeError for a type that JSON cannot hold.
    """

    __slots__ = ("_decoder", "kind", "root", "what")

    def __init__(self, kind: Any, what: str, root: str) -> None:
        self.kind = kind
        self.what = what
        self.root = root
        self._decoder = msgspec.json.Decoder(kind)
        # The decoder takes types that have no schema, such as classes of anybody.
        msgspec.json.schema_components([kind])

    @property
    def kind_name(self) -> str:
        """The type in words."""
        return str(getattr(self.kind, "__name__", self.kind))

    def check(self, value: Any) -> None:
        """Raise ContractError if `value`, which is about to be encoded, does not fit."""
        self.check_json(msgspec.json.encode(value))

    def check_json(self, encoded: bytes | msgspec.Raw, what: str = "") -> None:
        """Raise ContractError if the encoded value does not fit: a wrong type, a missing field, or one that is not
        declared. `what` names the place, if it is more exact than that of the contract."""
        if fault := self.fault_of(encoded):
            raise ContractError(what or self.what, self.kind_name, *fault)

    def fault_of(self, encoded: bytes | msgspec.Raw) -> tuple[str, str] | None:
        """Return why an encoded value does not fit and the path of the part; None if it fits."""
        try:
            typed = self._decoder.decode(encoded)
        except msgspec.ValidationError as error:
            why, _, path = str(error).partition(" - at `$")
            missing = _MISSING.search(why)
            return why, f"{self.root}{path.rstrip('`')}{f'.{missing[1]}' if missing else ''}"
        undeclared = next(_undeclared(msgspec.json.decode(encoded), typed, self.root), None)
        return ("the field is not declared", undeclared) if undeclared else None

    def checking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return `function`, whose results are checked."""

        def checked(*args: Any) -> Any:
            result = function(*args)
            self.check(result)
            return result

        return checked


def _undeclared(raw: Any, typed: Any, path: str) -> Iterator[str]:
    """Yield the paths of fields in `raw` that the type of `typed` does not have."""
    if isinstance(raw, dict):
        known = _members(typed)
        if known is None:
            return
        for key, value in raw.items():
            if key in known:
                yield from _undeclared(value, known[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(raw, list) and isinstance(typed, list | tuple):
        for at, (value, inner) in enumerate(zip(raw, typed, strict=False)):
            yield from _undeclared(value, inner, f"{path}[{at}]")


def _members(typed: Any) -> Mapping[str, Any] | None:
    """Return the members of an object by their names on the wire; None if all names are allowed."""
    if isinstance(typed, msgspec.Struct):
        # Not `structs.fields()`, which evaluates all annotations at each call.
        names = zip(typed.__struct_encode_fields__, typed.__struct_fields__, strict=True)
        members = {on_the_wire: getattr(typed, name) for on_the_wire, name in names}
        tag = typed.__struct_config__.tag_field
        return members if tag is None else {tag: None, **members}
    if dataclasses.is_dataclass(typed) and not isinstance(typed, type):
        return {each.name: getattr(typed, each.name) for each in dataclasses.fields(typed)}
    if isinstance(typed, dict) and all(isinstance(key, str) for key in typed):
        return typed
    return None
