"""Mistakes in what a live query returns: each is a sentence that names the query."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group

from realtime.core.contracts import ContractError
from realtime.core.identity import Tenant
from realtime.endpoints.queries import LiveQuery, live_query

ACME = Tenant(1, "acme", "Acme", frozenset())


def item(row: Any) -> dict[str, Any]:
    return {"id": row.pk}


def page(query: LiveQuery) -> list[Any]:
    return query.page(ACME, None, query.parameters(), None, 10)[0]


def a_list(tenant: Tenant) -> Any:
    return [1]


def nothing(tenant: Tenant) -> Any:
    return None


def a_slice(tenant: Tenant) -> Any:
    return Group.objects.all()[:1]


def values(tenant: Tenant) -> Any:
    return Group.objects.values("id")


def a_manager(tenant: Tenant) -> Any:
    return Group.objects


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        (a_list, "it must return a queryset, received list."),
        (nothing, "it must return a queryset, received NoneType."),
        (a_slice, "it returned a slice; return the whole queryset, of which clients ask for pages."),
        (
            values,
            "its rows are of the type dict; return model instances, of which `item` chooses the fields.",
        ),
    ],
)
def test_what_is_no_queryset_of_instances_is_named(select: Callable[[Tenant], Any], sentence: str) -> None:
    Group.objects.create(name="a")
    query = live_query("q", item=item)(select)
    with pytest.raises(TypeError) as raised:
        page(query)
    assert str(raised.value) == f"The query q ({__name__}.{select.__name__}): {sentence}"


@pytest.mark.django_db
def test_a_manager_is_as_good_as_a_queryset() -> None:
    group = Group.objects.create(name="a")
    assert page(live_query("q", item=item)(a_manager)) == [{"id": group.pk}]


@pytest.mark.django_db
@pytest.mark.parametrize("made", [{"name": "a"}, None, [1]])
def test_an_item_without_an_id_is_named_where_contracts_are_checked(made: Any) -> None:
    Group.objects.create(name="a")
    query = live_query("q", item=lambda row: made)(a_manager)
    assert page(query) == [made]
    with pytest.raises(ContractError, match=r"An item of the query q .* it has no `id`"):
        page(query.checked())
