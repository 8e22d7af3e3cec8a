"""Ending connections: by revocation, by the round, with their tenant. No database: the site's side is played here."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from django.db import OperationalError

from realtime.core import revocations as revocations_module
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.revocations import Revocation, RevocationKind, Revocations
from realtime.node import credentials
from realtime.node.credentials import Credentials
from realtime.protocol.close_codes import CloseCode
from realtime.protocol.errors import Refusal
from tests.realtime.followers import until

ACME = Tenant(1, "acme", hosts=frozenset({"acme.localhost"}))
GLOBEX = Tenant(2, "globex", hosts=frozenset({"globex.localhost"}))
FOREVER_S = 2e10
GONE, OUT = CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN
ids = itertools.count()


class Site:
    """Both ports: what is revoked, who no longer holds, who cannot be judged, which tenants there are."""

    def __init__(self) -> None:
        self.tenants = {ACME, GLOBEX}
        # Tenants that name no hosts, by host.
        self.anywhere: dict[str, Tenant] = {}
        self.new: list[Revocation] = []
        self.gone: dict[int, CloseCode] = {}
        self.poison: set[int] = set()
        self.fault: Exception | None = None
        self.batches: list[int] = []
        self.sweeps: list[bool] = []
        self.reads = 0
        self.asked = 0

    def lookup(self, host: str) -> Tenant | None:
        if host in self.anywhere:
            return self.anywhere[host]
        return next((each for each in self.tenants if host in each.hosts), None)

    def refresh(self) -> None:
        self.reads += 1

    def revocations(self) -> Sequence[Revocation]:
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        new, self.new = self.new, []
        return new

    def recheck(self, identities: Iterable[Identity]) -> Mapping[Identity, CloseCode]:
        identities = list(identities)
        self.batches.append(len(identities))
        if any(each.user_id in self.poison for each in identities):
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return {each: self.gone[each.user_id] for each in identities if each.user_id in self.gone}

    def sweep(self) -> bool:
        return self.sweeps.pop() if self.sweeps else False


class Database:
    """Runs the work where it is asked for."""

    async def run(self, work: Any, *args: Any) -> Any:
        return work(*args)


class Socket:
    """A connection that was accepted."""

    def __init__(self, identity: Identity | None, tenant: Tenant = ACME, host: str = "") -> None:
        self.id, self.identity, self.tenant, self.host = f"c{next(ids)}", identity, tenant, host
        self.code: int | None = None

    def close(self, code: int, reason: str = "") -> None:
        self.code = int(code) if self.code is None else self.code


def identity(user_id: int, **fields: Any) -> Identity:
    defaults: dict[str, Any] = {"scopes": frozenset({"chat:read"}), "kind": CredentialKind.TOKEN, "rights": 5}
    return Identity(user_id, f"user{user_id}", **{"tenant": "acme"} | defaults | fields)


def revocation(kind: RevocationKind = RevocationKind.USER, **fields: Any) -> Revocation:
    defaults: dict[str, Any] = {
        "user_id": 1,
        "name": "",
        "rights_below": 6,
        "lost": None,
        "until_s": FOREVER_S,
    }
    return Revocation(kind, **defaults | fields)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def held(site: Site) -> Credentials:
    held = Credentials(cast("Any", site), cast("Any", site))
    held.database = cast("Any", Database())
    return held


def opened(held: Credentials, *sockets: Socket) -> None:
    for socket in sockets:
        held.opened(cast("Any", socket))


ENDS: list[tuple[Revocation, dict[str, Any], CloseCode | None]] = [
    (revocation(), {}, GONE),
    (revocation(), {"rights": 6}, None),
    (revocation(), {"tenant": "globex"}, GONE),
    (revocation(user_id=2), {}, None),
    (revocation(lost=("staff",)), {}, None),
    (revocation(lost=("staff",)), {"is_staff": True}, GONE),
    (revocation(lost=("superuser",)), {"is_superuser": True}, GONE),
    (revocation(lost=("chat:read",)), {}, GONE),
    (revocation(lost=("chat:write",)), {}, None),
    (revocation(RevocationKind.MEMBERSHIP, name="acme"), {}, OUT),
    (revocation(RevocationKind.MEMBERSHIP, name="globex"), {}, None),
    (revocation(RevocationKind.MEMBERSHIP, name="acme", lost=("chat:read",)), {}, GONE),
    (revocation(RevocationKind.FAMILY, name="f"), {"family": "f"}, GONE),
    (revocation(RevocationKind.FAMILY, name="f"), {"family": "g"}, None),
    (revocation(RevocationKind.FAMILY, name="f"), {}, None),
    (revocation(RevocationKind.SESSION, name="s"), {"session_key_hash": "s"}, GONE),
    (revocation(RevocationKind.STAMP, name="p", user_id=0), {"password_stamp": "p"}, GONE),
]


@pytest.mark.parametrize(("what", "fields", "code"), ENDS)
async def test_what_a_revocation_ends(
    held: Credentials, what: Revocation, fields: dict[str, Any], code: CloseCode | None
) -> None:
    """Open ones, those on their way, and those that come: one judgement."""
    before, after, anonymous, other = (
        Socket(identity(1, **fields)),
        Socket(identity(1, **fields)),
        Socket(None),
        Socket(identity(7)),
    )
    opened(held, before, anonymous, other)
    held.revoke([what])
    opened(held, after)
    assert (before.code, after.code, anonymous.code, other.code) == (code, code, None, None)
    if code is None:
        assert held.require_live(identity(1, **fields))
    else:
        with pytest.raises(Refusal) as caught:
            held.require_live(identity(1, **fields))
        assert caught.value.close_code == code


async def test_a_sign_out_looks_at_that_user_only(held: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = [Socket(identity(number)) for number in range(1, 20_001)]
    opened(held, *sockets)
    looked: list[int | str] = []
    ends = Revocation.ends

    def looking(self: Revocation, identity: Identity) -> CloseCode | None:
        looked.append(identity.user_id)
        return ends(self, identity)

    monkeypatch.setattr(Revocation, "ends", looking)
    held.revoke([revocation(RevocationKind.SESSION, user_id=77, name="s")])
    assert looked == [77]


async def test_all_connections_of_a_user_are_found(held: Credentials) -> None:
    first, second, third = (Socket(identity(1)) for _ in range(3))
    opened(held, first, second, third)
    held.released(cast("Any", second))
    held.revoke([revocation()])
    assert (first.code, second.code, third.code) == (4401, None, 4401)
    for socket in (first, third):
        held.released(cast("Any", socket))
    assert not held._of_user
    assert not held._open


async def test_what_the_bus_said_is_not_done_twice(held: Credentials, site: Site) -> None:
    body = credentials.encode([revocation()])
    held.on_message(body)
    held.on_message(b"\xff nonsense")
    held.on_message(credentials.encode([]))
    site.new = [revocation()]
    await tick(held)
    assert len(held._revocations) == 1


async def tick(held: Credentials, times: int = 1) -> None:
    """So many rounds of `keep`."""
    for _ in range(times):
        held.revoke(await held.database.run(held._read))
        await held._close_homeless()
        await held._recheck_slice()


async def test_a_tenant_that_names_no_hosts_is_served_where_it_is_found(
    held: Credentials, site: Site
) -> None:
    main = Tenant(3, "main")
    site.anywhere = {"shop.example": main, "www.shop.example": main}
    first, second = Socket(None, main, "shop.example"), Socket(identity(1), main, "www.shop.example")
    opened(held, first, second, Socket(None))
    await tick(held)
    assert (first.code, second.code) == (None, None)
    del site.anywhere["www.shop.example"]
    await tick(held)
    assert (first.code, second.code) == (None, CloseCode.NOT_FOUND)
    site.anywhere["shop.example"] = Tenant(3, "renamed")
    await tick(held)
    assert first.code == CloseCode.NOT_FOUND


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "POLL_INTERVAL_S", 0.001)


@pytest.mark.usefixtures("quick")
async def test_without_a_bus_they_are_asked_for(held: Credentials, site: Site) -> None:
    socket = Socket(identity(1))
    opened(held, socket)
    keeping = asyncio.create_task(held.keep())
    site.fault = OperationalError("away")
    await until(lambda: site.asked > 1)
    assert socket.code is None
    site.fault, site.new = None, [revocation()]
    await until(lambda: socket.code is not None)
    keeping.cancel()
    assert socket.code == 4401


@pytest.mark.usefixtures("quick")
async def test_an_outage_is_said_once(
    held: Credentials, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    keeping = asyncio.create_task(held.keep())
    site.fault = OperationalError("away")
    await until(lambda: site.asked > 2)
    keeping.cancel()
    assert [each.message for each in caplog.records if each.name == "realtime.node.credentials"] == [
        "Credentials cannot be read again now: OperationalError"
    ]


async def test_the_round_finds_what_no_revocation_told(held: Credentials, site: Site) -> None:
    sockets = [Socket(identity(number)) for number in range(1, 251)]
    opened(held, *sockets)
    site.gone = {1: GONE, 250: OUT}
    await tick(held, 3)
    assert site.batches == [100, 100, 50]
    assert (sockets[0].code, sockets[-1].code, sockets[1].code) == (4401, 4403, None)
    # Their tokens open nothing here any more; newer ones of the same people do.
    for socket, close_code in ((sockets[0], 4401), (sockets[-1], 4403)):
        known = cast("Identity", socket.identity)
        with pytest.raises(Refusal) as caught:
            held.require_live(known)
        assert caught.value.close_code == close_code
        assert held.require_live(replace(known, family="newer"))


@pytest.mark.parametrize("people", [1_000, 6_000, 20_000, 40_000])
async def test_the_round_takes_half_a_minute_at_most(held: Credentials, site: Site, people: int) -> None:
    opened(held, *(Socket(identity(number)) for number in range(people)))
    ticks = 0
    while sum(site.batches) < people:
        await tick(held)
        ticks += 1
    assert ticks * credentials.POLL_INTERVAL_S <= credentials.ROUND_S
    assert max(site.batches) <= credentials.RECHECK_BATCH


async def test_one_that_cannot_be_judged_keeps_nobody_from_it(
    held: Credentials, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    sockets = [Socket(identity(number)) for number in range(1, 51)]
    opened(held, *sockets)
    site.poison, site.gone = {7}, {8: GONE, 50: OUT}
    await tick(held)
    codes = {socket.identity.user_id: socket.code for socket in sockets if socket.identity and socket.code}
    assert codes == {7: 4401, 8: 4401, 50: 4403}
    assert len(caplog.records) == 1


async def test_who_renewed_meanwhile_is_judged_by_what_they_hold_now(held: Credentials, site: Site) -> None:
    socket = Socket(identity(1, family="old"))
    opened(held, socket)
    old = cast("Identity", socket.identity)
    socket.identity = identity(1, family="new")
    held._close_gone({old: GONE})
    assert socket.code is None


def test_what_was_found_is_bounded_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations_module, "FOUND_MAX", 2)
    revocations, end = Revocations(), datetime.fromtimestamp(1_000, UTC)
    people = [identity(number, expires_at=end) for number in (1, 2, 3)]
    for each in people:
        revocations.found(each, GONE)
    assert [revocations.ends(each) for each in people] == [None, GONE, GONE]
    revocations.drop_expired(1_000.0)
    assert [revocations.ends(each) for each in people] == [None] * 3


async def test_a_tenant_that_is_gone_takes_everybody_along(held: Credentials, site: Site) -> None:
    mine, theirs = Socket(None), Socket(identity(1), GLOBEX)
    opened(held, mine, theirs)
    site.tenants = {GLOBEX}
    await tick(held)
    assert (mine.code, theirs.code) == (4404, None)


async def test_sweeping_goes_on(held: Credentials, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "SWEEP_INTERVAL_S", 0.001)
    monkeypatch.setattr(credentials, "SWEEP_AGAIN_S", 0.001)
    held.revoke([revocation(until_s=1.0)])
    site.sweeps = [True, True]
    sweeping = asyncio.create_task(held.sweep(held.database))
    await until(lambda: not site.sweeps and not len(held._revocations))
    sweeping.cancel()
    assert (site.sweeps, len(held._revocations)) == ([], 0)


def test_a_later_end_covers_the_earlier() -> None:
    """A password changed a thousand times is one line in memory."""
    revocations = Revocations()
    for version in range(1_000):
        assert revocations.add(revocation(rights_below=version))
    assert len(revocations) == 1
    assert not revocations.add(revocation(rights_below=5))
    assert revocations.add(revocation(RevocationKind.MEMBERSHIP, name="acme"))
    assert not revocations.add(revocation(lost=("staff",)))
    revocations.drop_expired(FOREVER_S - 1)
    assert len(revocations) == 2
    revocations.drop_expired(FOREVER_S)
    assert len(revocations) == 0
