"""What is published is encoded once, or refused before anything is stored."""

import dataclasses
import datetime as dt
import decimal
import uuid
from enum import IntEnum
from typing import Any

import msgspec
import pytest
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Tenant
from chat.models import Room
from realtime.core.history import Draft, Publisher
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.drafts import make_draft

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
        (nested(33, 1), "payload.data", "deeper than 32"),
        (nested(400, 1), "payload.data", "deeper than 32"),
        ({"items": [0, 1, 2, {"price": object()}]}, "payload.data.items[3].price", "builtins.object"),
        ({"items": ({"price": float("nan")},)}, "payload.data.items[0].price", "float"),
        ({1: "one", "1": "another"}, "payload.data", "repeats a key"),
        ({"a": {None: 1}}, "payload.data.a", "keys must be texts or numbers, received NoneType"),
        ({"n": 2**64}, "payload.data.n", "64 bits"),
        ({"n": -(2**63) - 1}, "payload.data.n", ""),
        ({"raw": msgspec.Raw(b"not json")}, "payload.data.raw", "JSON"),
        ({"raw": msgspec.Raw(b'{"a":1,"a":2}')}, "payload.data.raw", "repeats a key"),
        ({"each": (each for each in "ab")}, "payload.data.each", "generator"),
        ({"room": Room(name="lobby")}, "payload.data.room", "model instance"),
        ({"rooms": [{"first": Room.objects.all()}]}, "payload.data.rooms[0].first", ".values()"),
        ({"user": SimpleLazyObject(lambda: Room(name="lobby"))}, "payload.data.user", "model instance"),
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


class Later(dt.datetime):
    """A subclass, as libraries of dates have them."""


class Level(IntEnum):
    HIGH = 3


class Amount(int):
    """A number with a class of its own."""


@pytest.mark.parametrize(
    ("data", "json"),
    [
        (mark_safe("<b>"), '"<b>"'),
        ({mark_safe("k"): {gettext_lazy("k"): None}}, '{"k":{"k":null}}'),
        ([lazy(lambda: mark_safe("a"), str)(), format_lazy("{}!", "b")], '["a","b!"]'),
        ({"n": Amount(3), "level": Level.HIGH, "yes": True}, '{"n":3,"level":3,"yes":true}'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (Later(2026, 1, 2, 3, 4, 5, 6, dt.UTC), '"2026-01-02T03:04:05.000006Z"'),
        ([b"ab", {1}, frozenset(), ("x", dt.timedelta(seconds=2))], '["YWI=",[1],[],["x","PT2S"]]'),
        (SimpleLazyObject(lambda: {"a": mark_safe("b")}), '{"a":"b"}'),
        ({"raw": msgspec.Raw(b'{\n"a": 1}')}, '{"raw":{"a":1}}'),
        (nested(32, 1), "[" * 32 + "1" + "]" * 32),
    ],
)
def test_what_django_hands_around_is_taken(data: Any, json: str) -> None:
    assert bytes(draft(data).data).decode() == json


@pytest.mark.django_db
def test_rows_of_a_query_are_taken() -> None:
    tenant = Tenant.objects.create(slug="acme", name="Acme")
    Room.objects.create(tenant=tenant, name="lobby", name_key="lobby")
    rooms = Room.objects.filter(tenant=tenant)
    rows = rooms.values("name", "tenant__slug")
    every = {"rows": rows, "first": rows[0], "flat": rooms.values_list("name", flat=True)}
    made = draft(every | {"pairs": rooms.values_list("name", "last_seq", named=True)})
    row = {"name": "lobby", "tenant__slug": "acme"}
    assert msgspec.json.decode(made.data) == {
        "rows": [row],
        "first": row,
        "flat": ["lobby"],
        "pairs": [["lobby", 0]],
    }


def test_nothing_of_the_callers_is_kept() -> None:
    data = {"items": [1]}
    made = draft(data)
    data["items"].append(2)
    assert bytes(made.data) == b'{"items":[1]}'


def test_what_is_too_large_is_refused_before_it_is_stored() -> None:
    with pytest.raises(RequestError, match="'news' has 524291 bytes; at most 524288") as caught:
        make_draft("news", "x" * (512 * 1024 + 1), time="", max_bytes=512 * 1024)
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert len(make_draft("news", "x" * 600_000, time="", max_bytes=0).data) == 600_002


@pytest.mark.parametrize(
    "publisher", [Publisher(1, "half \ud800"), Publisher(2**70, "ann"), Publisher(1, "x" * 256)]
)
def test_a_publisher_whom_no_history_could_read_again_is_refused(publisher: Publisher) -> None:
    with pytest.raises(RequestError, match="publisher"):
        make_draft("news", 1, publisher, time="")


def test_a_publishers_name_is_a_plain_text() -> None:
    made = make_draft("news", 1, Publisher(1, mark_safe("ann")), time="")
    assert made.publisher == Publisher(1, "ann")
    assert type(made.publisher.username) is str
