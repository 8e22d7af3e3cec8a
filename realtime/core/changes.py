"""The differences between two states of a set of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one row. For a removed row, `item` is its last state."""

    op: Literal["insert", "update", "remove"]
    item: Item


def changes_between(before: Mapping[Any, Item], after: Mapping[Any, Item]) -> list[Change]:
    """The changes from `before` to `after`, both keyed by primary key: removals first, then
    in the order of `after`."""
    changes = [Change("remove", item) for key, item in before.items() if key not in after]
    for key, item in after.items():
        if key not in before:
            changes.append(Change("insert", item))
        elif before[key] != item:
            changes.append(Change("update", item))
    return changes
