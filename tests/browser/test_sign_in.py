"""Signing in and out on the page."""

import re

from playwright.sync_api import expect

from tests.browser.cable import Cable
from tests.browser.chat_page import ChatPage
from tests.browser.windows import ACME, SIGN_IN, Windows, fill_in_sign_in
from tests.servers.pool import Site


def test_the_start_page_leads_through_the_sign_in_page_to_the_chat(windows: Windows) -> None:
    """A visitor who is not signed in is asked to sign in, and then gets the page that they wanted."""
    page = windows.open().go("/")
    expect(page).to_have_url(SIGN_IN)
    fill_in_sign_in(page, "alice")
    expect(page).to_have_url(re.compile(r"/chat/"))
    expect(page.locator(".message").first).to_be_visible()


def test_a_wrong_password_is_told_and_the_name_is_kept(windows: Windows) -> None:
    """One stays on the page, reads why, and tries again."""
    page = windows.open().go("/accounts/login/")
    fill_in_sign_in(page, "alice", "not-her-password")
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    expect(page.get_by_label("Username")).to_have_value("alice")
    fill_in_sign_in(page, "alice")
    expect(page).to_have_url(re.compile(r"/chat/"))


def test_signing_out_in_one_tab_ends_the_chat_in_the_other(windows: Windows) -> None:
    """The other tab goes to the sign-in page by itself, and the chat is closed to both."""
    chat = ChatPage.enter(windows, "bob")
    tab = chat.window.context.new_page()
    tab.goto(chat.window.address + "/chat/")
    tab.locator(".menu-button").click()
    tab.get_by_role("button", name="Sign out").click()
    expect(tab).to_have_url(SIGN_IN)
    expect(chat.page).to_have_url(SIGN_IN)
    tab.goto(chat.window.address + "/chat/")
    expect(tab).to_have_url(SIGN_IN)


def test_what_waits_is_never_sent_by_who_signs_in_next(windows: Windows, browsed_site: Site) -> None:
    """A tab that is cut off while its user signs out elsewhere hears nothing of it. Then it becomes the next user's."""
    with Cable(browsed_site.server.port) as cable:
        window = windows.open(port=cable.port)
        window.expect_lost_network()
        window.go("/accounts/login/?next=/chat/")
        fill_in_sign_in(window.page, "alice")
        alice = ChatPage(window, "alice")
        alice.wait_until_connected()
        alice.open_room("general")
        cable.cut()
        alice.say("for the eyes of alice alone")
        expect(alice.unsent("for the eyes of alice alone")).to_be_visible()
        # Another port of the same host has the same cookies.
        other = window.context.new_page()
        other.goto(f"http://{ACME}:{browsed_site.server.port}/chat/")
        other.locator(".menu-button").click()
        other.get_by_role("button", name="Sign out").click()
        fill_in_sign_in(other, "bob")
        expect(other.locator(".own-names")).to_contain_text("bob")
        cable.mend()
        expect(alice.page.locator(".own-names")).to_contain_text("bob")
        bob = ChatPage(window, "bob")
        bob.wait_until_connected()
        expect(bob.page.get_by_text("for the eyes of alice alone")).to_have_count(0)
