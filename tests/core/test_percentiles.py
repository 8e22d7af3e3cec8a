import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.core.percentiles import percentile

FINITE = st.floats(min_value=-1e9, max_value=1e9)


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7.0], 99, 7.0),
        ([1.0, 3.0], 50, 2.0),
        ([3.0, 1.0, 2.0], 0, 1.0),
        ([3.0, 1.0, 2.0], 100, 3.0),
        ([0.0, 10.0, 20.0, 30.0, 40.0], 25, 10.0),
        ([0.0, 100.0], 99, 99.0),
    ],
)
def test_percentile(samples: list[float], percent: float, expected: float) -> None:
    assert percentile(samples, percent) == pytest.approx(expected)


@given(st.lists(FINITE, min_size=1), st.floats(min_value=0, max_value=100))
def test_a_percentile_lies_within_the_samples(samples: list[float], percent: float) -> None:
    assert min(samples) - 1e-3 <= percentile(samples, percent) <= max(samples) + 1e-3


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_refuses_what_has_no_answer(samples: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="Expected"):
        percentile(samples, percent)
