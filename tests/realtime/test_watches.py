"""Watched queries by themselves: who is told what, what a quiet one costs, and that nothing is left behind.

The database here is a list of rows and a number that rises with every commit.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError

from realtime.conf import RealtimeSettings
from realtime.core.identity import CredentialKind, Identity, Tenant
from realtime.core.slots import Owner
from realtime.endpoints import watches as module
from realtime.endpoints.queries import LiveQuery
from realtime.endpoints.watches import WATCH_ROWS_MAX, WATCHED_MAX, Watches
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.sockets.asgi_outbox import make_outbox
from realtime.sockets.connection import Connection
from realtime.sockets.metrics import RouteMetrics
from realtime.sockets.outbox import WriteCoalescer
from tests.realtime.followers import until

ACME, GLOBEX = Tenant(1, "acme", "Acme", frozenset()), Tenant(2, "globex", "Globex", frozenset())
SETTINGS = RealtimeSettings(TENANTS="", IDENTITY="", ROUTES="")
INTERVAL_S = 0.01


class Rows(list[Any]):
    db = "default"


class Parameters(msgspec.Struct, frozen=True):
    category: str = "books"


class Query(LiveQuery):
    """A query whose rows are in order."""

    def rows(self, tenant: Tenant, identity: Identity | None, parameters: msgspec.Struct) -> Any:
        who = (identity,) if self.takes_identity else ()
        return self.select(tenant, *who, category=cast("Parameters", parameters).category)


class Database:
    """Runs work at once, or when it may; counts the looks of each tenant."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.looks: Counter[str] = Counter()
        self.order: list[str] = []
        self.failure: Exception | None = None

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    async def run_for(self, owner: Owner, work: Callable[..., Any], *args: Any) -> Any:
        await self.may_go_on.wait()
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.looks[owner.tenant] += len(args[0])
        self.order.append(owner.tenant)
        return work(*args)


class Listener(Connection):
    """Remembers what it was sent."""

    sent: list[Any]


class Site:
    """Watches over made-up rows."""

    def __init__(self) -> None:
        self.database = Database()
        self.version = 0
        self.rows: dict[int, str] = {1: "one", 2: "two"}
        self.item: Callable[[Any], Any] = lambda row: {"id": row.pk, "name": row.name}
        # The identities with which the rows were read.
        self.asked: list[Identity | None] = []
        self.read: Callable[[], dict[int, str]] = lambda: self.rows
        self.tasks: set[asyncio.Task[None]] = set()
        self.connections: list[Connection] = []
        self.use(SETTINGS)

    def use(self, settings: RealtimeSettings) -> None:
        self.watches = Watches(
            cast("Any", self.database),
            self._spawn,
            settings,
            cast("Any", SimpleNamespace(read=self._versions)),
        )

    def query(self, scopes: frozenset[str] = frozenset(), name: str = "items", **options: Any) -> LiveQuery:
        return Query(name, cast("Any", self._select), self.item, Parameters, scopes, **options)

    def connect(
        self, user_id: int = 1, tenant: Tenant = ACME, scopes: frozenset[str] = frozenset({"a"})
    ) -> Connection:
        async def send(event: Any) -> None:
            sent.append(msgspec.json.decode(event["text"]))

        sent: list[Any] = []
        scope = {
            "connection_id": f"c{len(self.connections)}",
            "tenant": tenant,
            "identity": identity(user_id, tenant, scopes),
            "route": SimpleNamespace(path="/ws/data/"),
            "subprotocol": None,
        }
        metrics = RouteMetrics("", "")
        connection = Listener(
            scope,
            lambda connection: make_outbox(
                scope,
                cast("Any", send),
                SETTINGS.OUTBOX_BYTES,
                connection.fall_behind,
                metrics,
                WriteCoalescer(),
            ),
            settings=SETTINGS,
            metrics=metrics,
            is_json=True,
        )
        connection.sent = sent
        self.connections.append(connection)
        return connection

    async def watch(
        self, connection: Connection, query_id: str = "q1", category: str = "books", **options: Any
    ) -> Any:
        return await self.watches.watch(connection, query_id, self.query(**options), Parameters(category))

    def commit(self, **rows: str) -> None:
        self.rows = self.rows | {int(key.removeprefix("r")): name for key, name in rows.items()}
        self.version += 1

    def watched_count(self) -> int:
        """The number of queries that are looked at. Counting what is asked would count the looks too."""
        return len(self.watches._watches)

    def assert_nothing_is_left(self) -> None:
        held = self.watches
        assert not any((held._watches, held._watchers, held._of_owner, held._of_tenant, held._rows_of_tenant))
        for connection in self.connections:
            assert connection._cleanups == {}

    def _versions(self, aliases: Any) -> dict[str, Any]:
        return dict.fromkeys(aliases, self.version)

    def _select(self, tenant: Tenant, identity: Identity | None = None, *, category: str) -> Rows:
        self.asked.append(identity)
        return Rows(SimpleNamespace(pk=key, name=name) for key, name in self.read().items())

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.tasks.add(task)
        return task


def identity(user_id: int, tenant: Tenant, scopes: frozenset[str]) -> Identity:
    return Identity(
        user_id=user_id,
        username=f"user{user_id}",
        tenant=tenant.slug,
        scopes=scopes,
        is_staff=False,
        kind=CredentialKind.TOKEN,
        expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )


def pushes(connection: Connection, message_type: str) -> list[Any]:
    return [each["payload"] for each in cast("Listener", connection).sent if each["type"] == message_type]


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(module, "WATCH_INTERVAL_S", INTERVAL_S)
    made = Site()
    yield made
    for connection in made.connections:
        await connection.release()
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_changes_reach_every_watcher_once(site: Site) -> None:
    alice, bob = site.connect(1), site.connect(2)
    assert await site.watch(alice) == [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]
    await site.watch(bob)
    site.commit(r2="second", r3="three")
    await until(lambda: len(pushes(bob, "change")) == 2)
    for each in (alice, bob):
        assert [(push["op"], push["item"]["name"]) for push in pushes(each, "change")] == [
            ("update", "second"),
            ("insert", "three"),
        ]


async def test_what_nobody_changes_is_not_looked_at(site: Site) -> None:
    for number in range(40):
        await site.watch(site.connect(number), category=f"c{number}")
    looks = -1
    # The first rounds read the versions.
    for _ in range(20):
        if site.database.looks.total() == looks:
            break
        looks = site.database.looks.total()
        await asyncio.sleep(INTERVAL_S * 20)
    assert site.database.looks.total() == looks
    site.commit(r1="changed")
    await until(lambda: all(pushes(each, "change") for each in site.connections))
    assert site.database.looks.total() == looks + 40


async def test_now_and_then_it_is_looked_at_all_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_INTERVAL_S", 0.05)
    alice = site.connect()
    await site.watch(alice)
    await asyncio.sleep(INTERVAL_S * 3)
    site.read = lambda: {1: "by the time of day"}
    await until(lambda: len(pushes(alice, "change")) == 2)


async def test_a_tenant_with_many_watches_does_not_hold_up_another(site: Site) -> None:
    for number in range(100):
        await site.watch(site.connect(number), category=f"c{number}")
    await site.watch(site.connect(1, GLOBEX))
    # The first round, which reads the versions, is over.
    await until(lambda: all(each.version == site.version for each in site.watches._watches.values()))
    site.database.order.clear()
    site.commit(r1="changed")
    await until(lambda: len(site.database.order) > 12)
    assert site.database.order[:3].count("globex") == 1


async def test_watching_and_unwatching_leaves_nothing_behind(site: Site) -> None:
    alice = site.connect()
    for number in range(300):
        await site.watch(alice, f"q{number}")
        assert site.watches.unwatch(alice, f"q{number}")
        assert not site.watches.unwatch(alice, f"q{number}")
    site.assert_nothing_is_left()


async def test_a_connection_that_ends_leaves_nothing_behind(site: Site) -> None:
    alice = site.connect()
    for number in range(WATCHED_MAX):
        await site.watch(alice, f"q{number}", category=f"c{number % 3}")
    await alice.release()
    site.assert_nothing_is_left()


@pytest.mark.parametrize("how", ["closed", "released", "cancelled", "shrunk"])
async def test_an_end_while_the_first_rows_are_read(site: Site, how: str) -> None:
    alice = site.connect()
    site.database.may_go_on.clear()

    async def call() -> None:
        await site.watch(alice, scopes=frozenset({"a"}))

    calling = alice.spawn(call())
    await asyncio.sleep(0.01)
    if how == "closed":
        alice.close(4401)
    elif how == "released":
        await alice.release()
    elif how == "cancelled":
        calling.cancel()
    else:
        alice.identity = replace(identity(1, ACME, frozenset()))
    site.database.may_go_on.set()
    await asyncio.wait([calling])
    await asyncio.sleep(INTERVAL_S * 3)
    site.assert_nothing_is_left()
    assert how != "shrunk" or isinstance(calling.exception(), RequestError)


async def test_the_first_rows_are_read_once_for_all(site: Site) -> None:
    site.database.may_go_on.clear()
    crowd = [site.connect(number) for number in range(30)]
    calling = [asyncio.create_task(site.watch(each)) for each in crowd]
    await asyncio.sleep(0.01)
    calling[0].cancel()
    site.database.may_go_on.set()
    await asyncio.wait(calling)
    assert site.database.looks["acme"] == 1
    assert [len(each.result()) for each in calling[1:]] == [2] * 29
    for each in crowd:
        await each.release()
    site.assert_nothing_is_left()


async def test_a_query_that_outgrows_its_bound_is_ended_and_said_so(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = site.connect(1), site.connect(2)
    await site.watch(alice, "mine")
    await site.watch(bob, "his")
    site.rows = dict.fromkeys(range(WATCH_ROWS_MAX + 1), "x")
    site.version += 1
    await until(lambda: pushes(alice, "unwatched") and pushes(bob, "unwatched"))
    assert pushes(alice, "unwatched") == [
        {"query_id": "mine", "code": "limit_exceeded", "reason": "At most 5000 rows can be watched."}
    ]
    assert pushes(bob, "unwatched")[0]["query_id"] == "his"
    assert "Traceback" not in caplog.text
    site.assert_nothing_is_left()
    with pytest.raises(RequestError) as caught:
        await site.watch(alice)
    assert caught.value.code is ErrorCode.LIMIT_EXCEEDED
    site.assert_nothing_is_left()


async def test_a_query_that_fails_is_ended_and_logged_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    alice = site.connect()
    await site.watch(alice)
    site.read = lambda: {1: cast("Any", 1 // 0)}
    site.version += 1
    await until(lambda: pushes(alice, "unwatched"))
    site.version += 1
    await asyncio.sleep(INTERVAL_S * 5)
    assert [push["code"] for push in pushes(alice, "unwatched")] == ["internal"]
    assert caplog.text.count("ZeroDivisionError: ") == 1
    site.assert_nothing_is_left()


@pytest.mark.parametrize("failure", [OperationalError, lambda text: RequestError(ErrorCode.TIMEOUT, text)])
async def test_a_database_that_is_away_is_said_once_and_asked_again(
    site: Site, caplog: pytest.LogCaptureFixture, failure: Callable[[str], Exception]
) -> None:
    asked: list[int] = []

    def fail() -> Any:
        asked.append(site.version)
        raise failure("away")

    alice = site.connect()
    await site.watch(alice)
    site.read, site.version = fail, 1
    await until(lambda: len(asked) > 2)
    assert caplog.text.count("cannot be read now") == 1
    site.read = lambda: {1: "one", 2: "two", 3: "missed meanwhile"}
    await until(lambda: pushes(alice, "change"))
    assert pushes(alice, "unwatched") == []


async def test_rights_that_shrink_end_a_watch_before_its_next_change(site: Site) -> None:
    alice, bob = site.connect(1), site.connect(2)
    for each in (alice, bob):
        await site.watch(each, scopes=frozenset({"a"}))
    alice.identity = identity(1, ACME, frozenset())
    site.commit(r1="secret")
    await until(lambda: pushes(bob, "change"))
    assert pushes(alice, "change") == []
    assert [push["code"] for push in pushes(alice, "unwatched")] == ["permission_denied"]


BOUNDS: dict[str, dict[str, Any]] = {
    "connection": {},
    "user": {"MAX_WATCHES_PER_USER": 30},
    "tenant": {"MAX_WATCHES_PER_TENANT": 30},
    "rows": {"MAX_WATCHED_ROWS_PER_TENANT": 60},
}


@pytest.mark.parametrize("bound", BOUNDS)
async def test_watches_are_bounded(site: Site, bound: str) -> None:
    site.use(replace(SETTINGS, **BOUNDS[bound]))
    most = WATCHED_MAX if bound == "connection" else 30
    if bound == "connection":
        crowd = [site.connect()] * 40
    else:
        crowd = [site.connect(1 if bound == "user" else number) for number in range(40)]
    # At the same time: what is still being read counts too.
    outcomes = await asyncio.gather(
        *(site.watch(each, f"q{number}", f"c{number}") for number, each in enumerate(crowd)),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, RequestError)]
    assert len(outcomes) - len(refused) == most
    assert {each.code for each in refused} == {ErrorCode.LIMIT_EXCEEDED}
    if bound != "connection":
        assert await site.watch(site.connect(99, GLOBEX)) != []
    for each in site.connections:
        await each.release()
    site.assert_nothing_is_left()


PERSONAL: dict[str, Any] = {"takes_identity": True, "is_personal": True}


async def test_a_personal_query_is_watched_for_each_user_alone(site: Site) -> None:
    alice, again, bob = site.connect(1), site.connect(1), site.connect(2)
    for each in (alice, again, bob):
        await site.watch(each, **PERSONAL)
    # Alice's two sockets share one watch; Bob has his own.
    assert {who and who.user_id for who in site.asked} == {1, 2}
    assert site.watched_count() == 2
    site.commit(r1="changed")
    await until(lambda: all(pushes(each, "change") for each in site.connections))
    for each in site.connections:
        await each.release()
    site.assert_nothing_is_left()


async def test_scopes_make_another_asker(site: Site) -> None:
    for scopes in ({"a"}, {"a", "b"}):
        await site.watch(site.connect(1, scopes=frozenset(scopes)), **PERSONAL)
    assert {who and who.scopes for who in site.asked} == {frozenset({"a"}), frozenset({"a", "b"})}


async def test_a_query_that_does_not_depend_on_its_asker_is_shared(site: Site) -> None:
    for user_id in (1, 2):
        await site.watch(site.connect(user_id), takes_identity=True)
    assert site.watched_count() == 1


async def test_whose_rights_change_is_told_instead_of_rows_of_the_former_ones(site: Site) -> None:
    alice = site.connect(1)
    await site.watch(alice, **PERSONAL)
    alice.identity = identity(1, ACME, frozenset())
    site.commit(r1="changed")
    await until(lambda: pushes(alice, "unwatched"))
    assert pushes(alice, "unwatched")[0]["code"] == "permission_denied"
    assert not pushes(alice, "change")
    site.assert_nothing_is_left()


async def test_a_query_for_users_ends_where_there_is_none(site: Site) -> None:
    alice = site.connect(1)
    await site.watch(alice, needs_user=True)
    alice.identity = None
    with pytest.raises(RequestError) as caught:
        site.query(needs_user=True).require(alice.identity)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    site.commit(r1="changed")
    await until(lambda: pushes(alice, "unwatched"))
    assert pushes(alice, "unwatched")[0]["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("failure", "code"),
    [(PermissionDenied("Closed."), "permission_denied"), (ValueError("the inside"), "internal")],
)
async def test_why_a_query_ends_later_is_told(
    site: Site, caplog: pytest.LogCaptureFixture, failure: Exception, code: str
) -> None:
    def fail() -> dict[int, str]:
        raise failure

    alice = site.connect()
    await site.watch(alice)
    site.read = fail
    site.version += 1
    await until(lambda: pushes(alice, "unwatched"))
    [ended] = pushes(alice, "unwatched")
    assert ended["code"] == code
    assert "the inside" not in ended["reason"]
    assert bool(caplog.records) == (code == "internal")


async def test_an_item_that_json_cannot_hold_ends_its_query_alone(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = site.connect(1), site.connect(2)
    await site.watch(alice)
    site.item = lambda row: {"id": row.pk, "name": object() if row.name == "odd" else row.name}
    await site.watch(bob, category="games", name="others")
    site.commit(r1="odd")
    await until(lambda: pushes(bob, "unwatched"))
    assert pushes(bob, "unwatched")[0]["code"] == "internal"
    assert "'others' of tenant acme failed" in caplog.text
    # The one that was read before with the same rows has an item of its own.
    await until(lambda: pushes(alice, "change"))
    site.commit(r2="later")
    await until(lambda: len(pushes(alice, "change")) == 2)
