"""The other clock of a broker."""

import time
from pathlib import Path

import pytest

from tests.faults.brokers import CLOCK_S
from tests.servers.broker import Process
from tests.servers.clock import has_clocks

pytestmark = [pytest.mark.redis, pytest.mark.skipif(not has_clocks(), reason="there is no C compiler")]


@pytest.mark.parametrize("ahead_s", [CLOCK_S, -CLOCK_S])
def test_the_clock_of_a_broker_is_ahead_or_behind(tmp_path: Path, ahead_s: int) -> None:
    process = Process(tmp_path)
    process.clock_s = ahead_s
    process.start()
    try:
        says_s = int(process.call("TIME")[0])
    finally:
        process.kill()
    # Far from both: a busy machine may take a while.
    assert abs(says_s - time.time() - ahead_s) < CLOCK_S / 2
