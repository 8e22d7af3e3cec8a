"""One walk through the live page: what an operator looks at."""

import re

from playwright.sync_api import expect

from tests.browser.test_accessibility import EXAMINED, assert_accessible
from tests.browser.test_live_page import open_live_page
from tests.browser.windows import Windows
from tests.servers.pool import METRICS_TOKEN

SUBSCRIBE_AND_FAIL = """() => new Promise((done) => {
  const socket = (window.kept = new WebSocket(`ws://${location.host}/ws/pubsub/`, "rockstar.v1"));
  const ask = (id, topic) => socket.send(JSON.stringify({ id, type: "subscribe", payload: { topic } }));
  socket.onopen = () => ask(1, "walked") || ask(2, "staff:walked");
  socket.onmessage = ({ data }) => JSON.parse(data).id === 2 && done("walked");
})"""


def test_an_operator_looks_at_everything(windows: Windows) -> None:
    """The past in charts, filters, the health of the node and what it runs with, errors, a topic."""
    visitor = windows.open().go("/accounts/login/")
    topic = visitor.evaluate(SUBSCRIBE_AND_FAIL)
    page = open_live_page(windows, **EXAMINED)
    expect(page.locator("[data-cluster]")).to_contain_text(re.compile(r"^1 of 1 nodes, \d+ s ago$"))
    # The first samples are stored seconds after the start, and the list is asked for once a minute.
    for _ in range(60):
        expect(page.locator("[data-health] :is(.cells, .empty)")).not_to_have_count(0)
        if page.locator("[data-health] .cells .good").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    # One for each minute since the site began.
    expect(page.locator("[data-health] .cells .good")).not_to_have_count(0)
    # Beside it is the node before, if another test has started the server anew.
    expect(page.locator("[data-health]").get_by_text("100 % good", exact=True)).to_be_visible()

    page.get_by_text("24 h", exact=True).click()
    expect(page).to_have_url(re.compile(r"#overview\?range=86400$"))
    chart = page.locator("[data-chart=connections]")
    chart.locator(".plot").hover(position={"x": 200, "y": 60})
    expect(chart.locator(".legend b")).to_have_text(re.compile(r"^\d+$"))
    chart.get_by_role("button", name=re.compile("^Table")).click()
    expect(chart.locator(".twin tbody tr").first).to_contain_text(":")
    assert_accessible(page)

    page.locator("[data-filter=route]").select_option("/ws/pubsub/")
    expect(page.locator("[data-routes] tbody tr.part")).to_have_count(1)
    expect(page.locator("[data-chart=lag] .chart-note")).to_have_text("all tenants")
    page.locator("[data-filter=node]").select_option(index=1)
    expect(page).to_have_url(re.compile(r"node=\w+"))
    expect(page.locator("[data-card=connections] [data-figure]")).to_have_text("1")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-status]")).to_have_attribute("data-status", "paused")
    page.get_by_role("button", name="Resume").click()

    page.get_by_role("link", name="Nodes", exact=True).click()
    expect(page.locator("[data-nodes-list] .state")).to_have_text("serving")
    page.locator("[data-nodes-list] tbody th a").click()
    settings = page.locator("[data-settings] tbody tr")
    expect(settings.filter(has_text="METRICS_TOKEN")).to_contain_text("set")
    expect(page.locator("#live")).not_to_contain_text(METRICS_TOKEN)
    expect(page.locator("[data-limits] meter").first).to_be_visible()
    assert_accessible(page)

    page.get_by_role("link", name="Errors", exact=True).click()
    # Other tests of this site may have made errors of their own.
    row = page.locator("[data-errors-list] tbody tr").filter(has_text="unauthenticated")
    expect(row.filter(has_text="subscribe")).to_have_count(1)
    assert_accessible(page)
    page.get_by_role("link", name="Topics", exact=True).click()
    page.get_by_role("link", name=topic).click()
    expect(page.locator("[data-topic] dl")).to_contain_text("Subscribers")
