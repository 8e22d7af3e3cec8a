"""Figures of a run: how long nothing was acknowledged or delivered around each fault, and what was lost."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from tests.faults.record import (
    Acknowledged,
    Closed,
    Delivered,
    Event,
    Fault,
    Over,
    Rest,
    Subscribed,
    Told,
    Topic,
)


@dataclass(slots=True)
class Window:
    """The events from a fault to the rest after it."""

    fault: Fault
    over_s: float = 0.0
    rest_s: float = 0.0
    acknowledged_s: dict[Topic, list[float]] = field(default_factory=lambda: defaultdict(list))
    delivered_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    closed: int = 0
    told: int = 0
    recovered: int = 0

    def silence_s(self, *, of_victims: bool) -> float:
        """The longest time without an acknowledgement, for the topics that the fault concerns, or for all others."""
        victims = self.fault.victims
        times = [
            at_s
            for topic, each in self.acknowledged_s.items()
            if (victims is None or topic in victims) is of_victims
            for at_s in each
        ]
        return _longest(self.fault.at_s, times)

    def deaf_s(self) -> float:
        """The longest time in which a client got nothing."""
        return max((_longest(self.fault.at_s, times) for times in self.delivered_s.values()), default=0.0)


def windows(events: Iterable[Event]) -> list[Window]:
    """Each fault of a record."""
    found: list[Window] = []
    window: Window | None = None
    for event in events:
        match event:
            case Fault():
                window = Window(event)
                found.append(window)
            case Rest() if window is not None:
                window.rest_s = event.at_s
                window = None
            case _ if window is not None:
                _count(window, event)
    return found


def table(windows: Sequence[Window]) -> list[str]:
    """One line for each kind of fault, times in seconds: median and longest."""
    by_name: dict[str, list[Window]] = defaultdict(list)
    for window in windows:
        by_name[window.fault.name].append(window)
    head = ("fault", "times", "lasted", "unacknowledged", "others", "deaf", "told", "recovered", "closed")
    rows = [head, *(_row(name, each) for name, each in by_name.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]


def _row(name: str, windows: Sequence[Window]) -> tuple[str, ...]:
    has_others = any(window.fault.victims is not None for window in windows)
    return (
        name,
        str(len(windows)),
        _spread([window.over_s - window.fault.at_s for window in windows]),
        _spread([window.silence_s(of_victims=True) for window in windows]),
        _spread([window.silence_s(of_victims=False) for window in windows]) if has_others else "",
        _spread([window.deaf_s() for window in windows]),
        *(str(sum(getattr(window, name) for window in windows)) for name in ("told", "recovered", "closed")),
    )


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.2f} {max(values):.2f}"


def _longest(from_s: float, times: Sequence[float]) -> float:
    ordered = [from_s, *sorted(times)]
    return max((b - a for a, b in pairwise(ordered)), default=0.0)


def _count(window: Window, event: Event) -> None:
    match event:
        case Over():
            window.over_s = event.at_s
        case Acknowledged():
            window.acknowledged_s[event.topic].append(event.at_s)
        case Delivered():
            window.delivered_s[event.client].append(event.at_s)
        case Closed():
            window.closed += 1
        case Told():
            window.told += 1
        case Subscribed(recovered=True):
            window.recovered += 1
        case Subscribed(recovered=False):
            window.told += 1
