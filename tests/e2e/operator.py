"""An operator of the site: makes keys, and calls the control endpoints with them."""

from collections.abc import Sequence
from typing import Any

import httpx

from tests.e2e.visitor import Visitor

BOTH = ("control:read", "control:write")
_NEW_KEY = "from realtime import create_key\nresult = create_key(name, scopes, tenant=tenant)[1]"


class Operator:
    """Calls /api/realtime/ on the host and server of a visitor, with a header of its own."""

    def __init__(self, visitor: Visitor, headers: dict[str, str]) -> None:
        self._visitor = visitor
        self._headers = headers

    @classmethod
    def with_key(cls, visitor: Visitor, *, tenant: str = "", scopes: Sequence[str] = BOTH) -> "Operator":
        """An operator with an API key: without a tenant, for all of them."""
        name = f"key {tenant} {' '.join(scopes)}"
        logins = visitor.site.logins
        if name not in logins:
            secret = visitor.site.orm.run(_NEW_KEY, name=name, scopes=list(scopes), tenant=tenant)
            logins[name] = (0.0, visitor.server.keep_secret(secret))
        return cls(visitor, {"Authorization": f"Bearer {logins[name][1]}"})

    @classmethod
    async def with_token(
        cls, visitor: Visitor, username: str, scopes: Sequence[str] | None = None
    ) -> "Operator":
        """An operator with an access token."""
        return cls(visitor, {"Authorization": f"Bearer {await visitor.token(username, scopes)}"})

    @classmethod
    async def with_session(cls, visitor: Visitor, username: str) -> "Operator":
        """An operator with a session and its CSRF token."""
        cookie = await visitor.session(username)
        csrf = cookie.partition("csrftoken=")[2]
        return cls(visitor, {"Cookie": cookie, "X-CSRFToken": csrf, "Origin": visitor.origin})

    async def get(self, path: str, **params: Any) -> httpx.Response:
        """GET /api/realtime/<path>."""
        return await self._visitor.http.get(
            f"/api/realtime/{path}", params=params or None, headers=self._headers
        )

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """POST /api/realtime/<path>, perhaps with an Idempotency-Key."""
        headers = self._headers | ({"Idempotency-Key": key} if key is not None else {})
        return await self._visitor.http.post(f"/api/realtime/{path}", json=body or {}, headers=headers)

    async def delete(self, path: str) -> httpx.Response:
        """DELETE /api/realtime/<path>."""
        return await self._visitor.http.delete(f"/api/realtime/{path}", headers=self._headers)

    async def see(self, path: str, **params: Any) -> Any:
        """The body of a GET that must succeed."""
        response = await self.get(path, **params)
        assert response.status_code == 200, (path, response.status_code, response.text[:500])
        return response.json()

    async def do(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The body of a POST that must succeed."""
        response = await self.post(path, body, key=key)
        assert response.status_code == 200, (path, response.status_code, response.text[:500])
        return response.json()
