"""Gates fail closed: only True opens, and what could never say no stops the start."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, markcoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from realtime import checks
from realtime.conf import load_settings
from realtime.core.identity import CredentialKind, Identity
from realtime.core.topics import TopicRule, TopicRules, rule_faults
from realtime.protocol.errors import ErrorCode, RequestError

ALICE = Identity(1, "alice", "acme", frozenset(), CredentialKind.TOKEN, is_staff=True)


async def shut(identity: Identity | None, topic: str) -> bool:
    return False


async def shut_generator(identity: Identity | None, topic: str) -> AsyncIterator[bool]:
    yield False


def generator(identity: Identity | None, topic: str) -> Iterator[bool]:
    yield False


class Gate:
    async def __call__(self, identity: Identity | None, topic: str) -> bool:
        return False

    async def method(self, identity: Identity | None, topic: str) -> bool:
        return False


def marked(identity: Identity | None, topic: str) -> Any:
    return shut(identity, topic)


ASYNC_GATES = {
    "function": shut,
    "lambda": functools.partial(shut),
    "partial of a partial": functools.partial(functools.partial(shut)),
    "instance": Gate(),
    "partial of an instance": functools.partial(Gate()),
    "method": Gate().method,
    "marked": markcoroutinefunction(marked),
    "async generator": shut_generator,
    "generator": generator,
}


@pytest.mark.parametrize("name", ["subscribe", "publish", "subscribe_in_db", "publish_in_db"])
@pytest.mark.parametrize("gate", ASYNC_GATES.values(), ids=ASYNC_GATES.keys())
def test_a_gate_that_would_have_to_be_awaited_stops_the_start(
    settings: Settings, gate: Callable[..., Any], name: str
) -> None:
    gates: dict[str, Any] = {name: gate}
    settings.REALTIME = settings.REALTIME | {"TOPIC_RULES": {"news": TopicRule(**gates)}}
    with pytest.raises(ImproperlyConfigured, match=f"'{name}' of the topic rule 'news'"):
        load_settings()
    assert [error.id for error in checks.check_gates()] == ["realtime.E003"]


def test_what_is_no_function_stops_it_too() -> None:
    rules: dict[str, Any] = {"": TopicRule(publish=False)}  # type: ignore[arg-type]
    assert list(rule_faults(rules)) == [
        "The gate 'publish' of the topic rule '' is not a function: received False; give `members`, `nobody` or a "
        "function of your own."
    ]


@pytest.mark.parametrize(
    ("prefix", "rule", "fault"),
    [
        ("news", {"subscribe": "anyone"}, "must be a TopicRule"),
        ("news", None, "must be a TopicRule"),
        ("news:", TopicRule(), "never matches"),
        (1, TopicRule(), "never matches"),
        ("news", TopicRule(history_size=-1), "history_size"),
        ("news", TopicRule(history_size=1.5), "history_size"),  # type: ignore[arg-type]
        ("news", TopicRule(history_ttl_s=float("nan")), "history_ttl_s"),
        ("news", TopicRule(subscribe=lambda: True), "must take the identity and the topic's name"),  # type: ignore[arg-type,misc]
        ("news", TopicRule(publish=lambda identity: True), "must take the identity"),  # type: ignore[arg-type,misc]
    ],
)
def test_a_rule_that_is_wrong_is_named(prefix: Any, rule: Any, fault: str) -> None:
    [sentence] = rule_faults({prefix: rule})
    assert fault in sentence
    assert repr(prefix) in sentence
    assert sentence.endswith(".")


def test_plain_gates_of_every_kind_are_fine() -> None:
    rules = {
        "a": TopicRule(subscribe=lambda identity, topic: True, publish=functools.partial(_is_it, "x")),
        "b": TopicRule(subscribe_in_db=async_to_sync(shut)),
    }
    assert list(rule_faults(rules)) == []


def _is_it(name: str, identity: Identity | None, topic: str) -> bool:
    return topic == name


@pytest.mark.parametrize("answer", [1, "yes", [0], object(), ALICE, {"a": 1}, 0, None, "", False])
@pytest.mark.parametrize("identity", [ALICE, None])
def test_only_true_opens(identity: Identity | None, answer: object) -> None:
    gate: Any = lambda identity, topic: answer  # noqa: E731
    rules = TopicRules({"": TopicRule(subscribe=gate, publish=gate)})
    code = ErrorCode.PERMISSION_DENIED if identity else ErrorCode.UNAUTHENTICATED
    for ask in (rules.require_subscribe, rules.require_publish):
        with pytest.raises(RequestError) as caught:
            ask(identity, "news")
        assert caught.value.code is code
    allowed = TopicRules({"": TopicRule(subscribe=lambda identity, topic: True)})
    assert allowed.require_subscribe(identity, "news")


def test_a_coroutine_that_slips_through_opens_nothing() -> None:
    coroutine = shut(None, "news")
    rules = TopicRules({"": TopicRule(subscribe=lambda identity, topic: coroutine)})  # type: ignore[arg-type,return-value]
    with pytest.raises(RequestError):
        rules.require_subscribe(ALICE, "news")
    coroutine.close()
