"""A browser that loses the network and comes back: nothing is lost, nothing is doubled, the order holds."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.cable import Cable
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import Launch
from tests.browser.windows import ACME, Window, Windows, fill_in_sign_in
from tests.servers.pool import Site

ROOM_OF_60 = """
import uuid
from accounts.models import Tenant, User
from chat.models import Message, Room, RoomMembership
tenant = Tenant.objects.get(slug="acme")
room = Room.objects.create(tenant=tenant, name="Rows", name_key="rows", is_public=False, last_seq=60, last_rev=60)
bob, alice = (User.objects.get(username=each) for each in ("bob", "alice"))
for user in (alice, bob):
    RoomMembership.objects.create(room=room, user=user, read_seq=60)
Message.objects.bulk_create(
    Message(tenant=tenant, room=room, author=bob, seq=seq, rev=seq, text=f"row {seq}", client_msg_id=uuid.uuid4())
    for seq in range(1, 61)
)
result = room.pk
"""
# In another process: what it announces is carried by the outbox. Few messages are changed often.
CHANGE_1000 = """
import random
from django.db import transaction
from accounts.models import Tenant as TenantRow, User
from chat.messages import changing
from chat.payloads import MessageDelete, MessageEdit, MessageReaction
from realtime import Publisher, Tenant
row = TenantRow.objects.get(slug="acme")
tenant = Tenant(row.pk, row.slug, row.name)
bob = Publisher(User.objects.get(username="bob").pk, "bob")
chance, gone = random.Random(7), set()
for hundred in range(10):
    with transaction.atomic():
        for number in range(100):
            about = {"room_id": room_id, "seq": chance.choice([seq for seq in range(1, 61) if seq not in gone])}
            kind = chance.choice(["edit"] * 10 + ["add"] * 10 + ["remove"] * 5 + ["delete"])
            if kind == "edit":
                changing.message_edit(tenant, bob, MessageEdit(text=f"**edit** {hundred}{number}", **about))
            elif kind == "delete" and about["seq"] % 2:
                gone.add(about["seq"])
                changing.message_delete(tenant, bob, MessageDelete(**about))
            else:
                change = changing.reaction_remove if kind == "remove" else changing.reaction_add
                change(tenant, bob, MessageReaction(emoji=chance.choice("👍🎉😂"), **about))
result = len(gone)
"""
STORED = """
from chat.models import Message
result = list(Message.objects.filter(text__startswith=about).order_by("seq").values_list("text", flat=True))
"""
ROWS = """(rows) => rows.map((row) => [row.dataset.seq, row.dataset.deleted,
  ...[".message-text", ".message-edited", ".reactions"].map((part) => row.querySelector(part)?.textContent ?? null)])"""

# The page loads modules that it may need later when it is idle.
HAS_LOADED = """(names) => names.every((name) =>
  performance.getEntriesByType("resource").some((entry) => entry.name.includes(`/${name}.`) && entry.responseEnd > 0))"""


@pytest.fixture(scope="module")
def whole_cable(browsed_site: Site) -> Iterator[Cable]:
    """The cable of alice's machine."""
    with Cable(browsed_site.server.port) as cable:
        yield cable


@pytest.fixture(scope="module")
def bob(kept_windows: Windows) -> ChatPage:
    """Bob, in the room "general"; his network holds."""
    chat = ChatPage.enter(kept_windows, "bob")
    chat.open_room("general")
    return chat


@pytest.fixture(scope="module")
def alices_window(kept_windows: Windows, whole_cable: Cable) -> ChatPage:
    """Alice's chat, at the end of the cable."""
    chat = ChatPage.enter(kept_windows, "alice", port=whole_cable.port)
    chat.window.expect_lost_network()
    chat.open_room("general")
    return chat


@pytest.fixture
def alice(alices_window: ChatPage, bob: ChatPage) -> ChatPage:
    """Alice, in the same room and connected."""
    alices_window.wait_until_connected()
    expect(alices_window.bar).to_be_hidden()
    expect(bob.here.filter(has_text="alice")).to_have_count(1)
    return alices_window


@pytest.fixture
def cable(alice: ChatPage, whole_cable: Cable) -> Iterator[Cable]:
    """The cable, mended after the test."""
    yield whole_cable
    whole_cable.mend()


def test_offline_and_back(alice: ChatPage, bob: ChatPage) -> None:
    """The browser knows that it is offline; the page says so, and connects as soon as it is not."""
    expect(alice.bar).to_be_hidden()
    alice.page.wait_for_function(HAS_LOADED, arg=["finder", "emoji-picker"])
    alice.window.context.set_offline(True)
    expect(alice.bar).to_contain_text("You are offline.")
    # Parts of the page that open for the first time were loaded before.
    for name in ("Find…", "Emoji"):
        alice.page.get_by_role("button", name=name).click()
        expect(alice.page.get_by_role("dialog")).to_be_visible()
        alice.page.keyboard.press("Escape")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)
    alice.page.get_by_role("button", name="New conversation").click()
    expect(alice.page.get_by_role("dialog").get_by_role("status")).to_contain_text("connection")
    alice.page.keyboard.press("Escape")
    _both_talk(alice, bob, "offline")
    expect(alice.bar).to_contain_text("2 messages wait to be sent.")
    alice.window.context.set_offline(False)
    _assert_whole(alice, bob, "offline")


def test_a_cut_cable_and_back(alice: ChatPage, bob: ChatPage, cable: Cable) -> None:
    """The browser does not notice the loss. The page does, and tries again at once when it is used."""
    cable.cut()
    expect(alice.bar).to_contain_text("The connection is lost.")
    _both_talk(alice, bob, "cut")
    expect(alice.bar).to_contain_text("2 messages wait to be sent.")
    cable.mend()
    alice.composer.click()
    _assert_whole(alice, bob, "cut")


def test_what_did_not_load_for_later_is_loaded_with_the_next_connection(
    alice: ChatPage, cable: Cable
) -> None:
    if alice.is_in_firefox:
        pytest.skip("Firefox tries a module again only after a reload")
    lost = re.compile(r"/(finder|row-menu)\.\w+\.js")
    alice.page.route(lost, lambda route: route.abort())
    alice.page.reload()
    alice.wait_until_connected()
    alice.page.wait_for_function(HAS_LOADED, arg=["emoji-picker"])
    alice.say("with a menu")
    row = alice.page.locator(".message[data-state=sent]").filter(has_text="with a menu")
    alice.in_message_menu(row, "Copy link")
    expect(alice.page.get_by_role("alert")).to_contain_text("did not load")
    alice.page.unroute(lost)
    expect(alice.in_message_menu(row, "Copy link")).to_be_visible()
    alice.page.keyboard.press("Escape")
    cable.cut()
    expect(alice.bar).to_contain_text("The connection is lost.")
    cable.mend()
    alice.composer.click()
    alice.page.wait_for_function(HAS_LOADED, arg=["finder"])


def test_a_message_whose_confirmation_was_lost_is_there_once(
    alice: ChatPage, bob: ChatPage, cable: Cable
) -> None:
    """The server has it, alice cannot know: she sends it again, and it stays one message."""
    cable.deafen()
    alice.say("deaf, from alice")
    expect(bob.messages("deaf")).to_have_text(["deaf, from alice"])
    expect(alice.unsent("deaf")).to_have_text(["deaf, from alice"])
    cable.cut()
    expect(alice.bar).to_contain_text("1 message waits to be sent.")
    cable.mend()
    alice.composer.click()
    expect(alice.messages("deaf")).to_have_text(["deaf, from alice"])
    expect(alice.bar).to_be_hidden()
    alice.say("deaf no more")
    for chat in (alice, bob):
        expect(chat.messages("deaf")).to_have_text(["deaf, from alice", "deaf no more"])


def test_what_waits_survives_a_reload(alice: ChatPage, bob: ChatPage, cable: Cable) -> None:
    """The tab keeps what was typed without a network, also over a reload once it is back."""
    cable.cut()
    alice.say("kept one", "kept two")
    expect(alice.unsent("kept")).to_have_text(["kept one", "kept two"])
    cable.mend()
    alice.page.reload()
    for chat in (alice, bob):
        expect(chat.messages("kept")).to_have_text(["kept one", "kept two"])
    expect(alice.unsent("kept")).to_have_count(0)


def _both_talk(alice: ChatPage, bob: ChatPage, about: str) -> None:
    alice.say(f"{about}: waits 1", f"{about}: waits 2")
    expect(alice.unsent(about)).to_have_text([f"{about}: waits 1", f"{about}: waits 2"])
    bob.say(f"{about}: meanwhile 1", f"{about}: meanwhile 2", f"{about}: meanwhile 3")
    expect(bob.messages(about)).to_have_count(3)


def _assert_whole(alice: ChatPage, bob: ChatPage, about: str) -> None:
    said = [f"{about}: meanwhile {number}" for number in (1, 2, 3)]
    said += [f"{about}: waits {number}" for number in (1, 2)]
    expect(alice.messages(about)).to_have_text(said)
    expect(alice.bar).to_be_hidden()
    expect(bob.here.filter(has_text="alice")).to_have_count(1)
    # A message that came twice would have come before this one.
    bob.say(f"{about}: the end")
    for chat in (alice, bob):
        expect(chat.messages(about)).to_have_text([*said, f"{about}: the end"])
        expect(chat.unsent(about)).to_have_count(0)


def test_what_waits_outlives_the_tab(alice: ChatPage, bob: ChatPage, cable: Cable) -> None:
    """Twenty messages of a tab that was closed without a network are sent by the next one: once, in order."""
    texts = [f"closed {number:02}" for number in range(20)]
    cable.cut()
    address = alice.page.url
    alice.say(*texts)
    # At once: nothing may still wait for its turn in the page.
    alice.page.close()
    cable.mend()
    alice.page = alice.window.context.new_page()
    alice.page.goto(address)
    for chat in (alice, bob):
        expect(chat.messages("closed")).to_have_text(texts)
    expect(alice.unsent("closed")).to_have_count(0)


def test_what_waits_outlives_the_browser(launch: Launch, browsed_site: Site) -> None:
    """Twenty messages of a browser that was closed without a network are sent when it is started again."""
    texts = [f"ended {number:02}" for number in range(20)]
    address = f"http://{ACME}:{browsed_site.server.port}"
    with launch() as context:
        alice = ChatPage(Window(context, address), "alice")
        alice.window.go("/accounts/login/?next=/chat/")
        fill_in_sign_in(alice.page, "alice")
        alice.wait_until_connected()
        alice.open_room("general")
        context.set_offline(True)
        alice.say(*texts)
        expect(alice.unsent("ended")).to_have_text(texts)
        alice.wait_until_stored(20)
    with launch() as context:
        alice = ChatPage(Window(context, address), "alice")
        alice.window.go("/chat/")
        alice.open_room("general")
        expect(alice.messages("ended")).to_have_text(texts)
        expect(alice.unsent("ended")).to_have_count(0)
        # A message that came twice would have come before this one.
        alice.say("ended: all")
        expect(alice.messages("ended")).to_have_text([*texts, "ended: all"])
        assert browsed_site.orm.run(STORED, about="ended") == [*texts, "ended: all"]
        assert not alice.window.complaints


def test_a_thousand_changes_during_a_cut_leave_the_same_rows(
    alice: ChatPage, bob: ChatPage, cable: Cable, browsed_site: Site
) -> None:
    """Edits, deletions and reactions, of which most replace another one: row for row both see the same afterwards."""
    room_id = browsed_site.orm.run(ROOM_OF_60)
    chats = (alice, bob)
    for chat in chats:
        chat.page.reload()
        chat.page.evaluate(f"() => (location.hash = '#room-{room_id}')")
        expect(chat.page.locator(".message[data-seq]")).to_have_count(60)
    cable.cut()
    expect(alice.bar).to_contain_text("The connection is lost.")
    assert browsed_site.orm.run(CHANGE_1000, room_id=room_id) > 10
    cable.mend()
    alice.composer.click()
    bob.say("the last")
    # A new page shows the rows of the server: it has missed nothing.
    fresh = bob.window.context.new_page()
    fresh.goto(bob.page.url)
    expect(fresh.locator(".message[data-seq]")).to_have_count(61)
    rows = fresh.locator(".message[data-seq]").evaluate_all(ROWS)
    fresh.close()
    for chat in chats:
        same = f"(rows) => JSON.stringify(({ROWS})([...document.querySelectorAll('.message[data-seq]')])) === rows"
        chat.page.wait_for_function(same, arg=json.dumps(rows, ensure_ascii=False, separators=(",", ":")))
