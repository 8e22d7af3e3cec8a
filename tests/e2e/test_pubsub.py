"""Subscribe, publish, unsubscribe: their replies, the push, the flat forms, order, keys, names."""

import asyncio
from datetime import datetime
from uuid import uuid4

import pytest

from tests.e2e.talk import Message, Talk, assert_error, assert_reply
from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"
COUNT = 200


@pytest.fixture
def topic() -> str:
    """A topic nobody else uses."""
    return f"topic-{uuid4().hex}"


@pytest.mark.kinds("serve", "scaled")
async def test_subscribe_says_where_the_topic_is(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        payload = assert_reply(await talk.request("subscribe", {"topic": topic}), "subscribed", topic=topic)
    assert payload.keys() == {"topic", "epoch", "offset", "recovered", "publications"}
    assert payload["offset"] == 0
    assert payload["recovered"] is None
    assert payload["publications"] == []
    assert isinstance(payload["epoch"], str)
    assert payload["epoch"]


@pytest.mark.kinds("serve", "scaled")
async def test_a_publication_reaches_every_subscriber(acme: Visitor, topic: str) -> None:
    data = {"text": "ünï 🚀", "list": [1, 2.5, None, True]}
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH) as stranger:
        epoch = (await alice.ask("subscribe", {"topic": topic}))["epoch"]
        await stranger.ask("subscribe", {"topic": topic})
        reply = await alice.request("publish", {"topic": topic, "data": data})
        assert assert_reply(reply, "published") == {"topic": topic, "epoch": epoch, "offset": 1}
        for talk in (alice, stranger):
            push = await talk.push("publication")
            assert push.keys() == {"topic", "offset", "data", "publisher", "time"}
            assert (push["topic"], push["offset"], push["data"]) == (topic, 1, data)
            assert push["publisher"] == alice.welcome["user"]
            assert datetime.fromisoformat(push["time"]).tzinfo is not None


async def test_nobodys_publication_has_no_publisher(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.ask("subscribe", {"topic": topic})
        await talk.ask("publish", {"topic": topic, "data": 1})
        assert (await talk.push("publication"))["publisher"] is None


ANY_JSON: list[object] = [None, 0, "", False, [], {}, "text", {"deep": [{"er": 1}]}]


async def test_data_is_any_json(acme: Visitor, topic: str, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.ask("subscribe", {"topic": topic})
        for data in ANY_JSON:
            with subtests.test(data=data):
                await talk.ask("publish", {"topic": topic, "data": data})
                assert (await talk.push("publication"))["data"] == data


@pytest.mark.kinds("serve", "scaled")
async def test_who_left_hears_nothing(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as leaver, acme.open_json(PATH) as publisher:
        await leaver.ask("subscribe", {"topic": topic})
        assert await leaver.ask("unsubscribe", {"topic": topic}) == {"topic": topic}
        await publisher.ask("publish", {"topic": topic, "data": "unheard"})
        await leaver.ask("subscribe", {"topic": topic})
        await publisher.ask("publish", {"topic": topic, "data": "heard"})
        assert (await leaver.push("publication"))["data"] == "heard"


async def test_who_never_came_hears_nothing(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as other, acme.open_json(PATH) as publisher:
        await other.ask("subscribe", {"topic": f"{topic}-other"})
        await publisher.ask("publish", {"topic": topic, "data": "not for you"})
        await publisher.ask("publish", {"topic": f"{topic}-other", "data": "for you"})
        assert (await other.push("publication"))["data"] == "for you"
        assert await other.settle() == []


@pytest.mark.kinds("serve", "scaled")
async def test_subscribing_twice_delivers_once(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.ask("subscribe", {"topic": topic})
        second = await talk.request("subscribe", {"topic": topic})
        assert second["type"] in {"subscribed", "error"}, second
        for number in (1, 2):
            await talk.ask("publish", {"topic": topic, "data": number})
        pushes = [(await talk.push("publication"))["data"] for _ in range(2)]
        assert pushes == [1, 2]
        assert await talk.settle() == []


async def test_unsubscribing_from_what_one_never_had_is_no_accident(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        reply = await talk.request("unsubscribe", {"topic": topic})
        assert reply["type"] in {"unsubscribed", "error"}, reply
        if reply["type"] == "error":
            assert_error(reply, "not_found")


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_order_over_many_publications_and_publishers(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as reader, acme.open_json(PATH) as one, acme.open_json(PATH) as two:
        await reader.ask("subscribe", {"topic": topic})
        await asyncio.gather(*(publish_all(talk, topic, name) for talk, name in ((one, "one"), (two, "two"))))
        pushes = [await reader.push("publication") for _ in range(2 * COUNT)]
    assert [push["offset"] for push in pushes] == list(range(1, 2 * COUNT + 1))
    for name in ("one", "two"):
        numbers = [push["data"]["n"] for push in pushes if push["data"]["by"] == name]
        assert numbers == list(range(COUNT))


async def publish_all(talk: Talk, topic: str, name: str) -> None:
    for number in range(COUNT):
        await talk.send("publish", {"topic": topic, "data": {"by": name, "n": number}})


async def test_the_flat_forms(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.send_frame(f'{{"action": "subscribe", "topic": "{topic}"}}')
        await talk.send_frame(f'{{"action": "publish", "topic": "{topic}", "message": {{"text": "flat"}}}}')
        assert (await talk.push("publication"))["data"] == {"text": "flat"}
        await talk.send_frame(f'{{"action": "unsubscribe", "topic": "{topic}"}}')
        await talk.settle()
        await talk.ask("publish", {"topic": topic, "data": "unheard"})
        await talk.ask("subscribe", {"topic": topic})
        await talk.ask("publish", {"topic": topic, "data": "heard"})
        assert (await talk.push("publication"))["data"] == "heard"


async def test_a_flat_form_with_an_id_is_answered(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.send_frame(f'{{"id": "f", "action": "subscribe", "topic": "{topic}"}}')
        assert_reply(await talk.reply_to("f"), "subscribed", topic=topic)


async def test_a_flat_form_of_nothing_known_is_an_error(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.send_frame('{"id": "f", "action": "dance", "topic": "t"}')
        assert (await talk.reply_to("f"))["payload"]["code"] in {"unknown_type", "invalid_message"}


@pytest.mark.kinds("serve", "scaled")
async def test_the_same_key_publishes_once(acme: Visitor, topic: str) -> None:
    request = {"topic": topic, "data": "once", "idempotency_key": "k1"}
    async with acme.open_json(PATH, "alice") as talk:
        await talk.ask("subscribe", {"topic": topic})
        first = await talk.ask("publish", request)
        assert await talk.ask("publish", request) == first
        other = await talk.ask("publish", request | {"data": "other", "idempotency_key": "k2"})
        assert other["offset"] == first["offset"] + 1
        assert [(await talk.push("publication"))["data"] for _ in range(2)] == ["once", "other"]
        assert await talk.settle() == []


@pytest.mark.kinds("serve", "scaled")
async def test_the_same_key_holds_on_another_socket(acme: Visitor, topic: str) -> None:
    request = {"topic": topic, "data": "once", "idempotency_key": "k1"}
    async with acme.open_json(PATH, "alice") as talk:
        first = await talk.ask("publish", request)
    async with acme.open_json(PATH, "alice") as talk:
        assert await talk.ask("publish", request) == first


@pytest.mark.kinds("serve", "scaled")
async def test_the_same_key_for_other_data_is_a_conflict(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        await talk.ask("publish", {"topic": topic, "data": 1, "idempotency_key": "k"})
        reply = await talk.request("publish", {"topic": topic, "data": 2, "idempotency_key": "k"})
        assert_error(reply, "conflict")


@pytest.mark.kinds("serve", "scaled")
async def test_a_key_of_another_user_is_another_key(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH, "alice") as alice, acme.open_json(PATH, "bob") as bob:
        first = await alice.ask("publish", {"topic": topic, "data": 1, "idempotency_key": "k"})
        second = await bob.ask("publish", {"topic": topic, "data": 2, "idempotency_key": "k"})
        assert second["offset"] == first["offset"] + 1


async def test_names_that_are_fine(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH) as talk:
        for name in ("x", "y" * 255, "Ünï cödé 🚀", "a.b/c-d_e", " spaces ", "§"):
            with subtests.test(name=name):
                assert (await talk.ask("subscribe", {"topic": name}))["topic"] == name
                await talk.ask("publish", {"topic": name, "data": 1})
                assert (await talk.push("publication"))["topic"] == name


BAD_NAMES: list[object] = ["", "y" * 256, "a\nb", "nul\x00", "\x7f", "tab\t", 7, None, ["x"], {}]


@pytest.mark.parametrize("verb", ["subscribe", "unsubscribe", "publish", "history", "presence"])
async def test_names_that_are_not(acme: Visitor, verb: str, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH, "alice") as talk:
        for name in BAD_NAMES:
            with subtests.test(name=name):
                payload = {"topic": name} | ({"data": 1} if verb == "publish" else {})
                error = assert_error(await talk.request(verb, payload), "invalid_message")
                assert "topic" in error["details"]["field"]


INVALID: list[tuple[str, Message, str]] = [
    ("subscribe", {}, "topic"),
    ("publish", {"topic": "t"}, "data"),
    ("publish", {"data": 1}, "topic"),
    ("publish", {"topic": "t", "data": 1, "idempotency_key": 7}, "idempotency_key"),
    ("subscribe", {"topic": "t", "presence": "yes"}, "presence"),
    ("subscribe", {"topic": "t", "recover": 7}, "recover"),
    ("subscribe", {"topic": "t", "recover": {"epoch": "e"}}, "offset"),
    ("subscribe", {"topic": "t", "recover": {"epoch": "e", "offset": "1"}}, "offset"),
    ("subscribe", {"topic": "t", "recover": {"epoch": "e", "offset": -1}}, "offset"),
    ("history", {"topic": "t", "limit": "x"}, "limit"),
    ("history", {"topic": "t", "limit": -1}, "limit"),
    ("history", {"topic": "t", "since": {"offset": 1}}, "epoch"),
]


async def test_a_wrong_payload_names_its_field(acme: Visitor, subtests: pytest.Subtests) -> None:
    async with acme.open_json(PATH) as talk:
        for verb, payload, field in INVALID:
            with subtests.test(verb=verb, payload=payload):
                error = assert_error(await talk.request(verb, payload), "invalid_message")
                assert field in error["details"]["field"], error


async def test_success_without_an_id_is_silent_and_its_error_has_none(acme: Visitor, topic: str) -> None:
    async with acme.open_json(PATH) as talk:
        await talk.send("subscribe", {"topic": topic})
        assert await talk.settle() == []
        await talk.send("subscribe", {"topic": ""})
        error = await talk.error()
        assert "id" not in error
        assert_error(error, "invalid_message")
