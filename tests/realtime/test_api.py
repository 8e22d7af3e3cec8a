"""The public face: the call checks a publication; a failure after the commit does not reach the caller."""

import asyncio
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import override_settings
from django.utils.safestring import mark_safe
from prometheus_client import generate_latest

from accounts.models import Tenant
from realtime import api
from realtime.conf import load_settings
from realtime.core.history import Draft, Publisher
from realtime.core.position import Position
from realtime.core.topics import TopicKey, TopicRule
from realtime.node import node as nodes
from realtime.node.node import Node
from realtime.node.publish_failures import PublishFailure
from realtime.protocol.errors import ErrorCode, PublishUnavailableError, RealtimeError, RequestError
from realtime.rest.prometheus import registry_of
from realtime.topics.engine.ports import EngineUnavailableError

pytestmark = pytest.mark.django_db

reported: list[PublishFailure] = []


def remember(failure: PublishFailure) -> None:
    """The function that PUBLISH_ERRORS names here."""
    reported.append(failure)
    raise ZeroDivisionError("even this must break nobody")


async def no_reporter(failure: PublishFailure) -> None:
    """Nothing would await it."""


@pytest.fixture
def acme() -> Tenant:
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Draft]:
    drafts: list[Draft] = []

    def publishing(key: TopicKey, draft: Draft) -> "Future[Position]":
        drafts.append(draft)
        published: Future[Position] = Future()
        published.set_result(Position("e", len(drafts)))
        return published

    monkeypatch.setattr(api, "_publishing", publishing)
    return drafts


@override_settings(REALTIME=django_settings.REALTIME | {"TRANSACTIONAL_OUTBOX": False})
def test_in_a_transaction_the_data_is_that_of_the_call(
    acme: Tenant, published: list[Draft], django_capture_on_commit_callbacks: Any
) -> None:
    order = {"state": "new"}
    with django_capture_on_commit_callbacks(execute=True):
        assert api.publish("news", order, tenant="acme") is None
        order["state"] = "changed afterwards"
        assert published == []
    assert [msgspec.json.decode(draft.data) for draft in published] == [{"state": "new"}]


@pytest.mark.parametrize("data", [{"at": object()}, {"at": float("nan")}, {"at": "\ud800"}])
def test_what_json_cannot_hold_fails_the_call_and_not_the_commit(
    published: list[Draft], django_capture_on_commit_callbacks: Any, data: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks, pytest.raises(RequestError) as caught:
        api.publish("news", data, tenant="acme")
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"field": "payload.data.at"}
    assert published == callbacks == []


@pytest.mark.parametrize(
    ("wrong", "code", "why"),
    [
        ({"topic": "nothing:1"}, ErrorCode.PERMISSION_DENIED, "'nothing:1': No rule"),
        ({"topic": ""}, ErrorCode.INVALID_MESSAGE, "1 to 255"),
        ({"topic": "half \ud800"}, ErrorCode.INVALID_MESSAGE, "control"),
        ({"topic": 7}, ErrorCode.INVALID_MESSAGE, "`topic` to be a text, received a value of the type int"),
        ({"tenant": "typo"}, ErrorCode.NOT_FOUND, "no tenant 'typo'"),
        ({"tenant": ""}, ErrorCode.NOT_FOUND, "no tenant ''"),
        ({"tenant": Tenant(slug="acme")}, ErrorCode.INVALID_MESSAGE, "`tenant` to be a text"),
        ({"publisher": Publisher(1, "\udc00")}, ErrorCode.INVALID_MESSAGE, "publisher"),
        ({"idempotency_key": "\ud800"}, ErrorCode.INVALID_MESSAGE, "idempotency_key"),
        ({"idempotency_key": "k" * 129}, ErrorCode.INVALID_MESSAGE, "idempotency_key"),
        ({"data": "x" * 600_000}, ErrorCode.MESSAGE_TOO_LARGE, "524288"),
    ],
)
def test_what_is_wrong_is_told_at_the_call(
    acme: Tenant,
    published: list[Draft],
    django_capture_on_commit_callbacks: Any,
    wrong: dict[str, Any],
    code: ErrorCode,
    why: str,
) -> None:
    arguments: dict[str, Any] = {"topic": "news", "data": 1, "tenant": "acme"} | wrong
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        with pytest.raises(RequestError, match=why) as caught:
            api.publish(**arguments)
        with pytest.raises(RequestError, match=why):
            asyncio.run(api.apublish(**arguments)) if "tenant" not in wrong else api.publish(**arguments)
    assert caught.value.code is code
    assert published == callbacks == []


def test_a_suspended_tenant_is_no_mistake_of_the_caller(published: list[Draft]) -> None:
    Tenant.objects.create(slug="asleep", name="Asleep", is_active=False)
    api.publish(mark_safe("news"), 1, tenant=mark_safe("asleep"))


def tell(topic: str = "news") -> dict[str, Callable[[], Any]]:
    return {
        "publish": lambda: api.publish(topic, 1, tenant="acme"),
        "rewrite_history": lambda: api.rewrite_history(topic, lambda data: None, tenant="acme"),
        "end_subscriptions": lambda: api.end_subscriptions(topic, tenant="acme", user_id=7),
        "recheck": lambda: api.recheck(7),
    }


@pytest.mark.parametrize("action", tell())
@pytest.mark.django_db(transaction=True)
def test_without_a_broker_the_call_raises_and_says_what_to_do(acme: Tenant, action: str) -> None:
    with pytest.raises(PublishUnavailableError, match="Set REDIS_URL") as caught:
        tell()[action]()
    assert ("transaction.atomic()" in str(caught.value)) == (action == "publish")


@pytest.mark.django_db(transaction=True)
def test_without_an_outbox_no_transaction_is_advised(acme: Tenant) -> None:
    own = django_settings.REALTIME | {"TRANSACTIONAL_OUTBOX": False}
    with override_settings(REALTIME=own), pytest.raises(PublishUnavailableError) as caught:
        api.publish("news", 1, tenant="acme")
    assert "transaction.atomic()" not in str(caught.value)


def test_a_project_without_the_app_is_told_so(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "realtime")
    own, sentence = dict(django_settings.REALTIME), 'Put "realtime" first in INSTALLED_APPS'
    with override_settings(REALTIME=own), pytest.raises(ImproperlyConfigured, match=sentence):
        api.publish("news", 1, tenant="acme")
    with pytest.raises(ImproperlyConfigured, match=sentence):
        load_settings()


@pytest.mark.parametrize("action", tell())
@pytest.mark.django_db(transaction=True)
def test_what_fails_after_the_commit_is_logged_counted_and_reported(
    acme: Tenant, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    reported.clear()
    node = Node(load_settings())
    nodes.install(node)
    others: list[str] = []
    errors = {"PUBLISH_ERRORS": f"{__name__}.remember", "TRANSACTIONAL_OUTBOX": False}
    with override_settings(REALTIME=django_settings.REALTIME | errors), transaction.atomic():
        transaction.on_commit(lambda: others.append("before"))
        tell()[action]()
        transaction.on_commit(lambda: others.append("after"))
        Tenant.objects.create(slug="globex", name="Globex")
    nodes.install(None)
    assert others == ["before", "after"]
    assert Tenant.objects.filter(slug="globex").exists()
    [failure] = reported
    assert (failure.action, isinstance(failure.error, PublishUnavailableError)) == (action, True)
    assert (failure.tenant, failure.topic) == (("", "") if action == "recheck" else ("acme", "news"))
    assert f"{action} of topic" in caplog.text
    assert "Set REDIS_URL" in caplog.text
    assert "The function of PUBLISH_ERRORS failed" in caplog.text
    assert sum(node.metrics.publish_failures().values()) == 1
    text = generate_latest(registry_of({"0": node.figures.own()}, None)).decode()
    assert re.search(r"^realtime_publish_failures_total\{.*\} 1\.0$", text, re.MULTILINE)


@pytest.mark.parametrize("path", ["nowhere.at_all", f"{__name__}.reported", f"{__name__}.no_reporter"])
def test_a_wrong_name_in_publish_errors_stops_the_start(path: str) -> None:
    with override_settings(REALTIME=django_settings.REALTIME | {"PUBLISH_ERRORS": path}):
        with pytest.raises(ImproperlyConfigured, match="PUBLISH_ERRORS"):
            Node(load_settings())
        assert "realtime.E004" in [each.id for each in run_checks()]


@pytest.mark.django_db(transaction=True)
def test_without_autocommit_nothing_is_published_before_the_commit(
    acme: Tenant, published: list[Draft]
) -> None:
    transaction.set_autocommit(False)
    try:
        with pytest.raises(transaction.TransactionManagementError):
            api.publish("news", 1, tenant="acme")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)
    assert published == []


@pytest.mark.parametrize("action", tell())
async def test_on_the_loop_it_says_what_to_use_there(action: str) -> None:
    with pytest.raises(RuntimeError, match=r"await"):
        tell()[action]()


class Broken:
    """The hub of a node whose broker is away or does not answer."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def publish(self, *_: Any) -> Position:
        if self.error is None:
            await asyncio.Event().wait()
        raise self.error or AssertionError


@pytest.mark.parametrize("error", [EngineUnavailableError("away"), None])
@pytest.mark.django_db(transaction=True)
def test_where_the_broker_is_away_the_caller_is_told(
    acme: Tenant, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    monkeypatch.setattr(api, "PUBLISH_TIMEOUT_S", 0.05)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    node = Node(load_settings())
    try:
        asyncio.run_coroutine_threadsafe(node.ensure_started(), loop).result()
        node.hub = Broken(error)  # type: ignore[assignment]
        nodes.install(node)
        with pytest.raises(PublishUnavailableError, match="idempotency_key"):
            api.publish("news", 1, tenant="acme")
        if error is not None:
            with pytest.raises(PublishUnavailableError, match="idempotency_key"):
                asyncio.run(api.apublish("news", 1, tenant="acme"))
    finally:
        nodes.install(None)
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def test_a_serving_node_takes_what_other_loops_publish(transactional_db: None) -> None:
    await asyncio.to_thread(Tenant.objects.create, slug="acme", name="Acme")
    node = Node(load_settings())
    nodes.install(node)
    try:
        await node.ensure_started()
        here = await api.apublish("news", 1, tenant="acme")
        there = await asyncio.to_thread(lambda: asyncio.run(api.apublish("news", 2, tenant="acme")))
        thread = await asyncio.to_thread(api.publish, "news", 3, tenant="acme")
        assert [each and each.offset for each in (here, there, thread)] == [1, 2, 3]
        with pytest.raises(RealtimeError, match="no tenant"):
            await api.apublish("news", 1, tenant="typo")
    finally:
        await node.stop()
        nodes.install(None)


@pytest.mark.parametrize("fails_at_once", [False, True])
async def test_a_serving_node_reports_in_a_thread_what_failed_after_the_commit(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, *, fails_at_once: bool
) -> None:
    await asyncio.to_thread(Tenant.objects.create, slug="acme", name="Acme")
    told = asyncio.Event()
    loop, names = asyncio.get_running_loop(), list[str]()

    def tell(failure: PublishFailure) -> None:
        # In a database thread; on the loop it would be refused.
        names.append(f"{failure.action} {failure.topic} {Tenant.objects.get().slug}")
        loop.call_soon_threadsafe(told.set)

    def work() -> None:
        with transaction.atomic():
            api.publish_soon("news", 1, tenant="acme")
        with transaction.atomic():
            api.publish_soon("news", 2, tenant="acme")
            transaction.set_rollback(True)

    monkeypatch.setattr(sys.modules[__name__], "remember", tell)
    errors = {"PUBLISH_ERRORS": f"{__name__}.remember"}
    with override_settings(REALTIME=django_settings.REALTIME | errors):
        node = Node(load_settings())
        nodes.install(node)
        try:
            await node.ensure_started()
            node.hub = Broken(EngineUnavailableError("away"))  # type: ignore[assignment]
            if fails_at_once:
                # Before the thread that asks has gone on.
                failed = Future[Position]()
                failed.set_exception(EngineUnavailableError("away"))
                monkeypatch.setattr(api, "_publishing", lambda *_: failed)
            await asyncio.to_thread(work)
            async with asyncio.timeout(10):
                await told.wait()
        finally:
            await node.stop()
            nodes.install(None)
    assert names == ["publish news acme"]


def test_a_rule_is_found_where_settings_are_overridden(acme: Tenant, published: list[Draft]) -> None:
    with override_settings(REALTIME=django_settings.REALTIME | {"TOPIC_RULES": {"orders": TopicRule()}}):
        api.publish("orders:1", 1, tenant="acme")
        with pytest.raises(RequestError):
            api.publish("news", 1, tenant="acme")
