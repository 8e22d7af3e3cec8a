"""What is published is encoded once, or refused before anything is stored."""

import dataclasses
import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import Draft

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def draft(data: Any, once: str | None = None) -> Draft:
    return make_draft("news", data, time="", idempotency_key=once)


def refused(data: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        draft(data)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert "'news'" in caught.value.message
    return caught.value


def nested(depth: int, innermost: Any) -> Any:
    for _ in range(depth):
        innermost = [innermost]
    return innermost


@given(JSON)
def test_all_of_json_is_kept_as_it_was(data: Any) -> None:
    assert msgspec.json.decode(draft(data).data) == data


@given(JSON, st.randoms())
def test_the_fingerprint_is_of_the_value(data: Any, chance: Any) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            chance.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(each) for each in value] if isinstance(value, list) else value

    assert draft(data, "k").fingerprint == draft(shuffled(data), "k").fingerprint


def test_a_draft_that_may_be_repeated_has_a_fingerprint() -> None:
    assert draft(1).fingerprint == ""
    assert draft(1, "k").fingerprint != draft(2, "k").fingerprint


@pytest.mark.parametrize(
    ("data", "path", "why"),
    [
        (object(), "payload.data", "object"),
        ({"a": [1, {"b": complex(1)}]}, "payload.data.a[1].b", "complex"),
        ([1.0, float("nan")], "payload.data[1]", "float"),
        ({"x": {"y": float("-inf")}}, "payload.data.x.y", "float"),
        ("half \ud83d", "payload.data", "surrogate"),
        ({"ok": "ok", "bad": ["\udc00"]}, "payload.data.bad[0]", "surrogate"),
        ({"\ud800": 1}, "payload.data", "surrogate"),
        ({(1, 2): 1}, "payload.data", "keys"),
        (nested(100_000, 1), "payload.data", "deep"),
        ({"a": nested(100_000, 1)}, "payload.data", "deep"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_path(data: Any, path: str, why: str) -> None:
    error = refused(data)
    assert error.details == {"field": path}
    assert why in error.message
    error.message.encode()


def test_null_is_no_fault() -> None:
    assert (
        bytes(draft({"a": None, 1: "null", "b": float("1e308")}).data) == b'{"a":null,"1":"null","b":1e308}'
    )


def test_what_the_encoder_knows_besides_json_is_taken() -> None:
    @dataclasses.dataclass
    class Order:
        id: uuid.UUID
        at: dt.date
        note: None = None

    made = draft(Order(uuid.UUID(int=7), dt.date(2026, 1, 2)))
    assert bytes(made.data) == b'{"id":"00000000-0000-0000-0000-000000000007","at":"2026-01-02","note":null}'
