"""The ports of the simulator offer what the project's have, and nothing else."""

from random import Random

from tests.simulation.faults import Dice, Faults
from tests.simulation.ports import Broker, FaultyBus, FaultyHistory, Line, Store
from tests.simulation.record import Record


def test_a_history_has_the_methods_of_the_one_in_memory_only() -> None:
    record = Record()
    line = Line("n1", Dice(Random(1), Faults()), record, lambda session, place: None)
    history = FaultyHistory(line, Store(record), FaultyBus(line, Broker(), lambda group, body: None))
    assert callable(history.pages)
    assert not hasattr(history, "begin")
