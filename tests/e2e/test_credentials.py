"""Every way to bring a credential, and what becomes of those that are bad."""

from typing import Any

import pytest

from tests.e2e.visitor import Visitor, assert_error_body

PATH = "/ws/pubsub/"
GUARDED = ["/ws/data/", "/ws/chat/", "/ws/secure/"]

pytestmark = pytest.mark.kinds("serve", "daphne")


async def name_at(visitor: Visitor, path: str, **options: Any) -> str | None:
    """Who one is on a JSON endpoint."""
    async with visitor.open_json(path, **options) as talk:
        name: str | None = talk.welcome["user"] and talk.welcome["user"]["username"]
    return name


async def test_token_in_the_header(acme: Visitor) -> None:
    assert await name_at(acme, PATH, token=await acme.token()) == "alice"


async def test_token_in_the_query(acme: Visitor) -> None:
    assert await name_at(acme, f"{PATH}?token={await acme.token()}") == "alice"


async def test_token_as_the_only_subprotocol(acme: Visitor) -> None:
    token = await acme.token()
    async with acme.open_json(PATH, subprotocols=[token]) as talk:
        assert talk.welcome["user"]["username"] == "alice"
        assert talk.socket.subprotocol == token


async def test_token_beside_our_subprotocol(acme: Visitor) -> None:
    token = await acme.token()
    async with acme.open_json(PATH, subprotocols=["rockstar.v1", f"bearer.{token}"]) as talk:
        assert talk.welcome["user"]["username"] == "alice"
        assert talk.socket.subprotocol == "rockstar.v1"


async def test_our_subprotocol_alone_is_answered(acme: Visitor) -> None:
    async with acme.open_json(PATH, subprotocols=["rockstar.v1"]) as talk:
        assert talk.welcome["user"] is None
        assert talk.socket.subprotocol == "rockstar.v1"


async def test_no_subprotocol_is_answered_where_none_was_offered(acme: Visitor) -> None:
    async with acme.open_json(PATH) as talk:
        assert talk.socket.subprotocol is None


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_a_ticket_works_once(acme: Visitor) -> None:
    ticket = await acme.ticket()
    assert await name_at(acme, f"{PATH}?ticket={ticket}") == "alice"
    await acme.assert_refused(f"{PATH}?ticket={ticket}", 401, 4401)


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_a_ticket_asked_for_with_a_session(acme: Visitor) -> None:
    cookie = await acme.session()
    page = await acme.http.get("/chat/", headers={"Cookie": cookie})
    assert page.status_code == 200
    csrf = cookie.partition("csrftoken=")[2]
    headers = {"Cookie": cookie, "X-CSRFToken": csrf}
    response = await acme.http.post("/api/ws-ticket/", headers=headers)
    assert response.status_code in {200, 201}, response.text
    ticket = acme.server.keep_secret(response.json()["ticket"])
    assert await name_at(acme, f"{PATH}?ticket={ticket}") == "alice"


async def test_a_ticket_wants_a_credential(acme: Visitor) -> None:
    response = await acme.post("/api/ws-ticket/")
    assert response.status_code in {401, 403}
    assert_error_body(response)


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_a_session_with_our_origin(acme: Visitor) -> None:
    assert await name_at(acme, PATH, cookie=await acme.session()) == "alice"


async def test_a_session_that_nobody_signed_in_with_is_nobody(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie="csrftoken=" + "x" * 32) as talk:
        assert talk.welcome["user"] is None


BAD = ["not-a-token", "eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoxfQ.", "a.b.c"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("path", [PATH, "/ws/echo/", "/ws/data/"])
async def test_a_bad_token_refuses_even_where_nobody_needs_one(acme: Visitor, path: str, bad: str) -> None:
    await acme.assert_refused(path, 401, 4401, token=bad)
    await acme.assert_refused(f"{path}?token={bad}", 401, 4401)


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_token_in_the_subprotocols(acme: Visitor, bad: str) -> None:
    await acme.assert_closed_at_once(PATH, 4401, subprotocols=["rockstar.v1", f"bearer.{bad}"])


async def test_a_refused_subprotocol_token_by_http(acme: Visitor) -> None:
    await acme.assert_refused(PATH, 401, 4401, subprotocols=["eyJhbGciOiJub25lIn0.eyJ1c2VyX2lkIjoxfQ.x"])


async def test_a_bad_ticket(acme: Visitor) -> None:
    await acme.assert_refused(f"{PATH}?ticket=no-such-ticket", 401, 4401)


async def test_an_empty_credential_is_a_bad_one(acme: Visitor) -> None:
    await acme.assert_refused(f"{PATH}?token=", 401, 4401)


@pytest.mark.kinds("serve", "daphne", "scaled")
async def test_a_session_that_does_not_exist(acme: Visitor) -> None:
    await acme.assert_refused("/ws/data/", 401, 4401, cookie="sessionid=" + "x" * 32)


async def test_a_bad_credential_never_falls_back_to_a_good_one(acme: Visitor) -> None:
    cookie = await acme.session()
    await acme.assert_refused(f"{PATH}?token=bad.bad.bad", 401, 4401, cookie=cookie)
    await acme.assert_refused(f"{PATH}?ticket=bad", 401, 4401, token=await acme.token())


async def test_a_changed_token_is_a_bad_one(acme: Visitor) -> None:
    head, body, signature = (await acme.token()).split(".")
    swapped = "A" if signature[5] != "A" else "B"
    forged = f"{head}.{body}.{signature[:5]}{swapped}{signature[6:]}"
    await acme.assert_refused(PATH, 401, 4401, token=forged)


async def test_a_refresh_token_is_no_access_token(acme: Visitor) -> None:
    pair = await acme.tokens()
    await acme.assert_refused(PATH, 401, 4401, token=pair["refresh"])


@pytest.mark.parametrize("path", GUARDED)
async def test_guarded_paths_want_somebody(acme: Visitor, path: str) -> None:
    await acme.assert_refused(path, 401, 4401)


@pytest.mark.kinds("serve")
async def test_a_refusal_names_its_reason(acme: Visitor) -> None:
    response = await acme.refusal("/ws/data/")
    error = assert_error_body(response)
    assert error["message"]
    assert response.headers.get("cache-control") in {None, "no-store"}


async def test_the_welcome_tells_the_scopes_of_the_token(acme: Visitor) -> None:
    token = await acme.token("alice", ["chat:read"])
    async with acme.open_json(PATH, token=token) as talk:
        assert talk.welcome["scopes"] == ["chat:read"]
