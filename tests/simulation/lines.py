"""The log of a topic through its epochs: after a failover one goes on where another ended, or forks off before its end."""

from typing import Any

from tests.simulation.record import Key, Record, Stored

NOTHING = object()


def value_at(record: Record, key: Key, position: Stored, offset: int) -> Any:
    """Return the data at `offset` of the log that leads to `position`; NOTHING if they are unknown."""
    published = record.truth.get(key, {})
    if (position.epoch, offset) in published:
        return published[position.epoch, offset]
    epoch = _epoch_at(record, key, position.epoch, offset)
    return NOTHING if epoch is None else published.get((epoch, offset), NOTHING)


def leads_to(record: Record, key: Key, earlier: Stored, later: Stored) -> bool:
    """Whether the log at `later` begins with all that a client at `earlier` has."""
    if earlier.epoch == later.epoch or not record.has_forks:
        return earlier.epoch == later.epoch and earlier.offset <= later.offset
    if earlier.offset > later.offset:
        return False
    if not earlier.offset:
        # It has nothing.
        return True
    epochs = (_epoch_at(record, key, each.epoch, earlier.offset) for each in (earlier, later))
    return next(epochs) == next(epochs) is not None


def _epoch_at(record: Record, key: Key, epoch: str, offset: int) -> str | None:
    """The epoch under which `offset` was published, of the log that `epoch` goes on with; None if it is not known."""
    begun = record.begun.get(key, {})
    while (its := begun.get(epoch)) is not None and offset < its.first:
        if its.before is None:
            return None
        epoch = its.before.epoch
    return None if its is None else epoch
