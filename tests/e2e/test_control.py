"""Operations on two nodes over one Valkey: each one reaches sockets on both, within a second."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.operator import Operator
from tests.e2e.people import Person
from tests.e2e.talk import WAIT_S, Talk
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

PATH = "/ws/pubsub/"
WITHIN_S = 1.0

pytestmark = pytest.mark.settings(2)


@pytest.fixture
async def elsewhere(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of the second process."""
    async with Visitor(site, "acme.localhost", site.servers[1]) as visitor:
        yield visitor


@pytest.fixture
def boss(acme: Visitor) -> Operator:
    """An operator of all tenants, at the first process."""
    return Operator.with_key(acme)


@pytest.fixture
async def both(acme: Visitor, elsewhere: Visitor) -> AsyncIterator["Pair"]:
    """A new member with a socket on each node."""
    person = Person.new(acme.site)
    token = (await acme.tokens(person.username))["access"]
    async with AsyncExitStack() as stack:
        talks = [
            await stack.enter_async_context(visitor.open_json(PATH, token=token))
            for visitor in (acme, elsewhere)
        ]
        yield Pair(person, talks)


class Pair:
    """A person and their sockets."""

    def __init__(self, person: Person, talks: list[Talk]) -> None:
        self.person = person
        self.talks = talks

    async def subscribe(self, topic: str) -> None:
        """Subscribe both."""
        for talk in self.talks:
            await talk.ask("subscribe", {"topic": topic})

    async def assert_closed(self, code: int, reason: str, began_s: float) -> None:
        """Both were closed, within a second."""
        closed = await asyncio.gather(*(talk.closed() for talk in self.talks))
        assert time.monotonic() - began_s < WITHIN_S
        assert closed == [(code, reason)] * len(self.talks)


@pytest.mark.parametrize("target", ["user_id", "topic"])
@pytest.mark.parametrize(("reconnect", "word"), [(True, "reconnect"), (False, "stop")])
async def test_disconnect(boss: Operator, both: Pair, target: str, reconnect: bool, word: str) -> None:
    topic = uuid4().hex
    await both.subscribe(topic)
    value = {"user_id": both.person.id, "topic": topic}[target]
    began_s = time.monotonic()
    body = {target: value, "reconnect": reconnect, "reason": "please, a break"}
    assert await boss.do("disconnect/", body) == {"count": 2}
    await both.assert_closed(4409, f"{word}: please, a break", began_s)
    assert await boss.do("disconnect/", body) == {"count": 0}


async def test_disconnect_one_connection_on_the_other_node(boss: Operator, both: Pair) -> None:
    first, second = both.talks
    assert await boss.do("disconnect/", {"connection_id": second.welcome["connection_id"]}) == {"count": 1}
    assert (await second.closed())[0] == 4409
    assert await first.is_alive()


async def test_a_reason_is_cut_after_a_whole_character(boss: Operator, both: Pair) -> None:
    words = "é" * 200
    await boss.do("disconnect/", {"user_id": both.person.id, "reconnect": True, "reason": words})
    code, reason = await both.talks[0].closed()
    assert code == 4409
    assert reason == f"reconnect: {'é' * 56}"


async def test_everyone_of_a_tenant_and_nobody_else(
    acme: Visitor, globex: Visitor, boss: Operator, both: Pair
) -> None:
    async with globex.open_json(PATH, "carol") as other:
        assert (await boss.do("disconnect/", {"everyone": True, "reconnect": True}))["count"] >= 2
        assert (await both.talks[1].closed())[0] == 4409
        assert await other.is_alive()


async def test_publish_broadcast_history_and_position(acme: Visitor, boss: Operator, both: Pair) -> None:
    topic, other = uuid4().hex, uuid4().hex
    await both.subscribe(topic)
    position = await boss.do("publish/", {"topic": topic, "data": {"n": None}})
    assert position.keys() == {"topic", "epoch", "offset"}
    for talk in both.talks:
        push = await talk.push("publication")
        assert (push["data"], push["publisher"]) == ({"n": None}, None)
    again = await boss.do("publish/", {"topic": topic, "data": 2, "idempotency_key": "k"})
    assert await boss.do("publish/", {"topic": topic, "data": 2, "idempotency_key": "k"}) == again
    assert (
        await boss.post("publish/", {"topic": topic, "data": 3, "idempotency_key": "k"})
    ).status_code == 409
    answer = await boss.do("broadcast/", {"topics": [topic, other, "room:1", "none:1"], "data": 4})
    results = answer["results"]
    assert [each["topic"] for each in results] == [topic, other, "room:1", "none:1"]
    assert [each.get("offset") for each in results[:2]] == [3, 1]
    assert [each["error"]["code"] for each in results[2:]] == ["permission_denied"] * 2
    history = await boss.see("history/", topic=topic, limit=2)
    assert [each["data"] for each in history["publications"]] == [2, 4]
    assert (history["offset"], history["topic"]) == (3, topic)


async def test_operators_tell_a_user_something_and_read_nothing_of_it(boss: Operator, both: Pair) -> None:
    """An operator publishes to `user:<id>` as the server. The chat names rooms there, so operators do not read it."""
    topic = f"user:{both.person.id}"
    await both.subscribe(topic)
    await boss.do("publish/", {"topic": topic, "data": "hello"})
    for talk in both.talks:
        assert (await talk.push("publication"))["data"] == "hello"
    assert (await boss.get("history/", topic=topic)).status_code == 403
    refused = await boss.post("subscribe/", {"topic": topic, "user_id": both.person.id})
    assert refused.status_code == 403


async def test_subscribe_and_unsubscribe(boss: Operator, both: Pair) -> None:
    topic = f"staff:{uuid4().hex}"
    target = {"topic": topic, "user_id": both.person.id}
    assert await boss.do("subscribe/", target) == {"count": 2}
    for talk in both.talks:
        assert (await talk.push("subscribed"))["topic"] == topic
    await boss.do("publish/", {"topic": topic, "data": 1})
    for talk in both.talks:
        assert (await talk.push("publication"))["data"] == 1
    here = [{"id": both.person.id, "username": both.person.username, "connections": 2}]
    await until_present(boss, topic, here)
    assert await boss.do("unsubscribe/", target) == {"count": 2}
    for talk in both.talks:
        assert (await talk.push("unsubscribed"))["topic"] == topic
    await until_present(boss, topic, [])
    assert await boss.do("unsubscribe/", target) == {"count": 0}


async def until_present(boss: Operator, topic: str, users: list[dict[str, Any]]) -> None:
    """Wait for the presence in the other node's next message, some 20 ms later."""
    async with asyncio.timeout(WITHIN_S):
        while (await boss.see("presence/", topic=topic))["users"] != users:  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)


async def test_revoke_ends_tokens_and_sessions(
    acme: Visitor, elsewhere: Visitor, boss: Operator, both: Pair
) -> None:
    cookie = await acme.sign_in(both.person.username)
    async with elsewhere.open_json(PATH, cookie=cookie) as by_session:
        began_s = time.monotonic()
        assert await boss.do("revoke/", {"user_id": both.person.id}) == {"count": 3}
        assert (await by_session.closed())[0] == 4401
        for talk in both.talks:
            assert (await talk.closed())[0] == 4401
        assert time.monotonic() - began_s < WITHIN_S
    page = await acme.http.get("/chat/", headers={"Cookie": cookie})
    assert page.status_code == 302
    assert await boss.do("revoke/", {"user_id": 10**9}) == {"count": 0}
    # Not a ban: signing in again works.
    await acme.tokens(both.person.username)


async def test_staff_revoke_what_is_of_their_tenant_only(acme: Visitor, globex: Visitor, both: Pair) -> None:
    mine = Operator.with_key(acme, tenant="acme")
    acme.site.orm.run(
        "from accounts.models import Membership, Tenant\n"
        "Membership.objects.create(user_id=pk, tenant=Tenant.objects.get(slug='globex'))",
        pk=both.person.id,
    )
    token = (await globex.tokens(both.person.username))["access"]
    async with globex.open_json(PATH, token=token) as there:
        await mine.do("revoke/", {"user_id": both.person.id})
        assert (await both.talks[1].closed())[0] == 4401
        await asyncio.sleep(0.7)
        assert await there.is_alive()
    async with globex.open_json(PATH, token=token):
        pass


async def test_ban_of_a_user(acme: Visitor, elsewhere: Visitor, boss: Operator, both: Pair) -> None:
    token = (await acme.tokens(both.person.username))["access"]
    began_s = time.monotonic()
    made = await boss.do("ban/", {"user_id": both.person.id, "until": in_s(3600), "reason": "spam"})
    assert made["count"] == 2
    await both.assert_closed(4409, "stop: spam", began_s)
    for visitor in (acme, elsewhere):
        await visitor.assert_refused(PATH, 403, 4403, token=token)
        credentials = {"username": both.person.username, "password": "rockstar"}
        refused = await visitor.post("/api/token/", credentials)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "banned")
    listed = await boss.see("ban/")
    assert [each["user_id"] for each in listed["results"] if each["id"] == made["id"]] == [
        str(both.person.id)
    ]
    assert (await boss.delete(f"ban/{made['id']}/")).json() == {"count": 1}
    assert (await boss.delete(f"ban/{made['id']}/")).json() == {"count": 0}
    async with elsewhere.reopen(PATH, token=token):
        pass


async def test_a_ban_expires_by_itself(elsewhere: Visitor, boss: Operator, both: Pair) -> None:
    token = (await elsewhere.tokens(both.person.username))["access"]
    await boss.do("ban/", {"user_id": both.person.id, "until": in_s(1.0)})
    await elsewhere.assert_refused(PATH, 403, 4403, token=token)
    await asyncio.sleep(1.0)
    async with elsewhere.reopen(PATH, token=token):
        pass


async def test_ban_of_an_address(acme: Visitor, elsewhere: Visitor, boss: Operator, both: Pair) -> None:
    made = await boss.do("ban/", {"address": "127.0.0.0/31", "until": in_s(60)})
    try:
        assert (await both.talks[1].closed()) == (4409, "stop: ended by an operator")
        await elsewhere.assert_refused(PATH, 403, 4403)
        refused = await acme.post("/api/token/", {"username": "alice", "password": "rockstar"})
        assert refused.status_code == 403
        page = await acme.http.get("/accounts/login/")
        assert page.status_code == 200
    finally:
        await boss.delete(f"ban/{made['id']}/")
    async with elsewhere.reopen(PATH):
        pass


async def test_announce(acme: Visitor, globex: Visitor, boss: Operator, both: Pair) -> None:
    async with globex.open_json(PATH) as other, acme.open("/ws/echo/") as raw:
        body = {"text": "Back in 5 minutes", "level": "warning"}
        preview = await boss.do("announce/", body | {"preview": True})
        assert preview["count"] >= 2
        assert (await boss.do("announce/", body))["count"] == preview["count"]
        for talk in both.talks:
            assert await talk.push("announcement") == body
        assert await other.settle() == []
        await raw.send_frame("x")
        assert await raw.frame() == "x"


async def test_suspend_and_resume(site: Site, acme: Visitor, elsewhere: Visitor, globex: Visitor) -> None:
    boss = Operator.with_key(acme)
    async with globex.open_json(PATH) as there:
        began_s = time.monotonic()
        try:
            assert await boss.do("tenants/globex/suspend/") == {"count": 1}
            assert (await there.closed())[0] == 4404
            async with Visitor(site, "globex.localhost", site.servers[1]) as visitor:
                await visitor.assert_refused(PATH, 404, 4404)
                assert (await visitor.http.get("/accounts/login/")).status_code == 404
            assert time.monotonic() - began_s < WITHIN_S
        finally:
            assert await boss.do("tenants/globex/resume/") == {"count": 1}
    async with globex.reopen(PATH):
        pass
    assert await boss.do("tenants/nowhere/suspend/") == {"count": 0}


async def test_lists_name_what_is_on_both_nodes(boss: Operator, both: Pair) -> None:
    topic = uuid4().hex
    await both.subscribe(topic)
    page = await boss.see("connections/", user=both.person.username, sort="-opened_at")
    assert (page["count"], page["nodes_answered"], page["nodes_total"]) == (2, 2, 2)
    ids = [talk.welcome["connection_id"] for talk in both.talks]
    assert [each["id"] for each in page["results"]] == ids[::-1]
    row = page["results"][0]
    assert row["user"] == {"id": both.person.id, "username": both.person.username}
    assert (row["tenant"], row["route"], row["address"]) == ("acme", PATH, "127.0.0.1")
    assert row["topics"] == [topic]
    assert row["messages_in"] == 1
    assert row["agent"].startswith("Python/")
    assert row["node"] == both.talks[1].welcome["node"]
    assert (await boss.see(f"connections/{ids[1]}/"))["id"] == ids[1]
    assert (await boss.see("connections/", topic=topic, page=2, page_size=1))["results"][0]["id"] == ids[0]
    assert (await boss.get("connections/nothing/")).status_code == 404
    assert (await boss.see("topics/", q="no topic has this name"))["results"] == []
    topics = await boss.see("topics/", q=topic)
    assert topics["count"] == 1
    assert (topics["results"][0]["subscribers"], topics["results"][0]["users"]) == (2, 1)
    nodes = await boss.see("nodes/")
    assert {each["id"] for each in nodes["results"]} == {talk.welcome["node"] for talk in both.talks}


async def test_the_same_key_is_answered_the_same_and_done_once(boss: Operator, both: Pair) -> None:
    topic, key = uuid4().hex, uuid4().hex
    first = await boss.do("publish/", {"topic": topic, "data": 1}, key=key)
    assert await boss.do("publish/", {"topic": topic, "data": 1}, key=key) == first
    assert len((await boss.see("history/", topic=topic))["publications"]) == 1
    assert (await boss.post("publish/", {"topic": topic, "data": 2}, key=key)).status_code == 409
    at_once = [boss.do("publish/", {"topic": topic, "data": 3}, key="at once " + key) for _ in range(5)]
    assert [each["offset"] for each in await asyncio.gather(*at_once)] == [2] * 5
    assert (await boss.post("publish/", {"topic": topic, "data": 1}, key="x" * 129)).status_code == 400


async def test_a_batch_is_checked_and_then_done_in_order(boss: Operator, both: Pair) -> None:
    topic = uuid4().hex
    commands: list[dict[str, Any]] = [
        {"name": "publish", "topic": topic, "data": 1},
        {"name": "publish", "topic": "room:1", "data": 2},
        {"name": "disconnect", "user_id": both.person.id, "reconnect": False},
    ]
    answer = await boss.do("batch/", {"commands": commands, "reason": "all at once"})
    assert [each.get("offset") for each in answer["results"]] == [1, None, None]
    assert answer["results"][1]["error"]["code"] == "permission_denied"
    assert answer["results"][2] == {"count": 2}
    assert await both.talks[0].closed() == (4409, "stop: all at once")
    wrong = await boss.post("batch/", {"commands": [commands[0], {"name": "nonsense"}, {"name": "publish"}]})
    assert wrong.status_code == 400
    assert wrong.json()["error"]["details"]["commands"].keys() == {"1", "2"}
    assert len((await boss.see("history/", topic=topic))["publications"]) == 1


async def test_everything_is_in_the_audit_log(acme: Visitor, boss: Operator, both: Pair) -> None:
    reason = uuid4().hex
    await boss.do("disconnect/", {"user_id": both.person.id, "reconnect": True, "reason": reason})
    await boss.post("publish/", {"topic": "room:1", "data": "secret words", "reason": reason})
    page = await boss.see("audit/", q=reason)
    assert page["count"] == 2
    failed, done = page["results"]
    assert (done["action"], done["outcome"], done["count"], done["tenant"]) == ("disconnect", "done", 2, "")
    assert done["target"] == {"user_id": str(both.person.id), "reconnect": True}
    assert done["actor"]["kind"] == "key"
    assert (failed["action"], failed["outcome"]) == ("publish", "failed")
    assert "secret words" not in str(page)
    export = await boss.get("audit/export/", q=reason)
    assert len(export.text.splitlines()) == 3
    assert export.headers["content-type"].startswith("text/csv")
    assert await Operator.with_key(acme, tenant="acme").see("audit/", q=reason) | {"results": []} == {
        "count": 1,
        "results": [],
    }


_QUOTA = """
from realtime.models import TenantQuota
TenantQuota.objects.update_or_create(tenant=tenant, defaults=limits)
"""


async def test_quotas_of_a_tenant_hold_on_both_nodes_within_seconds(site: Site, globex: Visitor) -> None:
    async with Visitor(site, "globex.localhost", site.servers[1]) as elsewhere, AsyncExitStack() as stack:
        for visitor in (globex, elsewhere):
            first = await stack.enter_async_context(visitor.reopen(PATH))
        try:
            limits = {"max_connections": 2, "messages_per_s": 5}
            site.orm.run(_QUOTA, tenant="globex", limits=limits)
            async with asyncio.timeout(WAIT_S):
                for visitor in (globex, elsewhere):
                    while not await is_refused(visitor):  # noqa: ASYNC110 another process's state
                        await asyncio.sleep(0.1)
            for number in range(20):
                await first.send("ping", id=number)
            answers = [await first.reply_to(number) for number in range(20)]
            codes = [each["payload"].get("code") for each in answers if each["type"] == "error"]
            assert codes
            assert set(codes) == {"rate_limited"}
        finally:
            site.orm.run(_QUOTA, tenant="globex", limits={"max_connections": 0, "messages_per_s": 0})
        async with globex.reopen(PATH):
            pass


async def is_refused(visitor: Visitor) -> bool:
    """Return whether a new socket is refused with 429."""
    try:
        async with visitor.open(PATH):
            return False
    except InvalidStatus as refused:
        return refused.response.status_code == 429


_RT = """
from io import StringIO
from django.core.management import CommandError, call_command
out, err = StringIO(), StringIO()
try:
    call_command("rt", *arguments, stdout=out, stderr=err)
    result = out.getvalue()
except CommandError as error:
    result = f"error: {error}"
except SystemExit as ended:
    result = f"exit {ended.code}: {out.getvalue()}"
"""


def rt(site: Site, *arguments: str) -> str:
    """Return the output of `manage.py rt`, run in another process than the servers."""
    printed: str = site.orm.run(_RT, arguments=list(arguments))
    return printed


async def test_the_command_reaches_both_nodes_from_another_process(site: Site, both: Pair) -> None:
    topic, user = uuid4().hex, str(both.person.id)
    await both.subscribe(topic)
    assert "2 of 2 nodes answered." in rt(site, "nodes")
    listed = json.loads(rt(site, "connections", "--user", user, "--json"))
    assert {each["node"] for each in listed["results"]} == {talk.welcome["node"] for talk in both.talks}
    assert both.person.username in rt(site, "connections", "--topic", topic, "--tenant", "acme")
    assert f"acme    {topic}  2" in rt(site, "topics", "--search", topic)
    assert both.person.username in rt(site, "presence", topic, "--tenant", "acme")
    assert json.loads(rt(site, "publish", topic, '{"a": 1}', "--tenant", "acme"))["offset"] == 1
    assert (await both.talks[1].push("publication"))["data"] == {"a": 1}
    assert '{"a": 1}' in rt(site, "history", topic, "--tenant", "acme")
    assert json.loads(rt(site, "announce", "hi", "--tenant", "acme", "--preview"))["count"] >= 2
    assert rt(site, "publish", "room:1", "x", "--tenant", "acme").startswith("error: ")
    ban = json.loads(rt(site, "ban", "--user-id", user, "--until", "1h", "--reason", "by command"))
    assert ban["count"] == 2
    assert await both.talks[0].closed() == (4409, "stop: by command")
    assert f"\n{ban['id']} " in rt(site, "bans")
    assert json.loads(rt(site, "unban", str(ban["id"]))) == {"count": 1}
    assert "unban" in rt(site, "audit", "--page-size", "1")
    told = json.loads(rt(site, "broadcast", "1", topic, "room:1", "--tenant", "acme"))["results"]
    assert ("offset" in told[0], "error" in told[1]) == (True, True)
    assert json.loads(rt(site, "disconnect", "--user-id", user, "--stop")) == {"count": 0}


async def test_the_command_names_all_wrong_values(site: Site) -> None:
    said = rt(site, "ban", "--user-id", "1", "--address", "nowhere", "--until", "soon")
    for field in ("user_id", "address", "until"):
        assert f"  {field}: " in said
    assert "connection_id" in rt(site, "disconnect")
    for wrong in (
        ("nodes", "--page", "0"),
        ("topics", "--page-size", "501"),
        ("history", "x", "--tenant", "acme", "--limit", "0"),
        ("token", "x", "--days", "0"),
        ("token", "x", "--days", "1e9"),
    ):
        assert "expected a whole number from 1 to" in rt(site, *wrong), wrong
    for until in ("99999999999d", "2026-13-45T10:00:00Z", "-1"):
        assert "  until: " in rt(site, "ban", "--user-id", "1", "--until", until), until
    for arguments in (
        ("publish", "x", "1"),
        ("nodes",),
        ("audit",),
        ("ban", "--user-id", "1", "--until", "1h"),
    ):
        assert rt(site, *arguments, "--tenant", "nowhere") == "error: There is no tenant 'nowhere'."


async def test_the_command_makes_keys(site: Site, acme: Visitor) -> None:
    secret = acme.server.keep_secret(rt(site, "token", "board", "--tenant", "acme", "--days", "1").strip())
    key = Operator(acme, {"Authorization": f"Bearer {secret}"})
    await key.see("nodes/")
    assert (await key.post("publish/", {"topic": "x", "data": 1})).status_code == 403
    assert "board" in rt(site, "token", "--list")
    assert secret not in rt(site, "token", "--list")
    assert "There is no tenant" in rt(site, "token", "x", "--tenant", "nowhere")


async def test_the_doctor_tries_everything(site: Site) -> None:
    said = rt(site, "doctor")
    for what in ("settings", "database", "migrations", "broker", "cache", "clock", "files", "proxy"):
        assert f" {what}: " in said
    assert "a message came back" in said
    assert "failed:" not in said


_FROM_CODE = """
import asyncio
import realtime
position = realtime.position(topic, tenant="acme")
ended = [realtime.presence(topic, tenant="acme")["count"], realtime.unsubscribe(topic, tenant="acme", user_id=user_id)]
ended.append(asyncio.run(realtime.adisconnect(tenant="acme", user_id=user_id, reason="from code")))
result = [position.offset, *ended, realtime.connections(tenant="acme", user=str(user_id)).nodes_total]
"""


async def test_python_reaches_both_nodes_from_another_process(site: Site, both: Pair) -> None:
    topic = uuid4().hex
    await both.subscribe(topic)
    assert site.orm.run(_FROM_CODE, topic=topic, user_id=both.person.id) == [0, 1, 2, 2, 2]
    assert await both.talks[1].closed() == (4409, "reconnect: from code")


def in_s(seconds: float) -> str:
    """A time from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
