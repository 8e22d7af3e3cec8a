"""The pages: health, the way to the chat, sign-in and sign-out, the schema, the admin site."""

import pytest

from tests.e2e.visitor import PASSWORD, Visitor, csrf_of


@pytest.mark.kinds("serve", "daphne", "scaled")
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health(acme: Visitor, path: str) -> None:
    assert (await acme.http.get(path)).status_code == 200


async def test_the_front_door_leads_to_the_chat(acme: Visitor) -> None:
    headers = {"Cookie": await acme.session()}
    response = await acme.http.get("/", headers=headers)
    assert response.status_code == 302
    assert response.headers["location"] == "/chat/"
    page = await acme.http.get("/chat/", headers=headers)
    assert page.status_code == 200
    assert "alice" in page.text


async def test_by_way_of_the_sign_in_page(acme: Visitor) -> None:
    response = await acme.http.get("/", follow_redirects=True)
    assert response.status_code == 200
    assert response.url.path == "/accounts/login/"
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": csrf_of(response)}
    done = await acme.http.post(str(response.url), data=form, follow_redirects=True)
    assert done.status_code == 200, done.text
    assert done.url.path == "/chat/"
    acme.server.keep_secret(acme.http.cookies["sessionid"])


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "http:///evil.example"])
async def test_signing_in_leads_nowhere_else(acme: Visitor, target: str) -> None:
    page = await acme.http.get("/accounts/login/", params={"next": target})
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": csrf_of(page), "next": target}
    done = await acme.http.post("/accounts/login/", params={"next": target}, data=form)
    assert done.status_code == 302
    assert "evil" not in done.headers["location"]
    acme.server.keep_secret(acme.http.cookies["sessionid"])


async def test_a_form_without_its_token_is_refused(acme: Visitor) -> None:
    done = await acme.http.post("/accounts/login/", data={"username": "alice", "password": PASSWORD})
    assert done.status_code == 403


async def test_the_session_cookie_is_for_http_and_this_host_only(acme: Visitor) -> None:
    page = await acme.http.get("/accounts/login/")
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": csrf_of(page)}
    done = await acme.http.post("/accounts/login/", data=form)
    cookie = next(value for value in done.headers.get_list("set-cookie") if value.startswith("sessionid="))
    acme.server.keep_secret(cookie.partition("=")[2].partition(";")[0])
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert "domain=" not in cookie.lower()


async def test_the_admin_site_is_for_staff(acme: Visitor) -> None:
    paths = ("/admin/", "/admin/realtime/live/")
    # First: the client keeps the cookies of later answers.
    for path in paths:
        assert (await acme.http.get(path)).status_code == 302
    for path in paths:
        alice = await acme.http.get(path, headers={"Cookie": await acme.session("alice")})
        assert alice.status_code in {302, 403}
        admin = await acme.http.get(path, headers={"Cookie": await acme.session("admin")})
        assert admin.status_code == 200, admin.text[:1000]


@pytest.mark.parametrize(
    "model",
    ["accounts/user", "accounts/tenant", "accounts/domain", "accounts/membership", "chat/room", "demo/item"],
)
async def test_the_admin_site_edits_the_models(acme: Visitor, model: str) -> None:
    cookie = await acme.session("admin")
    for page in ("", "add/"):
        response = await acme.http.get(f"/admin/{model}/{page}", headers={"Cookie": cookie})
        assert response.status_code == 200, (page, response.text[:500])


async def test_the_schema_describes_the_api(acme: Visitor) -> None:
    response = await acme.http.get("/api/schema/", headers={"Accept": "application/json"})
    assert response.status_code == 200
    schema = response.json()
    assert schema["openapi"].startswith("3.")
    assert schema["paths"].keys() >= {
        "/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/revoke/", "/api/ws-ticket/"
    }  # fmt: skip
    for path in ("/api/token/", "/api/ws-ticket/"):
        operation = schema["paths"][path]["post"]
        assert any(status.startswith("2") for status in operation["responses"])
    token = schema["paths"]["/api/token/"]["post"]
    assert {"200", "401", "429"} <= token["responses"].keys()


async def test_addresses_work_with_and_without_their_final_slash(acme: Visitor) -> None:
    credentials = {"username": "alice", "password": PASSWORD}
    tokens = await acme.post("/api/token", credentials)
    assert tokens.status_code == 200, tokens.text[:500]
    acme.server.keep_secret(tokens.json()["access"])
    acme.server.keep_secret(tokens.json()["refresh"])
    for path in ("/healthz/", "/readyz/", "/api/schema"):
        assert (await acme.http.get(path)).status_code == 200, path
    for path in ("/metrics/", "/metrics/websocket/"):
        assert (await acme.http.get(path)).status_code == 401, path


async def test_an_unknown_page_is_404(acme: Visitor) -> None:
    assert (await acme.http.get("/no/such/page/")).status_code == 404
