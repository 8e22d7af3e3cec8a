"""Many topics in one `subscribe`."""

import contextlib
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.talk import assert_closed, assert_error
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"


def names(count: int) -> list[str]:
    """Topics nobody else uses."""
    base = uuid4().hex
    return [f"many-{base}-{number}" for number in range(count)]


@pytest.mark.kinds("serve", "scaled")
async def test_all_are_answered_in_the_order_asked(acme: Visitor) -> None:
    topics = names(100)
    async with acme.open_json(PATH) as talk, acme.open_json(PATH) as publisher:
        payload = await talk.ask("subscribe", {"topics": [{"topic": topic} for topic in topics]})
        answers = payload["topics"]
        assert [each["topic"] for each in answers] == topics
        assert {(each["recovered"], each["offset"], len(each["publications"])) for each in answers} == {
            (None, 0, 0)
        }
        for topic in (topics[99], topics[0]):
            await publisher.ask("publish", {"topic": topic, "data": topic})
            assert (await talk.push("publication"))["data"] == topic


@pytest.mark.kinds("serve", "scaled")
async def test_each_recovers_what_it_missed(acme: Visitor) -> None:
    topics = names(5)
    async with acme.open_json(PATH) as talk:
        first = await talk.ask("subscribe", {"topics": [{"topic": topic} for topic in topics]})
    async with acme.open_json(PATH) as publisher:
        for number, topic in enumerate(topics):
            for data in range(number):
                await publisher.ask("publish", {"topic": topic, "data": data})
    wishes = [
        {"topic": each["topic"], "recover": {"epoch": each["epoch"], "offset": each["offset"]}}
        for each in first["topics"]
    ]
    wishes[4]["recover"]["epoch"] = "another"
    async with acme.open_json(PATH) as talk:
        again = await talk.ask("subscribe", {"topics": wishes})
    found = [(each["recovered"], [one["data"] for one in each["publications"]]) for each in again["topics"]]
    assert found == [(True, []), (True, [0]), (True, [0, 1]), (True, [0, 1, 2]), (False, [])]


async def test_one_that_is_refused_does_not_touch_the_others(acme: Visitor) -> None:
    good, closed = names(1)[0], "unheard-of:x"
    wishes = [{"topic": closed}, {"topic": good, "presence": True}, {"topic": ""}]
    async with acme.open_json(PATH) as talk:
        answers = (await talk.ask("subscribe", {"topics": wishes}))["topics"]
        assert answers[0]["topic"] == closed
        assert answers[0]["error"]["code"] == "permission_denied"
        assert answers[0]["error"]["retryable"] is False
        assert answers[1]["presence"]["count"] >= 0
        assert answers[2]["error"]["code"] == "invalid_message"
        assert answers[2]["error"]["details"] == {"field": "payload.topics[2].topic"}
        await talk.ask("publish", {"topic": good, "data": 1})
        assert (await talk.push("publication"))["topic"] == good


WRONG_FORMS: dict[str, dict[str, object]] = {
    "none": {"topics": []},
    "twice": {"topics": [{"topic": "a"}, {"topic": "a"}]},
    "too many": {"topics": [{"topic": f"t{number}"} for number in range(101)]},
    "no object": {"topics": ["a"]},
    "no list": {"topics": "a"},
    "both forms": {"topic": "a", "topics": [{"topic": "b"}]},
    "neither form": {},
}


async def test_a_wrong_form_is_refused_whole(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH) as talk:
        for name, payload in WRONG_FORMS.items():
            with subtests.test(name):
                assert_error(await talk.request("subscribe", payload), "invalid_message")


@pytest.mark.kinds("serve", "scaled")
async def test_what_does_not_fit_one_answer_is_asked_for_again(acme: Visitor) -> None:
    topics = names(3)
    async with acme.open_json(PATH) as talk:
        starts = (await talk.ask("subscribe", {"topics": [{"topic": topic} for topic in topics]}))["topics"]
    async with acme.open_json(PATH) as publisher:
        for topic in topics:
            for _ in range(4):
                await publisher.ask("publish", {"topic": topic, "data": "x" * 55_000})
    wishes = [
        {"topic": each["topic"], "recover": {"epoch": each["epoch"], "offset": each["offset"]}}
        for each in starts
    ]
    async with acme.open_json(PATH) as talk:
        answers = (await talk.ask("subscribe", {"topics": wishes}))["topics"]
        assert [each.get("recovered") for each in answers] == [True, True, None]
        assert answers[2]["error"]["code"] == "limit_exceeded"
        assert answers[2]["error"]["retryable"] is True
        assert (await talk.ask("subscribe", wishes[2]))["recovered"] is True


@pytest.mark.kinds("serve", "scaled")
async def test_what_does_not_fit_is_not_subscribed_although_it_was(acme: Visitor) -> None:
    topics = names(3)
    async with acme.open_json(PATH) as talk, acme.open_json(PATH) as publisher:
        wishes = []
        for topic in topics:
            start = await talk.ask("subscribe", {"topic": topic})
            wishes.append({"topic": topic, "recover": {"epoch": start["epoch"], "offset": 0}})
            for _ in range(4):
                await publisher.ask("publish", {"topic": topic, "data": "x" * 55_000})
        answers = (await talk.ask("subscribe", {"topics": wishes}))["topics"]
        assert answers[2]["error"]["code"] == "limit_exceeded"
        for topic in (topics[2], topics[0]):
            await publisher.ask("publish", {"topic": topic, "data": "news"})
        # Were it still subscribed, its news would have come first.
        news = await talk.first(
            lambda each: each["type"] == "publication" and each["payload"]["data"] == "news"
        )
        assert news["payload"]["topic"] == topics[0]


@pytest.mark.settings(REALTIME_MESSAGES_PER_S=1, REALTIME_MESSAGES_BURST=60)
async def test_many_topics_cost_as_many_messages(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        topics = names(110)
        await talk.ask("subscribe", {"topics": [{"topic": topic} for topic in topics[:50]]})
        error = assert_error(
            await talk.request("subscribe", {"topics": [{"topic": topic} for topic in topics[50:80]]}),
            "rate_limited",
        )
        assert error["retry_after_ms"] > 10_000
    async with acme.open_json(PATH) as fresh:
        # More than the burst at once is taken, and paid for later.
        payload = {"topics": [{"topic": topic} for topic in topics[:100]]}
        assert len((await fresh.ask("subscribe", payload))["topics"]) == 100
        assert_error(await fresh.request("ping"), "rate_limited")


@pytest.mark.kinds("serve", "scaled")
@pytest.mark.settings(REALTIME_MESSAGES_PER_S=20, REALTIME_MESSAGES_BURST=30)
async def test_too_many_topics_for_too_long_are_closed(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        payload = {"topics": [{"topic": topic} for topic in names(100)]}
        with contextlib.suppress(ConnectionClosed):
            for _ in range(200):
                await talk.send("subscribe", payload)
        await assert_closed(talk, 4429)
