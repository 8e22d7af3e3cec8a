"""SIGTERM: sockets are told to go elsewhere, and the process ends by itself, in time."""

import contextlib
import signal

import httpx
import pytest

from tests.e2e.conftest import OwnSites
from tests.e2e.talk import assert_closed
from tests.e2e.visitor import Visitor
from tests.servers.process import STOP_TIMEOUT_S

SOCKETS = 20
DRAIN_S = 1
KINDS = pytest.mark.parametrize("kind", ["serve", "scaled"])


@KINDS
async def test_every_socket_is_told_and_the_process_ends(own_sites: OwnSites, kind: str) -> None:
    site = own_sites.get(kind, {"REALTIME_DRAIN_S": DRAIN_S, "TEST": "drain"})
    async with Visitor(site, "acme.localhost") as acme, contextlib.AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(acme.open_json("/ws/pubsub/")) for _ in range(SOCKETS)]
        raw = await stack.enter_async_context(acme.open("/ws/echo/"))
        site.server.process.send_signal(signal.SIGTERM)
        for talk in (*talks, raw):
            await assert_closed(talk, 1001, 1012, 4503)
    assert site.server.stop() == 0


@KINDS
async def test_while_draining_nobody_new_is_let_in(own_sites: OwnSites, kind: str) -> None:
    site = own_sites.get(kind, {"REALTIME_DRAIN_S": 2, "TEST": "refusing"})
    async with Visitor(site, "acme.localhost") as acme, contextlib.AsyncExitStack() as stack:
        talks = [await stack.enter_async_context(acme.open("/ws/echo/")) for _ in range(SOCKETS)]
        site.server.process.send_signal(signal.SIGTERM)
        await talks[0].closed()
        # A server that listens no more refuses too.
        with contextlib.suppress(OSError, httpx.TransportError):
            assert (await acme.http.get("/readyz")).status_code == 503
        with contextlib.suppress(OSError):
            await acme.assert_refused("/ws/echo/", 503, 4503)
        for talk in talks[1:]:
            await assert_closed(talk, 1001, 1012, 4503)
    assert site.server.stop() == 0


@KINDS
async def test_with_nobody_connected_it_ends_at_once(own_sites: OwnSites, kind: str) -> None:
    # `stop` fails where it takes longer than its own patience, which is less than these.
    site = own_sites.get(kind, {"REALTIME_DRAIN_S": 2 * STOP_TIMEOUT_S, "TEST": "empty"})
    assert site.server.stop() == 0
