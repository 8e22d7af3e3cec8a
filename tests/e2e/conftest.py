"""Which server a test talks to: `serve`, unless it says `kinds`; one of its own, if it says `settings`.

A test runs on more than one kind only where the kinds could differ in what it looks at:

- What the server does: handshakes, refusals, close codes, frames and their sizes, back-pressure, raw endpoints. On
  `serve` and `daphne`.
- What the stores do: rows, locks and transactions (SQLite, PostgreSQL), presence, idempotency keys, what ends a
  sign-in (memory, Valkey). On `serve` and `scaled`.
- Recovery and history, the order of publications, and a few tests for each of the ways in: on all three.

Logic above both (payloads, envelopes, rules of topics, methods, pages, session values, tenants) runs on `serve`.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.visitor import Visitor
from tests.servers.pool import Site, SitePool, close_all

DEFAULT = ("serve",)
NEW_TENANT = """
from accounts.models import Domain, Tenant
tenant = Tenant.objects.create(slug=slug, name="New")
Domain.objects.create(tenant=tenant, host=host)
"""


class OwnSites:
    """Sites with settings of their own, kept while their module runs."""

    def __init__(self, pool: SitePool) -> None:
        self._pool = pool
        self._sites: dict[tuple[Any, ...], Site] = {}

    def get(self, kind: str, settings: dict[str, Any], *, servers: int = 1) -> Site:
        """The site of `kind` with these settings."""
        env = {name: str(value) for name, value in settings.items()}
        key = (kind, servers, *sorted(env.items()))
        if key not in self._sites:
            self._sites[key] = self._pool.start(kind, env, servers=servers)
        return self._sites[key]

    def close(self) -> None:
        """End them."""
        close_all(self._sites.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests of a `site` once for every kind they are meant for."""
    if "site" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("kinds")
        metafunc.parametrize("site", marker.args if marker else DEFAULT, indirect=True)


@pytest.fixture(scope="module")
def own_sites(site_pool: SitePool) -> Iterator[OwnSites]:
    """Where sites with settings come from."""
    sites = OwnSites(site_pool)
    yield sites
    sites.close()


@pytest.fixture
def site(request: pytest.FixtureRequest, site_pool: SitePool, own_sites: OwnSites) -> Iterator[Site]:
    """The servers of this test. What they wrote during it must be free of tracebacks and secrets."""
    marker = request.node.get_closest_marker("settings")
    if marker is None:
        site = site_pool.shared(request.param)
    else:
        site = own_sites.get(request.param, marker.kwargs, servers=marker.args[0] if marker.args else 1)
    yield site
    for server in site.servers:
        server.check_log()


@pytest.fixture
async def acme(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of acme.localhost."""
    async with Visitor(site, "acme.localhost") as visitor:
        yield visitor


@pytest.fixture
async def globex(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of globex.localhost."""
    async with Visitor(site, "globex.localhost") as visitor:
        yield visitor


@pytest.fixture
async def own_tenant(site: Site) -> AsyncIterator[Visitor]:
    """A visitor of a tenant of this test's own: failed sign-ins are counted by tenant, and these keep nobody else out."""
    slug = f"t{uuid4().hex[:8]}"
    host = f"{slug}.localhost"
    site.orm.run(NEW_TENANT, slug=slug, host=host)
    async with Visitor(site, host) as visitor:
        # A server may hear of the tenant a moment later.
        async with visitor.reopen("/ws/echo/"):
            pass
        yield visitor
