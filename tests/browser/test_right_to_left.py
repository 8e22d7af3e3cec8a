"""Texts and names that are written from right to left, on a page that is written from left to right."""

import pytest
from playwright.sync_api import FilePayload, Locator, expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import PHONE, Windows

# Longer than there is room for. It begins at its right end.
ROOM = "اجتماع الأسبوع (HR) 2026 ودعوة الزملاء إلى المكتب الجديد"
# The space around the first letter of an element's text, and the one around the element.
FIRST_LETTER = """(element) => {
  const letter = document.createRange();
  const text = document.createTreeWalker(element, NodeFilter.SHOW_TEXT).nextNode();
  letter.setStart(text, 0);
  letter.setEnd(text, 1);
  return [letter, element].map((each) => each.getBoundingClientRect()).flatMap(({ left, right }) => [left, right]);
}"""
# Where the text of an element begins on its left and ends on its right, whatever the space around it.
LINE = """(element) => {
  const line = document.createRange();
  line.selectNodeContents(element);
  return line.getBoundingClientRect().%s;
}"""
LINE_START = LINE % "left"
LINE_END = LINE % "right"


@pytest.fixture(scope="module")
def alice(kept_windows: Windows) -> ChatPage:
    """Alice's chat, in a room with such a name."""
    chat = ChatPage.enter(kept_windows, "alice")
    chat.create_room(ROOM)
    return chat


def test_a_name_that_is_cut_off_keeps_its_beginning(alice: ChatPage) -> None:
    """In the list, in the head of the room and among the rooms to find."""
    page = alice.page
    page.set_viewport_size(PHONE)
    assert_begins(page.locator(".room-head h1"))
    page.get_by_role("button", name="Rooms", exact=True).click()
    assert_begins(page.locator(".room-item[aria-current] .room-name"))
    page.keyboard.press("Control+k")
    assert_begins(page.locator(".finder .room-name").filter(has_text="اجتماع"))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")


def test_what_stands_beside_a_name_stays_where_it_is(alice: ChatPage) -> None:
    """The name is isolated in a sentence, and is on the side of what belongs to it in a list."""
    alice.page.set_viewport_size({"width": 1280, "height": 800})
    expect(alice.composer).to_have_attribute("placeholder", f"Message \u2068{ROOM}\u2069")
    alice.leave_room()
    alice.page.get_by_role("button", name="Browse rooms").click()
    name = alice.page.locator(".browse-text .room-name").filter(has_text="اجتماع")
    count = name.locator("xpath=following-sibling::*")
    lefts = [each.evaluate("(element) => element.getBoundingClientRect().left") for each in (name, count)]
    assert lefts[0] == lefts[1]
    alice.page.get_by_role("button", name="Join").and_(alice.page.locator(f"[aria-label*='{ROOM}']")).click()
    expect(alice.heading).to_have_text(ROOM)


def test_the_items_of_a_list_stand_beside_their_bullets(alice: ChatPage) -> None:
    """Whatever they are written in."""
    # Playwright fills a field of Firefox key by key, and Enter sends.
    for text in ("- أول", "- second (2)", "- ثالث"):
        alice.composer.press_sequentially(text)
        alice.composer.press("Shift+Enter")
    alice.composer.press("Enter")
    items = alice.page.locator(".message-text li")
    expect(items).to_have_count(3)
    ends = {round(item.evaluate(LINE_END)) for item in items.all()}
    assert len(ends) == 1


def test_the_name_of_a_file_stands_above_its_size(alice: ChatPage) -> None:
    """On the same side."""
    note: FilePayload = {"name": "ملاحظة.txt", "mimeType": "text/plain", "buffer": b"anvil, rope"}
    alice.page.locator("input[type=file]").set_input_files([note])
    name = alice.page.locator(".composer .file-card bdi")
    size = alice.page.locator(".composer .file-card .muted")
    expect(size).to_have_text("11 bytes")
    assert name.evaluate(LINE_START) == size.evaluate(LINE_START)


def assert_begins(element: Locator) -> None:
    """Fail if the first letter of a text is not within its element."""
    left, right, start, end = element.evaluate(FIRST_LETTER)
    assert start - 1 <= left
    assert right <= end + 1
