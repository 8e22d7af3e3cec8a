"""What differs where DEBUG is off and TLS ends at a proxy: cookies, the pages of the API."""

from http.cookies import SimpleCookie

import pytest

from tests.e2e.visitor import PASSWORD, Visitor, assert_error_body, csrf_of

pytestmark = pytest.mark.settings(DEBUG="0", HTTPS="1")
SESSION, CSRF = "__Host-sessionid", "__Host-csrftoken"


async def signed_in(acme: Visitor) -> SimpleCookie:
    """The cookies of a sign-in, as the server sets them. No browser is told: there is no TLS in these tests."""
    proxied = {"X-Forwarded-Proto": "https", "Referer": f"https://{acme.host}:{acme.server.port}/"}
    page = await acme.http.get("/accounts/login/", headers=proxied)
    cookies = SimpleCookie("\n".join(page.headers.get_list("set-cookie")))
    form = {"username": "alice", "password": PASSWORD, "csrfmiddlewaretoken": csrf_of(page)}
    headers = proxied | {"Cookie": f"{CSRF}={cookies[CSRF].value}"}
    done = await acme.http.post("/accounts/login/", data=form, headers=headers)
    assert done.status_code == 302, done.text[:500]
    for value in done.headers.get_list("set-cookie"):
        cookies.load(value)
    acme.server.keep_secret(cookies[SESSION].value)
    return cookies


async def test_cookies_are_of_this_host_and_over_tls_only(acme: Visitor) -> None:
    cookies = await signed_in(acme)
    assert set(cookies) == {SESSION, CSRF}
    for cookie in cookies.values():
        assert cookie["secure"] is True
        assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert cookies[SESSION]["httponly"] is True


async def test_sockets_and_pages_take_no_other_name(acme: Visitor) -> None:
    key = (await signed_in(acme))[SESSION].value
    origin = f"https://{acme.host}:{acme.server.port}"
    async with acme.open_json("/ws/session/", cookie=f"{SESSION}={key}", origin=origin) as talk:
        assert talk.welcome["user"]["username"] == "alice"
    await acme.assert_refused("/ws/session/", 401, 4401, cookie=f"sessionid={key}", origin=origin)
    for cookie, status in ((f"{SESSION}={key}", 200), (f"sessionid={key}", 302)):
        headers = {"Cookie": cookie, "X-Forwarded-Proto": "https"}
        assert (await acme.http.get("/chat/", headers=headers)).status_code == status


async def test_the_pages_of_the_api_are_away_and_its_description_is_not(acme: Visitor) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert (await acme.http.get("/api/docs/", headers=browser)).status_code == 404
    schema = await acme.http.get("/api/schema/", headers={"Accept": "application/json"})
    assert schema.status_code == 200
    assert "/api/token/" in schema.json()["paths"]
    for path in ("/api/token/", "/api/token/refresh/", "/api/ws-ticket/"):
        answer = await acme.http.get(path, headers=browser)
        assert answer.status_code in {401, 405}
        assert_error_body(answer)


@pytest.mark.settings(DEBUG="0", API_DOCS="1")
async def test_they_can_be_switched_on(acme: Visitor) -> None:
    browser = {"Accept": "text/html"}
    assert (await acme.http.get("/api/docs/", headers=browser)).status_code == 200
    assert (await acme.http.request("OPTIONS", "/api/docs/", headers=browser)).status_code == 405
    page = await acme.http.get("/api/token/", headers=browser)
    assert page.headers["content-type"].startswith("text/html")
