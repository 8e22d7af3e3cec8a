"""What ends a sign-in ends its sockets, within a second, and only its own."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.e2e.forms import fields_of
from tests.e2e.people import Person
from tests.e2e.talk import Talk, assert_closed
from tests.e2e.visitor import PASSWORD, Visitor
from tests.servers.databases import REPOSITORY

PATH = "/ws/pubsub/"
# One second is the promise; a machine that runs other things besides gets more.
WITHIN_S = 4.0

pytestmark = pytest.mark.kinds("serve", "scaled")


@pytest.fixture
def person(acme: Visitor) -> Person:
    """A member of acme of this test's own."""
    return Person.new(acme.site)


@asynccontextmanager
async def socket_of(acme: Visitor, person: Person, how: str) -> AsyncIterator[Talk]:
    """An open socket of `person`, by token, session or ticket."""
    if how == "session":
        async with acme.open_json(PATH, cookie=await acme.sign_in(person.username)) as talk:
            yield talk
        return
    access = (await acme.tokens(person.username))["access"]
    if how == "token":
        async with acme.open_json(PATH, token=access) as talk:
            yield talk
        return
    response = await acme.post("/api/ws-ticket/", Authorization=f"Bearer {access}")
    ticket = acme.server.keep_secret(response.json()["ticket"])
    async with acme.open_json(f"{PATH}?ticket={ticket}") as talk:
        yield talk


async def assert_ends(talk: Talk, code: int, change: Callable[[], Awaitable[object] | None]) -> None:
    done = change()
    if done is not None:
        await done
    changed_s = time.monotonic()
    await assert_closed(talk, code)
    assert time.monotonic() - changed_s < WITHIN_S


# On `serve` alone: test_rights.py has these changes on every store, by token.
HOW = pytest.mark.parametrize("how", ["token", "session", "ticket"])


@pytest.mark.kinds("serve")
@HOW
async def test_deactivation(acme: Visitor, person: Person, how: str) -> None:
    async with socket_of(acme, person, how) as talk, acme.open_json(PATH, "bob") as other:
        await assert_ends(talk, 4401, person.deactivate)
        assert await other.is_alive()


@pytest.mark.kinds("serve")
@HOW
async def test_a_new_password(acme: Visitor, person: Person, how: str) -> None:
    async with socket_of(acme, person, how) as talk:
        await assert_ends(talk, 4401, lambda: person.set_password("another one"))


@pytest.mark.kinds("serve")
@HOW
async def test_a_lost_membership(acme: Visitor, person: Person, how: str) -> None:
    async with socket_of(acme, person, how) as talk:
        await assert_ends(talk, 4403, person.leave)


async def test_a_suspended_membership(acme: Visitor, person: Person) -> None:
    async with socket_of(acme, person, "token") as talk:
        await assert_ends(talk, 4403, person.suspend)


@pytest.mark.kinds("serve")
@HOW
async def test_a_deleted_user(acme: Visitor, person: Person, how: str) -> None:
    async with socket_of(acme, person, how) as talk:
        done = time.monotonic()
        person.delete()
        await assert_closed(talk, 4401, 4403)
        assert time.monotonic() - done < WITHIN_S + 1


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_sign_out_ends_the_sockets_of_that_session_only(acme: Visitor, person: Person) -> None:
    first, second = await acme.sign_in(person.username), await acme.sign_in(person.username)
    async with (
        acme.open_json(PATH, cookie=first) as ended,
        acme.open_json("/ws/session/", cookie=first) as ended_too,
        acme.open_json(PATH, cookie=second) as stays,
    ):
        await assert_ends(ended, 4401, lambda: sign_out(acme, first))
        await assert_closed(ended_too, 4401)
        assert await stays.is_alive()
    await acme.assert_refused("/ws/data/", 401, 4401, cookie=first)


async def sign_out(acme: Visitor, cookie: str) -> None:
    csrf = cookie.partition("csrftoken=")[2]
    response = await acme.http.post(
        "/accounts/logout/", headers={"Cookie": cookie}, data={"csrfmiddlewaretoken": csrf}
    )
    assert response.status_code == 302, response.text


@pytest.mark.kinds("serve")
async def test_sign_out_is_a_post(acme: Visitor, person: Person) -> None:
    cookie = await acme.sign_in(person.username)
    response = await acme.http.get("/accounts/logout/", headers={"Cookie": cookie})
    assert response.status_code == 405


async def test_revocation_ends_the_whole_family(acme: Visitor, person: Person) -> None:
    pair = await acme.tokens(person.username)
    other = await acme.tokens(person.username)
    refreshed = (await acme.post("/api/token/refresh/", {"refresh": pair["refresh"]})).json()
    acme.server.keep_secret(refreshed["access"])
    async with (
        acme.open_json(PATH, token=pair["access"]) as first,
        acme.open_json(PATH, token=refreshed["access"]) as second,
        acme.open_json(PATH, token=other["access"]) as stays,
    ):
        newest = refreshed.get("refresh", pair["refresh"])
        response = await acme.post("/api/token/revoke/", {"refresh": newest})
        assert response.status_code in {200, 204, 205}, response.text
        revoked_s = time.monotonic()
        await assert_closed(first, 4401)
        await assert_closed(second, 4401)
        assert time.monotonic() - revoked_s < WITHIN_S
        assert await stays.is_alive()
    for token in (pair["access"], refreshed["access"]):
        await acme.assert_refused(PATH, 401, 4401, token=token)
    assert (await acme.post("/api/token/refresh/", {"refresh": newest})).status_code == 401


async def test_deactivation_on_the_admin_site(acme: Visitor, person: Person) -> None:
    path = f"/admin/accounts/user/{person.id}/change/"
    cookie = await acme.session("admin")
    async with socket_of(acme, person, "token") as talk:
        form = await form_of(acme, path, cookie)
        assert form.pop("is_active")
        form["_save"] = "Save"
        done = await acme.http.post(path, data=form, headers={"Cookie": cookie})
        assert done.status_code == 302, done.text
        saved_s = time.monotonic()
        await assert_closed(talk, 4401)
        assert time.monotonic() - saved_s < WITHIN_S


async def form_of(acme: Visitor, path: str, cookie: str) -> dict[str, str]:
    """What a browser would send back of the form on a page, unchanged."""
    page = await acme.http.get(path, headers={"Cookie": cookie})
    assert page.status_code == 200, page.text[:1000]
    return fields_of(page.text)


@pytest.mark.kinds("serve")
async def test_deactivation_from_the_shell(acme: Visitor, person: Person) -> None:
    code = f"from accounts.models import User; User.objects.filter(pk={person.id}).update(is_active=False)"
    command = [sys.executable, str(REPOSITORY / "manage.py"), "shell", "-c", code]
    async with socket_of(acme, person, "session") as talk:
        subprocess.run(command, env=acme.server.env, check=True, capture_output=True, timeout=60)  # noqa: ASYNC221
        await assert_closed(talk, 4401)


async def test_who_was_signed_out_can_come_back(acme: Visitor, person: Person) -> None:
    async with socket_of(acme, person, "token") as talk:
        await assert_ends(talk, 4401, lambda: person.set_password("another one"))
    response = await acme.post("/api/token/", {"username": person.username, "password": "another one"})
    assert response.status_code == 200
    token = acme.server.keep_secret(response.json()["access"])
    async with acme.open_json(PATH, token=token) as talk:
        assert talk.welcome["user"]["username"] == person.username
    assert PASSWORD != "another one"
