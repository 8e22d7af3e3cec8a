"""Where the focus goes if what had it is gone. Otherwise screen readers begin at the top of the page again."""

import itertools

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.chat_page import ChatPage, picture
from tests.browser.windows import Windows

# A process may run a part of this module, then others, then the rest.
NUMBERS = itertools.count(1)


@pytest.fixture
def alice(windows: Windows) -> ChatPage:
    """Alice's chat, in a room of her own with one message."""
    chat = ChatPage.enter(windows, "alice")
    chat.create_room(f"Focus {next(NUMBERS)}")
    chat.say("A message to react to")
    expect(chat.messages("react")).to_have_count(1)
    return chat


def press(button: Locator) -> None:
    """Press a button by keyboard."""
    button.focus()
    button.press("Enter")
    expect(button).to_have_count(0)


def test_it_stays_at_the_message_whose_last_reaction_is_taken_back(alice: ChatPage) -> None:
    """As long as others react too, it stays at the reaction."""
    row = alice.page.locator(".message").last
    row.hover()
    row.get_by_role("button", name="React with 👍").click()
    press(row.locator(".reaction"))
    expect(row).to_be_focused()


def test_it_goes_back_to_the_composer(alice: ChatPage) -> None:
    """From a file that is removed, a notice that is closed, and an unsent message that is discarded."""
    alice.page.locator("input[type=file]").set_input_files([picture(20, 10)])
    press(alice.page.get_by_role("button", name="Remove plan.png"))
    expect(alice.composer).to_be_focused()
    alice.page.evaluate("location.hash = 'room-999999'")
    press(alice.page.locator(".composer-note.failed").get_by_role("button", name="Close"))
    expect(alice.composer).to_be_focused()
    alice.window.expect_lost_network()
    alice.window.context.set_offline(True)
    expect(alice.bar).to_contain_text("You are offline.")
    alice.say("Said to nobody")
    press(alice.page.get_by_role("button", name="Discard"))
    expect(alice.composer).to_be_focused()


def invite_bob(alice: ChatPage) -> Locator:
    """Return his row in the list of people."""
    page = alice.page
    page.get_by_role("button", name="Invite people").click()
    page.get_by_role("dialog").get_by_role("checkbox", name="bob").check()
    page.get_by_role("dialog").get_by_role("button", name="Invite", exact=True).click()
    # The row may come before the dialog goes, and gets no key until then.
    expect(page.get_by_role("dialog")).to_have_count(0)
    return page.locator(".person", has_text="bob")


def test_it_goes_to_the_people_after_one_of_them_was_removed(alice: ChatPage) -> None:
    """The button that led to the person is gone, too."""
    person = invite_bob(alice)
    person.press("Enter")
    alice.page.get_by_role("button", name="Remove from the room").press("Enter")
    alice.page.get_by_role("button", name="Remove now?").press("Enter")
    expect(person).to_have_count(0)
    expect(alice.page.locator("#panel")).to_be_focused()


def test_it_goes_to_the_people_when_one_of_them_comes(alice: ChatPage, windows: Windows) -> None:
    """The row is drawn anew, among those who are here."""
    person = invite_bob(alice)
    person.focus()
    expect(person).to_be_focused()
    ChatPage.enter(windows, "bob").open_room(alice.heading.inner_text())
    expect(alice.here).to_have_count(2)
    # In Firefox only the window in front has the focus, and that is bob's.
    alice.page.wait_for_function("document.activeElement.id === 'panel'")
