"""The Python client against real servers."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest

from realtime.client import AsyncClient, Client, ClientError, DisconnectedError, Rows, TokenReason
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

pytestmark = pytest.mark.servers

PUBLICATIONS = 300
PER_S = 100
Open = Callable[..., AsyncClient]


@pytest.fixture
def options(site: Site, acme: Visitor) -> dict[str, Any]:
    """Return the options of a client of acme's host here, where no name server knows it."""

    async def get_token(reason: TokenReason) -> str:
        return await acme.token()

    return {"get_token": get_token, "host": "127.0.0.1", "proxy": None}


def url(site: Site, path: str) -> str:
    return f"ws://acme.localhost:{site.server.port}{path}"


@pytest.mark.kinds("scaled")
async def test_a_restart_during_publications_loses_nothing_and_doubles_nothing(
    site: Site, options: dict[str, Any]
) -> None:
    topic = f"members:{uuid4()}"
    heard: list[int] = []
    async with (
        AsyncClient(url(site, "/ws/pubsub/"), **options) as reader,
        AsyncClient(url(site, "/ws/pubsub/"), **options) as writer,
    ):
        subscription = reader.subscribe(topic, since=await writer.publish(topic, 0))
        writing = asyncio.ensure_future(publish_all(writer, topic))
        async with asyncio.timeout(45):
            async for publication in subscription:
                heard.append(publication.data)
                if publication.data == PUBLICATIONS // 3:
                    await asyncio.to_thread(site.server.stop)
                    await asyncio.to_thread(site.server.start)
                if publication.data == PUBLICATIONS:
                    break
        await writing
    assert heard == list(range(1, PUBLICATIONS + 1))


async def publish_all(writer: AsyncClient, topic: str) -> None:
    for number in range(1, PUBLICATIONS + 1):
        await publish(writer, topic, number)
        await asyncio.sleep(1 / PER_S)


async def publish(writer: AsyncClient, topic: str, number: int) -> None:
    """Publish, and repeat it until it is known to be done."""
    while True:
        try:
            await writer.publish(topic, number, idempotency_key=str(number))
        except ClientError as error:
            if not error.retryable:
                raise
            continue
        return


async def test_every_part_of_it_against_a_real_server(site: Site, options: dict[str, Any]) -> None:
    async with AsyncClient(url(site, "/ws/rpc/"), **options) as rpc:
        assert await rpc.request("update_status", {"status": "here"}) == {"success": True}
        with pytest.raises(ClientError) as unknown:
            await rpc.request("get_user", {"user_id": 10**9})
        assert (unknown.value.code, unknown.value.details) == ("not_found", {"field": "payload.user_id"})
    async with AsyncClient(url(site, "/ws/data/"), **options) as data:
        query = {"query": "items", "params": {"category": "books"}, "page_size": 1}
        pages = [page["items"] async for page in data.pages("query", query)]
        assert [len(page) for page in pages] == [1] * len(pages)
        items = (await data.request("query", query))["items"]
        assert [item for page in pages for item in page] == items
        async with aclosing(data.live_query("items", {"category": "books"}, page_size=2)) as events:
            assert await anext(events) == Rows(items)
    async with (
        AsyncClient(url(site, "/ws/stream/"), **options) as streams,
        aclosing(streams.stream("clock", interval_s=0.05)) as values,
    ):
        assert [(await anext(values)).source for _ in range(2)] == ["clock", "clock"]
    async with AsyncClient(url(site, "/ws/pubsub/"), **options) as pubsub:
        topic = f"members:{uuid4()}"
        first = await pubsub.publish(topic, "first")
        await pubsub.publish(topic, "second")
        subscription = pubsub.subscribe(topic, since=first)
        assert (await anext(subscription)).data == "second"
        assert [each.data for each in (await pubsub.history(topic)).publications] == ["first", "second"]
        assert [user.username for user in (await pubsub.presence(topic)).users] == ["alice"]
    async with AsyncClient(url(site, "/ws/nowhere/"), **options) as nowhere:
        with pytest.raises(DisconnectedError):
            await nowhere.ready()
        assert nowhere.state.code == 4404


def test_the_same_without_asyncio(site: Site) -> None:
    with Client(url(site, "/ws/pubsub/"), host="127.0.0.1", proxy=None) as client:
        topic = str(uuid4())
        position = client.publish(topic, 1)
        with client.subscribe(topic, since=position) as subscription:
            client.publish(topic, 2)
            publication = subscription.next(timeout_s=10)
            assert (publication.data, publication.publisher) == (2, None)
            assert subscription.position is not None
            assert subscription.position.offset == publication.offset
