"""POST /api/token/ and its relatives: bodies, statuses, scopes, throttling."""

import base64
import json
from typing import Any

import pytest

from tests.e2e.people import Person
from tests.e2e.visitor import PASSWORD, Visitor, assert_error_body

MEMBER = {"chat:read", "chat:write", "pubsub:publish", "websocket:access"}
STAFF = {"metrics:read", "control:read", "control:write"}


def claims_of(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    body = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


async def test_a_pair_of_tokens(acme: Visitor) -> None:
    pair = await acme.tokens("alice")
    assert pair.keys() == {"access", "refresh", "expires_in", "scopes"}
    assert pair["expires_in"] == 900
    assert set(pair["scopes"]) == MEMBER
    claims = claims_of(pair["access"])
    assert claims.keys() >= {"user_id", "tenant", "scopes", "jti", "exp"}
    assert claims["tenant"] == "acme"
    assert set(claims["scopes"]) == MEMBER


async def test_staff_hold_more(acme: Visitor) -> None:
    assert set((await acme.tokens("admin"))["scopes"]) == MEMBER | STAFF


async def test_the_tenant_is_the_hosts(acme: Visitor, globex: Visitor) -> None:
    assert claims_of(await globex.token("admin"))["tenant"] == "globex"
    assert claims_of(await acme.token("admin"))["tenant"] == "acme"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (["chat:read"], {"chat:read"}),
        (["chat:read", "metrics:read"], {"chat:read"}),
        (["no:such"], set()),
        ([], set()),
    ],
)
async def test_scopes_narrow_and_never_widen(acme: Visitor, asked: list[str], given: set[str]) -> None:
    response = await acme.post("/api/token/", {"username": "alice", "password": PASSWORD, "scopes": asked})
    if response.status_code == 200:
        pair = response.json()
        assert set(pair["scopes"]) == given
        assert set(claims_of(pair["access"])["scopes"]) == given
    else:
        # Asking for what one does not have may also be refused.
        assert response.status_code in {400, 403}
        assert set(asked) - MEMBER


async def test_refreshing_does_not_widen(acme: Visitor) -> None:
    pair = await acme.tokens("alice", scopes=["chat:read"])
    response = await acme.post("/api/token/refresh/", {"refresh": pair["refresh"]})
    assert response.status_code == 200, response.text
    fresh = response.json()
    assert claims_of(fresh["access"])["scopes"] == ["chat:read"]
    assert claims_of(fresh["access"])["tenant"] == "acme"
    async with acme.open_json("/ws/pubsub/", token=fresh["access"]) as talk:
        assert talk.welcome["scopes"] == ["chat:read"]


@pytest.mark.kinds("serve", "scaled")
async def test_a_used_refresh_token_is_used_up(acme: Visitor) -> None:
    pair = await acme.tokens("alice")
    first = await acme.post("/api/token/refresh/", {"refresh": pair["refresh"]})
    assert first.status_code == 200
    if "refresh" in first.json():
        again = await acme.post("/api/token/refresh/", {"refresh": pair["refresh"]})
        assert again.status_code == 401


async def test_verify(acme: Visitor, globex: Visitor) -> None:
    token = await acme.token()
    assert (await acme.post("/api/token/verify/", {"token": token})).status_code == 200
    for bad in ("bad", token[:-4] + "AAAA"):
        response = await acme.post("/api/token/verify/", {"token": bad})
        assert response.status_code == 401
        assert_error_body(response)
    assert (await globex.post("/api/token/verify/", {"token": token})).status_code in {401, 403}


@pytest.mark.kinds("serve", "scaled")
async def test_a_revoked_token_verifies_no_more(acme: Visitor) -> None:
    pair = await acme.tokens("alice")
    response = await acme.post("/api/token/revoke/", {"refresh": pair["refresh"]})
    assert response.status_code in {200, 204, 205}
    assert (await acme.post("/api/token/verify/", {"token": pair["access"]})).status_code == 401
    assert (await acme.post("/api/token/refresh/", {"refresh": pair["refresh"]})).status_code == 401
    ticket = await acme.post("/api/ws-ticket/", Authorization=f"Bearer {pair['access']}")
    assert ticket.status_code == 401


@pytest.mark.parametrize(
    "body", [{}, {"username": "alice"}, {"password": "x"}, {"username": 7, "password": []}]
)
async def test_a_body_that_is_not_right(acme: Visitor, body: dict[str, Any]) -> None:
    response = await acme.post("/api/token/", body)
    assert response.status_code == 400, response.text
    assert_error_body(response)


@pytest.mark.parametrize(
    "path", ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/revoke/"]
)
async def test_a_body_that_is_no_json(acme: Visitor, path: str) -> None:
    response = await acme.http.post(path, content=b"{nope", headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert_error_body(response)


@pytest.mark.parametrize(
    "path", ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/revoke/"]
)
async def test_reading_is_not_allowed(acme: Visitor, path: str) -> None:
    assert (await acme.http.get(path)).status_code == 405


@pytest.mark.parametrize("path", ["/api/token/refresh/", "/api/token/revoke/"])
async def test_a_refresh_token_that_is_none(acme: Visitor, path: str) -> None:
    for bad in ("bad", await acme.token()):
        response = await acme.post(path, {"refresh": bad})
        assert response.status_code == 401, response.text
        assert_error_body(response)


@pytest.mark.kinds("serve", "scaled")
async def test_failures_are_401_and_ten_in_a_minute_are_enough(own_tenant: Visitor) -> None:
    """A wrong password, a name that nobody has, somebody switched off: each counts, and says the same."""
    person, switched_off = (Person.new(own_tenant.site, slug=own_tenant.slug) for _ in range(2))
    switched_off.deactivate()
    bodies = [
        {"username": "nobody", "password": "x"},
        {"username": switched_off.username, "password": PASSWORD},
        *[{"username": person.username, "password": "wrong"}] * 8,
    ]
    errors = []
    for body in bodies:
        response = await own_tenant.post("/api/token/", body)
        assert response.status_code == 401, (body, response.text)
        errors.append(assert_error_body(response))
    assert all(error == errors[0] for error in errors)
    response = await own_tenant.post("/api/token/", {"username": person.username, "password": PASSWORD})
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) in range(1, 61)
    assert_error_body(response)
