"""Whose pages may open a socket with a cookie: the tenant's own, exactly."""

import pytest

from tests.e2e.visitor import Visitor

PATH = "/ws/pubsub/"
MALFORMED = [
    "null",
    "http://[bad",
    "http://acme.localhost:bad",
    "acme.localhost",
    "//acme.localhost",
    "http:",
]

pytestmark = pytest.mark.kinds("serve", "daphne")


def foreign(visitor: Visitor) -> list[str]:
    """Origins that look like ours and are not."""
    port = visitor.server.port
    return [
        f"https://acme.localhost:{port}",
        "http://acme.localhost",
        f"http://acme.localhost:{port + 1}",
        f"http://globex.localhost:{port}",
        f"http://evil.acme.localhost:{port}",
        f"http://acme.localhost.evil.example:{port}",
        f"http://acme.localhost.:{port}",
        f"http://user@acme.localhost:{port}",
        "http://evil.example",
    ]


async def test_our_own_origin(acme: Visitor) -> None:
    async with acme.open_json(PATH, cookie=await acme.session(), origin=acme.origin) as talk:
        assert talk.welcome["user"]["username"] == "alice"


async def test_every_other_origin_is_refused_a_session(acme: Visitor) -> None:
    cookie = await acme.session()
    for origin in foreign(acme):
        await acme.assert_refused(PATH, 403, 4403, cookie=cookie, origin=origin)


@pytest.mark.kinds("serve")
async def test_an_origin_that_is_none_is_refused(acme: Visitor) -> None:
    # Daphne answers some of these itself, with 400.
    cookie = await acme.session()
    for origin in MALFORMED:
        await acme.assert_refused(PATH, 403, 4403, cookie=cookie, origin=origin)


@pytest.mark.kinds("serve")
async def test_the_root_dot_makes_another_site(acme: Visitor) -> None:
    cookie, host = await acme.session(), "acme.localhost."
    await acme.assert_refused(
        PATH, 403, 4403, cookie=cookie, host=host, origin=f"http://{host}:{acme.server.port}"
    )
    async with acme.open_json(PATH, cookie=cookie, host=host, origin=acme.origin) as talk:
        assert talk.welcome["tenant"] == "acme"


async def test_a_foreign_origin_is_refused_everywhere(acme: Visitor) -> None:
    for path in ("/ws/echo/", "/ws/", "/ws/pooled/"):
        await acme.assert_refused(path, 403, 4403, origin="http://evil.example")


async def test_a_session_without_an_origin_is_refused_where_one_must_sign_in(acme: Visitor) -> None:
    cookie = await acme.session()
    for path in ("/ws/data/", "/ws/session/", "/ws/chat/"):
        await acme.assert_refused(path, 403, 4403, cookie=cookie, origin="")


async def test_a_token_needs_no_origin(acme: Visitor) -> None:
    async with acme.open_json("/ws/data/", token=await acme.token()) as talk:
        assert talk.welcome["user"]["username"] == "alice"


@pytest.mark.settings(REALTIME_ALLOWED_ORIGINS="https://app.example.com,http://other.example:8443")
async def test_other_origins_that_are_allowed(acme: Visitor) -> None:
    cookie = await acme.session()
    for origin in ("https://app.example.com", "http://other.example:8443"):
        async with acme.open_json(PATH, token=await acme.token(), origin=origin) as talk:
            assert talk.welcome["user"]["username"] == "alice"
    for origin in ("http://app.example.com", "https://app.example.com:8443", "https://x.app.example.com"):
        await acme.assert_refused(PATH, 403, 4403, cookie=cookie, origin=origin)
