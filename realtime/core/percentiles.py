"""Percentiles of a handful of samples."""

from collections.abc import Iterable


def percentile(samples: Iterable[float], percent: float) -> float:
    """The value that `percent` (0 to 100) of `samples` do not exceed, between neighbours by straight line.

    Raises ValueError where there is no sample or `percent` is out of bounds.
    """
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("Expected at least one sample.")
    if not 0 <= percent <= 100:  # noqa: PLR2004 per cent
        raise ValueError(f"Expected a percentage of 0 to 100, received {percent}.")
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
