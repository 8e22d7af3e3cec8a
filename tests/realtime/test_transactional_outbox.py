"""Publications in a transaction commit with it. They are sent after it, once and in order, by any sender."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from django.conf import settings as django_settings
from django.db import DatabaseError, connection, transaction
from django.test import override_settings

from accounts.models import Tenant
from realtime import api
from realtime.conf import load_settings
from realtime.core.history import Draft, Publisher
from realtime.core.position import Position
from realtime.core.topics import TopicKey
from realtime.models import StoredPublication
from realtime.node import node as nodes
from realtime.node import outbox_rows, remote
from realtime.node import transactional_outbox as module
from realtime.node.database import Database
from realtime.node.node import Node
from realtime.node.publish_failures import PublishFailure
from realtime.node.transactional_outbox import TransactionalOutbox
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.topics.engine.ports import EngineUnavailableError
from tests.realtime.followers import until
from tests.servers.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def acme(transactional_db: None) -> Tenant:
    return Tenant.objects.create(slug="acme", name="Acme")


class Sender:
    """An outbox, its publications, and its reports."""

    def __init__(self, holder: str = "one", **options: Any) -> None:
        self.published: list[tuple[str, Any]] = []
        self.drafts: list[Draft] = []
        self.reported: list[PublishFailure] = []
        self.faults: dict[str, Exception] = {}
        # Topics whose server of the broker hangs until the event.
        self.hanging: dict[str, asyncio.Event] = {}
        self.database = Database(1, 5.0)
        report = self.reported.append
        self.outbox = TransactionalOutbox(
            holder, self.database, self._publish, report, **({"max_age_s": 60.0} | options)
        )

    async def _publish(self, tenant: str, topic: str, draft: Draft) -> Position:
        await asyncio.sleep(0)
        if topic in self.hanging:
            await self.hanging[topic].wait()
        if topic in self.faults:
            raise self.faults[topic]
        self.drafts.append(draft)
        self.published.append((topic, msgspec.json.decode(draft.data)))
        return Position("e", len(self.published))

    async def send(self) -> list[tuple[str, Any]]:
        """Return all publications after one look."""
        await self.outbox.send_all()
        return self.published


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    made = Sender()
    yield made
    await made.database.close()


def publish(*data: Any, topic: str = "news", **options: Any) -> None:
    with transaction.atomic():
        for each in data:
            assert api.publish(topic, each, tenant="acme", **options) is None


def waiting() -> int:
    return StoredPublication.objects.count()


async def test_rows_commit_with_the_callers_own_and_are_sent_in_order(sender: Sender) -> None:
    def work() -> None:
        with transaction.atomic():
            api.publish("a", 1, tenant="acme", publisher=Publisher(7, "ann"))
            Tenant.objects.create(slug="globex", name="Globex")
            api.publish("b", 2, tenant="acme")
            with contextlib.suppress(ZeroDivisionError), transaction.atomic():
                api.publish("a", "of a savepoint that is rolled back", tenant="acme")
                raise ZeroDivisionError
            api.publish("a", 3, tenant="acme", idempotency_key="k")
        with transaction.atomic():
            api.publish("a", "rolled back", tenant="acme")
            transaction.set_rollback(True)

    await asyncio.to_thread(work)
    assert [data for topic, data in await sender.send() if topic == "a"] == [1, 3]
    assert ("b", 2) in sender.published
    first, *_ = [each for each in sender.drafts if bytes(each.data) == b"1"]
    assert first.publisher == Publisher(7, "ann")
    assert "k" in [each.idempotency_key for each in sender.drafts]
    assert len({each.idempotency_key for each in sender.drafts}) == 3
    assert await asyncio.to_thread(waiting) == 0


async def test_more_than_a_batch_goes_in_order(sender: Sender) -> None:
    await asyncio.to_thread(publish, *range(2 * module.BATCH + 5))
    assert await sender.send() == [("news", each) for each in range(2 * module.BATCH + 5)]


async def test_a_topic_that_cannot_be_published_to_holds_up_itself_only(sender: Sender) -> None:
    await asyncio.to_thread(publish, 1, 2, topic="a")
    await asyncio.to_thread(publish, 3, topic="b")
    sender.faults["a"] = EngineUnavailableError("away")
    assert await sender.send() == [("b", 3)]
    await asyncio.to_thread(publish, 4, topic="a")
    sender.faults.clear()
    assert (await sender.send())[1:] == [("a", 1), ("a", 2), ("a", 4)]


async def test_a_topic_that_hangs_holds_up_itself_only(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing here waits for a poll.
    monkeypatch.setattr(module, "POLL_S", 1000.0)
    sender.hanging["a"] = asyncio.Event()
    running = asyncio.create_task(sender.outbox.run())
    try:
        await asyncio.to_thread(publish, 1, 2, topic="a")
        await asyncio.to_thread(publish, 3, topic="b")
        sender.outbox.wake()
        await until(lambda: sender.published == [("b", 3)])
        await asyncio.to_thread(publish, 4, topic="b")
        await asyncio.to_thread(publish, 5, topic="a")
        sender.outbox.wake()
        await until(lambda: sender.published == [("b", 3), ("b", 4)])
        sender.hanging["a"].set()
        await until(lambda: sender.published[2:] == [("a", 1), ("a", 2), ("a", 5)])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("fault", [RequestError(ErrorCode.CONFLICT, "used"), ZeroDivisionError("a bug")])
async def test_what_can_never_be_sent_is_reported_and_holds_up_nothing(
    sender: Sender, fault: Exception
) -> None:
    await asyncio.to_thread(publish, 1, topic="a")
    sender.faults["a"] = fault
    await sender.send()
    assert [(each.topic, each.error) for each in sender.reported] == [("a", fault)]
    assert await asyncio.to_thread(waiting) == 0


async def test_a_row_that_cannot_be_read_is_reported(sender: Sender) -> None:
    await asyncio.to_thread(publish, 1, 2)
    await asyncio.to_thread(lambda: StoredPublication.objects.order_by("id")[:1].get().delete())
    row = StoredPublication(tenant="acme", topic="news", body="no JSON", key="k", stored_s=time.time())
    await asyncio.to_thread(row.save)
    assert await sender.send() == [("news", 2)]
    assert [each.topic for each in sender.reported] == ["news"]


async def test_what_waited_too_long_is_reported_not_sent() -> None:
    sender = Sender(max_age_s=10.0)
    await asyncio.to_thread(publish, 1, 2)
    first = StoredPublication.objects.order_by("id")
    await asyncio.to_thread(lambda: first.filter(pk=first[0].pk).update(stored_s=time.time() - 11))
    assert await sender.send() == [("news", 2)]
    assert "more than 10 s" in str(sender.reported[0].error)
    await sender.database.close()


def test_a_full_outbox_breaks_no_transaction(caplog: pytest.LogCaptureFixture) -> None:
    few = django_settings.REALTIME | {"TRANSACTIONAL_OUTBOX_ROWS": 2}
    with override_settings(REALTIME=few):
        publish(1, 2, 3)
    assert waiting() == 2
    assert "2 publications wait in the outbox already" in caplog.text


async def test_one_sends_at_a_time_and_a_dead_one_is_followed(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALE_S", 0.2)
    other = Sender("another")
    await asyncio.to_thread(publish, 1)
    # It dies while it holds the lease.
    assert (await asyncio.to_thread(outbox_rows.take_lease, "dead", None)).holder == "dead"
    assert await other.send() == []
    assert await other.send() == []
    await asyncio.sleep(0.25)
    assert await other.send() == [("news", 1)]
    assert await sender.send() == []
    await other.database.close()


async def test_what_was_sent_and_could_not_be_deleted_is_not_sent_again(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(publish, 1, 2)
    finish = outbox_rows.finish

    def broken(*_: Any) -> bool:
        raise DatabaseError("away")

    monkeypatch.setattr(outbox_rows, "finish", broken)
    with pytest.raises(DatabaseError):
        await sender.send()
    monkeypatch.setattr(outbox_rows, "finish", finish)
    await asyncio.to_thread(publish, 3)
    assert await sender.send() == [("news", 1), ("news", 2), ("news", 3)]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite counts commits so simply")
async def test_nothing_is_written_while_there_is_nothing_to_send(sender: Sender) -> None:
    def version() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            return cursor.fetchone()

    before = await asyncio.to_thread(version)
    await sender.send()
    assert await asyncio.to_thread(version) == before


def test_the_caller_never_waits_for_a_broker() -> None:
    dead = django_settings.REALTIME | {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with override_settings(REALTIME=dead):
        began_s = time.monotonic()
        publish(*range(20))
        assert time.monotonic() - began_s < 1.5
        remote.forget()
    assert waiting() == 20


def test_another_kind_of_database_has_no_outbox(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox_rows, "VENDORS", frozenset())
    publish(1)
    assert waiting() == 0
    assert "failed after the commit" in caplog.text


def test_in_a_block_that_is_rolled_back_anyway_it_does_nothing() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        api.publish("news", 1, tenant="acme")
    assert waiting() == 0


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node(load_settings())
    nodes.install(made)
    await made.ensure_started()
    yield made
    await made.stop()
    nodes.install(None)


async def arrive(node: Node, *expected: bytes) -> None:
    """Wait until exactly this is in the history."""
    async with asyncio.timeout(10):
        data: list[bytes] = []
        while data != list(expected):
            await asyncio.sleep(0.005)
            page = await node.history.latest(TopicKey("acme", "news"), 100, 0)
            data = [bytes(each.data) for each in page.publications or []]


async def test_a_serving_process_sends_its_own_at_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 1000.0)
    # The look that is under way still has the usual interval.
    await asyncio.sleep(0.6)
    await asyncio.to_thread(publish, 1, 2)
    await arrive(node, b"1", b"2")


async def test_what_another_process_stored_is_sent_within_a_second(node: Node) -> None:
    def elsewhere() -> None:
        nodes.install(None)
        publish("from elsewhere")
        nodes.install(node)

    await asyncio.to_thread(elsewhere)
    stored_s = time.monotonic()
    await arrive(node, b'"from elsewhere"')
    # A second where nothing else runs.
    assert time.monotonic() - stored_s < 3
