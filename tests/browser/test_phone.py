"""The smallest phone: 320 pixels wide."""

import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect

from tests.browser.chat_page import ChatPage, picture
from tests.browser.test_live_page import open_live_page
from tests.browser.windows import PHONE, Windows

LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitänswitwenrente" * 3
TABS_MAX = 20
TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
LANDSCAPE: ViewportSize = {"width": 667, "height": 375}


@pytest.fixture
def alice(windows: Windows) -> ChatPage:
    """Alice, on her phone."""
    return ChatPage.enter(windows, "alice", viewport=PHONE)


def test_no_page_scrolls_sideways(alice: ChatPage, windows: Windows) -> None:
    """Not even with a word that is wider than the screen."""
    alice.say(LONG_WORD)
    expect(alice.messages(LONG_WORD)).to_have_count(1)
    assert_fits(alice.page)
    assert_fits(alice.window.go("/accounts/password/"))
    assert_fits(windows.open(viewport=PHONE).go("/accounts/login/"))
    assert_fits(open_live_page(windows, viewport=PHONE))


def test_what_opens_fits_with_text_at_twice_its_size(alice: ChatPage) -> None:
    """The shortcuts, the profile, the grid of emoji, the menus and the pins."""
    page = alice.page
    alice.say("a plan to pin")
    alice.in_message_menu(page.locator(".message").last, "Pin to the room").click()
    page.evaluate("() => (document.documentElement.style.fontSize = '200%')")
    page.keyboard.press("Control+/")
    assert_holds_its_parts(page, "dialog")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Rooms", exact=True).click()
    page.get_by_title("Your profile").click()
    assert_holds_its_parts(page, "dialog")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    # The list of rooms, which the dialog was opened from.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Emoji", exact=True).click()
    assert_holds_its_parts(page, ".emoji-picker")
    assert_holds_its_parts(page, ".emoji-grid")
    assert_fits(page)
    page.keyboard.press("Escape")
    for menu in ("Account of alice", "More about"):
        page.get_by_role("button", name=menu).click()
        expect(page.locator(":popover-open")).to_be_in_viewport(ratio=1)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Pinned messages").click()
    assert_holds_its_parts(page, ".pins")


def test_the_button_that_sends_stays_in_view_beside_many_files(alice: ChatPage) -> None:
    """The files scroll. Each can be reached and removed."""
    page = alice.page
    page.locator("input[type=file]").set_input_files([picture(20 + number, 10) for number in range(10)])
    expect(page.locator(".composer .file-card")).to_have_count(10)
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport(ratio=1)
    for _ in range(10):
        page.get_by_role("button", name="Remove plan.png").last.click()
    expect(page.locator(".composer .file-card")).to_have_count(0)


def test_a_tap_on_a_message_shows_its_tools_and_presses_none(windows: Windows) -> None:
    """They stand where the finger is. A tap on a link follows it."""
    alice = ChatPage.enter(windows, "alice", viewport=PHONE, has_touch=True)
    if alice.is_in_firefox:
        pytest.skip("Playwright taps nothing in a Firefox that it drives by WebDriver BiDi")
    room = alice.page.url.split("#")[1]
    for text in ("A line that is as wide as the screen", f"{alice.window.address}/chat/#{room}-1"):
        alice.composer.fill(text)
        alice.page.get_by_role("button", name="Send").tap()
    expect(alice.messages(f"#{room}-1")).to_have_count(1)
    row = alice.page.locator(".message").filter(has_text="as wide as the screen")
    # On some devices there is a mouse too, which rests somewhere.
    alice.page.mouse.move(160, 150)
    row.locator(".message-text").tap()
    alice.page.evaluate(TWO_FRAMES)
    expect(row.get_by_role("toolbar")).to_be_visible()
    expect(alice.page.locator(".floating")).to_have_count(0)
    row.get_by_role("button", name="React with 👍").tap()
    expect(row.locator(".reaction")).to_have_text("👍 1")
    alice.page.locator(f'.message a[href$="#{room}-1"]').tap()
    expect(alice.page.locator(".message[data-seq='1']")).to_be_focused()


def test_dialogs_begin_at_their_top_with_the_buttons_in_view_on_a_phone_in_landscape(alice: ChatPage) -> None:
    """Nobody has to scroll to see what a dialog is about, or to leave it."""
    page = alice.page
    page.set_viewport_size(LANDSCAPE)
    page.keyboard.press("Control+/")
    assert_shows(page, "Keyboard shortcuts", "Close")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Rooms", exact=True).click()
    page.get_by_title("Your profile").click()
    assert_shows(page, "Your profile", "Save")


def test_the_rooms_open_by_keyboard(alice: ChatPage) -> None:
    """The focus goes into the drawer, a room is chosen, and the focus comes back on Escape."""
    opener = alice.page.get_by_role("button", name="Rooms", exact=True)
    closer = alice.page.get_by_label("Close the list of rooms")
    expect(closer).not_to_be_in_viewport()
    tab_to(alice.page, "drawer-button")
    alice.page.keyboard.press("Enter")
    expect(closer).to_be_in_viewport()
    expect(closer).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(closer).not_to_be_in_viewport()
    expect(opener).to_be_focused()
    alice.page.keyboard.press("Enter")
    expect(closer).to_be_focused()
    other = "help" if alice.heading.text_content() == "random" else "random"
    alice.room(other).press("Enter")
    expect(alice.heading).to_have_text(other)
    expect(closer).not_to_be_in_viewport()
    # The finder covers the drawer, and the message that the search leads to has the focus.
    alice.say("found from the drawer")
    opener.click()
    alice.page.get_by_role("button", name="Find").click()
    alice.page.get_by_role("combobox").fill("found from the drawer")
    # The people of the search before are gone, too.
    alice.page.keyboard.press("Enter")
    expect(alice.heading).to_have_text(other)
    query = alice.page.get_by_label("Words in messages")
    expect(query).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(query).not_to_be_in_viewport()
    search = alice.page.get_by_role("button", name="Search messages")
    expect(search).to_be_focused()
    search.click()
    expect(query).to_be_focused()
    alice.page.keyboard.press("Escape")
    expect(search).to_be_focused()
    search.click()
    alice.page.locator(".search-result").first.click()
    expect(closer).not_to_be_in_viewport()
    expect(alice.page.locator(".message").filter(has_text="found from the drawer").last).to_be_focused()


def test_a_drawer_has_the_focus_before_what_is_in_it_has_loaded(alice: ChatPage) -> None:
    """On a slow network."""
    page = alice.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/people-panel.*", hold)
    # Firefox counts the module as a part of the load.
    page.reload(wait_until="domcontentloaded")
    people = page.get_by_role("button", name="People", exact=True)
    people.click()
    expect(page.locator("#panel")).to_be_focused()
    for route in held:
        route.continue_()
    alice.wait_until_connected()
    page.keyboard.press("Escape")
    expect(people).to_be_focused()


def assert_fits(page: Page) -> None:
    """Fail when the page is wider than the screen."""
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"], page.url


def assert_holds_its_parts(page: Page, selector: str) -> None:
    """Fail when what is in an element is wider than it."""
    expect(page.locator(selector)).to_be_visible()
    wide, room = page.locator(selector).evaluate("(element) => [element.scrollWidth, element.clientWidth]")
    assert wide <= room, selector


def assert_shows(page: Page, title: str, button: str) -> None:
    """Fail if the title or the button of the open dialog is not wholly in view."""
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=title)).to_be_in_viewport(ratio=1)
    expect(dialog.get_by_role("button", name=button)).to_be_in_viewport(ratio=1)


def tab_to(page: Page, class_name: str) -> None:
    """Press Tab until something of this class has the focus."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if page.evaluate("(name) => document.activeElement.classList.contains(name)", class_name):
            return
    pytest.fail(f"Nothing of class {class_name} has got the focus after {TABS_MAX} tabs.")
