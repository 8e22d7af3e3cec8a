"""What the identity middleware leaves in the scope, which lives as long as the socket."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import OperationalError

from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.slots import Owner
from realtime.middleware.identity import Identify
from realtime.node.node import Node
from realtime.node.ports import LoadedSession
from realtime.protocol.errors import Refusal

ALICE = Identity(1, "alice", "acme", frozenset(), CredentialKind.TOKEN)


class Authenticator:
    def verify_token(self, token: str, tenant: Tenant) -> Identity:
        assert (token, tenant.slug) == ("a.b.c", "acme")
        return ALICE


async def test_the_header_with_the_token_is_not_kept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    seen: list[dict[str, Any]] = []
    scope = {
        "headers": [(b"host", b"acme.localhost"), (b"Authorization", b"Bearer a.b.c"), (b"x-kept", b"1")],
        "query_string": b"",
        "subprotocols": [],
        "route": SimpleNamespace(needs_session=False),
        "tenant": Tenant(1, "acme"),
    }
    credentials = SimpleNamespace(require_live=lambda identity: identity)
    runtime = cast("Node", SimpleNamespace(authenticator=Authenticator(), credentials=credentials))
    await Identify(app, runtime)(scope, asyncio.Queue[Any]().get, asyncio.Queue[Any]().put)
    assert seen[0]["identity"] is ALICE
    assert seen[0]["headers"] == [(b"host", b"acme.localhost"), (b"x-kept", b"1")]


class DatabaseAway:
    async def run_for(self, owner: Owner, *_: object) -> None:
        raise OperationalError("connection refused")


async def test_a_ticket_that_cannot_be_looked_up_is_503() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("let in")

    scope = {
        "headers": [(b"host", b"acme.localhost")],
        "query_string": b"ticket=abc",
        "subprotocols": [],
        "route": SimpleNamespace(needs_session=False),
        "tenant": Tenant(1, "acme"),
    }
    authenticator = SimpleNamespace(redeem_ticket=None)
    runtime = cast("Node", SimpleNamespace(authenticator=authenticator, database=DatabaseAway()))
    with pytest.raises(Refusal) as caught:
        await Identify(app, runtime)(scope, asyncio.Queue[Any]().get, asyncio.Queue[Any]().put)
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)


class DatabaseHere:
    async def run_for(self, owner: Owner, work: Callable[..., Any], *arguments: object) -> Any:
        return work(*arguments)


@pytest.mark.parametrize("user_id", [1, 2])
async def test_a_token_beside_a_session_is_of_the_same_user_and_ends_with_it(user_id: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["identity"])

    seen: list[Identity] = []
    scope = {
        "headers": [
            (b"cookie", b"sessionid=s"),
            (b"origin", b"http://acme"),
            (b"authorization", b"Bearer a.b.c"),
        ],
        "query_string": b"",
        "subprotocols": [],
        "route": SimpleNamespace(needs_session=True),
        "tenant": Tenant(1, "acme"),
        "client": ("192.0.2.1", 1),
    }
    own = replace(ALICE, user_id=user_id, kind=CredentialKind.SESSION, session_key_hash="hash of s")
    authenticator = Authenticator()
    authenticator.load_session = lambda key, tenant: LoadedSession(key, own)  # type: ignore[attr-defined]
    node = SimpleNamespace(
        authenticator=authenticator,
        credentials=SimpleNamespace(require_live=lambda identity: identity),
        database=DatabaseHere(),
    )
    handshake = Identify(app, cast("Node", node))(scope, asyncio.Queue[Any]().get, asyncio.Queue[Any]().put)
    if user_id == ALICE.user_id:
        await handshake
        assert seen == [replace(ALICE, session_key_hash="hash of s")]
    else:
        with pytest.raises(Refusal) as caught:
            await handshake
        assert caught.value.status == 401
