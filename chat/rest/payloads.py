"""Makes an operation's payload from the parts of a request. All faulty fields are named at once."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.exceptions import ValidationError

# Names of query parameters that differ from the payload's.
ALIASES = {"q": "query"}
_INTEGER = re.compile(r"-?[0-9]{1,20}")


def payload_of(kind: type[msgspec.Struct], values: Mapping[str, Any], *, is_text: bool) -> Any:
    """Return `values` as a payload; raises ValidationError. `is_text`: all are strings, from a query."""
    given: dict[str, Any] = {}
    faults: dict[str, list[str]] = {}
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in values:
            if field.required:
                faults[name] = ["This field is required."]
            continue
        value = values[name]
        if isinstance(value, str) and "\0" in value:
            # PostgreSQL cannot store it, and no field needs it.
            faults[name] = ["A text holds no NUL characters."]
            continue
        try:
            given[field.name] = _convert(value, field.type, is_text=is_text)
        except msgspec.ValidationError as error:
            faults[name] = [f"{error}."]
    if faults:
        raise ValidationError(faults)
    return kind(**given)


def _convert(value: Any, kind: Any, *, is_text: bool) -> Any:
    """Return a value as its type. In a query an integer is a text of digits."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        if not (is_text and isinstance(value, str) and _INTEGER.fullmatch(value)):
            raise
        return msgspec.convert(int(value), kind)
