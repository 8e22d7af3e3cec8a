"""The engine's own connections by TLS, and at a Unix socket."""

import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from realtime.core.topics import Retention, TopicKey
from realtime.topics.engine.broker import Broker
from realtime.topics.engine.broker_bus import BrokerBus
from realtime.topics.engine.broker_connection import NotSentError
from realtime.topics.engine.drafts import make_draft
from realtime.topics.engine.redis_history import RedisHistory
from tests.engine.conftest import Node
from tests.faults.proxy import Proxy
from tests.servers.certificate import make_certificate

pytestmark = pytest.mark.redis

KEY = TopicKey("acme", "news")
RETENTION = Retention(1000, 300)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "DNS:localhost")


@pytest.fixture
async def tls(valkey_url: str, certificate: tuple[Path, Path]) -> AsyncIterator[Proxy]:
    """Ends TLS before the Valkey."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with _listening(Proxy(_port(valkey_url), tls=context)) as proxy:
        yield proxy


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A path that a socket may have."""
    with tempfile.TemporaryDirectory(prefix="rockstar-") as folder:
        yield Path(folder) / "broker.sock"


@pytest.fixture
async def unix(valkey_url: str, short_path: Path) -> AsyncIterator[Proxy]:
    """Listens at the socket before the Valkey."""
    async with _listening(Proxy(_port(valkey_url), path=short_path)) as proxy:
        yield proxy


async def test_by_tls(tls: Proxy, certificate: tuple[Path, Path]) -> None:
    await _is_of_use(f"rediss://localhost:{tls.port}?prefix=by-tls&ssl_ca_certs={certificate[0]}")


async def test_at_a_unix_socket(unix: Proxy, short_path: Path) -> None:
    await _is_of_use(f"unix://{short_path}?prefix=by-socket")


@pytest.mark.parametrize(
    ("host", "options", "said"),
    [
        ("localhost", "", "self-signed certificate"),
        ("127.0.0.1", "ssl_ca_certs={certificate}", "IP address mismatch"),
    ],
)
async def test_a_certificate_is_checked(
    host: str, options: str, said: str, tls: Proxy, certificate: tuple[Path, Path]
) -> None:
    broker = Broker(f"rediss://{host}:{tls.port}?{options.format(certificate=certificate[0])}")
    with pytest.raises(NotSentError, match=said):
        await RedisHistory(broker).position(KEY)
    await broker.close()


async def test_without_tls_nothing_is_sent_to_a_server_that_wants_it(tls: Proxy) -> None:
    broker = Broker(f"redis://localhost:{tls.port}", deadline_s=1.0)
    with pytest.raises(NotSentError):
        await RedisHistory(broker).position(KEY)
    await broker.close()


async def _is_of_use(url: str) -> None:
    """Publish, read, and hear it on another node."""
    history, broker = RedisHistory(Broker(url)), Broker(url)
    listener = Node(BrokerBus(broker))
    await listener.bus.start(listener.receive)
    await listener.bus.join("group")
    added = await history.add(KEY, make_draft(KEY.topic, "hello", time=""), RETENTION)
    page = await history.latest(KEY, 10, 0)
    assert (page.position, [bytes(each.data) for each in page.publications or []]) == (
        added.position,
        [b'"hello"'],
    )
    sender = BrokerBus(history._broker)
    await sender.send("group", b"heard")
    assert await listener.receives(1) == [("group", b"heard")]
    await listener.bus.stop()
    await broker.close()
    await history.close()


@asynccontextmanager
async def _listening(proxy: Proxy) -> AsyncIterator[Proxy]:
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port
