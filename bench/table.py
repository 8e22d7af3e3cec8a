"""The one table."""

from bench.plan import Comparison, Figure
from bench.results import Outcome, Results

HEAD = ("work", "ours", "µs", "peer", "peer's", "µs", "ratio", "must", "stretch", "reached")
LEFT = (0, 3, 9)
NOTES = (
    "Ratios are medians over the rounds; µs: server CPU a delivery, echo, connect or message. †: the load generator",
    "was the limit; ‡: other processes took more than a tenth of the server's core; either way the rate is a lower",
    "bound and the ratio is that of the µs. ¤: our server with REALTIME_MESSAGES_PER_S raised (its limiter still",
    "counts), because a client here sends more than a connection may by default.",
)


def table(results: Results, comparisons: list[Comparison]) -> str:
    """The comparisons that were measured, what was missing, and the versions."""
    rows = [
        row
        for each in comparisons
        if (outcome := results.outcome(each)) and (row := _row(results, each, outcome))
    ]
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    lines = [_line(HEAD, widths), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths) for row in rows]
    lines += ["", *NOTES]
    lines += [f"Missing: {name}: {reason}" for name, reason in sorted(results.missing.items())]
    lines += [f"Failed: {name}: {reason}" for name, reason in sorted(results.failed.items())]
    lines.append(
        "Versions: " + ", ".join(f"{name} {version}" for name, version in results.versions.items()) + "."
    )
    return "\n".join(lines) + "\n"


def _row(results: Results, comparison: Comparison, outcome: Outcome) -> tuple[str, ...]:
    figure, against = comparison.figure, comparison.against
    raised = "¤" if figure.contender in {"ours raised", "ours rpc"} else ""
    return (
        comparison.title + raised,
        _figure(results, figure),
        _cost(results, figure),
        "" if against is None else _peer(figure, against),
        "" if against is None else _figure(results, against),
        "" if against is None else _cost(results, against),
        "" if against is None else f"{outcome.value:.2f}{' µs' if outcome.is_by_cost else ''}",
        _goal(comparison, comparison.must),
        _goal(comparison, comparison.stretch),
        outcome.verdict,
    )


def _peer(figure: Figure, against: Figure) -> str:
    return against.contender if against.work == figure.work else f"{against.contender}, {against.work}"


def _figure(results: Results, figure: Figure) -> str:
    value = results.median(figure)
    if value is None:
        return ""
    marks = ("†" if results.is_client_bound(figure) else "") + ("‡" if results.is_disturbed(figure) else "")
    return _number(value) + marks


def _cost(results: Results, figure: Figure) -> str:
    value = results.median(Figure(figure.work, figure.contender, "us"))
    return "" if value is None or figure.name != "rate" else _number(value)


def _goal(comparison: Comparison, goal: float | None) -> str:
    if goal is None:
        return ""
    return f"{'≤' if comparison.is_at_most else '≥'} {goal:g}"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if column in LEFT else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()
