"""Live queries: registered querysets with typed parameters. No SQL crosses the wire.

@live_query("items", item=item_payload)
def items(tenant: Tenant, *, category: str) -> QuerySet[Item]:
    return Item.objects.filter(tenant_id=tenant.id, category=category)
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db.models import Model, QuerySet

from realtime.core.identity import Tenant
from realtime.endpoints.parameters import parameters_of

Select = Callable[..., QuerySet[Any]]
AsItem = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LiveQuery:
    """A declared query.

    `item` turns a row into the dict that clients receive; it must hold the row's `id`.
    """

    name: str
    select: Select
    item: AsItem
    parameters: type[msgspec.Struct]
    scopes: frozenset[str]

    def rows(self, tenant: Tenant, parameters: msgspec.Struct) -> QuerySet[Any]:
        """Return the tenant's rows, ordered by primary key."""
        arguments = {name: getattr(parameters, name) for name in parameters.__struct_fields__}
        return self.select(tenant, **arguments).order_by("pk")

    def page(
        self, tenant: Tenant, parameters: msgspec.Struct, after: Any, size: int
    ) -> tuple[list[dict[str, Any]], Any]:
        """Return at most `size` items after the key `after`, and the key of the next page.

        `after` None starts at the first row. A returned key of None means that there are no more rows.
        """
        rows = self.rows(tenant, parameters)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        found: list[Model] = list(rows[: size + 1])
        items = [self.item(row) for row in found[:size]]
        return items, found[size - 1].pk if len(found) > size else None


def live_query(name: str, *, item: AsItem, scopes: Iterable[str] = ()) -> Callable[[Select], LiveQuery]:
    """Declare the decorated function as the query `name`. It receives the tenant and must filter by it."""

    def declare(select: Select) -> LiveQuery:
        return LiveQuery(name, select, item, parameters_of(select), frozenset(scopes))

    return declare
