"""`group_send` of another app beside our topics: from sockets and pages of two server processes, and from a shell."""

import asyncio
import json
from contextlib import AsyncExitStack

from tests.e2e.talk import Talk
from tests.e2e.visitor import Visitor, csrf_of
from tests.servers.pool import Site

# The settings of a site with a consumer of Channels, and a page that sends to its group.
CHANNEL_LAYER = {
    "DJANGO_SETTINGS_MODULE": "tests.fixtures.settings",
    "FIXTURES_REALTIME": json.dumps({"ROUTES": "tests.fixtures.rooms"}),
    "FIXTURES_URLS": "tests.fixtures.rooms",
}
# As a task or a command does it.
SEND = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
async_to_sync(get_channel_layer().group_send)("room", {"type": "room.said", "text": text})
"""


async def reach_everybody_once(site: Site) -> None:
    """Send in all ways to a room of Channels, and to our topic of the same name, on both servers of the site."""
    async with AsyncExitStack() as stack:
        visitors, rooms, topics = [], [], []
        for server in site.servers:
            visitor = await stack.enter_async_context(Visitor(site, "acme.localhost", server))
            visitors.append(visitor)
            rooms.append(await stack.enter_async_context(visitor.open("/ws/room/")))
            topics.append(await stack.enter_async_context(visitor.open_json("/ws/pubsub/")))
            await topics[-1].ask("subscribe", {"topic": "room"})
        for number, room in enumerate(rooms):
            # One after the other: the layer keeps the order of one sender only.
            await _say(room, f"from {number}", rooms)
        for number, visitor in enumerate(visitors):
            for path in ("/room/", "/room/async/"):
                await _send_form(visitor, path, f"{path} of {number}")
                assert [await _heard(each) for each in rooms] == [f"{path} of {number}"] * len(rooms)
        await asyncio.to_thread(site.orm.run, SEND, text="from a shell")
        assert [await _heard(each) for each in rooms] == ["from a shell"] * len(rooms)
        await topics[0].ask("publish", {"topic": "room", "data": 1})
        await topics[1].ask("publish", {"topic": "room", "data": 2})
        for topic in topics:
            assert [(await topic.push("publication"))["data"] for _ in range(2)] == [1, 2]
        # Neither hears what is the other's, and nothing came twice.
        await _say(rooms[0], "the last", rooms)
        assert [await topic.settle() for topic in topics] == [[]] * len(topics)


async def _say(room: Talk, text: str, rooms: list[Talk]) -> None:
    await room.send_frame(json.dumps({"text": text}))
    assert [await _heard(each) for each in rooms] == [text] * len(rooms)


async def _send_form(visitor: Visitor, path: str, text: str) -> None:
    page = await visitor.http.get(path)
    form = {"text": text, "csrfmiddlewaretoken": csrf_of(page)}
    said = await visitor.http.post(path, data=form)
    assert said.status_code == 200, said.text


async def _heard(room: Talk) -> str:
    return str(json.loads(await room.frame())["text"])
