"""axe-core finds nothing on any page, light or dark."""

from typing import Any, Literal
from urllib.parse import urljoin

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.chat_page import ChatPage, picture
from tests.browser.test_live_page import open_live_page
from tests.browser.windows import PHONE, SIGN_IN, Windows, fill_in_sign_in

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# axe-core comes into the page by `eval`, which the pages' policy forbids to everyone.
EXAMINED: dict[str, Any] = {"bypass_csp": True, "reduced_motion": "reduce"}
# A transition would show colours on their way. The pages' policy forbids an element for it, and Firefox takes no bypass.
STOP_MOTION = """() => {
  const still = new CSSStyleSheet();
  still.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [still];
}"""

FOCUS_AFTER_CLICK = """(button) => {
  button.click();
  return new Promise((drawn) => requestAnimationFrame(() => drawn(document.activeElement.id)));
}"""

# The background colours of the `::before` of an element, and of the page.
BACKGROUNDS = """(element) =>
  [getComputedStyle(element, "::before"), getComputedStyle(document.body)].map((style) => style.backgroundColor)"""


def test_sign_in(windows: Windows) -> None:
    """The sign-in page, before and after a mistake."""
    page = windows.open(**EXAMINED).go("/accounts/login/")
    assert_accessible(page)
    fill_in_sign_in(page, "alice", "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)
    fill_in_sign_in(page, "alice")
    expect(page).not_to_have_url(SIGN_IN)
    page.goto(urljoin(page.url, "/accounts/password/"))
    assert_accessible(page)
    page.get_by_role("button", name="Change password").click()
    assert_accessible(page)


def test_chat(windows: Windows) -> None:
    """The chat, its dialogs, its menu and its search."""
    chat = ChatPage.enter(windows, "alice", **EXAMINED)
    chat.open_room("general")
    assert_accessible(chat.page)
    dialog = chat.page.get_by_role("dialog")
    chat.page.keyboard.press("Control+k")
    chat.page.get_by_role("combobox").fill("a")
    expect(chat.page.get_by_role("option", name="Search messages")).to_be_visible()
    assert_accessible(chat.page)
    chat.page.keyboard.press("Escape")
    for name in (
        "Browse rooms",
        "New room",
        "New conversation",
        "Invite people",
        "About this room",
        "Your profile",
    ):
        chat.page.get_by_title(name, exact=True).click()
        expect(dialog).to_be_visible()
        if name == "New conversation":
            expect(dialog.locator(".avatar").first).to_be_visible()
        assert_accessible(chat.page)
        chat.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    chat.page.get_by_role("button", name="More about").click()
    assert_accessible(chat.page)
    chat.page.keyboard.press("Escape")
    chat.in_menu("Leave").click()
    expect(dialog).to_be_visible()
    assert_accessible(chat.page)
    chat.page.keyboard.press("Escape")
    chat.page.locator(".person").first.click()
    expect(dialog).to_be_visible()
    assert_accessible(chat.page)
    chat.page.keyboard.press("Escape")
    # It was loaded when nothing else was to do. The next frame has it, and the keys that follow at once are the search's.
    assert (
        chat.page.get_by_role("button", name="Search messages").evaluate(FOCUS_AFTER_CLICK) == "search-query"
    )
    chat.page.keyboard.type("in:general a")
    expect(chat.page.locator(".search-result").first).to_be_visible()
    assert_accessible(chat.page)


def test_what_opens_beside_messages(windows: Windows) -> None:
    """The list of names, the grid of emoji, a message's menu, the pins, the shortcuts."""
    chat = ChatPage.enter(windows, "alice", **EXAMINED)
    chat.open_room("general")
    page = chat.page
    chat.say("@bob :tada: `code` and a plan")
    chat.composer.press_sequentially("@")
    expect(page.get_by_role("option").first).to_be_visible()
    assert_accessible(page, ".room-pane")
    chat.composer.fill("")
    page.get_by_role("button", name="Emoji", exact=True).click()
    expect(page.get_by_role("tab").first).to_be_visible()
    assert_accessible(page, ".room-pane")
    page.keyboard.press("Escape")
    chat.in_message_menu(page.locator(".message").last, "Pin to the room").focus()
    assert_accessible(page, ".row-menu")
    page.keyboard.press("Enter")
    page.locator("input[type=file]").set_input_files(picture(600, 300))
    expect(page.locator(".composer .file-card")).to_have_count(1)
    assert_accessible(page, ".room-pane")
    chat.say("a picture")
    page.locator(".message .picture").last.click()
    expect(page.get_by_role("dialog").locator("img")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("Escape")
    mine = page.locator(".message").last
    for name in ("Reply", "Edit"):
        page.mouse.move(1, 1)
        mine.hover()
        mine.get_by_role("button", name=name).click()
        assert_accessible(page, ".room-pane")
    page.keyboard.press("Escape")
    chat.in_message_menu(mine, "Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(mine).to_contain_text("deleted")
    assert_accessible(page, ".room-pane")
    for name in ("Pinned messages", "All shortcuts"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert_accessible(page)
        page.keyboard.press("Escape")


def test_forced_colours_show_what_is_chosen_and_who_is_here(windows: Windows) -> None:
    """Without the page's own colours: names, groups of emoji, the panel, people and conversations."""
    bob = ChatPage.enter(windows, "bob")
    bob.open_room("general")
    chat = ChatPage.enter(windows, "alice", forced_colors="active")
    if chat.is_in_firefox:
        pytest.skip("Playwright cannot ask a Firefox for forced colours by WebDriver BiDi")
    page = chat.page
    chat.open_room("general")
    chat.composer.press_sequentially("@")
    assert_outlined(page.get_by_role("option", selected=True))
    chat.composer.fill("")
    page.get_by_role("button", name="Emoji", exact=True).click()
    assert_outlined(page.get_by_role("tab", selected=True))
    assert_outlined(page.get_by_role("button", name="No skin tone"))
    page.keyboard.press("Escape")
    assert_outlined(page.get_by_role("button", name="People", exact=True))
    page.locator(".people-list [data-here=true] .person", has_text="bob").click()
    page.get_by_role("dialog").get_by_role("button", name="Message").click()
    dot = chat.room("bob").locator(".presence-dot")
    expect(dot).to_have_attribute("data-state", "here")
    # The colours of the dot are the page's own; otherwise it is as empty as that of somebody who is not here.
    colour, background = dot.evaluate(BACKGROUNDS)
    assert colour != background


def test_chat_on_a_phone(windows: Windows) -> None:
    """The chat and its drawer of rooms."""
    chat = ChatPage.enter(windows, "bob", viewport=PHONE, **EXAMINED)
    assert_accessible(chat.page)
    chat.page.get_by_role("button", name="Rooms", exact=True).click()
    expect(chat.page.get_by_label("Close the list of rooms")).to_be_in_viewport(ratio=1)
    assert_accessible(chat.page)


def test_live_page(windows: Windows) -> None:
    """The dashboard, with figures on it."""
    assert_accessible(open_live_page(windows, **EXAMINED))


def assert_accessible(page: Page, within: str | None = None) -> None:
    """Fail with what axe-core finds on the page as it is, or in a part of it, in light and in dark."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(STOP_MOTION)
        found = Axe().run(page, context=within, options={}).response
        faults = [
            f"{scheme}: {fault['impact']}: {fault['id']}: {[node['html'] for node in fault['nodes']]}"
            for fault in found["violations"]
        ]
        assert not faults, "\n".join(faults)
        # It could tell the colours apart.
        assert "color-contrast" in {rule["id"] for rule in found["passes"]}, found["incomplete"]


def assert_outlined(element: Locator) -> None:
    """Fail if an element has no outline, which forced colours leave."""
    expect(element).to_have_css("outline-style", "solid")
