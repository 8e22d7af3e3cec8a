"""Two tenants in one browser: nothing of one is seen on the other's host."""

import re

from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import ACME, GLOBEX, SIGN_IN, Windows, fill_in_sign_in


def test_nobody_sees_the_rooms_of_the_other_tenant(windows: Windows) -> None:
    """Not in the list, not by address, not while it happens."""
    alice = ChatPage.enter(windows, "alice", ACME)
    carol = ChatPage.enter(windows, "carol", GLOBEX)
    alice.create_room("Rocket works")
    alice.say("acme's own secret")
    expect(alice.messages("acme's own")).to_have_count(1)
    number = re.search(r"#room-\d+$", alice.page.url)
    assert number is not None
    # From another page: where only the hash differs, a browser loads nothing.
    carol.page.goto("about:blank")
    carol.page.goto(f"{carol.window.address}/chat/{number[0]}-1")
    carol.wait_until_connected()
    expect(carol.page.get_by_role("alert")).to_contain_text("You are not in the room of that address.")
    expect(carol.heading).not_to_have_text("Rocket works")
    expect(carol.page.locator(".site-tenant")).to_have_text("Globex")
    expect(carol.page.get_by_text("Rocket works")).to_have_count(0)
    for room in ("general", "random", "help"):
        carol.open_room(room)
        expect(carol.page.get_by_text("acme's own")).to_have_count(0)
        expect(carol.page.locator(".people-list").get_by_text("alice")).to_have_count(0)


def test_the_password_of_one_tenants_member_is_worth_nothing_on_the_other(windows: Windows) -> None:
    """It is answered like a wrong one."""
    page = windows.open(GLOBEX).go("/accounts/login/")
    fill_in_sign_in(page, "alice")
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    page.goto(page.url.split("/accounts")[0] + "/chat/")
    expect(page).to_have_url(SIGN_IN)


def test_a_session_carried_to_the_other_tenant_is_worth_nothing(windows: Windows) -> None:
    """Neither for a page nor for a socket."""
    alice = ChatPage.enter(windows, "alice", ACME)
    session = next(cookie for cookie in alice.window.context.cookies() if cookie["name"] == "sessionid")
    thief = windows.open(GLOBEX)
    thief.context.add_cookies(
        [
            {
                "name": session["name"],
                "value": session["value"],
                "domain": GLOBEX,
                "path": session["path"],
                "expires": session["expires"],
                "httpOnly": session["httpOnly"],
                "secure": session["secure"],
                "sameSite": session["sameSite"],
            }
        ]
    )
    page = thief.go("/chat/")
    expect(page).to_have_url(SIGN_IN)
    code = page.evaluate(
        """() => new Promise((done) => {
          const socket = new WebSocket(`ws://${location.host}/ws/chat/`, ["rockstar.v1"]);
          socket.onclose = (event) => done(event.code);
        })"""
    )
    assert code == 4401
