"""Rooms of two people in two browsers: direct and private ones, mentions, settings, search, profiles."""

import json
import re

import pytest
from playwright.sync_api import Locator, WebSocketRoute, expect

from tests.browser.chat_page import ChatPage, picture
from tests.browser.windows import DESKTOP, GLOBEX, PASSWORD, Windows
from tests.servers.pool import Site

# Keeps what the page tells the browser to show.
RECORD_NOTIFICATIONS = """
window.shown = [];
window.Notification = class {
  static permission = "default";
  static requestPermission() { return Promise.resolve((this.permission = "granted")); }
  constructor(title, { body }) { window.shown.push(`${title}: ${body}`); }
};
"""

# A user of Globex who is in no room.
MAKE_GUEST = f"""
from accounts.models import Membership, Tenant, User
guest = User.objects.create_user("guest", password="{PASSWORD}")
Membership.objects.create(tenant=Tenant.objects.get(slug="globex"), user=guest)
"""


@pytest.fixture(scope="module")
def carol(kept_windows: Windows) -> ChatPage:
    """Carol's chat."""
    return ChatPage.enter(kept_windows, "carol", GLOBEX)


@pytest.fixture(scope="module")
def dave(kept_windows: Windows) -> ChatPage:
    """Dave's chat, whose notifications are kept."""
    window = kept_windows.enter("dave", "/chat/", GLOBEX)
    window.page.add_init_script(RECORD_NOTIFICATIONS)
    window.page.reload()
    chat = ChatPage(window, "dave")
    chat.wait_until_connected()
    return chat


def section(chat: ChatPage, name: str) -> Locator:
    """The rooms in a section of the sidebar."""
    return chat.page.get_by_role("region", name=name, exact=True).locator(".room-item")


def test_a_conversation_begins_by_name_and_appears_for_the_other(carol: ChatPage, dave: ChatPage) -> None:
    """Ctrl+K finds the person; the other sees who wrote, and that it is for them."""
    # Nothing else is unread.
    dave.open_room("random")
    dave.open_room("general")
    carol.page.keyboard.press("Control+k")
    carol.page.get_by_role("combobox").fill("dave")
    carol.page.get_by_role("option", name="dave @dave").click()
    expect(carol.heading).to_have_text("dave")
    expect(section(carol, "People").locator(".presence-dot")).to_have_attribute("data-state", "here")
    carol.say("psst, the anvil")
    # A room that was opened with unread messages stays among them until it is left.
    unread = section(dave, "Unread").filter(has_text="carol")
    expect(unread.locator(".badge")).to_have_text("1 unread")
    expect(unread.locator(".badge")).to_have_attribute("data-personal", "true")
    expect(dave.page).to_have_title("(1) general · Globex")
    icon = dave.page.locator("link[rel=icon]").get_attribute("href") or ""
    assert icon.startswith("data:image/svg+xml,"), icon
    unread.click()
    expect(dave.heading).to_have_text("carol")
    expect(dave.messages("psst")).to_have_count(1)
    dave.open_room("general")
    expect(section(dave, "People")).to_contain_text("carol")


def test_mentions_are_counted_apart_and_muting_is_for_oneself(carol: ChatPage, dave: ChatPage) -> None:
    """A muted room counts nothing; a mention of the reader stands out."""
    dave.open_room("general")
    carol.open_room("random")
    carol.say("anybody here?", "hello @dave")
    badge = dave.room("random").locator(".badge")
    expect(badge).to_have_text("1 mentions of you")
    dave.open_room("random")
    dave.in_menu("Nothing").click()
    dave.page.keyboard.press("Escape")
    dave.page.get_by_role("button", name="Favourite").click()
    dave.open_room("general")
    expect(section(dave, "Favourites")).to_contain_text("random")
    carol.say("more noise @dave")
    expect(dave.room("random")).to_have_attribute("data-muted", "true")
    dave.open_room("random")
    expect(dave.messages("more noise")).to_have_count(1)
    expect(badge).to_have_count(0)
    dave.in_menu("All messages").click()
    dave.page.keyboard.press("Escape")


def test_a_private_room_with_roles(carol: ChatPage, dave: ChatPage) -> None:
    """Its owner says what it is about, invites, gives roles and removes."""
    carol.page.get_by_role("button", name="New room").click()
    dialog = carol.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Plans")
    dialog.get_by_label("Private").check()
    dialog.get_by_role("button", name="Create").click()
    expect(carol.heading).to_have_text("Plans")
    carol.page.get_by_role("button", name="About this room").first.click()
    dialog.get_by_label("What is it about?").fill("Roadrunners, and how to catch them")
    dialog.get_by_role("button", name="Save").click()
    carol.page.get_by_role("button", name="Invite people").click()
    dialog.get_by_label("Part of a name").fill("dav")
    dialog.get_by_text("@dave").click()
    dialog.get_by_role("button", name="Invite").click()
    expect(dialog).to_have_count(0)
    dave.open_room("Plans")
    expect(dave.page.locator(".topic-line")).to_have_text("Roadrunners, and how to catch them")
    dave.page.locator(".person").filter(has_text="carol").click()
    expect(dave.page.get_by_role("dialog")).to_contain_text("owner")
    expect(dave.page.get_by_label("Role in this room")).to_have_count(0)
    dave.page.keyboard.press("Escape")

    carol.page.locator(".person").filter(has_text="dave").click()
    dialog.get_by_label("Role in this room").select_option("guest")
    expect(dialog).to_contain_text("@dave · guest")
    expect(dave.page.get_by_title("Invite people")).to_have_count(0)
    carol.page.keyboard.press("Escape")
    carol.say("Not for guests to pin")
    row = dave.page.locator(".message").filter(has_text="Not for guests")
    expect(dave.in_message_menu(row, "Mark unread")).to_be_visible()
    expect(dave.page.locator(".row-menu").get_by_role("button", name="Pin")).to_have_count(0)
    dave.page.keyboard.press("Escape")
    carol.page.locator(".person").filter(has_text="dave").click()
    dialog.get_by_label("Role in this room").select_option("moderator")
    expect(dialog).to_contain_text("@dave · moderator")
    carol.page.keyboard.press("Escape")
    carol.say("Something rude")
    dave.in_message_menu(dave.page.locator(".message").filter(has_text="Something rude"), "Delete").click()
    dave.page.get_by_label("Reason").fill("Rude.")
    dave.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(carol.messages("deleted")).to_have_count(1)

    carol.page.locator(".person").filter(has_text="dave").click()
    dialog.get_by_label("Reason").fill("Off to another project.")
    dialog.get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove now?").click()
    expect(dave.page.get_by_role("alert")).to_contain_text("no longer in Plans")
    carol.page.get_by_role("button", name="About this room").first.click()
    dialog.get_by_role("button", name="Archive").click()
    dialog.get_by_role("button", name="Archive for everybody?").click()
    expect(carol.heading).not_to_have_text("Plans")


def test_a_link_to_a_public_room_offers_to_join_it(carol: ChatPage, dave: ChatPage) -> None:
    """And leads to its message. A link to a room that nobody can join says so, until the next one leads somewhere."""
    carol.create_room("Open house")
    carol.say("come in")
    expect(carol.messages("come in")).to_have_count(1)
    place = carol.page.url.split("#")[1]
    dave.page.evaluate("location.hash = 'room-999999'")
    notice = dave.page.locator(".composer-note.failed")
    expect(notice).to_contain_text("You are not in the room of that address.")
    dave.page.evaluate(f"location.hash = '{place}-1'")
    dialog = dave.page.get_by_role("dialog", name="Join Open house?")
    expect(dialog).to_contain_text("1 member")
    expect(notice).to_have_count(0)
    dialog.get_by_role("button", name="Join").click()
    expect(dave.heading).to_have_text("Open house")
    expect(dave.messages("come in")).to_have_count(1)
    dave.page.evaluate("location.hash = 'room-999999'")
    expect(notice).to_have_count(1)
    dave.room("general").click()
    expect(notice).to_have_count(0)
    dave.open_room("Open house")
    dave.leave_room()


def test_the_room_that_is_open_is_in_view_in_the_list(dave: ChatPage) -> None:
    """However long the list is, and whatever leads to the room."""
    for name in ("attic", "barn", "cellar", "den"):
        dave.create_room(name)
    dave.page.set_viewport_size({"width": 1280, "height": 330})
    for _ in range(dave.page.locator("button.room-item").count()):
        dave.page.keyboard.press("Alt+ArrowDown")
        expect(dave.page.locator(".room-item[aria-current]")).to_be_in_viewport(ratio=0.9)
    dave.open_room("general")
    dave.page.set_viewport_size(DESKTOP)


def test_without_a_room_a_wrong_address_is_taken_back_and_no_search_is_offered(
    windows: Windows, browsed_site: Site
) -> None:
    """The page says so, and has no address of a room then. There is nothing to search, and no place for the search."""
    browsed_site.orm.run(MAKE_GUEST)
    window = windows.enter("guest", "/chat/", GLOBEX)
    page = window.page
    expect(page.get_by_role("heading", name="No room is open")).to_be_visible()
    page.evaluate("location.hash = 'room-999999'")
    expect(page.get_by_role("alert")).to_contain_text("You are not in the room of that address.")
    expect(page).to_have_url(f"{window.address}/chat/")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("nowhere to be found")
    expect(page.get_by_role("dialog").get_by_role("status")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Nothing was found.")


def test_nobody_is_told_to_join_an_archived_room_again(carol: ChatPage, dave: ChatPage) -> None:
    """The page stays, with what was typed."""
    carol.create_room("Done soon")
    dave.join_room("Done soon")
    carol.page.get_by_role("button", name="About this room").first.click()
    dialog = carol.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Archive").click()
    dialog.get_by_role("button", name="Archive for everybody?").click()
    expect(dave.page.get_by_role("alert")).to_contain_text("Done soon was archived")
    expect(dave.page.get_by_role("button", name="Join again")).to_have_count(0)


def test_search_leads_to_the_message(carol: ChatPage, dave: ChatPage) -> None:
    """Filters narrow it down, and a result opens its room there."""
    carol.open_room("general")
    carol.say("a needle in the haystack")
    dave.open_room("random")
    dave.page.get_by_role("button", name="Search messages").click()
    query = dave.page.get_by_label("Words in messages")
    query.fill("from:dave needle")
    expect(dave.page.get_by_role("status").filter(has_text="Nothing was found")).to_be_visible()
    query.fill("from:carol in:general needle")
    result = dave.page.locator(".search-result")
    expect(result.locator("mark")).to_have_text("needle")
    result.click()
    expect(dave.heading).to_have_text("general")
    expect(dave.messages("haystack")).to_be_in_viewport()
    dave.page.get_by_role("button", name="Close the search").click()
    expect(dave.page.get_by_role("button", name="Search messages")).to_be_focused()
    expect(dave.here).not_to_have_count(0)


def test_words_for_the_search_are_no_message(dave: ChatPage) -> None:
    """Keys that come before the search has loaded go nowhere; asking for it again brings the focus back."""
    page = dave.page
    # In one task, as fast as no person is: nothing is drawn between the click and the key.
    page.get_by_role("button", name="Search messages").evaluate(
        "(button) => { button.click(); button.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true })); }"
    )
    query = page.get_by_label("Words in messages")
    expect(query).to_be_focused()
    dave.heading.click()
    page.get_by_role("button", name="Search messages").click()
    expect(query).to_be_focused()
    page.get_by_role("button", name="Close the search").click()


def test_a_name_and_a_status_are_seen_by_others(carol: ChatPage, dave: ChatPage) -> None:
    """The name stands instead of the user name, which its title still says."""
    for chat in (carol, dave):
        chat.open_room("general")
    carol.page.get_by_title("Your profile").click()
    dialog = carol.page.get_by_role("dialog")
    dialog.get_by_label("Name that others see").fill("Carol Danvers")
    dialog.get_by_label("Status").fill("At lunch")
    dialog.get_by_role("button", name="Save").click()
    expect(carol.page.locator(".own-profile")).to_contain_text("Carol DanversAt lunch")
    dave.open_room("random")
    person = dave.page.locator(".person").filter(has_text="Carol Danvers")
    expect(person).to_contain_text("At lunch")
    expect(person).to_have_attribute("title", "@carol")
    carol.say("It is me")
    dave.open_room("general")
    # Within a group the name is there for screen readers only.
    expect(dave.page.locator(".message").last.locator(".message-head bdi")).to_have_attribute(
        "title", "carol"
    )
    carol.page.get_by_title("Your profile").click()
    dialog.get_by_label("Name that others see").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(carol.page.locator(".own-profile")).to_contain_text("carolAt lunch")


def test_a_profile_picture_is_seen_by_others_until_it_is_removed(carol: ChatPage, dave: ChatPage) -> None:
    """Where there is none, the initial of the name shows."""
    for chat in (carol, dave):
        chat.open_room("general")
    carol.say("This is my face")
    dialog = carol.page.get_by_role("dialog")
    carol.page.get_by_title("Your profile").click()
    chooser = dialog.get_by_label("Choose a picture")
    carol.window.expect_lost_network()
    chooser.set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"text"})
    expect(dialog.get_by_role("alert")).to_contain_text("not taken")
    chooser.set_input_files(picture(300, 200))
    expect(dialog.locator(".avatar img")).to_be_visible()
    carol.page.keyboard.press("Escape")
    dave.page.reload()
    dave.wait_until_connected()
    faces = dave.page.locator(".avatar img")
    for place in ('.person[title="@carol"]', '.message:has(.message-author[title="carol"])'):
        expect(dave.page.locator(f"{place} .avatar img").last).to_have_js_property("naturalWidth", 80)
    carol.page.get_by_title("Your profile").click()
    dialog.get_by_role("button", name="Remove the picture").click()
    expect(carol.page.locator(".avatar img")).to_have_count(0)
    carol.page.keyboard.press("Escape")
    dave.open_room("random")
    expect(faces).to_have_count(0)


def test_notifications_are_asked_for_by_a_click(carol: ChatPage, dave: ChatPage) -> None:
    """The browser shows a message that is unread a second later."""
    for chat in (carol, dave):
        chat.open_room("general")
    dave.page.get_by_title("Your profile").click()
    dave.page.get_by_role("button", name="Turn on").click()
    expect(dave.page.get_by_text("Notifications are on")).to_be_visible()
    dave.page.keyboard.press("Escape")
    carol.open_room("random")
    carol.say("You are needed")
    dave.page.wait_for_function("() => window.shown.length > 0")
    assert dave.page.evaluate("() => window.shown") == ["carol in random: You are needed"]


def test_what_the_server_refuses_is_told_once_and_nothing_shows_that_it_was_done(
    carol: ChatPage, dave: ChatPage
) -> None:
    """A choice in a menu, people, pins and the profile."""
    page = dave.page
    refused = {"room.settings", "user.list", "pin.list", "profile.update"}

    def refuse(window: WebSocketRoute) -> None:
        server = window.connect_to_server()

        def judge(frame: str | bytes) -> None:
            request = json.loads(frame)
            if request.get("type") not in refused:
                return server.send(frame)
            code = "unauthenticated" if request["type"] == "profile.update" else "internal"
            error = {"code": code, "message": f"No {request['type']}.", "retryable": False}
            return window.send(json.dumps({"id": request["id"], "type": "error", "payload": error}))

        window.on_message(judge)

    page.route_web_socket(re.compile("/ws/chat/"), refuse)
    page.reload()
    dave.wait_until_connected()
    for chat in (carol, dave):
        chat.open_room("general")
    dialog = page.get_by_role("dialog")
    dave.in_menu("Mentions only").click()
    expect(page.get_by_role("alert")).to_contain_text("No room.settings.")
    expect(page.get_by_label("All messages")).to_be_checked()
    page.keyboard.press("Escape")
    page.get_by_role("alert").get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Pinned messages").click()
    expect(dialog).to_contain_text("No pin.list.")
    refused.discard("pin.list")
    # The page now sends a read mark, which succeeds. The failure of the pins stays.
    carol.say("Is it better now?")
    expect(dialog).to_contain_text("No pin.list.")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pinned messages").click()
    expect(dialog).to_contain_text("Nothing is pinned yet")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="New conversation").click()
    expect(dialog.get_by_role("status")).to_have_text("No user.list.")
    page.keyboard.press("Escape")
    dave.window.expect_lost_network()
    page.get_by_title("Your profile").click()
    dialog.get_by_label("Choose a picture").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"text"}
    )
    expect(dialog.get_by_role("alert")).to_contain_text("not taken")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("You are signed out.")
    page.keyboard.press("Escape")
    refused.clear()
