"""The REST API: the same use cases as the verbs, with their payloads, over HTTP."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from django.utils.translation import trans_real
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

from accounts.credentials import rates
from accounts.credentials.tokens import token_issue
from accounts.models import Domain, Membership, User
from accounts.models import Tenant as TenantRow
from chat.operations import OPERATIONS
from realtime.models import Ban
from realtime.node import node as nodes
from tests.chat.conftest import Announced, World

HOSTS = {"acme": "acme.localhost", "globex": "globex.localhost"}


class Api:
    """Somebody's client with an access token."""

    def __init__(
        self, world: World, username: str, tenant: str = "acme", scopes: list[str] | None = None
    ) -> None:
        membership = Membership.objects.get(user__username=username, tenant__slug=tenant)
        access = token_issue(membership, scopes).access
        self.client = Client(headers={"host": HOSTS[tenant], "authorization": f"Bearer {access}"})

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        response = self.client.generic(
            method,
            f"/api/chat/{path}",
            json.dumps(body) if body is not None else "",
            content_type="application/json",
        )
        return response.status_code, json.loads(response.content)


@pytest.fixture(autouse=True)
def _fresh_node() -> Iterator[None]:
    nodes.install(None)
    yield
    nodes.install(None)


@pytest.fixture
def hosts(world: World) -> World:
    for slug, host in HOSTS.items():
        Domain.objects.create(tenant=TenantRow.objects.get(slug=slug), host=host)
    return world


# JSON that PostgreSQL, a browser or msgspec would fail at later: half a character, no double, more than 64 bits, deep.
NO_JSON = ['"\\ud800"', '"a\\udfff"', '["\\ud800"]', "1e999", "9" * 30, "[" * 40 + "]" * 40, '{"a":1,"a":1}']


@pytest.mark.parametrize("value", NO_JSON)
@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("POST", "rooms/", "name"),
        ("POST", "rooms/", "is_public"),
        ("POST", "direct/", "user_ids"),
        ("POST", "rooms/1/invite/", "user_ids"),
        ("POST", "rooms/1/messages/", "text"),
        ("POST", "rooms/1/read/", "is_unread"),
        ("PATCH", "profile/", "status_emoji"),
    ],
)
def test_json_that_cannot_be_kept_is_a_bad_request(
    hosts: World, method: str, path: str, field: str, value: str
) -> None:
    client = Api(hosts, "alice").client
    body = f'{{"{field}":{value}}}'
    response = client.generic(method, f"/api/chat/{path}", body, content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_message")


def test_a_room_s_life(hosts: World) -> None:
    alice, bob = Api(hosts, "alice"), Api(hosts, "bob")
    status, body = alice.call("POST", "rooms/", {"name": "lounge"})
    assert (status, body["room"]["name"], body["room"]["role"]) == (201, "lounge", "owner")
    room = f"rooms/{body['room']['id']}/"
    assert alice.call("GET", room) == (200, body)
    assert bob.call("POST", f"{room}join/", {})[1]["room"]["is_member"]
    status, body = alice.call("PATCH", room, {"topic_line": " what we  do "})
    assert (status, body["room"]["topic_line"]) == (200, "what we do")
    _, body = alice.call("POST", f"{room}role/", {"user_id": hosts.bob.id, "role": "moderator"})
    assert [each["role"] for each in bob.call("GET", f"{room}members/")[1]["members"]] == [
        "owner",
        "moderator",
    ]
    assert (
        alice.call("POST", f"{room}invite/", {"user_ids": [hosts.admin.id]})[1]["room"]["member_count"] == 3
    )
    assert bob.call("POST", f"{room}settings/", {"level": "mentions"})[1]["room"]["level"] == "mentions"
    assert alice.call("POST", f"{room}remove/", {"user_id": hosts.bob.id})[1]["room"]["member_count"] == 2
    assert [each["name"] for each in bob.call("GET", "rooms/")[1]["rooms"]] == ["lounge"]
    assert bob.call("GET", f"{room}messages/")[0] == 403
    assert alice.call("POST", f"{room}leave/") == (200, {"room_id": body["room"]["id"]})


def test_a_message_s_life(hosts: World, announced: list[Announced]) -> None:
    room = f"rooms/{hosts.room(with_bob=True)}/"
    alice, bob = Api(hosts, "alice"), Api(hosts, "bob")
    sending = {"text": "hello", "client_msg_id": str(uuid.uuid4())}
    status, body = alice.call("POST", f"{room}messages/", sending)
    assert (status, body["message"]["text"]) == (201, "hello")
    assert alice.call("POST", f"{room}messages/", sending) == (200, body)
    assert alice.call("POST", f"{room}messages/", sending | {"text": "else"})[0] == 409
    message = f"{room}messages/1/"
    status, body = bob.call("PUT", f"{message}reactions/%F0%9F%91%8D/")
    assert (status, body["message"]["reactions"]) == (201, [{"emoji": "👍", "count": 1, "mine": True}])
    assert bob.call("PUT", f"{message}reactions/👍/")[0] == 200
    assert alice.call("GET", f"{room}messages/?limit=1")[1]["messages"][0]["reactions"][0]["mine"] is False
    assert bob.call("DELETE", f"{message}reactions/👍/")[1]["message"]["reactions"] == []
    assert bob.call("PUT", f"{message}pin/")[0] == 201
    assert bob.call("DELETE", f"{message}pin/")[0] == 200
    assert alice.call("PATCH", message, {"text": "hi"})[1]["message"]["text"] == "hi"
    assert bob.call("PATCH", message, {"text": "hi"})[0] == 403
    assert bob.call("POST", f"{room}read/", {"seq": 1})[1]["seq"] == 1
    assert bob.call("POST", f"{room}read/", {"seq": 0, "is_unread": True})[1]["seq"] == 0
    assert bob.call("GET", room)[1]["room"]["unread"] == 1
    assert alice.call("DELETE", message)[1]["message"]["deleted"] is True
    assert bob.call("GET", room)[1]["room"]["unread"] == 0
    _, body = bob.call("GET", f"{room}changes/?after_rev=1")
    assert [each["deleted"] for each in body["messages"]] == [True]
    assert bob.call("GET", f"{room}changes/?after_rev=99999")[0] == 409


def test_people_and_direct_rooms(hosts: World) -> None:
    alice, bob = Api(hosts, "alice"), Api(hosts, "bob")
    _, body = alice.call("PATCH", "profile/", {"name": "Alice A.", "status_emoji": "🎉"})
    assert (body["profile"]["name"], body["profile"]["status_emoji"]) == ("Alice A.", "🎉")
    assert [each["name"] for each in bob.call("GET", "users/?q=A.")[1]["users"]] == ["Alice A."]
    status, body = bob.call("POST", "direct/", {"user_ids": [hosts.alice.id]})
    assert (status, body["room"]["kind"], body["room"]["name"]) == (201, "direct", "Alice A.")
    status, again = alice.call("POST", "direct/", {"user_ids": [hosts.bob.id]})
    assert (status, again["room"]["id"], again["room"]["name"]) == (200, body["room"]["id"], "bob")


def test_all_faulty_fields_are_named(hosts: World) -> None:
    room = f"rooms/{hosts.room()}/"
    alice = Api(hosts, "alice")
    status, body = alice.call("POST", f"{room}messages/", {"text": 1, "reply_to": "x"})
    assert (status, body["error"]["code"]) == (400, "invalid_message")
    assert body["error"]["details"].keys() == {"text", "reply_to", "client_msg_id"}
    status, body = alice.call("POST", "rooms/", {"name": "\u200b"})
    assert (status, list(body["error"]["details"])) == (400, ["field", "name"])
    given: object
    for given in ([], "x", None, {"name": "a\0b"}):
        assert alice.call("POST", "rooms/", given)[0] == 400
    assert alice.call("GET", f"{room}messages/?limit=many")[0] == 400


def test_every_path_answers_what_browsers_and_tools_ask(hosts: World) -> None:
    room_id, alice = hosts.room(), Api(hosts, "alice").client
    for path in sorted({each.route.partition(" ")[2] for each in OPERATIONS.values()}):
        url = f"/api/chat/{path}"
        for part, value in (("<int:room_id>", room_id), ("<int:seq>", 1), ("<str:emoji>", "👍")):
            url = url.replace(part, str(value))
        options = alice.options(url)
        assert options.status_code == 200, url
        allowed = options["Allow"].split(", ")
        assert ("HEAD" in allowed) == ("GET" in allowed), url
        if "GET" in allowed:
            page, head = alice.get(url, headers={"accept": "text/html"}), alice.head(url)
            assert page.status_code in (200, 400), url
            assert (head.status_code, head.content) == (page.status_code, b""), url


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
def test_a_body_that_is_no_object_is_refused(hosts: World, body: object) -> None:
    alice, room = Api(hosts, "alice"), f"rooms/{hosts.room()}/"
    for method, path in (("PATCH", room), ("POST", f"{room}settings/"), ("PATCH", "profile/")):
        url = f"/api/chat/{path}"
        response = alice.client.generic(method, url, json.dumps(body), content_type="application/json")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_message")
        assert alice.call(method, path)[0] == 200


def test_a_form_is_no_json(hosts: World) -> None:
    response = Api(hosts, "alice").client.post("/api/chat/rooms/", {"name": "lounge"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "query", ["limit=1.0", "limit=1e1", "limit=+5", "before=1.5", "before=1e9", "before=true", "room_id=2.0"]
)
def test_a_number_of_a_query_is_an_integer(hosts: World, query: str) -> None:
    """A fraction was rounded, or taken for a time in the seconds since 1970."""
    alice = Api(hosts, "alice")
    status, body = alice.call("GET", f"search/?q=2&{query}")
    assert (status, body["error"]["code"]) == (400, "invalid_message")
    assert list(body["error"]["details"]) == [query.partition("=")[0]]
    for right in ("limit=10", "before=15", "before=2026-11-27T06:00:00Z"):
        assert alice.call("GET", f"search/?q=2&{right}")[0] == 200


@pytest.mark.parametrize("number", ["0", str(2**63), "9" * 30])
def test_a_number_that_is_no_id_names_nothing(hosts: World, number: str) -> None:
    alice, room = Api(hosts, "alice"), f"rooms/{hosts.room()}/"
    for method, path in (
        ("GET", f"rooms/{number}/"),
        ("POST", f"rooms/{number}/join/"),
        ("PATCH", f"{room}messages/{number}/"),
        ("PUT", f"{room}messages/{number}/pin/"),
    ):
        status, body = alice.call(method, path, {"text": "x"})
        assert (status, body["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["chat/rooms/abc/", "chat/rooms/-1/", "chat/", "nothing", "token/x/", ""])
def test_a_path_of_nothing_is_answered_in_json(hosts: World, path: str) -> None:
    for url in (f"/api/{path}", f"/ws/{path}"):
        response = Api(hosts, "alice").client.get(url)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_a_credential_with_its_scopes_is_needed(hosts: World) -> None:
    room = f"/api/chat/rooms/{hosts.room()}/"
    assert Client(headers={"host": HOSTS["acme"]}).get(room).status_code == 401
    reader = Api(hosts, "alice", scopes=["chat:read"])
    assert reader.call("GET", "rooms/")[0] == 200
    status, body = reader.call("POST", "rooms/", {"name": "x"})
    assert (status, body["error"]["details"]) == (403, {"missing_scopes": ["chat:write"]})


def test_a_session_needs_its_csrf_token(hosts: World, settings: Settings) -> None:
    user = User.objects.get(username="alice")
    user.set_password("a passphrase")
    user.save(update_fields=["password"])
    client = Client(enforce_csrf_checks=True, headers={"host": HOSTS["acme"]})
    client.get("/accounts/login/")
    csrf = client.cookies["csrftoken"].value
    form = {"username": "alice", "password": "a passphrase", "csrfmiddlewaretoken": csrf}
    client.post("/accounts/login/", form)
    assert client.get("/api/chat/rooms/").status_code == 200
    body: dict[str, Any] = {"data": {"name": "x"}, "content_type": "application/json"}
    assert client.post("/api/chat/rooms/", **body).status_code == 403
    csrf = client.cookies["csrftoken"].value
    assert client.post("/api/chat/rooms/", **body, headers={"x-csrftoken": csrf}).status_code == 201


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if "room_id" in each.route])
def test_what_is_of_another_tenant_or_private_does_not_exist(hosts: World, name: str) -> None:
    method, _, route = OPERATIONS[name].route.partition(" ")
    room_id = hosts.room(is_public=False)
    body = {
        "text": "x",
        "client_msg_id": str(uuid.uuid4()),
        "user_ids": [hosts.admin.id],
        "user_id": hosts.alice.id,
        "role": "guest",
        "seq": 1,
    }
    answers = set()
    for api in (Api(hosts, "bob"), Api(hosts, "carol", "globex"), Api(hosts, "admin", "globex")):
        for each in (room_id, 2**62):
            path = (
                route.replace("<int:room_id>", str(each))
                .replace("<int:seq>", "1")
                .replace("<str:emoji>", "👍")
            )
            answers.add(
                json.dumps(api.call(method, path + ("?after_rev=0" if "changes" in route else ""), body))
            )
    assert len(answers) == 1
    assert json.loads(answers.pop())[0] == 404


def test_one_user_s_requests_are_limited(hosts: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes.current_node(), "settings", _Slow())
    alice = Api(hosts, "alice")
    assert [alice.call("GET", "rooms/")[0] for _ in range(3)] == [200, 200, 429]
    assert Api(hosts, "bob").call("GET", "rooms/")[0] == 200


class _Slow:
    MESSAGES_PER_S = 0.001
    MESSAGES_BURST = 2


@pytest.mark.parametrize("ban", [{"user_id": "{alice}"}, {"address": "127.0.0.0/8"}])
def test_who_is_banned_does_not_go_on_over_http(hosts: World, ban: dict[str, str]) -> None:
    room_id = hosts.room()
    alice = Api(hosts, "alice")
    target = {name: value.format(alice=hosts.alice.id) for name, value in ban.items()}
    row = Ban.objects.create(tenant="acme", until=timezone.now() + timedelta(hours=1), **target)
    body = {"text": "still here", "client_msg_id": str(uuid.uuid4())}
    for method, path, data in (
        ("POST", f"rooms/{room_id}/messages/", body),
        ("GET", "rooms/", None),
        ("DELETE", "profile/picture/", None),
    ):
        status, answer = alice.call(method, path, data)
        assert (status, answer["error"]["code"]) == (403, "banned"), path
    upload = alice.client.post("/api/chat/files/", {"file": SimpleUploadedFile("a.txt", b"text")})
    assert upload.status_code == 403
    assert Api(hosts, "admin", "globex").call("GET", "rooms/")[0] == 200
    row.delete()
    assert alice.call("GET", "rooms/")[0] == 200


def test_rates_are_remembered_of_so_many_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "USERS_MAX", 2)
    limited = rates.Rates(1, 1)
    for user in range(5):
        limited.take(user, 0.0)
    assert list(limited._buckets) == [3, 4]


def test_the_schema_is_made_once_and_takes_nothing_from_the_address(
    hosts: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(headers={"host": HOSTS["acme"]})
    plain = client.get("/api/schema/")
    assert plain.content.startswith(b"openapi: 3.0")
    assert (
        client.get("/api/schema/?format=json").headers["Content-Type"] == "application/vnd.oai.openapi+json"
    )
    known: dict[str, Any] = vars(trans_real)["_translations"]
    languages = dict(known)
    monkeypatch.setattr(SchemaGenerator, "get_schema", None)
    for query in ("", "lang=xx-1", "lang=de", "version=1%0a2", 'version=1"'):
        answer = client.get(f"/api/schema/?{query}")
        assert (answer.content, answer.headers) == (plain.content, plain.headers)
    assert known == languages


def test_every_operation_is_in_the_schema(hosts: World) -> None:
    schema = Client(headers={"host": HOSTS["acme"]}).get("/api/schema/?format=json").json()
    described = {
        (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method in methods
        if "chat" in path
    }
    for operation in OPERATIONS.values():
        method, _, route = operation.route.partition(" ")
        path = route.replace("<int:", "{").replace("<str:", "{").replace(">", "}")
        assert (method, f"/api/chat/{path}") in described
    parameters = schema["paths"]["/api/chat/rooms/{room_id}/changes/"]["get"]["parameters"]
    required = {each["name"]: each.get("required", False) for each in parameters}
    assert required == {"after_rev": True, "limit": False, "room_id": True}
