"""The package in a project of somebody else: built, installed, and ten lines written."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.fixtures.installed import build_wheel, install
from tests.servers.databases import base_environment
from tests.servers.ports import free_port

pytestmark = pytest.mark.servers

WAIT_S = 20
# The ten lines that a project adds after `startproject`.
SETTINGS = """
from realtime import TopicRule, nobody
INSTALLED_APPS = ["realtime", *INSTALLED_APPS, "people"]
ASGI_APPLICATION = "realtime.asgi.application"
REALTIME = {"TOPIC_RULES": {"orders": TopicRule(publish=nobody)}}
"""
VIEWS = """
from django.http import JsonResponse
from realtime import publish


def ship(request, order):
    position = publish(f"orders:{order}", {"state": "shipped"})
    return JsonResponse({"offset": position.offset, "tenant": request.scope["tenant"].slug})
"""
# The routes that the project had before.
URLS = """
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from people.views import ship
urlpatterns = [
    path("admin/", admin.site.urls),
    path("in/", LoginView.as_view(template_name="in.html", next_page="/admin/")),
    path("out/", LogoutView.as_view(next_page="/in/")),
    path("ship/<int:order>/", ship),
]
"""
MODELS = """
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
"""
PEOPLE = """
from people.models import User
user = User.objects.create_user("ann", password="secret-ann", id="8c5bd5a2-6f2d-4f9c-9f0a-9f6f3a4d1c11")
"""
ANN = "8c5bd5a2-6f2d-4f9c-9f0a-9f6f3a4d1c11"


@dataclass
class Project:
    """A project in a folder, and the Python that has the package."""

    folder: Path
    python: Path
    port: int = 0

    @property
    def env(self) -> dict[str, str]:
        return base_environment() | {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "mysite.settings"}

    def manage(self, *arguments: str) -> str:
        """Return the output of a command of manage.py."""
        command = [str(self.python), "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def open(self, path: str, cookies: str = "") -> AbstractContextManager[ClientConnection]:
        """A socket of a page of the project."""
        address = f"localhost:{self.port}"
        headers = {"Cookie": cookies} if cookies else {}
        url, origin = f"ws://{address}{path}", Origin(f"http://{address}")
        return connect(url, additional_headers=headers, origin=origin, proxy=None)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("somebody")
    made = Project(folder / "site", install(wheel, folder / "venv"), free_port())
    _write(made)
    made.manage("makemigrations", "people")
    made.manage("migrate")
    made.manage("shell", "-c", PEOPLE)
    log = made.folder / "server.log"
    with log.open("w") as output:
        command = [str(made.python), "manage.py", "serve", "--port", str(made.port)]
        server = subprocess.Popen(command, cwd=made.folder, env=made.env, stdout=output, stderr=output)
    try:
        _wait_until_open(made, server, log)
        yield made
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(WAIT_S)
    assert "Traceback" not in log.read_text(), log.read_text()[-4000:]


def _write(project: Project) -> None:
    project.folder.mkdir()
    start = [str(project.python), "-m", "django", "startproject", "mysite", str(project.folder)]
    subprocess.run(start, check=True, capture_output=True)
    settings = project.folder / "mysite" / "settings.py"
    own = 'AUTH_USER_MODEL = "people.User"\nTEMPLATES[0]["DIRS"] = [BASE_DIR]\n'
    settings.write_text(settings.read_text() + SETTINGS + own)
    files = {
        "mysite/urls.py": URLS,
        "people/__init__.py": "",
        "people/models.py": MODELS,
        "people/views.py": VIEWS,
        "in.html": "<form method=post>{% csrf_token %}{{ form }}</form>",
    }
    for name, text in files.items():
        (project.folder / name).parent.mkdir(exist_ok=True)
        (project.folder / name).write_text(text)


def _wait_until_open(project: Project, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s and server.poll() is None:
        try:
            with project.open("/ws/"):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"The project's server is not there:\n{log.read_text()[-4000:]}")


def ask(socket: ClientConnection, kind: str, payload: object) -> dict[str, object]:
    """The reply to a request."""
    socket.send(json.dumps({"id": "1", "type": kind, "payload": payload}))
    while (message := json.loads(socket.recv(WAIT_S))).get("id") != "1":
        pass
    return dict(message)


def push(socket: ClientConnection, kind: str) -> dict[str, object]:
    """The payload of the next push of this type."""
    while (message := json.loads(socket.recv(WAIT_S)))["type"] != kind:
        pass
    return dict(message["payload"])


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"realtime", "rockstar_realtime-0.1.0.dist-info"}
    wanted = (
        "py.typed",
        "templates/realtime/live.html",
        "static/realtime/client.js",
        "static/realtime/client/index.js",
        "static/realtime/client/page-watch.js",
        "migrations/__init__.py",
    )
    assert {f"realtime/{name}" for name in wanted} <= set(names)


def test_everything_has_a_default(project: Project) -> None:
    assert "no issues" in project.manage("check")
    with project.open("/ws/") as socket:
        assert socket.recv(WAIT_S) == "Welcome to WebSocket!"
    with project.open("/ws/echo/") as socket:
        socket.send("hello")
        assert socket.recv(WAIT_S) == "hello"
    for path in ("/ws/pubsub/", "/ws/rpc/", "/ws/stream/"):
        with project.open(path) as socket:
            welcome = json.loads(socket.recv(WAIT_S))["payload"]
            assert (welcome["tenant"], welcome["user"]) == ("main", None)
    for path in ("/ws/data/", "/ws/session/"):
        with pytest.raises(InvalidStatus) as refused, project.open(path):
            pass
        assert refused.value.response.status_code == 401


def test_a_topic_is_closed_until_a_rule_opens_it_and_a_view_publishes(project: Project) -> None:
    with project.open("/ws/pubsub/") as socket:
        for closed in ("news", "members:1"):
            assert ask(socket, "subscribe", {"topic": closed})["payload"]["code"] == "permission_denied"  # type: ignore[index]
        assert ask(socket, "subscribe", {"topic": "orders:7"})["type"] == "subscribed"
        shipped = httpx.get(f"http://localhost:{project.port}/ship/7/").json()
        assert shipped == {"offset": 1, "tenant": "main"}
        assert push(socket, "publication")["data"] == {"state": "shipped"}


def test_the_sockets_are_described_without_a_url_of_the_project(project: Project) -> None:
    url = f"http://localhost:{project.port}/api/asyncapi/"
    document = httpx.get(url).json()
    assert (document["asyncapi"], document["servers"]["site"]["protocol"]) == ("3.0.0", "ws")
    assert "/ws/pubsub/" in [each["address"] for each in document["channels"].values()]
    assert httpx.post(url).status_code in {403, 404}


def test_a_user_with_a_uuid_signs_in_and_a_sign_out_closes_the_socket(project: Project) -> None:
    with httpx.Client(base_url=f"http://localhost:{project.port}") as browser:

        def send(path: str, **fields: str) -> None:
            browser.get("/in/")
            fields["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
            assert browser.post(path, data=fields).status_code == 302

        send("/in/", username="ann", password="secret-ann")
        cookies = f"sessionid={browser.cookies['sessionid']}"
        with project.open("/ws/session/", cookies) as session, project.open("/ws/data/", cookies) as data:
            assert push(data, "welcome")["user"] == {"id": ANN, "username": "ann"}
            assert ask(session, "set", {"key": "cart", "value": [1]})["type"] == "saved"
            assert ask(session, "whoami", {})["payload"]["values"] == {"cart": [1]}  # type: ignore[index]
            send("/out/")
            for socket in (session, data):
                with pytest.raises(ConnectionClosed) as closed:
                    push(socket, "nothing that comes")
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 4401


def test_it_needs_none_of_the_extras(project: Project) -> None:
    extras = (
        "redis",
        "channels_redis",
        "daphne",
        "rest_framework",
        "prometheus_client",
        "psycopg",
        "accounts",
    )
    code = f"import importlib.util as u; print([n for n in {extras} if u.find_spec(n)])"
    assert _printed(project, code) == "[]"
    code = (
        "import realtime, realtime.testing as kit\n"
        "print(len([getattr(each, name) for each in (realtime, kit) for name in each.__all__]) > 50)"
    )
    assert _printed(project, code) == "True"


def _printed(project: Project, code: str) -> str:
    """What the code prints in the project's environment."""
    command = [str(project.python), "-c", code]
    done = subprocess.run(
        command, cwd=project.folder, env=project.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
