"""Publishing from a process that serves no sockets: it has few connections, and all callers share them."""

import asyncio
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from realtime.conf import RealtimeSettings, load_settings
from realtime.core.position import Position
from realtime.core.topics import Retention, TopicKey
from realtime.node import remote as module
from realtime.node import remote as remotes
from realtime.node.remote import Remote
from realtime.protocol.errors import PublishUnavailableError
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.combined import CombinedEngine
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.ports import Bus, Engine, History
from realtime.topics.engine.redis_history import RedisHistory

pytestmark = pytest.mark.redis

RETENTION = Retention(1000, 300)
WAIT_S = 10


@pytest.fixture
def client(valkey_url: str) -> Iterator[Any]:
    """A connection to the server, to read its list of clients."""
    with Redis.from_url(valkey_url) as redis:
        yield redis


@pytest.fixture
def remote(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    prefix = f"test-{uuid4().hex[:8]}"

    def build(settings: RealtimeSettings) -> tuple[History, Bus, Engine]:
        broker = Broker(valkey_url, prefix=prefix)
        history, bus = RedisHistory(broker), BrokerBus(broker)
        return history, bus, CombinedEngine(history, bus)

    monkeypatch.setattr(remotes, "build_engine", build)
    made = Remote(replace(load_settings(), REDIS_URL=valkey_url))
    yield made
    made.close()


def publish(remote: Remote, topic: str = "news") -> Position:
    draft = make_draft(topic, 1, time="")
    return remote.publish(TopicKey("acme", topic), draft, RETENTION).result(WAIT_S)


def connections_made(client: Any) -> int:
    made: int = client.info("stats")["total_connections_received"]
    return made


def test_connections_are_used_again(remote: Remote, client: Any) -> None:
    publish(remote)
    before = connections_made(client)
    assert [publish(remote).offset for _ in range(200)] == list(range(2, 202))
    assert connections_made(client) == before


def test_many_threads_share_few_connections(remote: Remote, client: Any) -> None:
    before, threads = connections_made(client), set(threading.enumerate())
    with ThreadPoolExecutor(32) as pool:
        offsets = list(pool.map(lambda _: publish(remote).offset, range(200)))
    assert sorted(offsets) == list(range(1, 201))
    # Those of the history, the bus's, and this test's own.
    assert connections_made(client) - before <= 40
    assert len([each for each in set(threading.enumerate()) - threads if "remote" in each.name]) == 1


def test_event_loops_that_end_leave_it_as_it_is(remote: Remote, client: Any) -> None:
    async def once() -> int:
        future = remote.publish(TopicKey("acme", "news"), make_draft("news", 1, time=""), RETENTION)
        return (await asyncio.wrap_future(future)).offset

    asyncio.run(once())
    before = connections_made(client)
    assert [asyncio.run(once()) for _ in range(20)] == list(range(2, 22))
    assert connections_made(client) == before


def test_forked_children_have_connections_of_their_own(remote: Remote, client: Any) -> None:
    publish(remote)
    before = len(client.client_list())
    for _ in range(4):
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork of a process with threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            try:
                publish(remote)
                publish(remote)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    # The parent's are still its own.
    assert publish(remote).offset == 10
    assert len(client.client_list()) <= before


def test_connections_that_the_server_closed_are_opened_again(
    remote: Remote, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publish(remote)
    own = str(client.client_id())
    for each in client.client_list():
        if each["id"] != own:
            client.client_kill_filter(_id=each["id"])
    assert publish(remote).offset == 2
    # Else the other nodes would find it seconds later.
    assert "broker cannot be reached" not in caplog.text


def test_what_waits_is_bounded(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 0)
    with pytest.raises(PublishUnavailableError, match="wait"):
        publish(remote)


def test_after_its_end_it_opens_again(remote: Remote) -> None:
    publish(remote)
    remote.close()
    assert publish(remote).offset == 2
