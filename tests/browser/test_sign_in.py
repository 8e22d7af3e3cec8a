"""Signing in and out on the page."""

import re

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import SIGN_IN, Windows, fill_in_sign_in


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
