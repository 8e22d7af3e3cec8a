"""Counting deliveries: every frame of every member is counted, the frames of some members are read."""

from collections.abc import Callable, Sequence

from picows import WSFrame

from bench.load.sockets import Sink, Socket
from bench.load.texts import Checker

# One member in so many has all its messages read for order and latency; more would measure the reader.
READ_ONE_IN = 20


class Tally:
    """Deliveries so far. `on_target` is called once whenever their number reaches `target`."""

    def __init__(self, sockets: Sequence[Socket], *, has_batches: bool) -> None:
        """Takes over the sockets' frames."""
        self.got = 0
        self.target = 0
        self.on_target: Callable[[], None] = lambda: None
        self._sockets = sockets
        self._checkers: list[Checker] = []
        plain = self._several if has_batches else self._single
        for number, socket in enumerate(sockets):
            socket.sink = plain if number % READ_ONE_IN else self._reading()

    def faults(self, expected: int) -> dict[str, float]:
        """What went wrong, of so many expected deliveries: all zero when nothing did."""
        return {
            "lost": expected - self.got,
            "reordered": sum(checker.reordered for checker in self._checkers),
            "foreign": sum(checker.foreign for checker in self._checkers),
            "closed": sum(socket.is_closed for socket in self._sockets),
        }

    def take_latencies_ns(self) -> list[int]:
        """From the moment each message was due, at the members that are read; starts anew."""
        latencies: list[int] = []
        for checker in self._checkers:
            latencies += checker.latencies_ns
            checker.latencies_ns = []
        return latencies

    def _single(self, frame: WSFrame) -> None:
        self.got += 1
        if self.got == self.target:
            self.on_target()

    def _several(self, frame: WSFrame) -> None:
        self._add(frame.get_payload_as_bytes().count(b"\n") + 1)

    def _reading(self) -> Sink:
        checker = Checker()
        self._checkers.append(checker)

        def read(frame: WSFrame) -> None:
            self._add(checker.check(frame.get_payload_as_bytes()))

        return read

    def _add(self, count: int) -> None:
        before = self.got
        self.got += count
        if before < self.target <= self.got:
            self.on_target()
