"""`published`: the publications of a test, with and without transactions, checked as always."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase, TransactionTestCase, override_settings
from pytest_django import Settings

from realtime import Position, Publisher, RequestError, TopicRule, apublish, publish
from realtime.testing import Publications, Published, published

RULES = {"TOPIC_RULES": {"orders": TopicRule()}}
SHIPPED = Published("orders:7", {"state": "shipped"})


def ship(**more: Any) -> Position | None:
    return publish("orders:7", {"state": "shipped"}, **more)


@override_settings(REALTIME=RULES)
class InTestCase(TestCase):
    """The test's own transaction, which never commits, is none for the code under test."""

    def test_what_is_committed_is_there_after_the_commit(self) -> None:
        with published() as publications:
            assert ship() == Position("recorded", 1)
            with transaction.atomic():
                with transaction.atomic():
                    assert ship() is None
                assert publications == [SHIPPED]
            assert publications == [SHIPPED, SHIPPED]
            assert (len(publications), publications[1]) == (2, SHIPPED)
        assert publications == [SHIPPED, SHIPPED]

    def test_what_is_rolled_back_is_not(self) -> None:
        with published() as publications:
            with suppress(ZeroDivisionError), transaction.atomic():
                ship()
                raise ZeroDivisionError
            assert publications == []
            ship()
        assert publications == [SHIPPED]

    def test_captured_callbacks_publish_once(self) -> None:
        with published() as publications:
            with self.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
                ship()
                assert publications == []
            assert publications == [SHIPPED]
        assert len(callbacks) == 1
        assert publications == [SHIPPED]

    def test_captured_callbacks_around_it_publish_nothing_more(self) -> None:
        with self.captureOnCommitCallbacks(execute=True), published() as publications, transaction.atomic():
            ship()
        assert publications == [SHIPPED]

    def test_one_recording_in_another(self) -> None:
        with published() as outer:
            ship()
            with published() as inner:
                publish("orders:8", 1)
        assert outer == [SHIPPED]
        assert inner == [Published("orders:8", 1)]


@override_settings(REALTIME=RULES)
class WithCommits(TransactionTestCase):
    """Commits are real."""

    def test_it_is_there_after_the_commit(self) -> None:
        with published() as publications:
            with transaction.atomic():
                ship()
                assert publications == []
            assert publications == [SHIPPED]
            assert ship() == Position("recorded", 1)


@pytest.mark.django_db
def test_it_holds_what_subscribers_would_get(settings: Settings) -> None:
    settings.REALTIME = RULES
    with published() as publications:
        publish("orders:7", {"at": (1, 2)}, publisher=Publisher("7", "ann"))
    [found] = publications
    assert (found.topic, found.data, found.tenant) == ("orders:7", {"at": [1, 2]}, "main")
    assert found.publisher == Publisher("7", "ann")
    assert found != Published("orders:7", {"at": [1, 2]}, tenant="other")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("topic", "data", "tenant"), [("closed:1", 1, ""), ("orders:1", object(), ""), ("orders:1", 1, "nobodys")]
)
def test_what_could_not_be_published_fails_as_always(
    settings: Settings, topic: str, data: Any, tenant: str
) -> None:
    settings.REALTIME = RULES
    with pytest.raises(RequestError), published() as publications:
        publish(topic, data, tenant=tenant)
    assert publications == []


async def test_it_records_on_the_loop_too(settings: Settings) -> None:
    settings.REALTIME = RULES
    with published() as publications:
        assert await apublish("orders:7", {"state": "shipped"}) == Position("recorded", 1)
    assert publications == [SHIPPED]


@pytest.mark.django_db
def test_what_waited_is_not_of_the_next_recording(settings: Settings) -> None:
    settings.REALTIME = RULES
    with published(), transaction.atomic():
        ship()
    with published() as publications:
        pass
    assert publications == []
    assert connection.run_on_commit


@pytest.mark.django_db
def test_the_plugin_has_it_as_a_fixture(settings: Settings, published: Publications) -> None:
    settings.REALTIME = RULES
    with transaction.atomic():
        ship()
        assert published == []
    assert published == [SHIPPED]
