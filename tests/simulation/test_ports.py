"""The ports of the simulator offer what the project's have, and nothing else."""

from random import Random

from tests.simulation.faults import Dice, Faults
from tests.simulation.ports import Broker, FaultyBus, FaultyHistory, Line, MemoryStore
from tests.simulation.record import Record


def test_a_history_has_the_methods_of_the_one_in_memory_only() -> None:
    record = Record()
    line = Line("n1", Dice(Random(1), Faults()), record, lambda session, place: None)
    store = MemoryStore(record)
    bus = FaultyBus(line, Broker(store.are_together), lambda group, body: None)
    history = FaultyHistory(line, store, bus)
    assert callable(history.pages)
    assert not hasattr(history, "begin")
