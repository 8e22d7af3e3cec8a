"""The chat page keeps the reader's place and text."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat_page import ENTER_OF_INPUT_METHOD, ChatPage
from tests.browser.windows import Windows, fill_in_sign_in
from tests.servers.pool import Site

ROOM_OF_500 = """
import uuid
from accounts.models import Tenant, User
from chat.models import Message, Room, RoomMembership
from chat.text import room_name_key
tenant = Tenant.objects.get(slug="acme")
room = Room.objects.create(tenant=tenant, name=name, name_key=room_name_key(name), is_public=False)
bob, alice = (User.objects.get(username=each) for each in ("bob", "alice"))
for user in (alice, bob):
    RoomMembership.objects.create(room=room, user=user, read_seq=read_seq)
Message.objects.bulk_create(
    Message(tenant=tenant, room=room, author=bob, seq=seq, rev=seq, text=f"line {seq}", client_msg_id=uuid.uuid4())
    for seq in range(1, 501)
)
Room.objects.filter(pk=room.pk).update(last_seq=500, last_rev=500)
result = room.pk
"""
READ = """
from chat.models import RoomMembership
RoomMembership.objects.filter(room_id=room_id).update(read_seq=350)
"""
DELETE = """
from chat.models import Room
Room.objects.get(pk=room_id).delete()
"""
LOOK = """(looks) => {
  document.hasFocus = () => looks;
  dispatchEvent(new Event(looks ? "focus" : "blur"));
}"""
ARTICLES = ".message[data-seq]"
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# Before a frame is drawn: keys may come as fast.
FOCUS_AFTER_CTRL_K = """async () => {
  const press = new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(press);
  for (let turns = 0; turns < 50; turns += 1) await null;
  return document.activeElement.id;
}"""


@pytest.fixture(scope="module")
def room_id(browsed_site: Site) -> Iterator[int]:
    """A private room of alice and bob, with 500 messages; alice has read 350. Other modules count no unread of it."""
    found: int = browsed_site.orm.run(ROOM_OF_500, name="archive", read_seq=350)
    yield found
    browsed_site.orm.run(DELETE, room_id=found)


@pytest.fixture
def alice(windows: Windows, browsed_site: Site, room_id: int) -> ChatPage:
    """Alice, looking at that room."""
    browsed_site.orm.run(READ, room_id=room_id)
    chat = ChatPage.enter(windows, "alice")
    chat.room("archive").click()
    expect(chat.heading).to_have_text("archive")
    return chat


def seqs(page: Page) -> list[int]:
    """The numbers of the messages on the page."""
    found: list[int] = page.locator(ARTICLES).evaluate_all(
        "(rows) => rows.map((row) => Number(row.dataset.seq))"
    )
    return found


def _wait_until_loaded(page: Page) -> None:
    """Wait until the list loads nothing. It asks for more messages when it is drawn or scrolled: in the next frame."""
    page.evaluate(TWO_FRAMES)
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")


def test_a_room_opens_at_the_first_unread_and_one_reach_loads_one_page(alice: ChatPage) -> None:
    """The line before new messages is on the screen. Older ones load when the reader scrolls to the top."""
    page = alice.page
    expect(page.locator(".new-row")).to_be_in_viewport()
    expect(page.locator(".new-row + .message")).to_contain_text("line 351")
    _wait_until_loaded(page)
    assert (seqs(page)[0], seqs(page)[-1]) == (301, 400)
    log = page.get_by_role("log")
    log.evaluate("(list) => (list.scrollTop = 0)")
    expect(page.locator(f'{ARTICLES}[data-seq="201"]')).to_have_count(1)
    _wait_until_loaded(page)
    assert seqs(page)[0] == 201
    # The message that stood at the top still does.
    top = page.locator(f'{ARTICLES}[data-seq="301"]').evaluate("(row) => row.getBoundingClientRect().top")
    assert abs(top - log.evaluate("(list) => list.getBoundingClientRect().top")) < 150


def test_a_long_list_leaves_out_what_is_far_and_keeps_its_place(alice: ChatPage, browsed_site: Site) -> None:
    """A list that follows the newest message lays out its end only. Scrolled up, it has all rows in their places."""
    log, articles = alice.page.get_by_role("log"), alice.page.locator(ARTICLES)
    alice.page.locator(".jump-button").click()
    expect(alice.page.locator(f'{ARTICLES}[data-seq="500"]')).to_be_in_viewport()
    for first in (301, 201):
        expect(log).to_have_attribute("aria-busy", "false")
        log.evaluate("(list) => (list.scrollTop = 0)")
        expect(alice.page.locator(f'{ARTICLES}[data-seq="{first}"]')).to_have_count(1)
    alice.page.locator(".jump-button").click()
    expect(log).to_have_attribute("data-lean", "true")
    alice.page.mouse.move(1, 1)
    alice.page.wait_for_function(f"document.querySelectorAll('{ARTICLES}').length === 300")
    alice.page.wait_for_function(
        f"""[...document.querySelectorAll('{ARTICLES}')]
        .filter((row) => row.checkVisibility({{ contentVisibilityAuto: true }})).length < 170"""
    )
    alice.say("and one more")
    expect(alice.messages("and one more")).to_be_in_viewport()
    expect(articles).to_have_count(301)
    watched = articles.nth(270)
    top = "(row) => row.getBoundingClientRect().top"
    before = watched.evaluate(top)
    log.evaluate("(list) => (list.scrollTop -= 700)")
    expect(log).to_have_attribute("data-lean", "false")
    assert abs(watched.evaluate(top) - before - 700) < 2
    assert articles.evaluate_all(
        "(rows) => rows.every((row) => row.checkVisibility({ contentVisibilityAuto: true }))"
    )


@pytest.fixture
def attic(browsed_site: Site) -> Iterator[str]:
    """Another such room, which alice has read to its end."""
    found: int = browsed_site.orm.run(ROOM_OF_500, name="attic", read_seq=500)
    yield "attic"
    browsed_site.orm.run(DELETE, room_id=found)


def test_what_came_while_nobody_looked_is_not_scrolled_past(windows: Windows, attic: str) -> None:
    """The list stops at the first of many messages. They are unread until the reader scrolls to them."""
    alice, bob = ChatPage.enter(windows, "alice"), ChatPage.enter(windows, "bob")
    page = alice.page
    alice.room(attic).click()
    expect(alice.messages("line 500")).to_be_in_viewport()
    page.evaluate(LOOK, False)
    bob.room(attic).click()
    expect(bob.heading).to_have_text(attic)
    bob.say(*("\n".join(f"{part} {line}" for line in range(20)) for part in ("first", "second", "third")))
    expect(alice.messages("third 19")).to_have_count(1)
    page.evaluate(LOOK, True)
    expect(page.locator(".new-row")).to_be_in_viewport()
    expect(page.locator(".new-row + .message")).to_contain_text("first 0")
    expect(page.locator(".jump-button")).to_contain_text("new message")
    page.locator(".jump-button").click()
    expect(alice.messages("third 19")).to_be_in_viewport()
    expect(page.locator(".jump-button")).to_have_count(0)


def test_what_a_closed_tab_left_is_sent_by_the_other_and_drafts_are_the_same_in_both(alice: ChatPage) -> None:
    """The other tab sends the message without a reload. A text that one tab sends is no draft in the other tab."""
    alice.open_room("general")
    other = ChatPage(alice.window, "alice")
    other.page = alice.window.context.new_page()
    other.page.goto(alice.page.url)
    other.wait_until_connected()
    # Its network is gone, and nobody has noticed.
    other.page.evaluate("() => (WebSocket.prototype.send = () => {})")
    other.composer.fill("left by a tab")
    expect(alice.composer).to_have_value("left by a tab")
    other.composer.press("Enter")
    expect(alice.composer).to_have_value("")
    other.wait_until_stored(1)
    other.page.close()
    expect(alice.messages("left by a tab")).to_have_count(1)


def test_what_is_typed_outlives_the_tab_and_the_way_back_is_kept(alice: ChatPage) -> None:
    """Another tab has the draft, in the same room; Back leads to the room before."""
    page = alice.page
    address = page.url
    alice.composer.fill("half a thought")
    alice.open_room("general")
    expect(alice.room("archive").locator(".draft-mark")).to_be_visible()
    page.close()
    alice.page = alice.window.context.new_page()
    alice.page.goto(address)
    alice.wait_until_connected()
    expect(alice.composer).to_have_value("half a thought")
    alice.open_room("general")
    alice.page.go_back()
    expect(alice.heading).to_have_text("archive")
    alice.page.evaluate("() => (location.hash = location.hash.replace(/\\d+/, '1'))")
    expect(alice.heading).to_have_text("general")
    alice.composer.fill("")


def test_only_a_real_enter_sends_and_typing_anywhere_is_writing(alice: ChatPage) -> None:
    """An input method's Enter sends nothing, in whatever order a browser sends the events."""
    page = alice.page
    page.get_by_role("log").focus()
    page.keyboard.type("nihon")
    expect(alice.composer).to_have_value("nihon")
    alice.composer.evaluate(ENTER_OF_INPUT_METHOD)
    page.evaluate("() => document.body.dispatchEvent(new Event('keydown', { bubbles: true }))")
    expect(alice.composer).to_have_value("nihon")
    alice.composer.fill("")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("gene")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate(FOCUS_AFTER_CTRL_K) == "finder-query"
    page.keyboard.type("gene")
    expect(page.get_by_role("combobox")).to_have_value("gene")
    page.get_by_role("combobox").evaluate(ENTER_OF_INPUT_METHOD)
    expect(alice.heading).to_have_text("archive")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Enter")
    expect(alice.heading).to_have_text("general")


def test_messages_are_changed_and_answered_by_keyboard(windows: Windows) -> None:
    """Edit with the arrow, react, reply and delete without a mouse; bob sees all of it."""
    alice, bob = (ChatPage.enter(windows, name) for name in ("alice", "bob"))
    for chat in (alice, bob):
        chat.open_room("random")
    keys = alice.page.keyboard
    alice.say("frist post")
    expect(bob.messages("frist post")).to_have_count(1)
    alice.composer.press("ArrowUp")
    expect(alice.composer).to_have_value("frist post")
    alice.say("first post")
    expect(bob.messages("first post")).to_have_count(1)
    row = bob.page.locator(".message").last
    expect(row.locator(".message-edited")).to_have_text("edited")
    alice.page.bring_to_front()
    alice.page.get_by_role("log").focus()
    keys.press("ArrowUp")
    keys.press("Enter")
    keys.press("Enter")
    expect(row.locator(".reaction")).to_have_text("👍 1")
    expect(alice.page.locator(".message").last.locator(".reaction")).to_have_attribute("aria-pressed", "true")
    bob.turn_to()
    # Asked for twice, the composer gets the focus twice.
    for _ in range(2):
        bob.composer.blur()
        row.hover()
        row.get_by_role("button", name="Reply").click()
        expect(bob.composer).to_be_focused()
    bob.say("indeed")
    expect(alice.page.locator(".message").last.locator(".quote")).to_contain_text("first post")
    first = alice.page.locator(".message").filter(has=alice.page.get_by_text("first post", exact=True)).first
    # With either answer the focus returns to the message: the menu that opened the dialog is gone.
    at_first = alice.page.locator(f'{ARTICLES}[data-seq="{first.get_attribute("data-seq")}"]')
    alice.turn_to()
    alice.in_message_menu(first, "Delete").click()
    expect(alice.page.get_by_role("dialog")).to_be_visible()
    keys.press("Escape")
    expect(at_first).to_be_focused()
    alice.in_message_menu(first, "Delete").click()
    alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(at_first).to_be_focused()
    expect(row.locator(".quote")).to_contain_text("Deleted message")
    expect(bob.page.get_by_text("first post")).to_have_count(0)


def test_who_is_removed_while_typing_stays(windows: Windows, browsed_site: Site) -> None:
    """The text stays where it is, and goes nowhere."""
    browsed_site.orm.run(ROOM_OF_500, name="secret", read_seq=500)
    alice = ChatPage.enter(windows, "alice")
    alice.room("secret").click()
    expect(alice.heading).to_have_text("secret")
    alice.composer.fill("about the salary of our boss")
    bob = ChatPage.enter(windows, "bob")
    other = ChatPage.enter(windows, "alice")
    other.room("secret").click()
    other.leave_room()
    expect(alice.page.get_by_role("alert")).to_contain_text("no longer in secret")
    alice.composer.press("Enter")
    expect(alice.heading).to_have_text("secret")
    expect(alice.composer).to_have_value("about the salary of our boss")
    bob.open_room("general")
    expect(bob.messages("salary")).to_have_count(0)


def test_a_module_that_does_not_load_leaves_the_rooms_and_a_way_on(windows: Windows) -> None:
    """The page says what to do, and a room in the list tries again."""
    window = windows.enter("alice", "/accounts/password/")
    window.expect_lost_network()
    broken = True

    def lose(route: Route) -> None:
        route.abort() if broken else route.continue_()

    window.page.route("**/chat/main*.js", lose)
    window.go("/chat/")
    expect(window.page.get_by_role("alert")).to_contain_text("did not start")
    broken = False
    window.page.get_by_role("link", name="random").click()
    expect(window.page.locator(".room-head h1")).to_have_text("random")


@pytest.mark.parametrize("lost", ["later.*.css", "view/finder.*.js"])
def test_a_part_that_does_not_load_says_so_and_can_be_tried_again(windows: Windows, lost: str) -> None:
    """If a module or the styles that are loaded later fail to load, the page says so, and the next click tries again."""
    window = windows.open()
    window.expect_lost_network()
    window.page.route(f"**/static/chat/{lost}", lambda route: route.abort())
    window.go("/accounts/login/?next=/chat/")
    fill_in_sign_in(window.page, "alice")
    chat = ChatPage(window, "alice")
    chat.heading.wait_for()
    find = window.page.get_by_role("button", name="Find")
    find.click()
    expect(window.page.get_by_role("alert")).to_contain_text("did not load")
    window.page.unroute(f"**/static/chat/{lost}")
    browser = window.context.browser
    if browser is not None and browser.browser_type.name == "firefox" and lost.endswith(".js"):
        # It remembers, as long as the page is there, that a module did not load.
        window.page.reload()
    find.click()
    expect(window.page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    chat.wait_until_connected()
