"""Profiles: names, status, and who is found by them."""

from typing import Any

import pytest

from chat.payloads import ProfileUpdate, UserList
from chat.people import profiles
from realtime.protocol.errors import RequestError
from tests.chat.conftest import World

pytestmark = pytest.mark.django_db(transaction=True)


def test_people_are_found_by_their_names(world: World) -> None:
    profiles.profile_update(
        world.acme, world.bob, ProfileUpdate(name=" Bob  B. ", status="", status_emoji="🌴")
    )
    (bob,) = profiles.user_list(world.acme.id, world.alice.id, UserList(query="b. bob", limit=5))
    assert (bob.username, bob.name, bob.status, bob.status_emoji) == ("bob", "Bob B.", "", "🌴")
    everyone = profiles.user_list(world.acme.id, world.alice.id, UserList(query="", limit=5))
    assert [each.username for each in everyone] == ["admin", "alice", "bob"]
    assert profiles.user_list(world.globex.id, world.alice.id, UserList(query="bob", limit=5)) == []
    # Ten words are compared with all people, not as many as fit into a line.
    many = UserList(query=f"{'b ' * 10}x", limit=5)
    assert len(profiles.user_list(world.acme.id, world.alice.id, many)) == 1
    cleared = profiles.profile_update(world.acme, world.bob, ProfileUpdate(name="", status_emoji=""))
    assert (cleared.name, cleared.status_emoji) == ("bob", "")
    wrong: list[dict[str, Any]] = [
        {"name": "a\u202eb"},
        {"name": "x" * 65},
        {"status": "a\u200b"},
        {"status_emoji": "x"},
    ]
    for changes in wrong:
        with pytest.raises(RequestError):
            profiles.profile_update(world.acme, world.bob, ProfileUpdate(**changes))
    with pytest.raises(RequestError) as refused:
        profiles.profile_update(world.acme, world.carol, ProfileUpdate(name="x"))
    assert refused.value.code == "not_found"
