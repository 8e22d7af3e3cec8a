"""What was measured, and the ratios of it: one value a round, the median over the rounds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.plan import Comparison, Figure

# A load generator busier than this is itself the limit: the rate is a lower bound.
CLIENT_BOUND = 0.95
# Others who used more than this share of the server's core have slowed it: what it used itself still counts.
DISTURBED = 0.1


@dataclass(frozen=True)
class Outcome:
    """A comparison, decided. `value` is the ratio, or the figure where there is nothing to compare with."""

    value: float
    is_by_cost: bool
    verdict: str


@dataclass
class Results:
    """All figures of all rounds, by work and contender."""

    versions: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    measured: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=dict)

    def add(self, work: str, contender: str, figures: dict[str, float]) -> None:
        """What one round gave; nothing when the server could not do it."""
        if figures:
            self.measured.setdefault(work, {}).setdefault(contender, []).append(figures)

    def rounds(self, figure: Figure) -> list[dict[str, float]]:
        """The rounds of a contender in a work."""
        return self.measured.get(figure.work, {}).get(figure.contender, [])

    def median(self, figure: Figure) -> float | None:
        """Over the rounds; None when it was not measured."""
        values = [each[figure.name] for each in self.rounds(figure) if figure.name in each]
        return median(values) if values else None

    def is_client_bound(self, figure: Figure) -> bool:
        """Whether the load was the limit in most rounds."""
        busy = self.median(Figure(figure.work, figure.contender, "client"))
        return figure.name == "rate" and busy is not None and busy >= CLIENT_BOUND

    def is_disturbed(self, figure: Figure) -> bool:
        """Whether other processes were on the server's core in most rounds."""
        others = self.median(Figure(figure.work, figure.contender, "others"))
        return figure.name == "rate" and others is not None and others > DISTURBED

    def outcome(self, comparison: Comparison) -> Outcome | None:
        """The comparison's value and what its goals say of it; None when one side was not measured."""
        figure, against = comparison.figure, comparison.against
        is_by_cost = against is not None and (self._is_bound(figure) or self._is_bound(against))
        value = (
            self.median(figure) if against is None else self._ratio(figure, against, is_by_cost=is_by_cost)
        )
        if value is None:
            return None
        return Outcome(value, is_by_cost, _verdict(comparison, value))

    def as_json(self, comparisons: Iterable[Comparison]) -> dict[str, Any]:
        """Everything, for the file beside the table."""
        decided = [(each, self.outcome(each)) for each in comparisons]
        return {
            "versions": self.versions,
            "missing": self.missing,
            "failed": self.failed,
            "measured": self.measured,
            "comparisons": [asdict(each) | asdict(outcome) for each, outcome in decided if outcome],
        }

    def _is_bound(self, figure: Figure) -> bool:
        return self.is_client_bound(figure) or self.is_disturbed(figure)

    def _ratio(self, figure: Figure, against: Figure, *, is_by_cost: bool) -> float | None:
        """The median of the rounds' ratios; by cost it is the other way round, so that more is better still."""
        ratios = []
        for ours, theirs in zip(self.rounds(figure), self.rounds(against), strict=False):
            above, below = ours[figure.name], theirs[against.name]
            if is_by_cost:
                above, below = theirs["us"], ours["us"]
            if below:
                ratios.append(above / below)
        return median(ratios) if ratios else None


def _verdict(comparison: Comparison, value: float) -> str:
    def reaches(goal: float | None) -> bool:
        if goal is None:
            return False
        return value <= goal if comparison.is_at_most else value >= goal

    if comparison.must is None:
        return ""
    if reaches(comparison.stretch):
        return "stretch"
    return "yes" if reaches(comparison.must) else "NO"
