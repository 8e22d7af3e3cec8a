"""The first gate of the chat's topics: on plain values."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import settings

from chat import topics, wire
from chat.topics import may_read, room_id_of, typing_topic
from chat.wire import room_topic
from realtime.core.identity import CredentialKind, Identity
from realtime.core.topics import TopicRules
from realtime.protocol.errors import RequestError


def identity(*scopes: str) -> Identity:
    return Identity(1, "alice", "acme", frozenset(scopes), CredentialKind.TOKEN)


@pytest.mark.parametrize("topic", [room_topic(7), typing_topic(7)])
def test_a_reader_passes_and_others_do_not(topic: str) -> None:
    assert may_read(identity("chat:read"), topic)
    assert not may_read(identity("chat:write"), topic)
    assert not may_read(None, topic)


@pytest.mark.parametrize(
    "topic",
    [
        "room:",
        "room:0",
        "room:07",
        "room:-1",
        "room:x",
        "room:7 ",
        "room:\u0667",
        "user:7",
        "room:" + "9" * 19,
    ],
)
def test_a_name_that_is_none_of_ours_is_nobodys(topic: str) -> None:
    assert room_id_of(topic) is None
    assert not may_read(identity("chat:read"), topic)


def topics_of_the_chat() -> Iterator[str]:
    """Yield a topic of each kind that the modules name, so that a new one is found too."""
    for name, value in [*vars(topics).items(), *vars(wire).items()]:
        if name.endswith("_topic"):
            yield value(7)
        elif name.endswith("_TOPIC") and isinstance(value, str):
            yield value


@pytest.mark.parametrize("topic", list(topics_of_the_chat()))
def test_operators_use_the_data_of_no_topic_of_the_chat(topic: str) -> None:
    with pytest.raises(RequestError, match="keeps its data from operators"):
        TopicRules(settings.TOPIC_RULES).require_operator(topic)


def test_operators_publish_to_users_and_to_nothing_else_of_the_chat() -> None:
    rules, allowed = TopicRules(settings.TOPIC_RULES), set()
    for topic in topics_of_the_chat():
        with suppress(RequestError):
            rules.require_operator_publish(topic)
            allowed.add(topic)
    assert allowed == {"user:7"}


def test_all_kinds_of_topics_are_looked_at() -> None:
    kinds = {topic.partition(":")[0] for topic in topics_of_the_chat()}
    assert kinds == {*topics.ROOM_TOPICS, "user"}
