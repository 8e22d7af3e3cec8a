"""Makes an operation's payload from the parts of a request. All faulty fields are named at once."""

from collections.abc import Mapping
from typing import Any

import msgspec
from rest_framework.exceptions import ValidationError

# Names of query parameters that differ from the payload's.
ALIASES = {"q": "query"}


def payload_of(kind: type[msgspec.Struct], values: Mapping[str, Any], *, is_text: bool) -> Any:
    """Return `values` as a payload; raises ValidationError. `is_text`: all are strings, from a query."""
    fields = msgspec.structs.fields(kind)
    given = {field.encode_name: values[field.encode_name] for field in fields if field.encode_name in values}
    faults: dict[str, list[str]] = {}
    for field in fields:
        name = field.encode_name
        if name not in given:
            if field.required:
                faults[name] = ["This field is required."]
            continue
        value = given[name]
        if isinstance(value, str) and "\0" in value:
            # PostgreSQL cannot store it, and no field needs it.
            faults[name] = ["A text holds no NUL characters."]
            continue
        try:
            msgspec.convert(value, field.type, strict=not is_text)
        except msgspec.ValidationError as error:
            faults[name] = [f"{error}."]
    if faults:
        raise ValidationError(faults)
    return msgspec.convert(given, kind, strict=not is_text)
