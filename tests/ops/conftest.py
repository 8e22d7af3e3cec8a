"""Two tenants, their people, and a process whose figures are known."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.credentials.identity import Authenticator
from accounts.models import Domain, Membership, Tenant, User
from realtime.core.figures import Figures, Place
from realtime.core.liveness import NodeState
from realtime.node import node as runtime
from realtime.node.database import Database
from realtime.node.figures import of_metrics, with_process
from realtime.sockets.backlogs import Backlogs
from realtime.sockets.metrics import LoopLag, Metrics
from realtime.topics.engine.memory import MemoryBus
from realtime.topics.engine.ports import Bus
from tests.accounts.conftest import forget_sign_ins

PASSWORD = "correct horse"
METRICS_TOKEN = "the operator's own token"


@dataclass
class ProcessSettings:
    """The part of the settings that the pages read."""

    METRICS_TOKEN: str = METRICS_TOKEN
    MAX_CONNECTIONS: int = 100
    OUTBOXES_BYTES: int = 0
    DATABASE_WAITING: int = 0
    REDIS_URL: str = ""
    SAMPLE_INTERVAL_S: float = 0.0
    LATENCY_OBJECTIVE_S: float = 0.0


class ProcessFigures:
    """The figures of a process without a cluster."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def everywhere(self) -> Figures:
        """It is alone."""
        node = cast("runtime.Node", self._process)
        return with_process(of_metrics(self._process.metrics), node, Place("s1"))

    def by_worker(self) -> dict[str, Figures]:
        """It is its only worker."""
        return {"0": self.everywhere()}


@dataclass
class Process:
    """The part of a runtime that the pages read."""

    settings: ProcessSettings = field(default_factory=ProcessSettings)
    id: str = "n1"
    metrics: Metrics = field(default_factory=Metrics)
    loop_lag: LoopLag = field(default_factory=LoopLag)
    authenticator: Authenticator = field(default_factory=Authenticator)
    bus: Bus = field(default_factory=MemoryBus)
    database: Database = field(default_factory=lambda: Database(1, 0.0))
    is_started: bool = True
    is_draining: bool = False
    # Whether sockets are served here; the bans are then in memory.
    serves_here: bool = False
    loop: asyncio.AbstractEventLoop | None = None

    backlogs: Backlogs = field(default_factory=Backlogs)
    connections: dict[str, Any] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.figures = ProcessFigures(self)
        self._shared: dict[type, Any] = {}

    def shared(self, kind: type, make: Callable[[], Any]) -> Any:
        """As the node's."""
        return self._shared.setdefault(kind, make())

    def nodes(self) -> list[NodeState]:
        """It is alone."""
        return []


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """The runtime of this process, with two open connections on acme, one on globex, and an error on each."""
    process = Process()
    for tenant, connections in (("acme", 2), ("globex", 1)):
        route = process.metrics.route(tenant, "/ws/chat/")
        for _ in range(connections):
            route.opened()
        route.messages_in += 10 * connections
        route.error("not_found")
        route.refused(403)
    monkeypatch.setattr(runtime, "current_node", lambda: process)
    return process


@pytest.fixture
def loop(process: Process) -> Iterator[asyncio.AbstractEventLoop]:
    """The process's event loop, running."""
    process.loop = asyncio.new_event_loop()
    thread = threading.Thread(target=process.loop.run_forever)
    thread.start()
    yield process.loop
    process.loop.call_soon_threadsafe(process.loop.stop)
    thread.join()
    process.loop.close()


@pytest.fixture(autouse=True)
def _quick_and_separate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    # There are no sockets to be told of a sign-in.
    monkeypatch.setattr("realtime.revoke", lambda revocations: None)
    yield
    forget_sign_ins()


@pytest.fixture
def tenants(db: None) -> dict[str, Tenant]:
    """acme and globex: a member and a member of staff in each, and a superuser in both."""
    return make_tenants()


def make_tenants() -> dict[str, Tenant]:
    """The rows of `tenants`."""
    root = User.objects.create_superuser("root", password=PASSWORD)
    tenants = {}
    for slug in ("acme", "globex"):
        tenant = tenants[slug] = Tenant.objects.create(slug=slug, name=slug.title())
        Domain.objects.create(tenant=tenant, host=f"{slug}.localhost")
        member = User.objects.create_user(f"{slug}-member", password=PASSWORD)
        staff = User.objects.create_user(f"{slug}-staff", password=PASSWORD, is_staff=True)
        Membership.objects.create(tenant=tenant, user=member)
        Membership.objects.create(tenant=tenant, user=staff, role=Membership.Role.STAFF)
        Membership.objects.create(tenant=tenant, user=root)
    return tenants


@pytest.fixture
def session(tenants: dict[str, Tenant]) -> Callable[..., Client]:
    """A browser in which `username` signed in on the host of `tenant`."""

    def sign_in(username: str, tenant: str = "acme") -> Client:
        browser = Client(headers={"host": f"{tenant}.localhost"})
        browser.post("/accounts/login/", {"username": username, "password": PASSWORD})
        return browser

    return sign_in


@pytest.fixture
def token(tenants: dict[str, Tenant]) -> Callable[..., dict[str, str]]:
    """The header with an access token of `username` on `tenant`."""

    def obtain(username: str, tenant: str = "acme", scopes: list[str] | None = None) -> dict[str, str]:
        body: dict[str, Any] = {"username": username, "password": PASSWORD}
        if scopes is not None:
            body["scopes"] = scopes
        client = Client(headers={"host": f"{tenant}.localhost"})
        response = client.post("/api/token/", body, content_type="application/json")
        assert response.status_code == 200, response.content
        return {"authorization": f"Bearer {response.json()['access']}"}

    return obtain
