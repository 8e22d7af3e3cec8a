"""Two tenants trying every verb across: a thing of the other is a thing that does not exist."""

from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.talk import assert_error
from tests.e2e.visitor import Visitor


async def test_a_token_is_worth_nothing_on_another_host(acme: Visitor, globex: Visitor) -> None:
    token = await acme.token()
    for path in ("/ws/pubsub/", "/ws/echo/", "/ws/data/", "/ws/vault/", "/ws/secure/"):
        await globex.assert_refused(path, 403, 4403, token=token)


async def test_nor_is_a_session(acme: Visitor, globex: Visitor) -> None:
    cookie = await acme.session()
    for path in ("/ws/pubsub/", "/ws/data/", "/ws/session/", "/ws/chat/"):
        await globex.assert_refused(path, 401, 4401, cookie=cookie)
    page = await globex.http.get("/chat/", headers={"Cookie": cookie})
    assert page.status_code == 302
    assert page.headers["location"].startswith("/accounts/login/")


async def test_not_even_the_session_of_somebody_in_both(acme: Visitor, globex: Visitor) -> None:
    cookie = await acme.session("admin")
    await globex.assert_refused("/ws/data/", 401, 4401, cookie=cookie)
    page = await globex.http.get("/admin/", headers={"Cookie": cookie})
    assert page.status_code == 302


async def test_nor_is_a_ticket(acme: Visitor, globex: Visitor) -> None:
    ticket = await acme.ticket()
    path = f"/ws/pubsub/?ticket={ticket}"
    if globex.server.refuses_by_http:
        response = await globex.refusal(path)
        assert response.status_code in {401, 403}
    else:
        async with globex.open(path) as talk:
            assert (await talk.closed())[0] in {4401, 4403}


async def test_nobody_signs_in_where_they_are_no_member(acme: Visitor, globex: Visitor) -> None:
    body = {"username": "alice", "password": "rockstar"}
    assert (await globex.post("/api/token/", body)).status_code == 401
    page = await globex.http.get("/accounts/login/")
    assert page.status_code == 200


async def test_a_refresh_token_is_worth_nothing_on_another_host(acme: Visitor, globex: Visitor) -> None:
    refresh = (await acme.tokens())["refresh"]
    response = await globex.post("/api/token/refresh/", {"refresh": refresh})
    assert response.status_code in {401, 403}, response.text
    assert (await acme.post("/api/token/refresh/", {"refresh": refresh})).status_code == 200


@pytest.mark.kinds("serve", "scaled")
async def test_the_same_topic_on_two_hosts_is_two_topics(acme: Visitor, globex: Visitor) -> None:
    topic = uuid4().hex
    async with (
        acme.open_json("/ws/pubsub/", "alice") as ours,
        globex.open_json("/ws/pubsub/", "carol") as theirs,
    ):
        here = await ours.ask("subscribe", {"topic": topic, "presence": True})
        there = await theirs.ask("subscribe", {"topic": topic, "presence": True})
        assert here["epoch"] != there["epoch"]
        assert [user["username"] for user in there["presence"]["users"]] == ["carol"]
        await ours.ask("publish", {"topic": topic, "data": "ours"})
        await theirs.ask("publish", {"topic": topic, "data": "theirs"})
        push = await theirs.push("publication")
        assert (push["data"], push["offset"]) == ("theirs", 1)
        assert (await ours.push("publication"))["data"] == "ours"
        for talk, only in ((ours, "ours"), (theirs, "theirs")):
            history = await talk.ask("history", {"topic": topic})
            assert [each["data"] for each in history["publications"]] == [only]
            assert (await talk.ask("presence", {"topic": topic}))["count"] == 1
        recover = {"epoch": here["epoch"], "offset": 0}
        await theirs.ask("unsubscribe", {"topic": topic})
        again = await theirs.ask("subscribe", {"topic": topic, "recover": recover})
        assert again["recovered"] is False


async def test_a_user_of_another_tenant_does_not_exist(acme: Visitor, globex: Visitor) -> None:
    async with acme.open_json("/ws/rpc/", "alice") as ours, globex.open_json("/ws/rpc/", "carol") as theirs:
        foreign = await ours.request("get_user", {"user_id": theirs.welcome["user"]["id"]})
        missing = await ours.request("get_user", {"user_id": 987_654_321})
        assert assert_error(foreign, "not_found") == assert_error(missing, "not_found")


async def test_the_topic_of_another_tenants_user_is_like_any_other_users(
    acme: Visitor, globex: Visitor
) -> None:
    async with (
        acme.open_json("/ws/pubsub/", "alice") as ours,
        globex.open_json("/ws/pubsub/", "carol") as theirs,
    ):
        foreign = f"user:{theirs.welcome['user']['id']}"
        for verb in ("subscribe", "history", "presence"):
            there = await ours.request(verb, {"topic": foreign})
            nowhere = await ours.request(verb, {"topic": "user:987654321"})
            assert assert_error(there, "permission_denied") == assert_error(nowhere, "permission_denied")


async def test_a_room_of_another_tenant_does_not_exist(acme: Visitor, globex: Visitor) -> None:
    """Whatever the chat's verbs are called: pub/sub shows no room of the other tenant either."""
    room = acme.site.orm.run(
        """
        from chat.models import Room
        result = Room.objects.filter(tenant__slug="globex").values_list("pk", flat=True).first()
        """
    )
    assert room is not None
    async with acme.open_json("/ws/pubsub/", "alice") as talk:
        for verb in ("subscribe", "history", "presence"):
            there = await talk.request(verb, {"topic": f"room:{room}"})
            nowhere = await talk.request(verb, {"topic": "room:987654321"})
            assert there["type"] == "error"
            assert there["payload"] == nowhere["payload"]


@pytest.mark.parametrize("category", ["books", "games"])
async def test_a_watched_row_of_another_tenant_is_never_seen(
    acme: Visitor, globex: Visitor, category: str
) -> None:
    query: dict[str, Any] = {"query": "items", "params": {"category": category}}
    async with acme.open_json("/ws/data/", "alice") as ours, globex.open_json("/ws/data/", "carol") as theirs:
        here = (await ours.ask("query", query))["items"]
        there = (await theirs.ask("query", query))["items"]
    assert not {item["name"] for item in here} & {item["name"] for item in there}


async def test_unwatching_what_another_connection_watches(acme: Visitor, globex: Visitor) -> None:
    query = {"query": "items", "params": {"category": "books"}, "watch": True}
    async with acme.open_json("/ws/data/", "alice") as ours, globex.open_json("/ws/data/", "carol") as theirs:
        query_id = (await ours.ask("query", query))["query_id"]
        foreign = await theirs.request("unwatch", {"query_id": f"{query_id}-x"})
        assert_error(foreign, "not_found")
