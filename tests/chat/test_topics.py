"""The first gate of the chat's topics: on plain values."""

import pytest

from chat.topics import may_read, room_id_of, room_topic, typing_topic
from realtime.core.identity import CredentialKind, Identity


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
