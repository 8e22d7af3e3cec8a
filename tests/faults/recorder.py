"""Where events go, and what of them the clients must know themselves."""

from time import monotonic

from tests.faults.record import Event


class Recorder:
    """The record of one run, in the order in which it happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._began_s = monotonic()

    def now_s(self) -> float:
        """Seconds since the run began."""
        return monotonic() - self._began_s

    def add(self, event: Event) -> None:
        """One more event."""
        self.events.append(event)
