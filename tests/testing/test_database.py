"""The database of a site under test is that of the test: its rows, its transaction, and what waits for a commit."""

import asyncio
import uuid
from contextlib import suppress

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.test import TestCase, override_settings
from pytest_django import Settings

from accounts.models import User
from realtime import TopicRule, adisconnect, disconnect, publish
from realtime.testing import connect, site

RULES = {"TOPIC_RULES": {"orders": TopicRule()}}
ORDERS = {"topic": "orders:7"}
SHIPPED = {"data": {"state": "shipped"}}


class Person(AbstractBaseUser):
    """A user as other projects have them."""

    class Meta:
        app_label = "people"
        managed = False

    def get_username(self) -> str:
        return "ann"


def ship(*, fails: bool = False) -> None:
    """A service of a project, with a transaction of its own."""
    with transaction.atomic():
        User.objects.create(username="shipped")
        publish("orders:7", {"state": "shipped"})
        if fails:
            raise ZeroDivisionError


@pytest.fixture(autouse=True)
def _rules(settings: Settings) -> None:
    settings.REALTIME = RULES


@pytest.fixture
def ann(db: None) -> User:
    return User.objects.create(username="ann")


async def test_rows_of_a_fixture_are_seen(ann: User) -> None:
    async with site() as own:
        assert await own.node.database.run(User.objects.count) == 1
        assert await User.objects.acount() == 1


async def test_rows_of_the_asynchronous_orm_are_seen_and_gone_afterwards(ann: User) -> None:
    async with site() as own:
        await User.objects.acreate(username="ben")
        assert await own.node.database.run(User.objects.count) == 2


@pytest.mark.django_db
def test_nothing_is_left_of_them() -> None:
    assert User.objects.count() == 0


async def test_a_service_publishes_when_it_commits(ann: User) -> None:
    async with connect(user=ann) as socket:
        await socket.request("subscribe", ORDERS)
        with suppress(ZeroDivisionError):
            await sync_to_async(ship)(fails=True)
        await socket.refute_push("publication")
        await sync_to_async(ship)()
        await socket.assert_push("publication", SHIPPED)
        await socket.refute_push("publication")


async def test_so_does_work_in_a_database_thread(ann: User) -> None:
    async with site() as own, own.connect() as socket:
        await socket.request("subscribe", ORDERS)
        await own.node.database.run(ship)
        await socket.assert_push("publication", SHIPPED)


def test_so_does_a_synchronous_test(ann: User) -> None:
    with connect(user=ann) as socket:
        socket.request("subscribe", ORDERS)
        with transaction.atomic():
            ship()
            socket.refute_push("publication")
        socket.assert_push("publication", SHIPPED)
        with transaction.atomic():
            disconnect(tenant="main", user_id=ann.pk, reason="enough")
            socket.refute_push("publication")
        assert socket.assert_closed(4409) == (4409, "reconnect: enough")


async def test_an_operation_is_recorded_in_the_transaction_of_the_test(ann: User) -> None:
    async with connect(user=ann) as socket:
        assert await adisconnect(tenant="main", user_id=ann.pk) == 1
        await socket.assert_closed(4409)


async def test_a_user_with_a_uuid_is_a_text_on_the_wire() -> None:
    person = Person(pk=uuid.UUID(int=7))
    async with connect(user=person, scopes=()) as socket:
        reply = await socket.request("subscribe", ORDERS | {"presence": True})
        assert [user["id"] for user in reply["presence"]["users"]] == [str(uuid.UUID(int=7))]


@override_settings(REALTIME=RULES)
class InTestCase(TestCase):
    """Django's own test case, synchronous and not."""

    def test_a_service_publishes_when_it_commits(self) -> None:
        with connect() as socket:
            socket.request("subscribe", ORDERS)
            ship()
            socket.assert_push("publication", SHIPPED)

    def test_a_callback_of_the_project_runs_where_django_runs_it(self) -> None:
        with connect() as socket:
            socket.request("subscribe", ORDERS)
            with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
                transaction.on_commit(lambda: publish("orders:7", {"state": "shipped"}) and None)
            socket.assert_push("publication", SHIPPED)

    async def test_it_does_so_in_an_asynchronous_test(self) -> None:
        async with connect() as socket:
            await socket.request("subscribe", ORDERS)
            await asyncio.gather(sync_to_async(ship)())
            await socket.assert_push("publication", SHIPPED)
