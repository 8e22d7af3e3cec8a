"""`realtime` under another Django project, whose users have UUIDs; the examples of docs/extending.md run in it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.fixtures.foreign import make_project
from tests.servers.databases import REPOSITORY, base_environment
from tests.servers.orm import OrmShell
from tests.servers.ports import free_port

pytestmark = [pytest.mark.servers, pytest.mark.redis]

WAIT_S = 20
_MIGRATE = ("makemigrations", "people", "shop"), ("migrate",), ("migrate", "--database", "other")
_SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from people.models import User
user, _ = User.objects.get_or_create(username=username)
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(user.pk)
session.save()
result = [str(user.pk), session.session_key]
"""


@dataclass
class Project:
    """The running project, and a shell beside it: another process, as a task or a command would be."""

    port: int
    shell: OrmShell

    def open(self, path: str, username: str | None = None) -> "Socket":
        """A socket, signed in by a session of the project."""
        user_id, key = self.shell.run(_SIGN_IN, username=username) if username else ("", "")
        cookie = {"Cookie": f"sessionid={key}"} if key else {}
        address = f"localhost:{self.port}"
        connecting = connect(
            f"ws://{address}{path}", additional_headers=cookie, origin=Origin(f"http://{address}"), proxy=None
        )
        return Socket(connecting, user_id)


class Socket:
    """One socket; asks and waits."""

    def __init__(self, connecting: AbstractContextManager[ClientConnection], user_id: str) -> None:
        self.user_id = user_id
        self._opened = ExitStack()
        self._connection = self._opened.enter_context(connecting)

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def ask(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request."""
        self._connection.send(json.dumps({"id": "1", "type": kind, "payload": payload}))
        return self.wait_for(lambda message: message.get("id") == "1")

    def push(self, kind: str) -> Any:
        """The payload of the next push of this type."""
        return self.wait_for(lambda message: message["type"] == kind and "id" not in message)["payload"]

    def close_code(self) -> int:
        """The code that the server closes with."""
        with pytest.raises(ConnectionClosed) as closed:
            self.wait_for(lambda message: False)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code

    def wait_for(self, wanted: Any) -> dict[str, Any]:
        """The next message that is wanted."""
        while True:
            message: dict[str, Any] = json.loads(self._connection.recv(WAIT_S))
            if wanted(message):
                return message


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, valkey_url: str) -> Iterator[Project]:
    folder: Path = tmp_path_factory.mktemp("foreign") / "project"
    make_project(folder)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    paths = os.pathsep.join([str(folder), str(REPOSITORY)])
    env = base_environment() | kept | {"PYTHONPATH": paths, "REDIS_URL": valkey_url}
    env["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
    manage = [sys.executable, str(folder / "manage.py")]
    for arguments in _MIGRATE:
        done = subprocess.run([*manage, *arguments], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    port, log = free_port(), folder / "server.log"
    with log.open("w") as output:
        command = [*manage, "serve", "--port", str(port)]
        server = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    shell = OrmShell(env, folder / "shell.log")
    try:
        made = Project(port, shell)
        _wait_until_open(made, server, log)
        yield made
    finally:
        shell.close()
        server.send_signal(signal.SIGTERM)
        code = server.wait(WAIT_S)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]
    assert code == 0


def _wait_until_open(project: Project, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + 2 * WAIT_S
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            project.open("/ws/pubsub/").__exit__()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"The project's server is not there:\n{log.read_text()[-4000:]}")


def test_the_examples_of_the_page_run(project: Project) -> None:
    order_id = project.shell.run("""
        from shop.models import Order
        result = Order.objects.create(tenant="main", total="9.50").pk
    """)
    with project.open("/ws/rpc/", "ann") as ann:
        order = ann.ask("get_order", {"order_id": order_id})
        assert (order["type"], order["payload"]["order"]["total"]) == ("order", "9.50")
        assert ann.ask("get_order", {"order_id": 0})["payload"]["code"] == "invalid_message"
    with project.open("/ws/stream/?source=countdown&interval=0.05") as stranger:
        values = [stranger.push("data")["value"] for _ in range(3)]
        assert values == [10, 9, 8]
    with project.open("/ws/stream/?source=orders.open&interval=0.05") as stranger:
        assert stranger.push("data")["value"] >= 1
    with project.open("/ws/data/", "ann") as ann:
        rows = ann.ask("query", {"query": "orders", "params": {"state": "open"}})["payload"]["items"]
        assert {"id": order_id, "state": "open"} in rows
    with project.open("/ws/shop/", "ann") as ann:
        greeting = ann.ask("greet", {"name": "Ann"})["payload"]
        assert greeting == {"text": "Hello, Ann, from Main.", "greeted": 1}


def test_orders_are_ones_own_and_so_are_their_changes(project: Project) -> None:
    query = {"query": "my.orders", "params": {"state": "mine"}, "watch": True}
    made = """
        from shop.models import Order
        result = Order.objects.create(tenant="main", state="mine", customer_id=user_id).pk
    """
    with project.open("/ws/data/", "ann") as ann, project.open("/ws/data/", "cat") as cat:
        orders = [project.shell.run(made, user_id=each.user_id) for each in (ann, cat)]
        for each, order in zip((ann, cat), orders, strict=True):
            assert [item["id"] for item in each.ask("query", query)["payload"]["items"]] == [order]
        later = project.shell.run(made, user_id=ann.user_id)
        assert ann.push("change")["item"]["id"] == later
        last = project.shell.run(made, user_id=cat.user_id)
        # Nothing of ann's came before it.
        assert cat.push("change")["item"]["id"] == last
    with project.open("/ws/data/") as stranger:
        assert stranger.ask("query", query)["payload"]["code"] == "unauthenticated"


def test_a_stream_that_ends_says_so(project: Project) -> None:
    with project.open("/ws/stream/?source=countdown&interval=0.05") as stranger:
        assert stranger.push("stopped") == {"stream": "s1", "source": "countdown"}


def test_a_service_publishes_from_another_process_after_its_commit(project: Project) -> None:
    with project.open("/ws/pubsub/", "ann") as ann:
        ann.ask("subscribe", {"topic": "orders:open"})
        ann.ask("subscribe", {"topic": "prices"})
        order_id = project.shell.run("""
            from mysite.tenants import MAIN
            from shop.models import Order
            from shop.services import order_ship
            from shop.tasks import tell_price
            result = Order.objects.create(tenant="main").pk
            order_ship(MAIN, result)
            tell_price("main", "9.50")
        """)
        # A publication in a transaction is stored with it, and sent by the serving process within a second.
        found = {push["topic"]: push["data"] for push in (ann.push("publication"), ann.push("publication"))}
        assert found == {"orders:open": {"id": order_id, "state": "shipped"}, "prices": {"price": "9.50"}}


def test_it_waits_for_the_commit_of_the_database_it_names(project: Project) -> None:
    with project.open("/ws/pubsub/", "ann") as ann:
        ann.ask("subscribe", {"topic": "news"})
        project.shell.run("""
            from django.db import transaction
            from realtime import publish
            try:
                with transaction.atomic(using="other"):
                    publish("news", "rolled back", tenant="main", using="other")
                    raise ZeroDivisionError
            except ZeroDivisionError:
                pass
            with transaction.atomic(using="other"):
                publish("news", "second", tenant="main", using="other")
                publish("news", "first", tenant="main")
        """)
        assert [ann.push("publication")["data"] for _ in range(2)] == ["first", "second"]


def test_rights_of_users_with_uuids_end_from_another_process(project: Project) -> None:
    with project.open("/ws/pubsub/", "ben") as ben, project.open("/ws/pubsub/", "ann") as ann:
        for each in (ben, ann):
            reply = each.ask("subscribe", {"topic": "news", "presence": True})["payload"]
        assert {user["id"] for user in reply["presence"]["users"]} == {ben.user_id, ann.user_id}
        code = "import realtime\nrealtime.end_subscriptions('news', tenant='main', user_id=user_id)"
        project.shell.run(code, user_id=ben.user_id)
        assert ben.push("unsubscribed")["code"] == "permission_denied"
        project.shell.run(
            """
            import realtime
            from people.models import User
            user = User.objects.get(pk=user_id)
            User.objects.filter(pk=user_id).update(is_active=False)
            realtime.recheck(user.pk)
            """,
            user_id=ben.user_id,
        )
        assert ben.close_code() == 4401
        assert ann.ask("ping", {})["type"] == "pong"


def test_a_tenant_that_is_not_there_is_refused(project: Project) -> None:
    said = project.shell.run("""
        from realtime import RequestError, publish
        try:
            publish("news", 1, tenant="typo")
        except RequestError as error:
            result = str(error)
    """)
    assert said == "There is no tenant 'typo'."
