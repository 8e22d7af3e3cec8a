"""The trials of the doctor, for each form of an address."""

from dataclasses import replace

import pytest

from realtime.conf import load_settings
from realtime.management import doctor


@pytest.mark.django_db
@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?prefix=other",
        "redis+sentinel://127.0.0.1:1,127.0.0.1:2/primary",
    ],
)
def test_the_clock_of_a_broker_that_is_away_is_left_out(url: str) -> None:
    """That it is away is said once, by the check of the broker."""
    settings = replace(load_settings(), REDIS_URL=url)
    assert "broker" not in dict(doctor._other_clocks(settings))
    assert doctor._clock(settings)[0] == "not compared: no other one answers"
