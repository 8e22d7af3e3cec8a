"""Turns for plain HTTP requests: how many run at once, whose, and from when to when."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from realtime.conf import RealtimeSettings
from realtime.core.identity import Tenant
from realtime.middleware.pages import PageTurns
from realtime.protocol.errors import Refusal


class Site:
    """An application whose answers begin and end when they are told to."""

    def __init__(self, **changes: Any) -> None:
        self.running: list[str] = []
        self.begin = asyncio.Event()
        self.end = asyncio.Event()
        self.turns = PageTurns(self, replace(RealtimeSettings(), **changes))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.running.append(scope["client"][0])
        await self.begin.wait()
        await send({"type": "http.response.start", "status": 200})
        await self.end.wait()
        await send({"type": "http.response.body", "body": b""})

    def ask(
        self, address: str, tenant: str = "acme", path: str = "/", receive: Callable[[], Any] | None = None
    ) -> "asyncio.Task[None]":
        """Begin a request."""
        scope = {"type": "http", "path": path, "tenant": Tenant(1, tenant), "client": (address, 1)}
        return asyncio.create_task(self.turns(scope, receive or _whole, _nowhere))


async def _whole() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def _nowhere(event: Any) -> None:
    pass


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_address_and_a_tenant_leave_turns_to_others() -> None:
    site = Site(PAGES=8)
    tasks = [site.ask("10.0.0.1") for _ in range(10)]
    await settle()
    assert site.running == ["10.0.0.1"] * 2
    tasks += [site.ask(f"10.0.1.{each}") for each in range(20)]
    await settle()
    # One is left to other tenants.
    assert len(site.running) == 7
    tasks.append(site.ask("10.0.2.1", "globex"))
    await settle()
    assert site.running[-1] == "10.0.2.1"
    site.begin.set()
    site.end.set()
    await asyncio.gather(*tasks)
    assert len(site.running) == 31


async def test_a_turn_ends_when_the_answer_begins() -> None:
    site = Site(PAGES=1)
    first, second = site.ask("10.0.0.1"), site.ask("10.0.0.2")
    await settle()
    assert site.running == ["10.0.0.1"]
    site.begin.set()
    await settle()
    assert site.running == ["10.0.0.1", "10.0.0.2"]
    assert not first.done()
    site.end.set()
    await asyncio.gather(first, second)


async def test_a_slow_body_holds_no_turn() -> None:
    async def slow() -> dict[str, Any]:
        if not sent:
            sent.append(1)
            return {"type": "http.request", "body": b"a", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[int] = []
    site = Site(PAGES=1)
    slow_one = site.ask("10.0.0.1", receive=slow)
    site.ask("10.0.0.2")
    await settle()
    assert site.running == ["10.0.0.2"]
    slow_one.cancel()


async def test_probes_never_wait() -> None:
    site = Site(PAGES=1)
    site.ask("10.0.0.1")
    await settle()
    for path in ("/readyz", "/healthz/", "/metrics"):
        site.ask(path, path=path)
    await settle()
    assert len(site.running) == 4


@pytest.mark.parametrize("changes", [{"PAGES_WAITING": 1}, {"PAGES_WAITING_PER_TENANT": 1}])
async def test_too_many_are_refused(changes: dict[str, Any]) -> None:
    site = Site(PAGES=1, **changes)
    tasks = [site.ask(f"10.0.0.{each}") for each in range(3)]
    await settle()
    with pytest.raises(Refusal) as refused:
        await tasks[2]
    assert (refused.value.status, refused.value.retry_after_s) == (503, 1)
    site.begin.set()
    site.end.set()
    await asyncio.gather(*tasks[:2])


async def test_who_waits_too_long_or_leaves_takes_no_turn() -> None:
    site = Site(PAGES=1, PAGES_WAIT_S=0.01)
    first, late, gone = (site.ask(f"10.0.0.{each}") for each in range(3))
    await settle()
    gone.cancel()
    with pytest.raises(Refusal):
        await late
    site.begin.set()
    site.end.set()
    await first
    await site.ask("10.0.0.9")
    assert site.running == ["10.0.0.0", "10.0.0.9"]


async def test_a_request_that_fails_gives_its_turn_back() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("the view")

    turns = PageTurns(failing, replace(RealtimeSettings(), PAGES=1))
    scope = {"type": "http", "path": "/", "tenant": Tenant(1, "acme"), "client": None}
    for _ in range(3):
        with pytest.raises(ValueError, match="the view"):
            await turns(scope, _whole, _nowhere)
