"""Two `serve` processes on one Valkey: topics, presence and publications from elsewhere are shared."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from tests.e2e.people import Person
from tests.e2e.rooms import CHANNEL_LAYER, reach_everybody_once
from tests.e2e.talk import Talk
from tests.e2e.test_live_sign_out import assert_ends, sign_out
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

PATH = "/ws/pubsub/"
COUNT = 200

pytestmark = [pytest.mark.settings(2, **CHANNEL_LAYER), pytest.mark.kinds("serve", "scaled")]


@pytest.fixture
async def elsewhere(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of the second process."""
    async with Visitor(site, "acme.localhost", site.servers[1]) as visitor:
        yield visitor


async def test_publications_reach_both_in_the_same_order(acme: Visitor, elsewhere: Visitor) -> None:
    topic = uuid4().hex
    async with acme.open_json(PATH) as here, elsewhere.open_json(PATH) as there:
        for talk in (here, there):
            await talk.ask("subscribe", {"topic": topic})
        await asyncio.gather(publish_all(here, topic, "here"), publish_all(there, topic, "there"))
        seen = [await receive(talk, 2 * COUNT) for talk in (here, there)]
    assert seen[0] == seen[1]
    assert [offset for offset, _ in seen[0]] == list(range(1, 2 * COUNT + 1))
    for name in ("here", "there"):
        assert [data["n"] for _, data in seen[0] if data["by"] == name] == list(range(COUNT))


async def test_the_two_are_two_nodes(acme: Visitor, elsewhere: Visitor) -> None:
    async with acme.open_json(PATH) as here, elsewhere.open_json(PATH) as there:
        assert here.welcome["node"] != there.welcome["node"]


async def test_history_and_epoch_are_one(acme: Visitor, elsewhere: Visitor) -> None:
    topic = uuid4().hex
    async with acme.open_json(PATH) as here, elsewhere.open_json(PATH) as there:
        position = await here.ask("publish", {"topic": topic, "data": 1})
        await there.ask("publish", {"topic": topic, "data": 2})
        recover = {"epoch": position["epoch"], "offset": 0}
        payload = await there.ask("subscribe", {"topic": topic, "recover": recover})
        assert payload["recovered"] is True
        assert [each["data"] for each in payload["publications"]] == [1, 2]


async def test_a_key_used_on_one_is_used_on_the_other(acme: Visitor, elsewhere: Visitor) -> None:
    request = {"topic": uuid4().hex, "data": 1, "idempotency_key": "k"}
    async with acme.open_json(PATH, "alice") as here, elsewhere.open_json(PATH, "alice") as there:
        assert await here.ask("publish", request) == await there.ask("publish", request)


async def test_tenants_stay_apart_across_nodes(acme: Visitor, globex: Visitor, elsewhere: Visitor) -> None:
    topic = uuid4().hex
    async with globex.open_json(PATH) as theirs, elsewhere.open_json(PATH) as ours:
        await theirs.ask("subscribe", {"topic": topic})
        await ours.ask("publish", {"topic": topic, "data": "ours"})
        await theirs.ask("publish", {"topic": topic, "data": "theirs"})
        assert (await theirs.push("publication"))["data"] == "theirs"


async def test_a_ticket_from_one_opens_the_other_once(acme: Visitor, elsewhere: Visitor) -> None:
    ticket = await acme.ticket()
    elsewhere.server.keep_secret(ticket)
    async with elsewhere.open_json(f"{PATH}?ticket={ticket}") as talk:
        assert talk.welcome["user"]["username"] == "alice"
    await acme.assert_refused(f"{PATH}?ticket={ticket}", 401, 4401)


async def test_publishing_from_another_process(acme: Visitor, elsewhere: Visitor) -> None:
    topic = uuid4().hex
    async with acme.open_json(PATH) as here, elsewhere.open_json(PATH) as there:
        for talk in (here, there):
            await talk.ask("subscribe", {"topic": topic})
        code = "from realtime import api\napi.publish(topic, {'from': 'a task'}, tenant='acme')"
        await asyncio.to_thread(acme.site.orm.run, code, topic=topic)
        for talk in (here, there):
            assert (await talk.push("publication"))["data"] == {"from": "a task"}


async def test_ending_subscriptions_from_another_process(acme: Visitor, elsewhere: Visitor) -> None:
    topic = uuid4().hex
    async with acme.open_json(PATH, "alice") as here, elsewhere.open_json(PATH, "alice") as there:
        for talk in (here, there):
            await talk.ask("subscribe", {"topic": topic})
        code = "import realtime\nrealtime.end_subscriptions(topic, tenant='acme', user_id=user_id)"
        user_id = here.welcome["user"]["id"]
        await asyncio.to_thread(acme.site.orm.run, code, topic=topic, user_id=user_id)
        for talk in (here, there):
            assert (await talk.push("unsubscribed"))["code"] == "permission_denied"


async def test_a_recheck_from_another_process_ends_what_has_no_right_any_more(
    acme: Visitor, elsewhere: Visitor
) -> None:
    person = Person.new(acme.site)
    token = (await acme.tokens(person.username))["access"]
    code = """
    import realtime
    from accounts.models import Membership, User
    user = User.objects.get(username=username)
    # No revocation tells of this.
    Membership.objects.filter(user=user).update(is_active=False)
    realtime.recheck(user.pk)
    """

    async def end() -> None:
        await asyncio.to_thread(acme.site.orm.run, code, username=person.username)

    async with acme.open_json(PATH, token=token) as here, elsewhere.open_json(PATH, token=token) as there:
        await assert_ends(here, 4403, end)
        assert (await there.closed())[0] == 4403


@pytest.mark.kinds("serve")
async def test_group_send_of_another_app_reaches_both(site: Site) -> None:
    await reach_everybody_once(site)


@pytest.mark.kinds("scaled")
async def test_what_ends_a_sign_in_ends_its_sockets_on_every_node(acme: Visitor, elsewhere: Visitor) -> None:
    person = Person.new(acme.site)
    cookie = await acme.sign_in(person.username)
    token = (await acme.tokens(person.username))["access"]
    async with elsewhere.open_json(PATH, cookie=cookie) as by_session:
        await assert_ends(by_session, 4401, lambda: sign_out(acme, cookie))
    async with elsewhere.open_json(PATH, token=token) as by_token:
        await assert_ends(by_token, 4401, person.deactivate)


async def publish_all(talk: Talk, topic: str, name: str) -> None:
    for number in range(COUNT):
        await talk.send("publish", {"topic": topic, "data": {"by": name, "n": number}})


async def receive(talk: Talk, count: int) -> list[tuple[int, dict[str, object]]]:
    pushes = [await talk.push("publication") for _ in range(count)]
    return [(push["offset"], push["data"]) for push in pushes]
