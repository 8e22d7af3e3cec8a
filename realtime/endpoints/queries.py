"""Live queries: registered querysets with typed parameters. No SQL crosses the wire.

@live_query("items", item=item_payload)
def items(tenant: Tenant, *, category: str) -> QuerySet[Item]:
    return Item.objects.filter(tenant_id=tenant.id, category=category)

A query whose rows depend on the caller takes the identity, too:

@live_query("my.orders", item=order_payload, signed_in=True)
def my_orders(tenant: Tenant, identity: Identity, *, state: str) -> QuerySet[Order]:
    return Order.objects.filter(tenant_id=tenant.id, customer_id=identity.user_id, state=state)
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from django.db.models import Model, QuerySet

from realtime.core.contracts import Contract, ContractError
from realtime.core.identity import Identity, Tenant
from realtime.core.scopes import require_scopes
from realtime.endpoints.declarations import (
    check_arguments,
    check_name,
    check_plain,
    check_scopes,
    contract_of,
    place_of,
)
from realtime.endpoints.parameters import parameters_of
from realtime.protocol.errors import ErrorCode, RequestError

Select = Callable[..., QuerySet[Any]]
Asker = Hashable
AsItem = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class LiveQuery:
    """A declared query.

    `item` turns a row into the object that clients receive: a dict or a Struct with the row's `id`. `takes_identity` says
    whether `select` takes the identity, `is_personal` whether the rows depend on it.
    """

    name: str
    select: Select
    item: AsItem
    parameters: type[msgspec.Struct]
    scopes: frozenset[str]
    needs_user: bool = False
    takes_identity: bool = False
    is_personal: bool = False
    # The annotated result of `item`, if it is more than an object.
    contract: Contract | None = None

    def checked(self) -> "LiveQuery":
        """Return this query, whose items are checked: each has an `id`, and fits the contract if there is one."""
        item = self.item if self.contract is None else self.contract.checking(self.item)
        return replace(self, item=self._having_id(item))

    def require(self, identity: Identity | None) -> None:
        """Raise RequestError(unauthenticated | permission_denied) if `identity` may not ask this."""
        if self.needs_user and identity is None:
            raise RequestError(ErrorCode.UNAUTHENTICATED, "This needs a signed-in user.")
        require_scopes(identity, self.scopes)

    def asker(self, identity: Identity | None) -> Asker:
        """Return a key: callers with equal keys get the same rows. It is None if all callers do."""
        if not self.is_personal:
            return None
        if identity is None:
            return ()
        return identity.user_id, identity.scopes, identity.is_staff, identity.is_superuser

    def rows(self, tenant: Tenant, identity: Identity | None, parameters: msgspec.Struct) -> QuerySet[Any]:
        """Return the tenant's rows, ordered by primary key. Raises TypeError if the query returns no whole queryset."""
        arguments = {name: getattr(parameters, name) for name in parameters.__struct_fields__}
        who = (identity,) if self.takes_identity else ()
        found = self.select(tenant, *who, **arguments)
        # A manager is as good.
        if not hasattr(found, "order_by"):
            raise self._mistake(f"it must return a queryset, received {type(found).__name__}.")
        if getattr(found, "query", None) is not None and found.query.is_sliced:
            raise self._mistake(
                "it returned a slice; return the whole queryset, of which clients ask for pages."
            )
        return found.order_by("pk")

    def items(self, rows: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        """Return the items of rows by primary key, in their order. Raises TypeError for rows without one."""
        if rows and not hasattr(rows[0], "pk"):
            kind = type(rows[0]).__name__
            text = f"its rows are of the type {kind}; return model instances, of which `item` chooses the fields."
            raise self._mistake(text)
        return {row.pk: self.item(row) for row in rows}

    def page(
        self, tenant: Tenant, identity: Identity | None, parameters: msgspec.Struct, after: Any, size: int
    ) -> tuple[list[dict[str, Any]], Any]:
        """Return at most `size` items after the key `after`, and the key of the next page.

        `after` None starts at the first row. A returned key of None means that there are no more rows.
        """
        rows = self.rows(tenant, identity, parameters)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        found: list[Model] = list(rows[: size + 1])
        items = list(self.items(found[:size]).values())
        return items, found[size - 1].pk if len(found) > size else None

    def _having_id(self, item: AsItem) -> AsItem:
        def checked(row: Any) -> Any:
            made = item(row)
            if not ("id" in made if isinstance(made, Mapping) else hasattr(made, "id")):
                raise ContractError(f"An item of the query {self.name}", "a row", "it has no `id`", "item")
            return made

        return checked

    def _mistake(self, text: str) -> TypeError:
        return TypeError(f"The query {self.name} ({place_of(self.select)}): {text}")


def live_query(
    name: str,
    *,
    item: AsItem,
    scopes: Iterable[str] = (),
    signed_in: bool = False,
    shared: bool = False,
) -> Callable[[Select], LiveQuery]:
    """Declare the decorated function as the query `name`.

    It receives the tenant, and must filter by it. If it has a second parameter before the `*`, it receives
    the caller's Identity there (None if not signed in). `scopes` and `signed_in` say who may ask.

    A query that takes the identity is read and watched for each user alone. `shared=True` says that its rows
    do not depend on the caller. Then all callers of the same query share one watch, and the function receives
    the identity of the first one.

    The annotated result of `item` (a Struct, a dataclass, a TypedDict) is the contract of the items.

    Raises ImproperlyConfigured for a mistake in the declaration.
    """
    check_name(name, "live_query")

    def declare(select: Select) -> LiveQuery:
        check_plain(select, "it is called in a database thread, and nothing awaits it")
        takes_identity = check_arguments(select, "tenant", optional="identity")
        check_plain(item, "it is called for each row, and nothing awaits it")
        return LiveQuery(
            name,
            select,
            item,
            parameters_of(select),
            check_scopes(scopes, select),
            needs_user=signed_in,
            takes_identity=takes_identity,
            is_personal=takes_identity and not shared,
            contract=contract_of(item, f"An item of the query {name}", "item"),
        )

    return declare
