"""Every shortcut of the sheet does what the sheet says."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import Windows

Check = Callable[[ChatPage, Page], None]


@pytest.fixture(scope="module")
def alice(kept_windows: Windows) -> ChatPage:
    """Alice's chat, in a room with three messages of hers."""
    chat = ChatPage.enter(kept_windows, "alice")
    chat.create_room("Keys")
    chat.say("one", "two", "three")
    expect(chat.messages("three")).to_have_count(1)
    return chat


def _finder(chat: ChatPage, page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def _room(step: str) -> Check:
    def check(chat: ChatPage, page: Page) -> None:
        page.keyboard.press(f"Alt+{step}")
        expect(chat.heading).not_to_have_text("Keys")
        chat.open_room("Keys")

    return check


def _list(chat: ChatPage, page: Page) -> None:
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def _all_read(chat: ChatPage, page: Page) -> None:
    chat.in_message_menu(page.locator(".message").first, "Mark unread from here").click()
    expect(page.locator(".new-row")).to_have_count(1)
    chat.composer.press("Escape")
    expect(page.locator(".new-row")).to_have_count(0)


def _send(chat: ChatPage, page: Page) -> None:
    chat.composer.fill("sent")
    page.keyboard.press("Enter")
    expect(chat.messages("sent")).to_have_count(1)


def _typed(keys: str, expected: str) -> Check:
    def check(chat: ChatPage, page: Page) -> None:
        chat.composer.fill("x")
        page.keyboard.press("Control+a")
        page.keyboard.press(keys)
        expect(chat.composer).to_have_value(expected)
        chat.composer.fill("")

    return check


def _offered(text: str) -> Check:
    def check(chat: ChatPage, page: Page) -> None:
        chat.composer.press_sequentially(text)
        expect(page.get_by_role("option").first).to_be_visible()
        page.keyboard.press("Escape")
        chat.composer.fill("")

    return check


def _edit(chat: ChatPage, page: Page) -> None:
    chat.composer.press("ArrowUp")
    expect(page.get_by_text("Edit your message")).to_be_visible()
    page.keyboard.press("Escape")
    expect(chat.composer).to_have_value("")


def _walk(chat: ChatPage, page: Page) -> None:
    page.get_by_role("log").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".message").nth(-2)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".message").last).to_be_focused()


def _ends(chat: ChatPage, page: Page) -> None:
    page.locator(".message").last.focus()
    page.keyboard.press("Home")
    expect(page.locator(".message").first).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".message").last).to_be_focused()


def _tools(chat: ChatPage, page: Page) -> None:
    page.locator(".message").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".message-tools button").first).to_be_focused()


def _back(chat: ChatPage, page: Page) -> None:
    page.locator(".message").last.focus()
    page.keyboard.press("Escape")
    expect(chat.composer).to_be_focused()


CHECKS: dict[str, Check] = {
    "Enter: Send": _send,
    "Shift Enter: A new line": _typed("Shift+Enter", "\n"),
    "↑: Edit your last message": _edit,
    "Ctrl B: Bold": _typed("Control+b", "**x**"),
    "Ctrl I: Italic": _typed("Control+i", "_x_"),
    "Ctrl E: Code": _typed("Control+e", "`x`"),
    "@: Mention somebody, or all in the room": _offered("@"),
    "#: Name a room": _offered("#"),
    ":: An emoji by its name": _offered(":ta"),
    "Ctrl K: Find rooms, people and messages": _finder,
    "Alt ↓: The next room": _room("ArrowDown"),
    "Alt ↑: The room before": _room("ArrowUp"),
    "Esc: Everything here is read": _all_read,
    "Ctrl /: This list": _list,
    "↑ ↓: From message to message": _walk,
    "Home End: To the first and the last one": _ends,
    "Enter: To what can be done with it": _tools,
    "Esc: Back to your message": _back,
}


def test_the_sheet_is_true(alice: ChatPage) -> None:
    """It lists these shortcuts and no others, and each works."""
    page = alice.page
    page.get_by_role("button", name="All shortcuts").click()
    rows = page.locator(".shortcuts dl > div")
    expect(rows).to_have_count(len(CHECKS))
    listed = rows.evaluate_all(
        "(rows) => rows.map((row) => [...row.children].map((part) => part.textContent.trim()).join(': '))"
    )
    assert listed == list(CHECKS)
    page.keyboard.press("Escape")
    for check in CHECKS.values():
        alice.composer.focus()
        check(alice, page)
