"""Stored texts that would be markup or script are shown as texts: in the chat, in the admin, on the live page."""

from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import Windows
from tests.servers.broker import until
from tests.servers.pool import Site

HOST = "evil.localhost"
# Closes attributes, comments, styles, titles and scripts, and begins what runs.
PAYLOAD = """'"--></style></title></script><img src=x onerror=hacked=1><svg onload=hacked=1>{{7*7}}${7*7}<b id=hacked>"""
MAKE = """
import uuid
from datetime import timedelta
from django.utils import timezone
from accounts.models import Domain, Membership, Tenant as TenantRow, User
from chat import services
from chat.messages import changing
from chat.messages.sending import message_post
from chat.models import File, Message, Reaction, Room, RoomMembership
from chat.payloads import InRoom, MessageSend, OneMessage, RoomCreate, RoomDirect
from realtime import Publisher, Tenant, record_action
from realtime.models import Ban
row = TenantRow.objects.create(slug="evil", name=payload[:100])
Domain.objects.create(tenant=row, host="evil.localhost")
tenant = Tenant(row.pk, row.slug, row.name)
eve = User.objects.create_superuser("eve", password="rockstar")
mallory = User.objects.create(username=payload, first_name=payload, last_name=payload, email=payload)
for user in (eve, mallory):
    Membership.objects.create(user=user, tenant=row, name=payload[:64], status=payload[:64], status_emoji=payload[:32])
people = [Publisher(user.pk, user.username) for user in (eve, mallory)]
room, _ = services.room_create(tenant, people[1], RoomCreate("lounge"))
services.room_join(tenant, people[0], InRoom(room.id))
services.room_create(tenant, people[1], RoomCreate("other"))
services.room_direct(tenant, people[1], RoomDirect([eve.pk]))
link, block = f"[{payload}](https://example.com/{payload})", f"```{payload}\\n{payload}\\n```"
for text in (payload, f"**{payload}** `{payload}`", link, block):
    message, _ = message_post(tenant, people[1], MessageSend(room.id, uuid.uuid4(), text))
message_post(tenant, people[0], MessageSend(room.id, uuid.uuid4(), payload, 1))
changing.pin_add(tenant, people[0], OneMessage(room.id, 1))
Reaction.objects.create(message_id=message.id, user=mallory, emoji=payload[:32])
File.objects.create(tenant=row, uploader=mallory, message_id=message.id, name=payload, type=payload[:64], size=1)
Room.objects.filter(tenant=row, direct_key=None).update(topic_line=payload)
Room.objects.filter(tenant=row, name="other").update(name=payload[:80])
record_action("room_remove", tenant="evil", user=people[0], reason=payload[:200], room_id=room.id)
Ban.objects.create(tenant="evil", user_id="999999", until=timezone.now() + timedelta(days=1), reason=payload[:200])
"""
FOUND = """() => (window.hacked ?? 0) +
  document.querySelectorAll("[onerror], [onload], [onclick], img[src='x'], b[id=hacked]").length"""


@pytest.fixture(scope="module", autouse=True)
def _evil(browsed_site: Site) -> None:
    browsed_site.orm.run(MAKE, payload=PAYLOAD)
    # The server looks for new hosts every half second.
    page = f"http://127.0.0.1:{browsed_site.server.port}/accounts/login/"
    until(lambda: httpx.get(page, headers={"Host": HOST}).is_success)


def assert_harmless(page: Page) -> None:
    """The texts became no elements, and nothing ran."""
    assert page.evaluate(FOUND) == 0


def test_in_the_chat(windows: Windows) -> None:
    """Every panel and dialog that shows what others wrote."""
    window = windows.enter("eve", "/chat/", HOST)
    chat, page = ChatPage(window, "eve"), window.page
    chat.room("lounge").click()
    expect(page.locator(".message").last).to_contain_text("onerror=hacked=1")
    expect(page.locator(".quote")).to_contain_text("onerror=hacked=1")
    expect(page.locator(".file-card")).to_contain_text("onerror=hacked=1")
    assert_harmless(page)
    dialog = page.get_by_role("dialog")
    for name in ("Pinned messages", "About this room", "Browse rooms", "New conversation", "Your profile"):
        page.get_by_title(name, exact=True).click()
        expect(dialog).to_contain_text("onerror" if name in {"Pinned messages", "Browse rooms"} else "ancel")
        assert_harmless(page)
        page.keyboard.press("Escape")
    page.locator(".person").last.click()
    expect(dialog).to_be_visible()
    assert_harmless(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("onerror")
    expect(page.get_by_role("option").filter(has_text="onerror=hacked=1").last).to_be_visible()
    assert_harmless(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Search messages").click()
    page.get_by_label("Words in messages").fill("hacked=1")
    expect(page.locator(".search-result mark").first).to_be_visible()
    assert_harmless(page)
    chat.composer.press_sequentially("@")
    expect(page.get_by_role("option").first).to_be_visible()
    chat.composer.fill(PAYLOAD)
    page.locator(".message").first.hover()
    page.get_by_role("button", name="Reply").click()
    expect(page.locator(".composer-note")).to_contain_text("onerror")
    assert_harmless(page)


def test_in_the_admin(windows: Windows) -> None:
    """Every list, and the first row of each."""
    window = windows.enter("eve", "/admin/", HOST)
    page, seen = window.page, 0
    lists = page.locator("#content-main th a").evaluate_all("(links) => links.map((link) => link.href)")
    for address in lists:
        page.goto(address)
        assert_harmless(page)
        seen += page.get_by_text("onerror=hacked=1").count()
        rows = page.locator("#result_list tbody th a").evaluate_all(
            "(links) => links.map((link) => link.href)"
        )
        for row in rows[:1]:
            page.goto(row)
            assert_harmless(page)
            page.goto(urljoin(row, "../history/"))
            assert_harmless(page)
    assert seen > 10
    page.goto(urljoin(page.url, "/admin/realtime/live/"))
    expect(page.locator("#live")).to_contain_text("evil")
    for name in ("Connections", "Topics", "Errors", "Audit"):
        page.get_by_role("link", name=name, exact=True).first.click()
        page.wait_for_load_state("networkidle")
        assert_harmless(page)
