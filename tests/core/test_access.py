"""Scopes and topic rules: who may do what."""

import pytest

from realtime.core import topics
from realtime.core.identity import Credential, CredentialKind, Identity
from realtime.core.scopes import has_scopes, require_scopes
from realtime.core.topics import TopicRule, TopicRules
from realtime.protocol.errors import ErrorCode, RequestError

RULES = TopicRules(
    {
        "": TopicRule(),
        "members": TopicRule(subscribe=topics.members, publish=topics.publishing_members),
        "user": TopicRule(subscribe=topics.owner, publish=topics.nobody, history_size=10, history_ttl_s=5),
        "staff": TopicRule(subscribe=topics.staff, publish=topics.staff),
    }
)


def identity(*scopes: str, user_id: int = 7, is_staff: bool = False) -> Identity:
    return Identity(user_id, "alice", "acme", frozenset(scopes), CredentialKind.TOKEN, is_staff=is_staff)


MEMBER = identity("pubsub:publish")
READER = identity()
STAFF = identity("pubsub:publish", is_staff=True)

FINE, STRANGER, DENIED = None, ErrorCode.UNAUTHENTICATED, ErrorCode.PERMISSION_DENIED


def verdict(who: Identity | None, verb: str, topic: str) -> ErrorCode | None:
    try:
        getattr(RULES, f"require_{verb}")(who, topic)
    except RequestError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("topic", "who", "subscribe", "publish"),
    [
        ("news", None, FINE, FINE),
        ("news", READER, FINE, FINE),
        (":news", None, FINE, FINE),
        ("members", None, FINE, FINE),
        ("members:x", None, STRANGER, STRANGER),
        ("members:x", READER, FINE, DENIED),
        ("members:x", MEMBER, FINE, FINE),
        ("user:7", None, STRANGER, STRANGER),
        ("user:7", MEMBER, FINE, DENIED),
        ("user:7", STAFF, FINE, DENIED),
        ("user:8", MEMBER, DENIED, DENIED),
        ("user:07", MEMBER, DENIED, DENIED),
        ("user:7:x", MEMBER, DENIED, DENIED),
        ("user:", MEMBER, DENIED, DENIED),
        ("user: 7", MEMBER, DENIED, DENIED),
        ("staff:x", None, STRANGER, STRANGER),
        ("staff:x", MEMBER, DENIED, DENIED),
        ("staff:x", STAFF, FINE, FINE),
        ("other:x", None, DENIED, DENIED),
        ("other:x", STAFF, DENIED, DENIED),
        ("Members:x", STAFF, DENIED, DENIED),
        ("", STAFF, ErrorCode.INVALID_MESSAGE, ErrorCode.INVALID_MESSAGE),
        ("members:\n", STAFF, ErrorCode.INVALID_MESSAGE, ErrorCode.INVALID_MESSAGE),
    ],
)
def test_topic_rules(
    topic: str, who: Identity | None, subscribe: ErrorCode | None, publish: ErrorCode | None
) -> None:
    assert verdict(who, "subscribe", topic) == subscribe
    assert verdict(who, "publish", topic) == publish


def test_the_rule_says_how_much_is_remembered() -> None:
    rule = RULES.require_subscribe(MEMBER, "user:7")
    assert (rule.history_size, rule.history_ttl_s) == (10, 5)
    assert (RULES.rule("news").history_size, RULES.rule("news").history_ttl_s) == (1000, 300)


def test_without_a_rule_for_plain_names_they_are_closed() -> None:
    with pytest.raises(RequestError) as caught:
        TopicRules({}).require_subscribe(STAFF, "news")
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("who", "required", "holds"),
    [
        (None, [], True),
        (None, ["a"], False),
        (identity(), [], True),
        (identity("a"), ["a"], True),
        (identity("a", "b"), ["a", "b"], True),
        (identity("a"), ["a", "b"], False),
        (identity("ab"), ["a"], False),
        (identity("a:*"), ["a:b"], False),
    ],
)
def test_every_scope_is_needed(who: Identity | None, required: list[str], *, holds: bool) -> None:
    assert has_scopes(who, required) is holds
    if holds:
        require_scopes(who, required)
        return
    with pytest.raises(RequestError) as caught:
        require_scopes(who, required)
    assert caught.value.code is (ErrorCode.PERMISSION_DENIED if who else ErrorCode.UNAUTHENTICATED)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(RequestError) as caught:
        require_scopes(identity("b"), ["c", "a", "b"])
    assert caught.value.details == {"missing_scopes": ["a", "c"]}


def test_a_credential_does_not_show_its_secret() -> None:
    credential = Credential(CredentialKind.TOKEN, "very-secret")
    assert "very-secret" not in repr(credential)
    assert "very-secret" not in f"{credential}"
