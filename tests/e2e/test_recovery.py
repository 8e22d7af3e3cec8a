"""Coming back: `recover`, `history`, epochs."""

from uuid import uuid4

import pytest

from tests.e2e.talk import Talk, assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"

pytestmark = pytest.mark.kinds("serve", "daphne", "scaled")


@pytest.fixture
def topic() -> str:
    """A topic nobody else uses."""
    return f"topic-{uuid4().hex}"


async def fill(talk: Talk, topic: str, count: int, first: int = 1) -> dict[str, object]:
    """Publish `count` numbers; the position of the last."""
    for number in range(first, first + count):
        position = await talk.ask("publish", {"topic": topic, "data": number})
    return {"epoch": position["epoch"], "offset": position["offset"]}


async def test_what_was_missed_is_given_in_order(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 2)
        await fill(talk, topic, 5, first=3)
    async with acme.open_json(PATH) as talk:
        payload = await talk.ask("subscribe", {"topic": topic, "recover": position})
    assert payload["recovered"] is True
    assert payload["offset"] == 7
    assert [each["offset"] for each in payload["publications"]] == [3, 4, 5, 6, 7]
    assert [each["data"] for each in payload["publications"]] == [3, 4, 5, 6, 7]
    assert payload["publications"][0].keys() >= {"offset", "data", "publisher", "time"}


async def test_nothing_missed_is_recovered_with_nothing(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 2)
        payload = await talk.ask("subscribe", {"topic": topic, "recover": position})
    assert payload["recovered"] is True
    assert payload["publications"] == []


async def test_from_the_very_beginning(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        epoch = (await talk.ask("subscribe", {"topic": topic}))["epoch"]
        await talk.ask("unsubscribe", {"topic": topic})
        await fill(talk, topic, 3)
        payload = await talk.ask("subscribe", {"topic": topic, "recover": {"epoch": epoch, "offset": 0}})
    assert payload["recovered"] is True
    assert [each["data"] for each in payload["publications"]] == [1, 2, 3]


async def test_an_epoch_that_is_over_cannot_be_recovered(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await fill(talk, topic, 3)
        recover = {"epoch": "another", "offset": 1}
        payload = await talk.ask("subscribe", {"topic": topic, "recover": recover})
        assert payload["recovered"] is False
        assert payload["publications"] == []
        await talk.ask("publish", {"topic": topic, "data": "after"})
        assert (await talk.push("publication"))["data"] == "after"


async def test_an_offset_that_never_was_cannot_be_recovered(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 3)
        recover = position | {"offset": 99}
        payload = await talk.ask("subscribe", {"topic": topic, "recover": recover})
    assert payload["recovered"] is False
    assert payload["publications"] == []


@pytest.mark.kinds("serve")
async def test_more_than_is_kept_cannot_be_recovered(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 1)
        for number in range(1001):
            await talk.send("publish", {"topic": topic, "data": number})
        await talk.settle()
        kept = await talk.ask("subscribe", {"topic": topic, "recover": position | {"offset": 2}})
        assert kept["recovered"] in {True, False}
        await talk.ask("unsubscribe", {"topic": topic})
        payload = await talk.ask("subscribe", {"topic": topic, "recover": position})
    assert payload["recovered"] is False
    assert payload["publications"] == []


async def test_recovery_joins_what_comes_live(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as writer, acme.open_json(PATH) as reader:
        position = await fill(writer, topic, 1)
        for number in range(2, 102):
            await writer.send("publish", {"topic": topic, "data": number})
        payload = await reader.ask("subscribe", {"topic": topic, "recover": position})
        seen = [each["offset"] for each in payload["publications"]]
        assert payload["recovered"] is True
        while not seen or seen[-1] < 101:
            seen.append((await reader.push("publication"))["offset"])
    assert seen == list(range(2, 102))


async def test_history_of_a_topic(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 5)
        payload = assert_reply(await talk.request("history", {"topic": topic}), "history", topic=topic)
        assert payload.keys() == {"topic", "epoch", "offset", "publications"}
        assert (payload["epoch"], payload["offset"]) == (position["epoch"], 5)
        assert [each["data"] for each in payload["publications"]] == [1, 2, 3, 4, 5]


async def test_history_since_and_limit(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        position = await fill(talk, topic, 6)
        since = position | {"offset": 2}
        after = await talk.ask("history", {"topic": topic, "since": since})
        assert [each["data"] for each in after["publications"]] == [3, 4, 5, 6]
        page = await talk.ask("history", {"topic": topic, "since": since, "limit": 2})
        assert [each["data"] for each in page["publications"]] == [3, 4]
        newest = await talk.ask("history", {"topic": topic, "limit": 2})
        assert [each["data"] for each in newest["publications"]] == [5, 6]


async def test_history_from_a_place_that_is_gone(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await fill(talk, topic, 2)
        since = {"epoch": "another", "offset": 1}
        reply = await talk.request("history", {"topic": topic, "since": since})
        assert_error(reply, "unrecoverable_position")


async def test_history_of_a_topic_nobody_ever_used_is_empty(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        payload = await talk.ask("history", {"topic": topic})
    assert payload["publications"] == []
    assert payload["offset"] == 0


@pytest.mark.kinds("serve")
async def test_a_thousand_publications_are_kept(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        for number in range(1005):
            await talk.send("publish", {"topic": topic, "data": number})
        await talk.settle()
        seen: list[int] = []
        payload = await talk.ask("history", {"topic": topic, "limit": 1})
        position = {"epoch": payload["epoch"], "offset": 5}
        while position["offset"] < 1005:
            payload = await talk.ask("history", {"topic": topic, "since": position})
            assert payload["publications"], "a page of nothing"
            seen += [each["offset"] for each in payload["publications"]]
            position["offset"] = seen[-1]
    assert seen == list(range(6, 1006))
