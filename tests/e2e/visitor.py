"""Somebody at one of the site's hosts: signs in, asks for tokens and tickets, opens sockets."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.e2e.talk import WAIT_S, Talk, assert_reply
from tests.servers.pool import Site
from tests.servers.process import ServerProcess

PASSWORD = "rockstar"
# Well under the default lifetime of an access token, 900 s.
TOKEN_CACHE_S = 300.0
ERROR_KEYS = {"code", "message"}


class Visitor:
    """A client of `server` under the name `host`. Close it by leaving its context."""

    def __init__(self, site: Site, host: str, server: ServerProcess | None = None) -> None:
        self.site = site
        self.server = server or site.server
        self.host = host
        self.origin = f"http://{host}:{self.server.port}"
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.server.port}",
            headers={"Host": f"{host}:{self.server.port}"},
            timeout=WAIT_S,
            trust_env=False,
            # Nothing here speaks TLS, and reading every authority of the world takes 30 ms.
            verify=False,
        )

    async def __aenter__(self) -> "Visitor":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    @property
    def slug(self) -> str:
        """The name of the tenant, by which hosts of tests begin."""
        return self.host.partition(".")[0]

    async def tokens(self, username: str = "alice", **fields: Any) -> dict[str, Any]:
        """A new pair of tokens: the body of `POST /api/token/`."""
        body = {"username": username, "password": PASSWORD} | fields
        response = await self.http.post("/api/token/", json=body)
        assert response.status_code == 200, response.text
        pair: dict[str, Any] = response.json()
        self.server.keep_secret(pair["access"])
        self.server.keep_secret(pair["refresh"])
        return pair

    async def token(self, username: str = "alice", scopes: Sequence[str] | None = None) -> str:
        """An access token, perhaps one handed out before: don't revoke it."""
        name = f"token {self.host} {username} {scopes}"
        made_s, token = self.site.logins.get(name, (0.0, ""))
        if time.monotonic() - made_s > TOKEN_CACHE_S or not token:
            fields = {} if scopes is None else {"scopes": list(scopes)}
            token = (await self.tokens(username, **fields))["access"]
            self.site.logins[name] = (time.monotonic(), token)
        return token

    async def session(self, username: str = "alice") -> str:
        """The cookie header of a signed-in session, perhaps one used before: don't sign it out."""
        name = f"session {self.host} {username}"
        if name not in self.site.logins:
            self.site.logins[name] = (0.0, await self.sign_in(username))
        return self.site.logins[name][1]

    async def sign_in(self, username: str = "alice", password: str = PASSWORD) -> str:
        """Sign in through the page; the cookie header of the new session."""
        async with Visitor(self.site, self.host, self.server) as fresh:
            page = await fresh.http.get("/accounts/login/")
            assert page.status_code == 200, page.text
            form = {"username": username, "password": password, "csrfmiddlewaretoken": csrf_of(page)}
            done = await fresh.http.post("/accounts/login/", data=form)
            assert done.status_code == 302, done.text
            key = fresh.http.cookies["sessionid"]
            self.server.keep_secret(key)
            return f"sessionid={key}; csrftoken={fresh.http.cookies['csrftoken']}"

    async def ticket(self, username: str = "alice") -> str:
        """A fresh ticket, asked for with a token."""
        headers = {"Authorization": f"Bearer {await self.token(username)}"}
        response = await self.http.post("/api/ws-ticket/", headers=headers)
        assert response.status_code in {200, 201}, response.text
        return self.server.keep_secret(response.json()["ticket"])

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """POST JSON."""
        return await self.http.post(path, json={} if body is None else body, headers=headers)

    async def post_form(self, path: str, cookie: str, data: dict[str, Any]) -> httpx.Response:
        """POST a form of a page as a signed-in browser does, with the page's CSRF token."""
        page = await self.http.get(path, headers={"Cookie": cookie})
        assert page.status_code == 200, (path, page.status_code, page.text[:500])
        data = {"csrfmiddlewaretoken": csrf_of(page)} | data
        return await self.http.post(path, data=data, headers={"Cookie": cookie})

    @asynccontextmanager
    async def open(
        self,
        path: str,
        *,
        token: str | None = None,
        cookie: str | None = None,
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        host: str | None = None,
        max_queue: int | None = None,
        compression: str | None = None,
    ) -> AsyncIterator[Talk]:
        """Open a socket; `token` goes into the Authorization header, a cookie brings our own origin along."""
        headers = [("Authorization", f"Bearer {token}")] if token else []
        headers += [("Cookie", cookie)] if cookie else []
        if cookie and origin is None:
            origin = self.origin
        async with connect(
            f"ws://{host or self.host}:{self.server.port}{path}",
            host="127.0.0.1",
            port=self.server.port,
            additional_headers=headers,
            origin=origin or None,  # type: ignore[arg-type]
            subprotocols=list(subprotocols) or None,  # type: ignore[arg-type]
            compression=compression,
            ping_interval=None,
            open_timeout=WAIT_S,
            close_timeout=2,
            max_size=None,
            max_queue=max_queue,
            proxy=None,
        ) as socket:
            yield Talk(socket)

    @asynccontextmanager
    async def reopen(self, path: str, **options: Any) -> AsyncIterator[Talk]:
        """Open a socket whose place another one is just giving up: tried until it stays open."""
        deadline_s = time.monotonic() + WAIT_S
        while True:
            try:
                async with self.open(path, **options) as talk:
                    if await talk.is_alive():
                        yield talk
                        return
            except InvalidStatus:
                if time.monotonic() > deadline_s:
                    raise
            assert time.monotonic() < deadline_s, f"{path} stayed closed"
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def open_json(self, path: str, user: str | None = None, **options: Any) -> AsyncIterator[Talk]:
        """Open a JSON endpoint, as `user` by token where given, and take its welcome."""
        if user is not None:
            options["token"] = await self.token(user)
        async with self.open(path, **options) as talk:
            talk.welcome = assert_reply(await talk.message(), "welcome")
            yield talk

    async def assert_refused(self, path: str, status: int, close: int, **options: Any) -> None:
        """Refused by HTTP where the server can, else by close code; for a browser always by close code."""
        if self.server.refuses_by_http:
            response = await self.refusal(path, **options)
            assert response.status_code == status, (response.status_code, response.text)
            assert_error_body(response)
            assert_safe_headers(response)
            assert ("retry-after" in response.headers) == (status in {429, 503}), response.headers
        else:
            await self.assert_closed_at_once(path, close, **options)
        if "subprotocols" not in options:
            await self.assert_closed_at_once(path, close, subprotocols=["rockstar.v1"], **options)

    async def assert_closed_at_once(self, path: str, close: int, **options: Any) -> None:
        """Accepted, and closed with `close` before anything was said."""
        async with self.open(path, **options) as talk:
            code, _ = await talk.closed()
            assert code == close, f"closed with {code}, expected {close}"
            assert not talk.received_anything

    async def refusal(self, path: str, **options: Any) -> httpx.Response:
        """The HTTP response to a handshake that is not let in."""
        try:
            async with self.open(path, **options) as talk:
                raise AssertionError(f"{path} was opened: {talk.socket.protocol.state.name}")
        except InvalidStatus as refused:
            answer = refused.response
            headers = list(answer.headers.raw_items())
            return httpx.Response(answer.status_code, headers=headers, content=bytes(answer.body or b""))


def assert_safe_headers(response: httpx.Response) -> None:
    """What every answer says that does not come from the site."""
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert response.headers["referrer-policy"]
    assert response.headers["cache-control"] == "no-store"


def assert_error_body(response: httpx.Response) -> dict[str, Any]:
    """The body is `{"error": {"code", "message"}}`; returns what is in it."""
    assert response.headers["content-type"].startswith("application/json"), response.headers
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() >= ERROR_KEYS, error
    assert isinstance(error["code"], str), error
    return error


def csrf_of(page: httpx.Response) -> str:
    """The CSRF token of a page's form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text[:2000]
    return found[1]
