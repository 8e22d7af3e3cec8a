"""Files, names, emoji, pins, formats and links that two people put into a room in two browsers."""

import itertools
import re
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, Route, expect

from tests.browser.chat_page import ENTER_OF_INPUT_METHOD, ChatPage, picture
from tests.browser.windows import Windows

# Browsers let no test read what a page has copied without a question.
KEEP_COPIED = "() => (navigator.clipboard.writeText = async (text) => (window.copied = text))"
FETCHED = "(url) => fetch(url).then((reply) => [reply.status, reply.headers.get('content-type')])"
PASTE = "(field, text) => { field.value = text; field.dispatchEvent(new Event('input', { bubbles: true })); }"
HOSTILE_NAME = "<img src=x onerror=window.hacked=1>.txt"


# A process may run a part of this module, then others, then the rest.
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def studio() -> str:
    """The name of the room of this module."""
    return f"Studio {next(NUMBERS)}"


@pytest.fixture(scope="module")
def alice(kept_windows: Windows, studio: str) -> ChatPage:
    """Alice's chat, in a room of this module. The page keeps the texts that she copies."""
    chat = ChatPage.enter(kept_windows, "alice")
    chat.page.evaluate(KEEP_COPIED)
    chat.create_room(studio)
    return chat


@pytest.fixture(scope="module")
def bob(kept_windows: Windows, alice: ChatPage, studio: str) -> ChatPage:
    """Bob's chat, in the same room."""
    chat = ChatPage.enter(kept_windows, "bob", color_scheme="dark")
    chat.join_room(studio)
    return chat


def row(chat: ChatPage, about: str) -> Locator:
    """The last message with a text, as its sender or a reader sees it."""
    return chat.page.locator(".message").filter(has_text=about).last


def test_files_are_sent_shown_in_their_place_and_deleted(alice: ChatPage, bob: ChatPage) -> None:
    """A picture has its place before it is loaded; other files are cards; no name runs."""
    notes: FilePayload = {"name": HOSTILE_NAME, "mimeType": "text/plain", "buffer": b"anvil, rope"}
    chooser = alice.page.locator("input[type=file]")
    chooser.set_input_files([picture(1600, 800), notes])
    expect(alice.page.locator(".composer .file-card")).to_have_count(2)
    alice.say("The new plan")
    seen = row(bob, "The new plan")
    image = seen.locator(".picture img")
    # It has its place before it is loaded. When a lazy picture is loaded is the browser's affair: a window behind
    # others may put it off.
    bob.page.bring_to_front()
    assert image.evaluate("(img) => [img.width, img.height]") == [360, 180]
    thumbnail = bob.page.evaluate(FETCHED, image.get_attribute("src"))
    assert thumbnail == [200, "image/webp"]
    card = seen.locator("a.file-card")
    expect(card).to_contain_text(HOSTILE_NAME)
    with bob.page.expect_download() as downloading:
        card.click()
    assert downloading.value.suggested_filename
    # Playwright finds no downloads of Firefox.
    content = bob.page.evaluate("(url) => fetch(url).then((file) => file.text())", card.get_attribute("href"))
    assert content == "anvil, rope"
    image.click()
    whole = bob.page.get_by_role("dialog").locator("img")
    expect(whole).to_have_js_property("naturalWidth", 1600)
    assert bob.page.evaluate("() => window.hacked") is None
    alice.in_message_menu(row(alice, "The new plan"), "Delete…").click()
    alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(whole).to_have_count(0)
    expect(bob.page.locator(".picture")).to_have_count(0)
    expect(bob.page.get_by_text(HOSTILE_NAME)).to_have_count(0)


def test_a_message_waits_for_its_files_and_a_refused_file_says_why(alice: ChatPage, bob: ChatPage) -> None:
    """An upload that failed is tried again before the message goes; what the server refuses must be removed."""
    chooser = alice.page.locator("input[type=file]")
    alice.window.expect_lost_network()
    chooser.set_input_files(
        {"name": "tool.exe", "mimeType": "application/x-msdownload", "buffer": b"MZ\x00\x01"}
    )
    expect(alice.page.locator(".file-error")).to_have_text("Files of this type are not taken.")
    expect(alice.page.get_by_role("button", name="Send")).to_be_disabled()
    alice.page.get_by_role("button", name="Remove tool.exe").click()
    failures: list[Route] = []

    def fail_once(route: Route) -> None:
        failures.append(route)
        route.fulfill(status=503, body="busy") if len(failures) == 1 else route.continue_()

    alice.page.route("**/api/chat/files/", fail_once)
    chooser.set_input_files({"name": "late.txt", "mimeType": "text/plain", "buffer": b"late"})
    alice.composer.press("Enter")
    expect(row(bob, "late.txt").locator("a.file-card")).to_have_count(1)
    assert len(failures) == 2
    alice.page.unroute("**/api/chat/files/")


def test_a_dropped_folder_is_refused_and_the_files_beside_it_are_taken(
    alice: ChatPage, tmp_path: Path
) -> None:
    """A browser gives it as a file that cannot be read."""
    page = alice.page
    if alice.is_in_firefox:
        pytest.skip("Only Chromium's own protocol drops a folder")
    note = tmp_path / "note.txt"
    note.write_text("anvil")
    cable = page.context.new_cdp_session(page)
    dragged = {"items": [], "files": [str(tmp_path), str(note)], "dragOperationsMask": 1}
    for step in ("dragEnter", "dragOver", "drop"):
        cable.send("Input.dispatchDragEvent", {"type": step, "x": 600, "y": 400, "data": dragged})
    expect(page.locator(".composer .file-card")).to_have_text(re.compile("note.txt"))
    expect(page.locator(".composer-note.failed")).to_contain_text(f"{tmp_path.name} is empty or a folder.")
    page.get_by_role("button", name="Remove note.txt").click()


def test_names_are_completed_by_keyboard_and_stand_out(alice: ChatPage, bob: ChatPage, studio: str) -> None:
    """`@`, `#` and `:` offer names; Escape keeps what is typed."""
    page = alice.page
    options = page.get_by_role("option")
    alice.composer.press_sequentially("@")
    expect(options).to_contain_text(["bob", "2 in this room", "2 here now"])
    expect(alice.composer).to_have_attribute("aria-activedescendant", "completion-0")
    alice.composer.press_sequentially("bo")
    page.keyboard.press("Enter")
    alice.composer.press_sequentially("see #gen")
    expect(options).to_have_count(1)
    page.keyboard.press("Tab")
    alice.composer.press_sequentially("16:30 :tad")
    expect(options.first).to_contain_text(":tada:")
    options.first.click()
    expect(alice.composer).to_have_value("@bob see #general 16:30 🎉 ")
    alice.composer.press_sequentially("@al")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    page.keyboard.press("Enter")
    seen = row(bob, "16:30")
    expect(seen).to_have_attribute("data-mention", "true")
    expect(seen.locator(".mention.own")).to_have_text("@bob")
    seen.get_by_role("link", name="#general").click()
    expect(bob.heading).to_have_text("general")
    bob.open_room(studio)


def test_emoji_are_chosen_in_a_grid(alice: ChatPage, bob: ChatPage) -> None:
    """By search, by arrows, for a message and for a reaction; one alone is large."""
    alice.page.get_by_role("button", name="Emoji", exact=True).click()
    search = alice.page.get_by_role("searchbox")
    # WebKit's search fields keep Escape for themselves, so this is none.
    expect(search).to_have_attribute("type", "text")
    search.press("Escape")
    expect(search).to_have_count(0)
    alice.page.get_by_role("button", name="Emoji", exact=True).click()
    search.fill("rocket")
    search.evaluate(ENTER_OF_INPUT_METHOD)
    expect(alice.composer).to_have_value("")
    alice.page.keyboard.press("Enter")
    expect(alice.composer).to_have_value("🚀")
    alice.composer.press("Enter")
    expect(bob.page.locator(".message-text[data-size=large]")).to_have_text("🚀")
    last = bob.page.locator(".message").last
    bob.turn_to()
    last.hover()
    last.get_by_role("button", name="React with another emoji").click()
    bob.page.get_by_role("tab", name="Smileys").click()
    bob.page.get_by_role("searchbox").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        bob.page.keyboard.press(key)
    expect(alice.page.locator(".message").last.locator(".reaction")).to_have_text("😃 1")


def test_pins_links_and_unread_marks_lead_back_to_a_message(
    alice: ChatPage, bob: ChatPage, studio: str
) -> None:
    """A pinned message is found in the list, a link opens at its message, and unread begins where one says."""
    alice.say("Remember the anvil", *[f"chatter {number}" for number in range(25)])
    expect(bob.messages("chatter 24")).to_have_count(1)
    pinned = row(alice, "Remember the anvil")
    pinned.scroll_into_view_if_needed()
    alice.in_message_menu(pinned, "Pin to the room").click()
    alice.in_message_menu(pinned, "Copy link").click()
    link = alice.page.wait_for_function("() => window.copied").json_value()
    assert re.search(r"/chat/#room-\d+-\d+$", link), link
    bob.turn_to()
    bob.page.get_by_role("button", name="Pinned messages").click()
    dialog = bob.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Remember the anvil")
    dialog.get_by_role("button", name="Show").click()
    expect(row(bob, "Remember the anvil")).to_be_in_viewport()
    expect(row(bob, "Remember the anvil")).to_be_focused()
    bob.in_message_menu(row(bob, "Remember the anvil"), "Unpin").click()
    alice.page.get_by_role("button", name="Pinned messages").click()
    expect(alice.page.get_by_role("dialog")).to_contain_text("Nothing is pinned yet")
    alice.page.keyboard.press("Escape")

    bob.in_message_menu(row(bob, "chatter 20"), "Mark unread from here").click()
    expect(bob.page.locator(".new-row + .message")).to_contain_text("chatter 20")
    expect(bob.room(studio).locator(".badge")).to_have_text("5 unread")
    bob.page.keyboard.press("Control+/")
    expect(bob.page.get_by_role("dialog")).to_be_visible()
    bob.page.keyboard.press("Escape")
    expect(bob.page.get_by_role("dialog")).to_have_count(0)
    expect(bob.room(studio).locator(".badge")).to_have_text("5 unread")
    alice.say(link)
    bob.open_room("general")
    bob.open_room(studio)
    row(bob, link).get_by_role("link").click()
    expect(row(bob, "Remember the anvil").first).to_be_in_viewport()
    bob.page.locator(".day-row input").last.evaluate(
        "(input) => { input.value = '2020-01-01'; input.dispatchEvent(new Event('change')); }"
    )
    expect(bob.page.locator(".message[data-seq='1']")).to_be_in_viewport()


def test_the_selection_is_formatted_by_buttons_and_keys(alice: ChatPage, bob: ChatPage) -> None:
    """A format can be undone."""
    page = alice.page
    alice.composer.fill("one two")
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+b")
    expect(alice.composer).to_have_value("**one two**")
    page.keyboard.press("Control+z")
    expect(alice.composer).to_have_value("one two")
    page.keyboard.press("Control+a")
    page.get_by_role("button", name="Code (Ctrl+E)").click()
    page.keyboard.press("End")
    page.keyboard.type(" done")
    expect(alice.composer).to_have_value("`one two` done")
    page.keyboard.press("Enter")
    expect(row(bob, "done").locator("code")).to_have_text("one two")


def test_the_list_stays_at_its_end_while_a_long_text_is_written(alice: ChatPage) -> None:
    """The field is measured at each key; the list above it must not lose its place by that."""
    alice.say(*(f"line {number}" for number in range(30)))
    expect(alice.messages("line 29")).to_be_in_viewport()
    for _ in range(8):
        alice.composer.press("Shift+Enter")
    alice.composer.press_sequentially("word")
    expect(alice.messages("line 29")).to_be_in_viewport()
    expect(alice.page.locator(".jump-button")).to_have_count(0)
    alice.composer.fill("")


def test_a_pasted_book_does_not_hold_up_the_page(alice: ChatPage) -> None:
    """Chromium takes seconds to lay out megabytes with `dir=auto`; what cannot be sent has none."""
    for text, direction in (("word " * 1_000, ""), ("word", "auto")):
        # Firefox is driven to type what `fill` is given, a letter at a time.
        alice.composer.evaluate(PASTE, text)
        expect(alice.composer).to_have_attribute("dir", direction)
    alice.composer.fill("")


def test_the_tools_of_a_message_leave_with_the_pointer(alice: ChatPage, bob: ChatPage) -> None:
    """Also if the text below the pointer was edited meanwhile."""
    alice.say("under the pointer")
    seen = row(bob, "under the pointer")
    seen.locator(".message-text p").hover()
    expect(seen.locator(".message-tools")).to_be_visible()
    alice.composer.press("ArrowUp")
    alice.say("under the same pointer")
    expect(bob.messages("under the same pointer")).to_have_count(1)
    bob.composer.hover()
    expect(seen.locator(".message-tools")).to_be_hidden()


def test_on_paper_there_are_all_messages_that_are_loaded_and_nothing_else(alice: ChatPage) -> None:
    """Dark on white, whatever the theme is."""
    if alice.is_in_firefox:
        pytest.skip("Playwright cannot ask a Firefox for the look on paper by WebDriver BiDi")
    page = alice.page
    page.evaluate("() => (document.documentElement.dataset.theme = 'dark')")
    page.emulate_media(media="print")
    expect(alice.composer).to_be_hidden()
    expect(page.get_by_role("complementary")).to_have_count(0)
    expect(alice.heading).to_be_visible()
    hidden_px = page.get_by_role("log").evaluate("(log) => log.scrollHeight - log.clientHeight")
    scheme = page.evaluate("() => getComputedStyle(document.documentElement).colorScheme")
    assert (hidden_px, scheme) == (0, "light")
    page.emulate_media(media="screen")
    page.evaluate("() => delete document.documentElement.dataset.theme")


def test_the_tools_of_a_message_stay_beside_its_menu(alice: ChatPage) -> None:
    """Also if the message was drawn before the server had it: the focus goes back to them."""
    alice.turn_to()
    alice.say("with a menu")
    own = row(alice, "with a menu")
    item = alice.in_message_menu(own, "Copy text")
    alice.page.mouse.move(1, 1)
    expect(item).to_be_visible()
    alice.page.keyboard.press("Escape")
    expect(own.get_by_role("button", name="More")).to_be_focused()


def test_the_density_is_kept(alice: ChatPage) -> None:
    """Compact messages stay compact after a reload."""
    alice.page.get_by_role("button", name="Account of alice").click()
    alice.page.get_by_role("button", name="Compact messages").click()
    alice.page.reload()
    alice.page.evaluate(KEEP_COPIED)
    expect(alice.page.locator("html")).to_have_attribute("data-density", "compact")
    expect(alice.page.locator(".message .avatar").first).to_be_hidden()
    alice.page.get_by_role("button", name="Account of alice").click()
    alice.page.get_by_role("button", name="Compact messages").click()
