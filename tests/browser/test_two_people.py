"""Two people in two browsers."""

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import Windows


@pytest.fixture(scope="module")
def alices_window(kept_windows: Windows) -> ChatPage:
    """Alice's chat."""
    return ChatPage.enter(kept_windows, "alice")


@pytest.fixture(scope="module")
def bobs_window(kept_windows: Windows) -> ChatPage:
    """Bob's chat."""
    return ChatPage.enter(kept_windows, "bob", color_scheme="dark")


@pytest.fixture
def alice(alices_window: ChatPage) -> ChatPage:
    """Alice, in the room "general"."""
    alices_window.open_room("general")
    return alices_window


@pytest.fixture
def bob(bobs_window: ChatPage) -> ChatPage:
    """Bob, in the room "general"."""
    bobs_window.open_room("general")
    return bobs_window


def test_a_message_appears_for_both(alice: ChatPage, bob: ChatPage) -> None:
    """Its author sees it once, as their own. The other one sees it once too."""
    alice.say("Lunch? says alice")
    bob.say("Lunch! says bob", "Lunch: https://example.test/menu?a=1&b=<i>")
    for chat in (alice, bob):
        expect(chat.messages("Lunch? ")).to_have_count(1)
        expect(chat.messages("Lunch! ")).to_have_count(1)
        # Text stays text, and links are links.
        expect(chat.messages("Lunch: ")).to_have_text("Lunch: https://example.test/menu?a=1&b=<i>")
        expect(chat.page.get_by_role("link", name="https://example.test/menu?a=1&b=")).to_have_count(1)
    own = alice.page.locator(".message[data-own=true]").filter(has_text="Lunch? ")
    expect(own).to_have_count(1)
    expect(bob.page.locator(".message[data-own=false]").filter(has_text="Lunch? ")).to_have_count(1)


def test_typing_is_shown_until_the_message_comes(alice: ChatPage, bob: ChatPage) -> None:
    """The other user sees that somebody is typing; the one who types does not."""
    # It is announced once in three seconds, and may just have been.
    for _ in range(40):
        bob.composer.press("x")
        alice.page.wait_for_timeout(100)
        if alice.typing.text_content():
            break
    expect(alice.typing).to_have_text("bob is typing…")
    expect(bob.typing).to_have_text("")
    bob.say("I was typing this")
    expect(alice.messages("I was typing this")).to_have_count(1)
    expect(alice.typing).to_have_text("")


def test_who_is_here_follows_those_who_come_and_go(alice: ChatPage, windows: Windows) -> None:
    """A person is here as long as one of their windows is, or until they sign out."""
    admin = alice.here.filter(has_text="admin")
    expect(admin).to_have_count(0)
    first, second = (ChatPage.enter(windows, "admin") for _ in range(2))
    for window in (first, second):
        window.open_room("general")
    expect(admin).to_have_count(1)
    # A room with many unread messages opens at the first of them. Who says something is at its end.
    second.say("Here I am.")
    first.window.context.close()
    # A message after that still reaches the second window.
    alice.say("Still here?")
    expect(second.messages("Still here?")).to_have_count(1)
    expect(admin).to_have_count(1)
    # Closing the last window too would take ten seconds: it may be a reload.
    second.page.get_by_role("button", name="Account of admin").click()
    second.page.get_by_role("button", name="Sign out").click()
    expect(admin).to_have_count(0)


def test_who_is_here_is_shown_of_each_room_that_is_opened(alice: ChatPage, bob: ChatPage) -> None:
    """The page asks for it when a room is opened."""
    for room in ("help", "general", "random"):
        alice.open_room(room)
        expect(alice.here.filter(has_text="alice")).to_have_count(1)
        expect(alice.here.filter(has_text="bob")).to_have_count(1)


def test_what_is_unread_elsewhere_is_counted_in_the_list_and_the_title(
    alice: ChatPage, bob: ChatPage
) -> None:
    """The count goes when the room is opened, where a line marks what is new."""
    for room in ("random", "help", "general"):
        alice.open_room(room)
    expect(alice.page).to_have_title("general · Acme")
    bob.open_room("random")
    bob.say("Cake again, one", "Cake again, two")
    expect(alice.room("random").locator(".badge")).to_have_text("2 unread")
    expect(alice.page).to_have_title("(2) general · Acme")
    alice.open_room("random")
    expect(alice.messages("Cake again")).to_have_text(["Cake again, one", "Cake again, two"])
    expect(alice.page.locator(".new-row + .message")).to_contain_text("Cake again, one")
    expect(alice.page).to_have_title("random · Acme")
    expect(alice.page.locator(".badge")).to_have_count(0)


def test_a_new_room_can_be_joined_and_left(alice: ChatPage, bob: ChatPage) -> None:
    """Bob finds the room, joins it, talks there, and leaves it."""
    alice.create_room("Picnic")
    bob.join_room("Picnic")
    expect(alice.here).to_have_text(["alice", "bob"])
    bob.say("I bring the anvils")
    expect(alice.messages("anvils")).to_have_count(1)
    bob.leave_room()
    expect(bob.heading).not_to_have_text("Picnic")
    expect(alice.here).to_have_text(["alice"])
