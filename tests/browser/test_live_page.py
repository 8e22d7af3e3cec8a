"""The live page in the admin."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.windows import Windows

LIVE = "/admin/realtime/live/"
ECHOES = 3
OPEN_SOCKETS = """(number) => Promise.all(Array.from({ length: number }, () => new Promise((done, failed) => {
  const socket = new WebSocket(`ws://${location.host}/ws/echo/`);
  (window.sockets ??= []).push(socket);
  socket.onopen = () => done();
  socket.onerror = () => failed(new Error("no socket"));
})))"""
CLOSE_SOCKETS = "() => window.sockets.forEach((socket) => socket.close())"


def test_the_figures_move_by_themselves(windows: Windows) -> None:
    """Sockets that others open and close change the figures, with no reload."""
    page = open_live_page(windows)
    page.evaluate("() => { window.isTheSamePage = true; }")
    visitor = windows.open().go("/accounts/login/")
    row = page.locator("[data-routes] tbody tr.part").filter(has_text="/ws/echo/")
    visitor.evaluate(OPEN_SOCKETS, ECHOES)
    expect(row.locator("td").first).to_have_text(str(ECHOES))
    at_most = int(page.locator("[data-card=connections] [data-figure]").inner_text())
    assert at_most > ECHOES
    visitor.evaluate(CLOSE_SOCKETS)
    expect(row.locator("td").first).to_have_text("0")
    expect(page.locator("[data-card=connections] [data-figure]")).to_have_text(str(at_most - ECHOES))
    assert page.evaluate("() => window.isTheSamePage")


def test_without_the_library_of_charts_the_tables_have_the_figures(windows: Windows) -> None:
    """It may not load, and fails where the browser's language is none that it knows."""
    window = windows.enter("admin", "/admin/password_change/")
    window.expect_lost_network()
    window.page.route("**/uplot*.js", lambda route: route.abort())
    page = window.go(LIVE)
    chart = page.locator("section.chart").first
    chart.get_by_role("button", name=re.compile("^Table")).click()
    expect(chart.locator("tbody tr").first).to_be_visible()


def test_the_page_is_for_staff(windows: Windows) -> None:
    """Others are asked to sign in as somebody else."""
    page = windows.enter("alice", LIVE).page
    expect(page).to_have_url(re.compile(r"login"))
    expect(page.locator("#live")).to_have_count(0)


def open_live_page(windows: Windows, **options: Any) -> Page:
    """The live page, moving, before the eyes of the demo's operator."""
    page = windows.enter("admin", LIVE, **options).page
    expect(page.locator("[data-status]")).to_have_attribute("data-status", "live")
    expect(page.locator("[data-card=connections] [data-figure]")).to_have_text(re.compile(r"^\d+$"))
    return page
