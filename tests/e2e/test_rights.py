"""What was taken away opens nothing any more: at the handshake, on every node, however it was taken."""

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.people import Person
from tests.e2e.talk import assert_closed
from tests.e2e.test_live_sign_out import WITHIN_S, socket_of
from tests.e2e.visitor import PASSWORD, Visitor, assert_error_body, csrf_of
from tests.servers.databases import SECRET_KEY
from tests.servers.pool import Site

PATH = "/ws/pubsub/"
NEW = "s4ddle-and-bridle"
# What takes a right away, as code beside the server, with the status and the code that answer it.
ENDINGS = {
    "deactivated": ("user.is_active = False; user.save()", 401, 4401),
    "password": (f"user.set_password({NEW!r}); user.save()", 401, 4401),
    "unusable password": ("user.set_unusable_password(); user.save()", 401, 4401),
    "deleted": ("user.delete()", 401, 4401),
    "left": ("user.memberships.get().delete()", 403, 4403),
    "left by a queryset": ("user.memberships.all().delete()", 403, 4403),
    "suspended": ("m = user.memberships.get(); m.is_active = False; m.save()", 403, 4403),
}
each_ending = pytest.mark.parametrize("ending", ENDINGS)

pytestmark = pytest.mark.kinds("serve", "scaled")


@pytest.fixture
def person(acme: Visitor) -> Person:
    """A member of acme of this test's own."""
    return Person.new(acme.site)


async def refused_soon(visitor: Visitor, status: int, close: int, token: str) -> None:
    """Nodes without a bus ask every half second; after that the token opens nothing, ever."""
    changed_s = time.monotonic()
    while await opens(visitor, token):
        assert time.monotonic() - changed_s < WITHIN_S
        await asyncio.sleep(0.05)
    for _ in range(3):
        await visitor.assert_refused(PATH, status, close, token=token)
        await visitor.assert_refused("/ws/chat/", status, close, token=token)


async def opens(visitor: Visitor, token: str) -> bool:
    """Return whether a socket opens with `token` and stays open."""
    try:
        async with visitor.open(PATH, token=token) as talk:
            return await talk.is_alive()
    except InvalidStatus:
        return False


@each_ending
async def test_a_token_made_before_opens_no_socket(acme: Visitor, person: Person, ending: str) -> None:
    code, status, close = ENDINGS[ending]
    token = (await acme.tokens(person.username))["access"]
    async with acme.open_json(PATH, token=token) as talk, acme.open_json(PATH, "bob") as other:
        person._change(code)
        changed_s = time.monotonic()
        await assert_closed(talk, close)
        assert time.monotonic() - changed_s < WITHIN_S
        await refused_soon(acme, status, close, token)
        assert await other.is_alive()
    response = await acme.post("/api/token/verify/", {"token": token})
    assert response.status_code == 401


async def test_one_that_was_never_used_opens_none_either(acme: Visitor, person: Person) -> None:
    token = (await acme.tokens(person.username))["access"]
    person.deactivate()
    await refused_soon(acme, 401, 4401, token)


async def test_a_new_password_and_a_new_token_within_the_second(acme: Visitor, person: Person) -> None:
    former = (await acme.tokens(person.username))["access"]
    person.set_password(NEW)
    fresh = (await acme.tokens(person.username, password=NEW))["access"]
    async with acme.open_json(PATH, token=fresh) as talk:
        # The revocation of the former token would end this one too, if it did not distinguish them.
        await refused_soon(acme, 401, 4401, former)
        assert await talk.is_alive()
        await talk.ask("publish", {"topic": uuid4().hex, "data": 1})


async def test_the_admins_own_password_page(acme: Visitor) -> None:
    person = Person.new(acme.site, staff=True)
    token = (await acme.tokens(person.username))["access"]
    cookie = await acme.sign_in(person.username)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    async with acme.open_json(PATH, token=token) as talk:
        done = await acme.post_form("/admin/password_change/", cookie, form)
        assert done.status_code == 302, done.text
        await assert_closed(talk, 4401)
    await acme.assert_refused(PATH, 401, 4401, token=token)
    assert (await acme.tokens(person.username, password=NEW))["access"]


async def test_a_lost_role_ends_what_held_it(acme: Visitor) -> None:
    person = Person.new(acme.site, staff=True)
    token = (await acme.tokens(person.username))["access"]
    async with acme.open_json(PATH, token=token) as talk:
        person._change("m = user.memberships.get(); m.role = 'member'; m.save()")
        await assert_closed(talk, 4401)
    await refused_soon(acme, 401, 4401, token)
    fresh = (await acme.tokens(person.username))["access"]
    async with acme.open_json(PATH, token=fresh) as talk:
        assert "metrics:read" not in talk.welcome["scopes"]


async def test_a_refresh_token_used_twice_ends_its_family(acme: Visitor, person: Person) -> None:
    first = await acme.tokens(person.username)
    second = (await acme.post("/api/token/refresh/", {"refresh": first["refresh"]})).json()
    for secret in (second["access"], second["refresh"]):
        acme.server.keep_secret(secret)
    other = await acme.tokens(person.username)
    async with (
        acme.open_json(PATH, token=first["access"]) as one,
        acme.open_json(PATH, token=second["access"]) as two,
        acme.open_json(PATH, token=other["access"]) as stays,
    ):
        again = await acme.post("/api/token/refresh/", {"refresh": first["refresh"]})
        assert again.status_code == 401
        used_s = time.monotonic()
        await assert_closed(one, 4401)
        await assert_closed(two, 4401)
        assert time.monotonic() - used_s < WITHIN_S
        assert await stays.is_alive()
    for token in (first["access"], second["access"]):
        await acme.assert_refused(PATH, 401, 4401, token=token)
    response = await acme.post("/api/token/refresh/", {"refresh": second["refresh"]})
    assert response.status_code == 401
    assert (await acme.post("/api/token/refresh/", {"refresh": other["refresh"]})).status_code == 200


# Two nodes


@pytest.fixture
async def elsewhere(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of the second process."""
    async with Visitor(site, "acme.localhost", site.servers[1]) as visitor:
        yield visitor


@pytest.mark.settings(2)
@pytest.mark.parametrize("ending", ["deactivated", "left"])
async def test_on_every_node(acme: Visitor, elsewhere: Visitor, ending: str) -> None:
    code, status, close = ENDINGS[ending]
    person = Person.new(acme.site)
    token = (await acme.tokens(person.username))["access"]
    elsewhere.server.keep_secret(token)
    async with acme.open_json(PATH, token=token) as here, elsewhere.open_json(PATH, token=token) as there:
        person._change(code)
        changed_s = time.monotonic()
        await asyncio.gather(assert_closed(here, close), assert_closed(there, close))
        assert time.monotonic() - changed_s < WITHIN_S
    for visitor in (acme, elsewhere):
        await refused_soon(visitor, status, close, token)


@pytest.mark.settings(2, TEST="no broker")
@pytest.mark.kinds("scaled")
async def test_without_the_broker_too(acme: Visitor, elsewhere: Visitor) -> None:
    """They find the row by themselves; and who signs in meanwhile is counted in the process."""
    person, other = Person.new(acme.site), Person.new(acme.site)
    pair = await acme.tokens(person.username)
    elsewhere.server.keep_secret(pair["access"])
    async with elsewhere.open_json(PATH, token=pair["access"]) as there:
        assert acme.site.valkey is not None
        acme.site.valkey.stop()
        revoked = await acme.post("/api/token/revoke/", {"refresh": pair["refresh"]})
        assert revoked.status_code == 200
        await assert_closed(there, 4401)
    await elsewhere.assert_refused(PATH, 401, 4401, token=pair["access"])
    assert await acme.tokens(other.username)
    assert await acme.sign_in(other.username)
    assert await elsewhere.tokens(other.username)
    for server in acme.site.servers:
        # The layer logs that its broker is away, with tracebacks, for as long as it is.
        server.terminate()
        server.forget_faults()
        assert server.log().count("each process counts failed sign-ins by itself") == 1


# Signed, and absurd


def signed(person: Person, **change: Any) -> str:
    now_s = int(time.time())
    claims = {
        "token_type": "access",
        "user_id": person.id,
        "username": person.username,
        "tenant": "acme",
        "scopes": ["chat:read"],
        "jti": uuid4().hex,
        "iat": now_s,
        "exp": now_s + 600,
    }
    return jwt.encode(claims | change, SECRET_KEY, algorithm="HS256")


ABSURD_IDS: list[Any] = [10**30, 2**63, -1, 0, True, 1.5, "1", None, []]
ABSURD: list[dict[str, Any]] = [
    *({"user_id": each} for each in ABSURD_IDS),
    *({"exp": each} for each in (10**18, 10**30, -(10**18), "x", None, True)),
    {"nbf": 10**18},
    {"iat": 10**18},
    {"rights": 10**30},
    {"tenant": 5},
]


@pytest.mark.kinds("serve")
async def test_an_absurd_token_is_a_bad_one(acme: Visitor, person: Person) -> None:
    async with acme.open_json(PATH, token=signed(person)) as talk:
        assert talk.welcome["user"]["id"] == person.id
    for change in ABSURD:
        token = acme.server.keep_secret(signed(person, **change))
        await acme.assert_refused(PATH, 401, 4401, token=token)
        response = await acme.post("/api/token/verify/", {"token": token})
        assert response.status_code == 401, (change, response.text)
        assert_error_body(response)


@pytest.mark.kinds("serve")
async def test_a_token_with_a_deep_head(acme: Visitor) -> None:
    head = base64.urlsafe_b64encode(b"[" * 4_000).rstrip(b"=").decode()
    await acme.assert_refused(PATH, 401, 4401, token=f"{head}.e30.x")


async def test_one_that_nobody_is_keeps_no_other_open(acme: Visitor, person: Person) -> None:
    """`update()` is found by the round, whatever else is connected."""
    ghost = signed(Person(acme.site, 2**63 - 1, "ghost"))
    async with socket_of(acme, person, "token") as talk, acme.open(PATH, token=ghost) as poison:
        person._change("User.objects.filter(pk=pk).update(is_active=False)")
        await assert_closed(talk, 4401)
        await assert_closed(poison, 4401)


# Passwords


# An address has ten guesses. The ways in share their counting, the stores do not.
async def test_sixty_guesses_at_once_are_ten(own_tenant: Visitor) -> None:
    site = own_tenant.site
    page = "/api/token/" if site.kind == "scaled" else "/accounts/login/"
    person = Person.new(site, slug=own_tenant.slug)
    headers = {"Content-Type": "application/json"}
    numbers = itertools.count()

    async def guess() -> int:
        async with Visitor(site, own_tenant.host) as fresh:
            body = {"username": person.username, "password": f"guess {next(numbers)}"}
            if page == "/api/token/":
                response = await fresh.http.post(page, json=body, headers=headers)
            else:
                form = await fresh.http.get(page)
                response = await fresh.http.post(page, data=body | {"csrfmiddlewaretoken": csrf_of(form)})
        if response.status_code == 429:
            assert 0 < int(response.headers["retry-after"]) <= 60
        return response.status_code

    statuses = await asyncio.gather(*(guess() for _ in range(60)))
    judged = 401 if page == "/api/token/" else 200
    assert (statuses.count(judged), statuses.count(429)) == (10, 50)


@pytest.mark.kinds("serve", "daphne")
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 20_000, b" " * 1_000_000])
async def test_a_body_that_is_no_request(acme: Visitor, body: bytes) -> None:
    for path in ("/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/revoke/"):
        response = await acme.http.post(path, content=body, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 413}
        assert_error_body(response)
