"""The verdict on a broker's own information."""

from typing import Any

import pytest

from realtime.core.broker_rules import judge_broker


@pytest.mark.parametrize(
    ("server", "is_fine"),
    [
        ({"redis_version": "7.0.0"}, True),
        ({"redis_version": "8.2.1"}, True),
        ({"redis_version": "6.2.14"}, False),
        ({"redis_version": "5.0"}, False),
        ({}, False),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.0"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, True),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.11"}, False),
    ],
)
def test_old_versions_are_refused(server: dict[str, Any], *, is_fine: bool) -> None:
    refusals, warnings = judge_broker(server, {})
    assert (refusals == [], warnings) == (is_fine, [])


@pytest.mark.parametrize(
    ("memory", "refused", "warned"),
    [
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, 0, 0),
        ({"maxmemory": 1, "maxmemory_policy": "noeviction"}, 0, 0),
        ({"maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, 1, 0),
        ({"maxmemory": 1, "maxmemory_policy": "allkeys-random"}, 1, 0),
        ({"maxmemory": 1, "maxmemory_policy": "volatile-ttl"}, 0, 1),
    ],
)
def test_a_broker_that_drops_keys_is_refused_or_warned_of(
    memory: dict[str, Any], refused: int, warned: int
) -> None:
    refusals, warnings = judge_broker({"redis_version": "7.0"}, memory)
    assert (len(refusals), len(warnings)) == (refused, warned)
