"""The page of the tutorial and the JavaScript of the cookbook, in the project that their examples make."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.docs.pages import ROOT, blocks
from tests.fixtures.shop import make_shop
from tests.servers.databases import REPOSITORY, base_environment
from tests.servers.orm import OrmShell
from tests.servers.ports import free_port

WAIT_S = 30
_PEOPLE = """
from django.contrib.auth import get_user_model
from shop.models import Order
ann = get_user_model().objects.create_superuser("ann", password="secret-ann")
result = [str(ann.pk), Order.objects.create(customer=ann).pk]
"""
_SHIP = """
from shop.models import Order
from shop.services import order_ship
order_ship(Order.objects.get(pk=order))
"""
# Inside a transaction, because this process serves nothing and there is no broker.
_HAPPENS = """
from django.contrib.auth import get_user_model
from django.db import transaction
from realtime import publish
from shop.notify import notify
with transaction.atomic():
    notify(get_user_model().objects.get(pk=user), "On its way.")
    publish("board:open", {"id": 7, "state": "shipped"})
"""
# Names that the examples use and a page of the project has: `put`, `draw` and others write into `window.seen`.
_PRELUDE = """
window.seen = [];
const { RealtimeClient } = await import("realtime/client");
const seen = (what) => (value) => window.seen.push([what, value]);
const client = new RealtimeClient("/ws/pubsub/"), rpc = new RealtimeClient("/ws/rpc/");
const showToast = seen("toast"), draw = seen("drawn"), put = seen("put"), question = "What is it?";
const redraw = (joined) => window.seen.push(["joined", joined.length]);
const answer = { append: seen("answer") };
client.start();
rpc.start();
await new Promise((resolve) => rpc.on("state", (state) => state.name === "online" && resolve()));
"""


@dataclass
class Shop:
    """The running project, a shell beside it, and what is in it."""

    address: str
    shell: OrmShell
    user: str
    order: int


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    folder, port = tmp_path / "shop", free_port()
    make_shop(folder, sys.executable)
    env = base_environment() | {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    env["PYTHONPATH"] = os.pathsep.join([str(folder), str(REPOSITORY)])
    manage = [sys.executable, str(folder / "manage.py")]
    for arguments in (("makemigrations", "people", "shop"), ("migrate",)):
        subprocess.run([*manage, *arguments], env=env, check=True, capture_output=True)
    shell = OrmShell(env, tmp_path / "shell.log")
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen([*manage, "serve", "--port", str(port)], env=env, stdout=log, stderr=log)
    try:
        user, order = shell.run(_PEOPLE)
        _wait_until_open(port, server)
        yield Shop(f"http://localhost:{port}", shell, user, order)
    finally:
        shell.close()
        server.send_signal(signal.SIGTERM)
        server.wait(WAIT_S)
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def _wait_until_open(port: int, server: "subprocess.Popen[bytes]") -> None:
    transport = httpx.HTTPTransport(retries=100)
    with httpx.Client(transport=transport) as client:
        client.get(f"http://localhost:{port}/accounts/login/", timeout=WAIT_S)
    assert server.poll() is None


def test_the_order_page_is_live_and_the_recipes_run(chromium: Browser, shop: Shop) -> None:
    with chromium.new_context(base_url=shop.address) as context:
        page = context.new_page()
        page.goto(f"/orders/{shop.order}/")
        page.fill("#id_username", "ann")
        page.fill("#id_password", "secret-ann")
        page.click("[type=submit]")
        expect(page.locator("#state")).to_have_text("open")
        shop.shell.run(_SHIP, order=shop.order)
        expect(page.locator("#state")).to_have_text("shipped")
        _recipes(page, shop)


def _recipes(page: Page, shop: Shop) -> None:
    # Each in a block of its own: they are of different pages.
    recipes = "\n".join(f"{{{block.text}}}" for block in blocks(ROOT / "docs" / "cookbook.md", "js"))
    page.evaluate(f"(async () => {{ const userId = '{shop.user}'; {_PRELUDE} {recipes} }})()")
    page.wait_for_function("seen.filter(([what]) => what === 'answer').length > 0")
    shop.shell.run(_HAPPENS, user=shop.user)
    page.wait_for_function("seen.some(([what]) => what === 'toast') && seen.some(([what]) => what === 'put')")
    found = page.evaluate("seen")
    assert ["toast", "On its way."] in found
    assert ["put", {"id": 7, "state": "shipped"}] in found
    assert ["drawn", []] in found
    assert "".join(text for what, text in found if what == "answer") == "Forty-two"
