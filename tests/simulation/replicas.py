"""The store of worlds whose broker has replicas: a primary fails, and one without its newest writes takes over.

The histories are those of the model of the broker's script. Each node is at one of the primaries: it calls that one, and
hears what is published there. After a failover a node may still be at the old one, which is dead or goes on.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from tests.engine.model import ModelHistory, State
from tests.simulation.determinism import CLOCK
from tests.simulation.ports import Newest, Store
from tests.simulation.record import Record


@dataclass(slots=True, eq=False)
class Primary:
    """A server that takes publications, or took them. `is_dead`: it does not answer any more."""

    history: ModelHistory
    newest: Newest
    is_dead: bool = False


class ReplicatedStore(Store):
    """`primary` is the one that counts; a few nodes may be behind it."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.primary = _begin(State(), {})
        self._behind: dict[str, Primary] = {}
        # The data of the replica, if it has been cut off.
        self._replica: tuple[State, Newest] | None = None

    def lose_everything(self) -> None:
        """As `Store.lose_everything`: the replica is emptied too."""
        self.primary.history.state = State()
        self.primary.newest.clear()
        self._replica = None

    def cut_replica(self) -> None:
        """From now on the replica gets nothing."""
        self._replica = self.primary.history.state.copy(), dict(self.primary.newest)

    def promote(self, behind: Iterable[str], *, is_dead: bool) -> None:
        """Make the replica the primary, without what it did not get. The nodes `behind` do not know it yet."""
        if self._replica is None:
            self.cut_replica()
        assert self._replica is not None
        self.primary.is_dead = is_dead
        self._behind = dict.fromkeys(behind, self.primary) | self._behind
        self.primary = _begin(*self._replica)
        self._replica = None

    def moves(self, node: str) -> bool:
        """As `Store.moves`."""
        return self._behind.pop(node, None) is not None

    def history(self, node: str = "") -> ModelHistory | None:
        """As `Store.history`."""
        primary = self._at(node)
        return None if primary.is_dead else primary.history

    def newest(self, node: str) -> Newest:
        """As `Store.newest`."""
        return self._at(node).newest

    def are_together(self, one: str, other: str) -> bool:
        """As `Store.are_together`."""
        return self._at(one) is self._at(other)

    def _at(self, node: str) -> Primary:
        return self._behind.get(node, self.primary)


def _begin(state: State, newest: Newest) -> Primary:
    history = ModelHistory(
        clock=CLOCK.monotonic,
        fresh_epoch=lambda: secrets.token_hex(8),
        # As `master_replid`: another one with every promotion.
        line=secrets.token_hex(8),
    )
    history.state = state
    return Primary(history, newest)
