"""Round-robin order, so that no owner waits until another's work is all done."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
W = TypeVar("W")


def in_turns(works: Iterable[tuple[K, W]], size: int) -> Iterator[tuple[K, Sequence[W]]]:
    """Up to `size` works of each owner in every round, until none is left. Each owner's
    works keep their order."""
    waiting: dict[K, list[W]] = {}
    for owner, work in works:
        waiting.setdefault(owner, []).append(work)
    at = 0
    while waiting:
        for owner, own in list(waiting.items()):
            yield owner, own[at : at + size]
            if len(own) <= at + size:
                del waiting[owner]
        at += size
