"""Every setting at 0 is a limit that is switched off, or is refused; every value of the wrong kind is refused."""

from dataclasses import fields
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from realtime import Call, PubSubConsumer, RpcConsumer, TopicRule, rpc_method
from realtime.conf import NOT_ZERO, RealtimeSettings, load_settings
from realtime.core.token_bucket import TokenBucket
from tests.realtime.followers import identity
from tests.realtime.site import SETTINGS, site_of

NUMBERS = [each.name for each in fields(RealtimeSettings) if type(each.default) in (int, float)]
ROUNDS = 12


@rpc_method("twice")
async def twice(call: Call, *, n: int) -> dict[str, int]:
    return {"n": 2 * n}


@rpc_method("in_db")
def in_db(call: Call) -> dict[str, int]:
    return {"n": 1}


@pytest.mark.parametrize("name", sorted(set(NUMBERS) - NOT_ZERO))
async def test_a_limit_of_0_is_switched_off(name: str) -> None:
    """A site with it serves: nothing is lost, refused, cut or waited for."""
    rules = {"": TopicRule()}
    settings = {"TOPIC_RULES": rules, "DRAIN_S": 0.1, name: 0}
    async with site_of(methods=[twice, in_db], **settings) as site:
        client = await site.connect(PubSubConsumer, identity(1))
        for topic in ("one", "two", "three"):
            reply = await client.ask("subscribe", {"topic": topic})
            assert reply["type"] == "subscribed", reply
            for number in range(1, ROUNDS):
                await client.send("publish", {"topic": topic, "data": "x" * 100}, f"{topic}{number}")
                assert (await client.assert_push("publication"))["offset"] == number
        for topic in ("one", "two", "three"):
            history = await client.ask("history", {"topic": topic})
            assert len(history["payload"]["publications"]) == ROUNDS - 1, history
        caller = await site.connect(RpcConsumer, identity(2))
        for method, result in (("twice", 14), ("in_db", 1)):
            payload = {"n": 7} if method == "twice" else {}
            assert (await caller.ask(method, payload))["payload"] == {"n": result}
        await site.node.drain()


@pytest.mark.parametrize("name", sorted(NOT_ZERO))
def test_what_cannot_be_switched_off_is_refused(name: str) -> None:
    with (
        override_settings(REALTIME={**SETTINGS, name: 0}),
        pytest.raises(ImproperlyConfigured, match=f"REALTIME: {name} must be 1 or more"),
    ):
        load_settings()


WRONG: list[tuple[str, Any]] = [
    *((name, value) for name in NUMBERS for value in (-1, "10", None, True)),
    ("MESSAGES_PER_S", float("nan")),
    ("CALL_TIMEOUT_S", float("inf")),
    ("MAX_CALLS", 1.5),
    ("HTTPS", "yes"),
    ("REDIS_URL", None),
    ("ALLOWED_ORIGINS", "https://app.example.com"),
    ("TRUSTED_PROXIES", [1]),
]


def test_values_of_the_wrong_kind_are_refused_with_a_sentence() -> None:
    for name, value in WRONG:
        with override_settings(REALTIME={**SETTINGS, name: value}):
            with pytest.raises(ImproperlyConfigured) as caught:
                load_settings()
            assert f"REALTIME: {name} must be " in str(caught.value), (name, value)


def test_all_faults_are_named_at_once() -> None:
    with (
        override_settings(REALTIME={**SETTINGS, "MAX_CALLS": -1, "DRAIN_S": "5"}),
        pytest.raises(ImproperlyConfigured, match=r"MAX_CALLS.*DRAIN_S|DRAIN_S.*MAX_CALLS"),
    ):
        load_settings()


@pytest.mark.parametrize(("rate_per_s", "burst"), [(0, 10), (10, 0), (0, 0)])
def test_a_rate_or_a_burst_of_0_is_no_limit(rate_per_s: float, burst: float) -> None:
    bucket = TokenBucket(rate_per_s, burst, 0.0)
    assert not any(bucket.take(0.0, 1_000_000) for _ in range(100))


@pytest.mark.parametrize("name", sorted(each.name for each in fields(RealtimeSettings) if each.type is float))
def test_a_number_is_taken_with_a_point_and_without(name: str) -> None:
    for value in (1, 1.0, 2.5):
        with override_settings(REALTIME=SETTINGS | {name: value}):
            assert getattr(load_settings(), name) == value
