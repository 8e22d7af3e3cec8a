"""Presence over two `serve` processes on one Valkey: reloads, and nodes that drain or die."""

import asyncio
import time
from uuid import uuid4

import pytest

from tests.e2e.conftest import OwnSites
from tests.e2e.talk import Talk, assert_closed
from tests.e2e.test_presence import PATH, change, gone_without_a_word, names, pushes
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

# Longer than changes are gathered on a node and between nodes.
MOMENT_S = 1.0


@pytest.fixture
def topic() -> str:
    """A topic nobody else uses."""
    return f"topic-{uuid4().hex}"


async def test_a_reload_that_lands_on_the_other_node_is_no_absence(own_sites: OwnSites, topic: str) -> None:
    site = own_sites.get("scaled", {"TEST": "presence"}, servers=2)
    async with visitor(site, 0) as here, visitor(site, 1) as there, here.open_json(PATH, "alice") as alice:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with there.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
        async with here.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            await asyncio.sleep(MOMENT_S)
            assert await pushes(alice) == []
            assert await connections(alice, topic) == {"alice": 1, "bob": 1}
            await bob.ask("unsubscribe", {"topic": topic})
            assert await change(alice, topic, "left", "bob")


async def test_users_stay_for_a_while_without_a_connection(own_sites: OwnSites, topic: str) -> None:
    """On a node that drains, that dies, and that goes on; all at once, because each takes ten seconds."""
    cases = [
        node_ends(own_sites, topic, "drains"),
        node_ends(own_sites, topic, "dies"),
        user_ends(own_sites, topic),
    ]
    await asyncio.gather(*cases)


async def user_ends(own_sites: OwnSites, topic: str) -> None:
    """A reload is no absence. An end without a word is one after a while."""
    site = own_sites.get("serve", {"TEST": "presence"})
    async with visitor(site, 0) as acme, acme.open_json(PATH, "alice") as alice:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with acme.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            assert await change(alice, topic, "joined", "bob")
        await gone_without_a_word(alice, topic, "bob")
        async with acme.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            await asyncio.sleep(MOMENT_S)
            assert await pushes(alice) == []
            assert await connections(alice, topic) == {"alice": 1, "bob": 1}
        ended_s = time.monotonic()
        assert await change(alice, topic, "left", "bob")
        assert 9.0 < time.monotonic() - ended_s < 13.0
        assert await connections(alice, topic) == {"alice": 1}


async def node_ends(own_sites: OwnSites, topic: str, how: str) -> None:
    site = own_sites.get("scaled", {"TEST": f"presence-{how}", "REALTIME_DRAIN_S": 1}, servers=2)
    async with visitor(site, 0) as here, visitor(site, 1) as there, here.open_json(PATH, "alice") as alice:
        await alice.ask("subscribe", {"topic": topic, "presence": True})
        async with there.open_json(PATH, "bob") as bob, there.open_json(PATH, "admin") as admin:
            for talk in (bob, admin):
                await talk.ask("subscribe", {"topic": topic})
            while await connections(alice, topic) != {"admin": 1, "alice": 1, "bob": 1}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.sleep(MOMENT_S)
            await pushes(alice)
            ended_s = time.monotonic()
            if how == "drains":
                site.servers[1].tell_to_end()
                await assert_closed(bob, 1012)
            else:
                site.servers[1].kill()
        async with here.open_json(PATH, "bob") as bob:
            await bob.ask("subscribe", {"topic": topic})
            push = await alice.push("presence")
            # From the last beat, which may have been two seconds before.
            assert 7.5 < time.monotonic() - ended_s < 14.0
            assert (names(push["joined"]), names(push["left"])) == ([], ["admin"])
            assert await connections(alice, topic) == {"alice": 1, "bob": 1}


def visitor(site: Site, number: int) -> Visitor:
    return Visitor(site, "acme.localhost", site.servers[number])


async def connections(talk: Talk, topic: str) -> dict[str, int]:
    users = (await talk.ask("presence", {"topic": topic}))["users"]
    return {user["username"]: user["connections"] for user in users}
