"""The kit as a stranger uses it: sockets on a site in the process of the test."""

import asyncio
import re
import time
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, TestCase, override_settings
from pytest_django import Settings

from accounts.models import User
from realtime import (
    CloseCode,
    PublishUnavailableError,
    Refusal,
    Tenant,
    TopicRule,
    apublish,
    members,
    publish,
)
from realtime.testing import connect, published, site
from tests.slowness import slowness

RULES = {"TOPIC_RULES": {"orders": TopicRule(), "members": TopicRule(subscribe=members)}}


@pytest.fixture(autouse=True)
def _rules(settings: Settings) -> None:
    settings.REALTIME = RULES


async def test_recovery_as_a_stranger_writes_it() -> None:
    begun_s = time.process_time()
    async with site():
        async with connect() as socket:
            position = await socket.request("subscribe", {"topic": "orders:7"})
        await apublish("orders:7", "missed")
        async with connect() as socket:
            since = {key: position[key] for key in ("epoch", "offset")}
            reply = await socket.request("subscribe", {"topic": "orders:7", "recover": since})
            assert (reply["recovered"], [each["data"] for each in reply["publications"]]) == (
                True,
                ["missed"],
            )
    assert time.process_time() - begun_s < 0.5 * slowness()


async def test_a_socket_is_asked_for_replies_and_pushes_in_any_order() -> None:
    async with connect() as socket:
        asked = await socket.send("subscribe", {"topic": "orders:7"})
        await socket.assert_push("welcome", {"tenant": "main", "user": None})
        await socket.assert_reply(asked, "subscribed", {"topic": "orders:7", "offset": 0})
        await socket.refute_push("publication")
        await apublish("orders:7", {"state": "open"})
        await apublish("orders:7", {"state": "shipped"})
        await socket.assert_push("publication", {"data": {"state": "shipped"}})
        await socket.assert_push("publication", {"offset": 1})
        await socket.refute_push("publication")


async def test_what_does_not_come_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as socket:
        with monkeypatch.context() as impatient:
            impatient.setattr("realtime.testing.sockets.WAIT_S", 0.01)
            with pytest.raises(
                AssertionError, match="Expected the push publication with any payload, received"
            ):
                await socket.assert_push("publication")
        asked = await socket.send("subscribe", {"topic": "closed:1"})
        with pytest.raises(AssertionError, match="Expected the reply subscribed, received error"):
            await socket.assert_reply(asked, "subscribed")
        with pytest.raises(AssertionError, match="subscribe was answered with the error"):
            await socket.request("subscribe", {"topic": "closed:1"})
        await socket.request("subscribe", {"topic": "orders:7"})
        await apublish("orders:7", 1)
        with pytest.raises(AssertionError, match="Expected no push publication"):
            await socket.refute_push("publication")


async def test_a_closed_socket_says_its_code() -> None:
    async with connect() as socket:
        for _ in range(30):
            await socket.send_text("nonsense")
        with pytest.raises(AssertionError, match="Expected the close code 4401, received 4400"):
            await socket.assert_closed(4401)
        assert (await socket.assert_closed(4400))[0] == 4400


async def test_what_came_before_the_close_can_be_asked_for_after_it() -> None:
    async with connect() as socket:
        await socket.request("subscribe", {"topic": "orders:7"})
        await apublish("orders:7", 1)
        await apublish("orders:7", 2)
        for _ in range(30):
            await socket.send_text("nonsense")
        await socket.assert_closed(4400)
        assert [(await socket.assert_push("publication"))["data"] for _ in range(2)] == [1, 2]
        with pytest.raises(AssertionError, match=r"Expected the push publication .* closed with .*4400"):
            await socket.assert_push("publication")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.testing.sockets.WAIT_S", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_what_does_not_come_names_what_came_instead() -> None:
    async with connect() as socket:
        with pytest.raises(AssertionError, match="Expected the close of the socket, received nothing else"):
            await socket.assert_closed()
        await socket.request("subscribe", {"topic": "orders:7"})
        await apublish("orders:7", {"id": 7, "state": "shipped"})
        wrong = r"with \{'data': \{'state': 'shipped'\}\}, received it with \[\{'data': \{'id': 7, 'state': 'shipped'\}\}\]"
        with pytest.raises(AssertionError, match=wrong):
            await socket.assert_push("publication", {"data": {"state": "shipped"}})
        with pytest.raises(AssertionError, match=r"^((?!welcome).)*$"):
            await socket.assert_push("presence")
    async with connect("/ws/echo/") as echo:
        with pytest.raises(AssertionError, match="Expected a text frame, received nothing else"):
            await echo.receive_text()


async def test_a_user_that_is_none_is_named() -> None:
    async with site() as own:
        for wrong in ("ann", 7):
            with pytest.raises(TypeError, match=f"a user of the project or an Identity, received {wrong!r}"):
                async with own.connect(user=wrong):
                    pass
        with pytest.raises(TypeError, match="Save the user first"):
            async with own.connect(user=User(username="ann")):
                pass
        async with own.connect(user=AnonymousUser()) as socket:
            assert (await socket.assert_push("welcome"))["user"] is None


async def test_a_path_may_be_written_as_in_its_route() -> None:
    async with connect("ws/pubsub/") as socket:
        await socket.request("subscribe", {"topic": "orders:7"})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"MAX_CALL": 1}, "unknown setting: 'MAX_CALL'. Did you mean MAX_CALLS?"),
        ({"MAX_CALLS": "1"}, "MAX_CALLS must be a whole number"),
        ({"TOPIC_RULES": {"a:": TopicRule()}}, "never matches"),
    ],
)
async def test_a_setting_of_a_site_is_checked(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        async with site(**given):
            pass


def test_what_is_not_open_yet_says_so() -> None:
    for opening in (site(), connect()):
        with pytest.raises(AttributeError, match=r"`request` .* `with`"):
            opening.request  # noqa: B018


def test_messages_are_iterated_over_in_a_synchronous_test() -> None:
    with site(), connect() as socket:
        socket.request("subscribe", {"topic": "orders:7"})
        publish("orders:7", 1)
        seen = []
        for message in socket.messages():
            seen.append(message["type"])
            if message["type"] == "publication":
                break
        assert seen == ["welcome", "publication"]
        for _ in range(30):
            socket.send_text("nonsense")
        assert {each["type"] for each in socket.messages()} == {"error"}


async def test_time_passes_at_once() -> None:
    begun_s = time.monotonic()
    async with site() as own, own.connect("/ws/stream/?source=clock&interval=60") as socket:
        await socket.assert_push("data")
        await socket.refute_push("data")
        await own.advance(60)
        await socket.assert_push("data")
        await socket.refute_push("data")
    assert time.monotonic() - begun_s < 30


async def test_a_history_expires_at_once() -> None:
    async with site() as own:
        first = await apublish("orders:7", "old")
        await own.advance(400)
        async with connect() as socket:
            since = {"epoch": first.epoch, "offset": 0}
            reply = await socket.request("subscribe", {"topic": "orders:7", "recover": since})
            assert reply["recovered"] is False


@pytest.mark.django_db
async def test_a_user_of_the_project_is_signed_in_with_scopes() -> None:
    ann = User(pk=7, username="ann", is_staff=True)
    async with connect(user=ann, scopes={"orders:read"}) as socket:
        welcome = await socket.assert_push("welcome")
        assert (welcome["user"], welcome["scopes"]) == ({"id": 7, "username": "ann"}, ["orders:read"])
        await socket.request("subscribe", {"topic": "members:all"})
    async with connect(user=ann) as socket:
        assert "pubsub:publish" in (await socket.assert_push("welcome"))["scopes"]


async def test_tenants_are_kept_apart() -> None:
    async with site(), connect(tenant="acme") as acme, connect(tenant=Tenant(2, "globex")) as globex:
        for socket in (acme, globex):
            await socket.request("subscribe", {"topic": "orders:7"})
        await acme.request("publish", {"topic": "orders:7", "data": 1})
        await acme.assert_push("publication")
        await globex.refute_push("publication")


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [("/ws/nowhere/", {}, 404), ("/ws/data/", {}, 401), ("/ws/pubsub/", {"host": "evil.example"}, 404)],
)
async def test_what_is_refused_raises(
    settings: Settings, path: str, options: dict[str, Any], status: int
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    async with site() as own:
        with pytest.raises(Refusal) as refused:
            async with own.connect(path, **options):
                pass
    assert refused.value.status == status


async def test_nothing_is_left_of_a_site(settings: Settings) -> None:
    before = asyncio.get_running_loop().time
    async with site(MAX_SUBSCRIPTIONS=1) as own:
        assert own.node.settings.MAX_SUBSCRIPTIONS == 1
    assert asyncio.get_running_loop().time == before
    with pytest.raises(PublishUnavailableError):
        await apublish("orders:7", 1)


@override_settings(REALTIME=RULES)
class InTestCase(TestCase):
    """Django's own test case, whose transaction the database work of sockets is part of."""

    async def test_rows_of_the_test_are_seen(self) -> None:
        await User.objects.acreate(username="ann")
        async with site() as own:
            count = await own.node.database.run(User.objects.count)
            assert count == 1

    def test_a_publication_is_recorded(self) -> None:
        with published() as publications:
            publish("orders:7", 1)
        assert len(publications) == 1


async def test_a_tenant_of_the_test_is_served_as_long_as_it_runs() -> None:
    async with site() as own:
        for tenant in (
            "acme",
            Tenant(2, "globex"),
            Tenant(3, "umbrella", hosts=frozenset({"umbrella.example"})),
        ):
            async with own.connect(tenant=tenant) as socket:
                await own.advance(120)
                await socket.request("subscribe", {"topic": "orders:7"})


@pytest.mark.django_db
async def test_a_session_of_the_test_client_is_that_of_the_socket(settings: Settings) -> None:
    settings.SESSION_ENGINE = "accounts.credentials.sessions"
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    client = AsyncClient()
    async with site() as here:
        user = await User.objects.acreate(username="ann")
        await client.aforce_login(user)
        session = await client.asession()
        async with connect("/ws/session/", session=session) as socket:
            assert (await socket.request("whoami"))["user"]["username"] == "ann"
            await socket.request("set", {"key": "colour", "value": "red"})
            assert await (await client.asession()).aget("colour") == "red"
            await client.alogout()
            # In a project, at once: its signals tell the node.
            await here.advance(31.0)
            await socket.assert_closed(CloseCode.UNAUTHENTICATED)
        for given in (session, session.session_key, "nonsense"):
            with pytest.raises(Refusal) as refused:
                await connect("/ws/session/", session=given).__aenter__()
            assert refused.value.status == 401
        with pytest.raises(TypeError, match="either `user` or `session`"):
            await connect(user=user, session=session).__aenter__()
