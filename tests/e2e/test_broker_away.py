"""A broker that takes connections and says nothing: from the start, or from one moment on. People still sign in."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest
from redis import Redis

from tests.e2e.conftest import OwnSites
from tests.e2e.visitor import Visitor
from tests.servers.pool import Site

# Above the 1 s that a probe may take, for a busy machine; without a bound nothing would answer before 5 s.
PROBE_TIMEOUT_S = 3.0


@contextmanager
def black_hole() -> Iterator[str]:
    """The address of a broker that is never heard of."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@contextmanager
def frozen(url: str) -> Iterator[None]:
    """Freeze the broker at `url` meanwhile."""
    with Redis.from_url(url) as client:
        pid: int = client.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(params=["from the start", "from one moment on"])
async def visitor(request: pytest.FixtureRequest, own_sites: OwnSites) -> AsyncIterator[Visitor]:
    """A visitor of a site whose broker is silent."""
    if request.param == "from the start":
        with black_hole() as url:
            async with _visitor(own_sites.get("serve", {"REDIS_URL": url})) as visitor:
                yield visitor
        return
    site = own_sites.get("serve", {"TEST": "frozen"}, servers=2)
    assert site.valkey is not None
    with frozen(site.valkey.url):
        async with _visitor(site) as visitor:
            yield visitor


def _visitor(site: Site) -> Visitor:
    return Visitor(site, "acme.localhost")


async def test_probes_and_people_do_not_wait_for_it(visitor: Visitor) -> None:
    for _ in range(2):
        probe = await visitor.http.get("/readyz", timeout=PROBE_TIMEOUT_S)
        body = probe.json()
        assert (probe.status_code, body["status"]) == (200, "degraded")
        assert body["parts"]["database"] == "ok"
        assert body["parts"]["broker"] != "ok"
    assert await visitor.session()
    token = (await visitor.tokens())["access"]
    async with visitor.open_json("/ws/rpc/", token=token) as talk:
        assert await talk.is_alive()
    # Attempts are counted in the process meanwhile.
    answers: list[httpx.Response] = []
    for _ in range(12):
        answers.append(await visitor.post("/api/token/", {"username": "nobody", "password": "wrong"}))
        if answers[-1].status_code != 401:
            break
    assert [each.status_code for each in answers][-1] == 429
