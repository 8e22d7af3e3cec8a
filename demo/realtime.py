"""The live query of the demo's table, for `/ws/data/`."""

from typing import Any

from django.db.models import QuerySet

from demo.models import Item
from realtime import Tenant, live_query


def item_payload(item: Item) -> dict[str, Any]:
    """Return a row as clients receive it."""
    return {"id": item.pk, "name": item.name, "category": item.category, "price": str(item.price)}


@live_query("items", item=item_payload)
def items(tenant: Tenant, *, category: str) -> QuerySet[Item]:
    """Select the tenant's items of one category."""
    return Item.objects.filter(tenant_id=tenant.id, category=category)
