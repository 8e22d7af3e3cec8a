"""What became of a set of rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One row's difference. `item` of a removed row is what it last was."""

    op: Literal["insert", "update", "remove"]
    item: Item


def changes_between(before: Mapping[Any, Item], after: Mapping[Any, Item]) -> list[Change]:
    """What turns `before` into `after`, both by primary key: removals first, then the rest in the order of `after`."""
    changes = [Change("remove", item) for key, item in before.items() if key not in after]
    for key, item in after.items():
        if key not in before:
            changes.append(Change("insert", item))
        elif before[key] != item:
            changes.append(Change("update", item))
    return changes
