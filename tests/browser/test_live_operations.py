"""The lists and orders of the live page, as an operator uses them."""

import re

from playwright.sync_api import Page, expect

from tests.browser.test_accessibility import EXAMINED, assert_accessible
from tests.browser.test_live_page import ECHOES, OPEN_SOCKETS, open_live_page
from tests.browser.windows import Windows

WAIT_CLOSED = """() => new Promise((done) => {
  const left = window.sockets.filter((socket) => socket.readyState !== WebSocket.CLOSED);
  if (left.length === 0) done();
  let open = left.length;
  for (const socket of left) socket.addEventListener("close", () => (open -= 1) || done());
})"""
WORDS = "made room for the test"


def test_an_operator_walks_through(windows: Windows) -> None:
    """Reads a chart, finds a user, disconnects one connection and then all; the audit log has it."""
    visitor = windows.enter("bob", "/accounts/password/").page
    visitor.evaluate(OPEN_SOCKETS, ECHOES)
    page = open_live_page(windows, **EXAMINED)
    expect(page.locator("[data-cluster]")).to_contain_text(re.compile(r"^1 of 1 nodes, \d+ s ago$"))

    chart = page.locator("[data-chart=messages]")
    expect(chart.locator("canvas")).to_be_visible()
    chart.get_by_role("button", name=re.compile("^Table")).click()
    expect(chart.locator(".twin tbody tr").first).to_contain_text(":")

    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="User, topic, connection, tenant").fill("bob")
    expect(page.get_by_role("option", name=re.compile("^User ?bob"))).to_have_attribute(
        "aria-selected", "true"
    )
    assert_accessible(page)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#connections\?user=\d+"))
    rows = page.locator("[data-connections] tbody tr")
    page.get_by_label("Search").fill("/ws/echo/")
    expect(rows).to_have_count(ECHOES)

    rows.first.get_by_role("link").first.click()
    expect(page.locator("[data-connection] dl")).to_contain_text("/ws/echo/")
    order(page, re.compile("^Disconnect connection"))
    assert_accessible(page)
    page.get_by_label("Reason").fill(WORDS)
    confirm(page, "Disconnect")
    expect(page.locator(".outcome")).to_contain_text("1 connection closed.")
    expect(page.locator("[data-connection]")).to_contain_text("It has ended")

    page.go_back()
    expect(rows).to_have_count(ECHOES - 1)
    order(page, "Disconnect bob")
    expect(page.get_by_role("dialog")).to_contain_text(f"This concerns {ECHOES - 1} connections now.")
    confirm(page, "Disconnect")
    expect(page.locator(".outcome")).to_contain_text(f"{ECHOES - 1} connections closed.")
    visitor.evaluate(WAIT_CLOSED)
    expect(rows).to_have_count(0)

    page.get_by_role("link", name="Audit", exact=True).click()
    entry = page.locator("[data-audit] tbody tr").filter(has_text=WORDS)
    expect(entry).to_contain_text("done")


def test_an_announcement_is_counted_before_it_is_sent(windows: Windows) -> None:
    """Escape sends nothing, and the focus goes back to the button."""
    page = open_live_page(windows)
    page.get_by_role("link", name="Connections", exact=True).click()
    order(page, re.compile("^Announce everyone on acme"))
    page.get_by_label("Text").fill("A short break at noon")
    expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"It would reach \d+ connections? now"))
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name=re.compile("^Announce everyone on acme"))).to_be_focused()


def order(page: Page, name: str | re.Pattern[str]) -> None:
    """Ask for an operation."""
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def confirm(page: Page, name: str) -> None:
    """Answer the question with yes."""
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
