"""A newer token in place of the old one: only where its endpoint would admit it."""

from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest

from realtime import CloseCode, JsonConsumer, Refusal, RequestError, websocket
from realtime.core.identity import Identity
from realtime.core.revocations import Revocation, RevocationKind
from realtime.endpoints.consumers.core_verbs import Refresh, on_refresh
from realtime.endpoints.routing import Route
from realtime.endpoints.verbs import Call
from realtime.protocol.envelope import Request
from tests.realtime.followers import ACME, identity

ALICE = identity(1, ["chat:read", "chat:write"])
SCOPED = websocket("ws/orders/", JsonConsumer, scopes={"chat:write"})
STAFF = websocket("ws/staff/", JsonConsumer, staff=True)
OPEN = websocket("ws/open/", JsonConsumer)


class Consumer:
    """As the verb sees it."""

    def __init__(self, route: Route, fresh: Identity) -> None:
        self.scope = {"route": route}
        self.renewed: list[Identity] = []
        self.judged = 0
        self.connection = SimpleNamespace(identity=ALICE, tenant=ACME, renew=self.renewed.append)
        self.node = SimpleNamespace(
            authenticator=SimpleNamespace(verify_token=lambda token, tenant: fresh),
            credentials=SimpleNamespace(require_live=lambda identity: identity),
            joiner=SimpleNamespace(judge_again=self._judge),
        )

    async def _judge(self, connection: Any, *, is_strict: bool) -> None:
        assert is_strict
        self.judged += 1

    async def refresh(self) -> None:
        call = Call(
            cast("Any", self), Request("refresh", {}, 1), cast("Any", self.connection), cast("Any", self.node)
        )
        await on_refresh(call, Refresh("a token"))


@pytest.mark.parametrize("route", [SCOPED, STAFF])
async def test_what_the_route_would_not_admit_is_refused(route: Route) -> None:
    consumer = Consumer(route, replace(ALICE, scopes=frozenset({"chat:read"})))
    with pytest.raises(RequestError, match="This"):
        await consumer.refresh()
    assert consumer.renewed == []


async def test_what_it_admits_is_in_force_and_its_subscriptions_are_judged_again() -> None:
    narrow = replace(ALICE, scopes=frozenset({"chat:write"}))
    for route in (SCOPED, OPEN):
        consumer = Consumer(route, narrow)
        await consumer.refresh()
        assert (consumer.renewed, consumer.judged) == ([narrow], 1)


async def test_a_fuller_token_has_nothing_judged() -> None:
    fuller = replace(ALICE, scopes=ALICE.scopes | {"pubsub:publish"}, is_staff=True)
    consumer = Consumer(OPEN, fuller)
    await consumer.refresh()
    assert (consumer.renewed, consumer.judged) == ([fuller], 0)


async def test_what_uses_a_session_ends_with_it() -> None:
    consumer = Consumer(websocket("ws/session/", JsonConsumer, session=True), ALICE)
    consumer.connection.identity = replace(ALICE, session_key_hash="of the session")
    await consumer.refresh()
    sign_out = Revocation(RevocationKind.SESSION, 0, "of the session", 0, None, inf)
    assert sign_out.ends(consumer.renewed[0]) is CloseCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("route", "who", "code"),
    [
        (SCOPED, None, CloseCode.UNAUTHENTICATED),
        (SCOPED, replace(ALICE, scopes=frozenset()), CloseCode.FORBIDDEN),
        (STAFF, ALICE, CloseCode.FORBIDDEN),
        (STAFF, replace(ALICE, is_staff=cast("Any", 1)), CloseCode.FORBIDDEN),
    ],
)
def test_whom_a_route_does_not_admit(route: Route, who: Identity | None, code: CloseCode) -> None:
    with pytest.raises(Refusal) as refused:
        route.require(who)
    assert refused.value.close_code == code


def test_whom_it_admits() -> None:
    SCOPED.require(ALICE)
    STAFF.require(replace(ALICE, is_staff=True))
    OPEN.require(None)
