"""Rights at /api/realtime/: a table of credentials and operations, and the answers to refused ones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.operator import Operator
from tests.e2e.people import Person
from tests.e2e.visitor import Visitor, assert_error_body
from tests.servers.pool import Site

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
NOBODY = 10**9
READS = (
    *("nodes/", "connections/", "topics/", "presence/?topic=x", "history/?topic=x", "ban/"),
    *("audit/", "audit/export/"),
)
# Bodies that change nothing, or nothing that others see.
WRITES: dict[str, dict[str, Any]] = {
    "publish/": {"topic": "control-table", "data": 1},
    "broadcast/": {"topics": ["control-table"], "data": 1},
    "batch/": {"commands": [{"name": "publish", "topic": "control-table", "data": 1}]},
    "disconnect/": {"user_id": NOBODY, "reconnect": True},
    "unsubscribe/": {"topic": "x", "user_id": NOBODY},
    "subscribe/": {"topic": "x", "user_id": NOBODY},
    "revoke/": {"user_id": NOBODY},
    "ban/": {"user_id": NOBODY, "until": TOMORROW},
    "announce/": {"text": "x", "preview": True},
}
FOR_ALL: dict[str, dict[str, Any]] = {
    "drain/": {"node": "nowhere"},
    "tenants/nowhere/suspend/": {},
    "tenants/nowhere/resume/": {},
}


async def assert_table(operator: Operator, *, reads: int, writes: int, for_all: int) -> None:
    """Every read, every write and every operation on all tenants is answered with these statuses."""
    for path in READS:
        assert_status(await operator.get(path), reads, path)
    for path, body in WRITES.items():
        assert_status(await operator.post(path, body), writes, path)
    for path, body in FOR_ALL.items():
        assert_status(await operator.post(path, body), for_all, path)
    assert_status(await operator.delete(f"ban/{NOBODY}/"), writes, "delete")


def assert_status(response: httpx.Response, status: int, what: str) -> None:
    """The status is this one, and an error has the body of all errors."""
    assert response.status_code == status, (what, response.status_code, response.text[:300])
    if status != 200:
        assert_error_body(response)


async def test_nobody_and_bad_keys(acme: Visitor) -> None:
    await assert_table(Operator(acme, {}), reads=401, writes=401, for_all=401)
    bad = Operator(acme, {"Authorization": "Bearer rk_nonsense"})
    await assert_table(bad, reads=401, writes=401, for_all=401)


async def test_members(acme: Visitor) -> None:
    await assert_table(await Operator.with_token(acme, "alice"), reads=403, writes=403, for_all=403)
    await assert_table(await Operator.with_session(acme, "alice"), reads=403, writes=403, for_all=403)


async def test_staff_of_a_tenant(acme: Visitor) -> None:
    staff = Person.new(acme.site, staff=True).username
    await assert_table(await Operator.with_token(acme, staff), reads=200, writes=200, for_all=403)
    await assert_table(
        await Operator.with_token(acme, staff, ["control:read"]), reads=200, writes=403, for_all=403
    )
    await assert_table(
        await Operator.with_token(acme, staff, ["chat:read"]), reads=403, writes=403, for_all=403
    )


PERMISSIONS = {
    "publish_topic": {"publish/", "broadcast/", "batch/"},
    "disconnect_connection": {"disconnect/"},
    "subscribe_user": {"subscribe/", "unsubscribe/"},
    "revoke_user": {"revoke/"},
    "add_ban": {"ban/"},
    "announce": {"announce/"},
    "drain_node": {"drain/"},
    "delete_ban": {f"ban/{NOBODY}/"},
    "view_live": set(),
}


async def test_staff_need_the_permission_of_each_order(acme: Visitor) -> None:
    person = Person.new(acme.site, staff=True)
    operator = await Operator.with_session(acme, person.username)
    await assert_table(operator, reads=403, writes=403, for_all=403)
    for codename, paths in PERMISSIONS.items():
        person.permit(codename)
        for path in READS:
            expected = 200 if codename == "view_live" else 403
            assert_status(await operator.get(path), expected, f"{codename}: {path}")
        for path, body in {**WRITES, **FOR_ALL}.items():
            expected = 200 if path in paths else 403
            assert_status(await operator.post(path, body), expected, f"{codename}: {path}")
        deleted = await operator.delete(f"ban/{NOBODY}/")
        assert_status(deleted, 200 if codename == "delete_ban" else 403, codename)
    # Before the body is looked at.
    assert_status(await operator.post("disconnect/", {}), 403, "a wrong body")
    person.permit(*PERMISSIONS)
    commands = [
        {"name": "publish", "topic": "control-table", "data": 1},
        {"name": "drain", "node": "nowhere"},
    ]
    assert_status(await operator.post("batch/", {"commands": commands}), 200, "a batch")
    person.permit("publish_topic")
    assert_status(await operator.post("batch/", {"commands": commands}), 403, "a batch")


async def test_keys(acme: Visitor, globex: Visitor) -> None:
    await assert_table(Operator.with_key(acme, tenant="acme"), reads=200, writes=200, for_all=403)
    await assert_table(Operator.with_key(globex, tenant="acme"), reads=403, writes=403, for_all=403)
    reader = Operator.with_key(acme, tenant="acme", scopes=["control:read"])
    await assert_table(reader, reads=200, writes=403, for_all=403)
    await assert_table(Operator.with_key(acme, scopes=["metrics:read"]), reads=403, writes=403, for_all=403)
    await assert_table(Operator.with_key(globex), reads=200, writes=200, for_all=200)


async def test_superusers(acme: Visitor) -> None:
    await assert_table(await Operator.with_token(acme, "admin"), reads=200, writes=200, for_all=200)
    await assert_table(await Operator.with_session(acme, "admin"), reads=200, writes=200, for_all=200)


async def test_a_session_needs_its_csrf_token(acme: Visitor) -> None:
    cookie = await acme.session("admin")
    bare = Operator(acme, {"Cookie": cookie})
    assert_status(await bare.post("publish/", WRITES["publish/"]), 403, "without CSRF")
    assert_status(await bare.get("nodes/"), 200, "reading")


async def test_a_key_ends(acme: Visitor) -> None:
    secret = acme.site.orm.run(
        "from datetime import timedelta\nfrom django.utils import timezone\nfrom realtime import create_key\n"
        "key, result = create_key('old', ['control:read'], expires_at=timezone.now() - timedelta(seconds=1))"
    )
    old = Operator(acme, {"Authorization": f"Bearer {secret}"})
    assert_status(await old.get("nodes/"), 401, "expired")


async def test_a_key_is_stored_as_a_hash_and_its_use_is_noted(acme: Visitor) -> None:
    code = (
        "from realtime import create_key\nfrom realtime.models import ApiKey\n"
        "key, secret = create_key('kept', ['control:read'])\n"
        "result = [secret, list(ApiKey.objects.filter(pk=key.pk).values_list())[0].__repr__(), key.pk]"
    )
    secret, row, pk = acme.site.orm.run(code)
    assert secret not in row
    assert secret[11:] not in row
    await Operator(acme, {"Authorization": f"Bearer {secret}"}).see("nodes/")
    used = "from realtime.models import ApiKey\nresult = ApiKey.objects.get(pk=pk).last_used_at is not None"
    assert acme.site.orm.run(used, pk=pk) is True


async def test_another_tenants_things_do_not_exist(acme: Visitor, globex: Visitor) -> None:
    mine, boss = Operator.with_key(acme, tenant="acme"), Operator.with_key(acme)
    topic = uuid4().hex
    async with globex.open_json("/ws/pubsub/", "carol") as there:
        await there.ask("subscribe", {"topic": topic})
        connection, carol = there.welcome["connection_id"], there.welcome["user"]["id"]
        assert (await mine.get(f"connections/{connection}/")).status_code == 404
        assert (await mine.see("connections/", user="carol"))["count"] == 0
        assert (await mine.see("connections/", tenant="globex"))["count"] == 0
        assert (await mine.see("topics/", q=topic))["count"] == 0
        assert (await mine.see("presence/", topic=topic))["count"] == 0
        nothing = await mine.see("history/", topic=topic, tenant="globex")
        assert (nothing["offset"], nothing["publications"]) == (0, [])
        for target in ({"connection_id": connection}, {"user_id": carol}, {"topic": topic}):
            assert await mine.do("disconnect/", {**target, "reconnect": True}) == {"count": 0}
            named = {**target, "reconnect": True, "tenant": "globex"}
            assert await mine.do("disconnect/", named) == {"count": 0}
        assert await mine.do("publish/", {"topic": topic, "data": 1, "tenant": "globex"}) == {"count": 0}
        assert await mine.do("revoke/", {"user_id": carol}) == {"count": 0}
        assert await mine.do("ban/", {"user_id": carol, "until": TOMORROW}) == {"count": 0}
        assert await mine.do("subscribe/", {"topic": topic, "user_id": carol}) == {"count": 0}
        assert await boss.do("publish/", {"topic": topic, "data": 1, "tenant": "nowhere"}) == {"count": 0}
        assert (await boss.see(f"connections/{connection}/"))["tenant"] == "globex"
        assert (await boss.see("connections/", tenant="globex", user="carol"))["count"] == 1
        await boss.do("publish/", {"topic": topic, "data": "named", "tenant": "globex"})
        assert (await there.push("publication"))["data"] == "named"
        await there.settle()
        made = await boss.do("ban/", {"user_id": NOBODY, "until": TOMORROW, "tenant": "acme"})
        assert made == {"count": 0}
    assert all(each["tenant"] == "acme" for each in (await mine.see("audit/"))["results"])


@pytest.mark.parametrize("named", ["globex", "nowhere"])
async def test_a_tenant_that_is_not_there_is_one_in_which_there_is_nothing(acme: Visitor, named: str) -> None:
    """One answer for every list, whether there is no such tenant or it is not the operator's."""
    operator = Operator.with_key(acme, tenant="acme" if named == "globex" else "")
    for path in ("nodes/", "connections/", "topics/", "ban/", "audit/"):
        page = await operator.see(path, tenant=named)
        assert (page["count"], page["results"]) == (0, []), path
    assert (await operator.see("presence/", topic="x", tenant=named))["count"] == 0
    assert (await operator.see("history/", topic="x", tenant=named))["publications"] == []
    export = await operator.get("audit/export/", tenant=named)
    assert (export.status_code, export.text.count("\n")) == (200, 1)


@pytest.mark.parametrize("topic", ["room:1", "typing:1"])
async def test_the_chats_data_is_not_for_operators(acme: Visitor, topic: str) -> None:
    boss = Operator.with_key(acme)
    assert_status(await boss.get("history/", topic=topic), 403, "history")
    assert_status(await boss.post("publish/", {"topic": topic, "data": 1}), 403, "publish")
    assert_status(await boss.post("subscribe/", {"topic": topic, "user_id": 1}), 403, "subscribe")
    assert_status(await boss.get("presence/", topic=topic), 200, "who is there")


BAD: list[tuple[str, Any, set[str]]] = [
    ("publish/", {}, {"topic", "data"}),
    ("publish/", {"topic": "", "data": 1, "reason": "x" * 201}, {"topic", "reason"}),
    ("publish/", {"topic": 5, "data": 1, "idempotency_key": ""}, {"topic", "idempotency_key"}),
    ("publish/", {"topic": "a\nb", "data": 1, "tenant": 3}, {"topic", "tenant"}),
    ("broadcast/", {"topics": [], "data": 1}, {"topics"}),
    ("broadcast/", {"topics": ["x"] * 101, "reason": 1}, {"topics", "data", "reason"}),
    ("batch/", {"commands": "x"}, {"commands"}),
    ("disconnect/", {}, {"connection_id", "user_id", "address", "topic", "everyone"}),
    ("disconnect/", {"user_id": 1, "topic": "x", "reconnect": "yes"}, {"user_id", "topic", "reconnect"}),
    (
        "disconnect/",
        {"everyone": False, "reconnect": 1},
        {"connection_id", "user_id", "address", "topic", "everyone"} | {"reconnect"},
    ),
    ("disconnect/", {"address": "nowhere"}, {"address"}),
    ("unsubscribe/", {}, {"topic", "user_id"}),
    ("subscribe/", {"topic": "x", "user_id": True}, {"user_id"}),
    ("revoke/", {"user_id": None}, {"user_id"}),
    ("ban/", {}, {"user_id", "address", "until"}),
    ("ban/", {"user_id": 1, "address": "10.0.0.1", "until": "soon"}, {"user_id", "address", "until"}),
    ("ban/", {"user_id": 1, "until": "2020-01-01T00:00:00Z"}, {"until"}),
    ("announce/", {"text": "", "level": "loud", "preview": 1}, {"text", "level", "preview"}),
    ("drain/", {}, {"node"}),
    ("tenants/acme/resume/", {"reason": "x" * 201}, {"reason"}),
]


async def test_all_wrong_fields_are_named(acme: Visitor) -> None:
    boss = Operator.with_key(acme)
    for path, body, fields in BAD:
        response = await boss.post(path, body)
        assert_status(response, 400, path)
        error = response.json()["error"]
        assert (error["code"], error["details"].keys()) == ("invalid_message", fields), (path, body, error)
    for body in ([], "x", 1):
        assert_status(await boss.post("publish/", body), 400, "no object")


async def test_wrong_parameters_are_named(acme: Visitor) -> None:
    boss = Operator.with_key(acme)
    for path, params, fields in (
        ("connections/", {"page": 0, "page_size": 501, "sort": "color"}, {"page", "page_size", "sort"}),
        ("topics/", {"page": "x", "sort": "color"}, {"page", "sort"}),
        ("presence/", {}, {"topic"}),
        ("history/", {"limit": 0}, {"topic", "limit"}),
        ("audit/", {"since": "soon", "outcome": "odd"}, {"since", "outcome"}),
        ("ban/", {"page_size": 0}, {"page_size"}),
    ):
        response = await boss.get(path, **params)
        assert_status(response, 400, path)
        assert response.json()["error"]["details"].keys() == fields, path


async def test_other_methods_and_paths(acme: Visitor) -> None:
    boss = Operator.with_key(acme)
    for path in ("nodes/", "connections/", "audit/"):
        assert_status(await boss.post(path), 405, path)
    for path in ("publish/", "disconnect/", "ban/7/", "tenants/acme/suspend/"):
        assert_status(await boss.get(path), 405, path)
    for path in ("nonsense/", "", "tenants/acme/explode/"):
        assert_status(await boss.get(path), 404, path)
    assert (await boss.get("nodes")).status_code == 200


@pytest.mark.settings(REALTIME_CONTROL_REQUESTS_PER_S=1, REALTIME_CONTROL_REQUESTS_BURST=5)
async def test_too_many_requests(site: Site, acme: Visitor) -> None:
    boss, other = Operator.with_key(acme), Operator.with_key(acme, tenant="acme")
    for _ in range(3):
        await boss.see("nodes/")
    commands = [{"name": "publish", "topic": "x", "data": 1}] * 3
    response = await boss.post("batch/", {"commands": commands})
    assert_status(response, 429, "batch")
    assert response.headers["retry-after"] == "2"
    assert (await other.get("nodes/")).status_code == 200


_WITHOUT_BROKER = """
import realtime
from datetime import timedelta
from django.utils import timezone
faults = []
for act in (
    lambda: realtime.disconnect(tenant="acme", user_id=user_id),
    lambda: realtime.announce("x", tenant="acme"),
    lambda: realtime.history("x", tenant="acme"),
    lambda: realtime.connections(tenant="acme"),
):
    try:
        act()
    except realtime.NotInForceError as error:
        faults.append("REDIS_URL" in str(error))
result = [faults, realtime.ban(tenant="acme", user_id=user_id, until=timezone.now() + timedelta(hours=1))]
"""


async def test_another_process_without_a_broker_says_so_or_goes_by_the_database(acme: Visitor) -> None:
    person = Person.new(acme.site)
    token = (await acme.tokens(person.username))["access"]
    async with acme.open_json("/ws/pubsub/", token=token) as talk:
        assert acme.site.orm.run(_WITHOUT_BROKER, user_id=person.id) == [[True] * 4, 0]
        assert await talk.closed(1.5) == (4409, "stop: ended by an operator")
    await acme.assert_refused("/ws/pubsub/", 403, 4403, token=token)
