"""Members of another tenant ask for everything, by every URL and every verb: a stranger's answers, and no change.

Each question is asked twice: about rows of the other tenant, and about rows that do not exist. The answers must be the
same byte for byte. URLs come from the resolver and verbs from the endpoint, so that new ones are asked by themselves.
"""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.apps import apps
from django.test import Client as Browser
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.credentials.tokens import token_issue
from accounts.models import Membership, User
from accounts.models import Tenant as TenantRow
from chat.consumers import ChatConsumer
from chat.models import File, Message, Room, RoomMembership
from realtime import refresh_tenants
from realtime.models import Ban
from tests.chat.sockets import SCOPES, Chat, Client

pytestmark = pytest.mark.django_db(transaction=True)

# Ids that stand in no other number: of the other tenant's rows, and of no row.
THEIRS, MISSING = 77_000_001, 77_000_999
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The admin shows strangers nothing: tests/accounts/test_admin_isolation.py. These have no ids in them.
NOT_WALKED = ("admin/", "accounts/", "api/schema", "api/docs", "api/asyncapi", "metrics", "healthz", "readyz")


def values(given: int, room_id: int | None) -> Mapping[str, Any]:
    """A value for every field and parameter that names something. `room_id` is the asker's own room."""
    slug = "acme" if given == THEIRS else "acmex"
    name = "alice" if given == THEIRS else "alicx"
    return {
        **dict.fromkeys(("room_id", "user_id", "seq", "file_id", "ban_id", "before", "around_seq"), given),
        **dict.fromkeys(("before_seq", "after_seq", "after_rev", "reply_to", "id", "connection_id"), given),
        **{key: [given] for key in ("user_ids", "file_ids")},
        **({} if room_id is None else {"room_id": room_id}),
        **dict.fromkeys(("topic", "q"), f"room:{given}"),
        "topics": [f"room:{given}"],
        "tenant": slug,
        "slug": slug,
        "user": name,
        "username": name,
        "password": "no",
        "query": f"from:{name} in:theirs secret",
        "text": "x",
        "data": {},
        "emoji": "👍",
        "role": "guest",
        "reason": "",
        "reconnect": True,
        "level": "all",
        "commands": [{"name": "disconnect", "user_id": given}],
        "until": (timezone.now() + timedelta(days=1)).isoformat(),
    }


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    """Every path of the site, with the names of its parts in brackets."""
    for each in patterns:
        path = prefix + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, path)
        elif "^" not in path and not path.startswith(NOT_WALKED):
            yield path


# From a row to its tenant.
TENANT_OF = ("tenant", "room__tenant", "message__tenant")
ROUTES = sorted(set(routes(get_resolver().url_patterns)))


def same(text: str) -> str:
    """An answer without the parts that may differ between two equal requests: ids, numbers, tokens, times."""
    text = re.sub(r"77000\d{3}|alic[ex]|acmex?", "?", text)
    # Each request that changes the asker's own room takes its next number. Each new row has the next id.
    text = re.sub(r'("\w*(?:rev|seq|offset|id)": ?|room:)\d+', r"\1?", text)
    return re.sub(r"[\w-]{43}|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{12,}", "…", text)


def populate_theirs() -> tuple[dict[str, str], int]:
    """Give acme a room, a message with a file, and a ban.

    Return the tokens of a member of acme and of the staff of globex, and the id of a room of globex.
    """
    acme, globex = (TenantRow.objects.get(slug=slug) for slug in ("acme", "globex"))
    alice, carol = (User.objects.get(username=name) for name in ("alice", "carol"))
    person = User.objects.create(pk=THEIRS, username="victor")
    theirs = Membership.objects.create(user=person, tenant=acme)
    room = Room.objects.create(
        pk=THEIRS, tenant=acme, name="theirs", name_key="theirs", last_seq=THEIRS, last_rev=THEIRS
    )
    for user in (alice, person):
        RoomMembership.objects.create(room=room, user=user)
    message = Message.objects.create(
        pk=THEIRS,
        tenant=acme,
        room=room,
        seq=THEIRS,
        rev=THEIRS,
        author=alice,
        text="secret",
        client_msg_id=uuid.uuid4(),
    )
    File.objects.create(
        pk=THEIRS, tenant=acme, uploader=person, message=message, name="a", type="text/plain", size=1
    )
    # Of nobody who asks: a banned member is answered 403 everywhere.
    Ban.objects.create(
        pk=THEIRS, tenant="acme", user_id=str(THEIRS + 1), until=timezone.now() + timedelta(days=1)
    )
    own = Room.objects.create(tenant=globex, name="own", name_key="own", created_by=carol)
    staff = User.objects.create(username="greta")
    for user in (carol, staff):
        RoomMembership.objects.create(room=own, user=user)
    memberships = (
        theirs,
        Membership.objects.create(user=staff, tenant=globex, role=Membership.Role.STAFF),
    )
    refresh_tenants()
    return {each.user.username: token_issue(each, None).access for each in memberships}, own.pk


def rows() -> dict[str, list[Any]]:
    """Everything that acme has in the database."""
    found = {}
    for model in apps.get_models():
        names = {field.name for field in model._meta.get_fields()}
        path = next((path for path in TENANT_OF if path.partition("__")[0] in names), None)
        if path is not None and model._meta.app_label in {"chat", "accounts", "demo"}:
            acme = model._default_manager.filter(**{f"{path}__slug": "acme"})
            found[model._meta.label] = list(acme.order_by("pk").values_list())
    return {**found, "ban": list(Ban.objects.filter(tenant="acme").values_list())}


def ask(browser: Browser, method: str, route: str, known: Mapping[str, Any]) -> str:
    """The status and the body of the answer to one request."""
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda part: str(known.get(part[1], "x")), route)
    if method in {"GET", "DELETE"}:
        query = {key: value for key, value in known.items() if isinstance(value, int | str)}
        response = browser.generic(method, path, query_params=query)
    else:
        fresh = {"client_msg_id": str(uuid.uuid4()), "name": f"room {uuid.uuid4()}"}
        response = browser.generic(
            method, path, json.dumps({**known, **fresh}), content_type="application/json"
        )
    return same(f"{response.status_code} {b''.join(response).decode()}")


def browser_of(host: str, token: str) -> Browser:
    """A client with a token."""
    return Browser(headers={"host": f"{host}.localhost", "authorization": f"Bearer {token}"})


async def test_no_url_tells_what_another_tenant_has(chat: Chat) -> None:
    alice = await chat.client("alice")
    tokens, own = await chat.in_db(populate_theirs)
    await alice.get("subscribe", "subscribed", topic=f"room:{THEIRS}")
    before = await chat.in_db(rows)
    asked = await chat.in_db(
        compare_all,
        asker=browser_of("globex", tokens["greta"]),
        member=browser_of("acme", tokens["victor"]),
        own=own,
    )
    assert asked > 50
    await assert_untouched(chat, alice, before)


def compare_all(asker: Browser, member: Browser, own: int) -> int:
    """Ask by every URL, and with `own` as the room by those of rooms; return how many answers were compared."""
    asked = 0
    for route, method, room_id in product(ROUTES, METHODS, (None, own)):
        if room_id is not None and ("room_id" not in route or route.endswith("/leave/")):
            continue
        missing = ask(asker, method, route, values(MISSING, room_id))
        if missing.startswith("405"):
            continue
        assert ask(asker, method, route, values(THEIRS, room_id)) == missing, f"{method} {route}"
        asked += 1
        if method == "GET" and "<int:room_id>" in route and room_id is None:
            # A member of the other tenant may see it.
            assert missing.startswith("404")
            assert ask(member, method, route, values(THEIRS, None)).startswith("200"), route
    return asked


async def test_no_verb_tells_what_another_tenant_has(chat: Chat) -> None:
    alice = await chat.client("alice")
    _, own = await chat.in_db(populate_theirs)
    carol = await chat.client("carol", "globex", SCOPES | {"pubsub:publish"})
    await alice.get("subscribe", "subscribed", topic=f"room:{THEIRS}")
    before = await chat.in_db(rows)
    for (verb, declared), room_id in product(ChatConsumer.verbs.items(), (None, own)):
        if room_id is not None and verb == "room.leave":
            continue
        answers = []
        for given in (THEIRS, MISSING):
            known = {
                **values(given, room_id),
                "client_msg_id": str(uuid.uuid4()),
                "name": f"room {uuid.uuid4()}",
            }
            fields = declared.payload.__struct_fields__
            answers.append(await answer_of(carol, verb, {key: known[key] for key in fields if key in known}))
        assert answers[0] == answers[1], verb
    await assert_untouched(chat, alice, before)


async def assert_untouched(chat: Chat, alice: Client, before: Mapping[str, list[Any]]) -> None:
    """Nothing of acme's has changed, and nobody there has heard of it."""
    after = await chat.in_db(rows)
    assert before["chat.Message"]
    assert after == before
    assert (await alice.get("presence", "presence", topic=f"room:{THEIRS}"))["count"] == 1
    assert {push["type"] for push in alice.pushes} <= {"presence"}


async def answer_of(client: Client, verb: str, payload: Mapping[str, Any]) -> str:
    """The answer to a verb, without its id."""
    answer = await client.ask(verb, **payload)
    return same(json.dumps({**answer, "id": None}))
