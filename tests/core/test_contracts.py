"""Contracts: what is sent fits its declared type, as readers get it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict
from uuid import UUID

import msgspec
import pytest

from realtime.core.contracts import Contract, ContractError
from realtime.core.topics import TopicRule, TopicRules, rule_faults
from realtime.protocol.errors import ErrorCode, RequestError


class Item(msgspec.Struct, frozen=True):
    name: str
    price: Annotated[int, msgspec.Meta(ge=0)] = 0


class Order(msgspec.Struct, frozen=True, rename={"placed_at": "placedAt"}):
    id: UUID
    placed_at: datetime
    items: list[Item] = []
    extra: dict[str, Any] = {}


class Shipped(msgspec.Struct, frozen=True, tag="shipped", tag_field="event", omit_defaults=True):
    order: int
    note: str = ""


class Lost(msgspec.Struct, frozen=True, tag="lost", tag_field="event"):
    order: int


class Row(TypedDict, total=False):
    id: int


@dataclass
class Point:
    x: int


NOW = datetime(2026, 1, 2, tzinfo=UTC)
ID = UUID(int=7)
ORDER = Contract(Order, "The reply of the method get_order", "payload")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Order, Order(ID, NOW, [Item("pen")])),
        (Order, {"id": ID, "placedAt": NOW, "items": [{"name": "pen"}], "extra": {"any": {"thing": 1}}}),
        (Order, {"id": str(ID), "placedAt": "2026-01-02T00:00:00Z"}),
        (Shipped | Lost, {"event": "shipped", "order": 7, "note": ""}),
        (Shipped | Lost, Lost(7)),
        (Row, {"id": 1}),
        (Point, Point(1)),
        (Point, {"x": 1}),
        (dict[int, str], {1: "a"}),
        (list[Row], [{"id": 1}, {}]),
        (float, 1),
    ],
)
def test_a_value_that_fits_passes_in_every_form(kind: Any, value: Any) -> None:
    Contract(kind, "It", "value").check(value)


@pytest.mark.parametrize(
    ("value", "field", "why"),
    [
        ({"id": 7, "placedAt": NOW}, "payload.id", "Expected `uuid`, got `int`"),
        ({"placedAt": NOW}, "payload.id", "missing required field `id`"),
        ({"id": ID, "placed_at": NOW}, "payload.placedAt", "missing required field `placedAt`"),
        ({"id": ID, "placedAt": NOW, "itens": []}, "payload.itens", "the field is not declared"),
        (
            {"id": ID, "placedAt": NOW, "items": [{"name": "pen", "cost": 1}]},
            "payload.items[0].cost",
            "not declared",
        ),
        (Order(ID, NOW, [Item("pen", -1)]), "payload.items[0].price", "Expected `int` >= 0"),
        (Order("no", NOW), "payload.id", "Invalid UUID"),  # type: ignore[arg-type] # a mistake that is found
    ],
)
def test_one_that_does_not_names_the_declaration_and_the_field(value: Any, field: str, why: str) -> None:
    with pytest.raises(ContractError) as raised:
        ORDER.check(value)
    message = str(raised.value)
    assert message.startswith("The reply of the method get_order does not fit Order: ")
    assert why in message
    assert (raised.value.code, raised.value.details) == (ErrorCode.INTERNAL, {"field": field})


@pytest.mark.parametrize(
    ("kind", "value"),
    [(Row, {"nr": 1}), (Point, {"x": 1, "y": 1}), (Lost, {"event": "lost", "order": 1, "z": 1})],
)
def test_undeclared_fields_are_found_in_every_kind_of_object(kind: Any, value: Any) -> None:
    with pytest.raises(ContractError, match="not declared"):
        Contract(kind, "It", "value").check(value)


def test_a_type_that_json_cannot_hold_is_refused_when_it_is_declared() -> None:
    with pytest.raises(TypeError):
        Contract(object, "It", "value")
    faults = list(rule_faults({"orders": TopicRule(data=object)}))
    assert len(faults) == 1
    assert "`data` of the topic rule 'orders' is no type that JSON can hold" in faults[0]


def test_the_data_of_a_topic_is_judged_by_its_rule() -> None:
    rules = TopicRules({"orders": TopicRule(data=Shipped | Lost), "news": TopicRule()})
    rules.check_data("orders:7", msgspec.Raw(b'{"event":"lost","order":7}'))
    rules.check_data("news:7", msgspec.Raw(b"[1]"))
    assert rules.contract_of("news:7") is None
    for data, field in (
        (b'{"event":"lost","order":"7"}', "payload.data.order"),
        (b'{"event":"gone"}', "payload.data.event"),
    ):
        with pytest.raises(RequestError) as raised:
            rules.check_data("orders:7", msgspec.Raw(data))
        assert raised.value.code == ErrorCode.INVALID_MESSAGE
        assert raised.value.details == {"field": field}


def test_a_check_evaluates_no_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than all the rest of a check, and what clients publish is checked message by message."""

    def evaluated(kind: object) -> object:
        raise AssertionError(kind)

    monkeypatch.setattr(msgspec.structs, "fields", evaluated)
    ORDER.check(Order(ID, NOW, [Item("pen")]))
    with pytest.raises(ContractError, match="not declared"):
        ORDER.check({"id": ID, "placed_at": NOW, "placedAt": NOW})
