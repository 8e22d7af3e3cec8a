"""The live query of the demo's table, for `/ws/data/`."""

from typing import TypedDict

from django.db.models import QuerySet

from demo.models import Item
from realtime import Tenant, live_query


class ItemRow(TypedDict):
    """A row as clients receive it."""

    id: int
    name: str
    category: str
    price: str


def item_payload(item: Item) -> ItemRow:
    """Return a row as clients receive it."""
    return {"id": item.pk, "name": item.name, "category": item.category, "price": str(item.price)}


@live_query("items", item=item_payload)
def items(tenant: Tenant, *, category: str) -> QuerySet[Item]:
    """Select the tenant's items of one category."""
    return Item.objects.filter(tenant_id=tenant.id, category=category)
