"""The query that the demo's table answers over `/ws/data/`."""

from typing import Any

from django.db.models import QuerySet

from demo.models import Item
from realtime import Tenant, live_query


def item_payload(item: Item) -> dict[str, Any]:
    """A row as clients get it."""
    return {"id": item.pk, "name": item.name, "category": item.category, "price": str(item.price)}


@live_query("items", item=item_payload)
def items(tenant: Tenant, *, category: str) -> QuerySet[Item]:
    """The tenant's items of one category."""
    return Item.objects.filter(tenant_id=tenant.id, category=category)
