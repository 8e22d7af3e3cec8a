"""The OpenAPI document: valid, and every body has a type."""

from collections.abc import Iterator
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{method} {path}", content["schema"]
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    yield f"{method} {path} {status}", content["schema"]


def test_it_is_valid(document: dict[str, Any]) -> None:
    validate_schema(document)  # type: ignore[no-untyped-call] # the library has no annotations there


def test_every_body_has_a_type(document: dict[str, Any]) -> None:
    parts = document["components"]["schemas"]
    for name, schema in bodies(document):
        known = parts[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        is_text = known.get("type") in {"string", "array"} or "oneOf" in known
        assert known.get("properties") or is_text, name
