"""The server is started anew while people talk."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.chat_page import ChatPage
from tests.browser.windows import Windows
from tests.servers.pool import Site
from tests.servers.process import ServerProcess

# Reconnects are spread at random over seconds; here all dice fall low, so that the test is quick.
NO_JITTER = "() => { Math.random = () => 0; }"


@pytest.fixture
def server(browsed_site: Site) -> Iterator[ServerProcess]:
    """The server, running again after the test whatever happened."""
    server = browsed_site.server
    yield server
    if server.process.poll() is not None:
        server.start()


def test_both_come_back_by_themselves(server: ServerProcess, windows: Windows) -> None:
    """Messages that were on their way when the server stopped, or typed without it, arrive once, in order."""
    alice, bob = (_arrive(windows, name) for name in ("alice", "bob"))
    alice.say("a1 restart", "a2 restart", "a3 restart")
    assert server.stop() == 0
    for chat in (alice, bob):
        expect(chat.bar).to_be_visible()
    alice.say("a4 restart", "a5 restart")
    bob.say("b1 restart", "b2 restart")
    server.start()
    for chat in (alice, bob):
        expect(chat.messages("restart")).to_have_count(7)
        expect(chat.bar).to_be_hidden()
        expect(chat.here).to_have_count(2)
    # A message that came twice would have come before this one.
    bob.say("z restart")
    for chat in (alice, bob):
        expect(chat.messages("z restart")).to_have_count(1)
        texts = chat.messages("restart").all_text_contents()
        assert sorted(texts) == [
            *(f"a{number} restart" for number in range(1, 6)),
            "b1 restart",
            "b2 restart",
            "z restart",
        ]
        assert [text for text in texts if text.startswith("a")] == sorted(texts)[:5]
        assert texts.index("b1 restart") < texts.index("b2 restart")
    assert alice.messages("restart").all_text_contents() == bob.messages("restart").all_text_contents()


def _arrive(windows: Windows, name: str) -> ChatPage:
    chat = ChatPage.enter(windows, name)
    chat.window.expect_lost_network()
    chat.page.evaluate(NO_JITTER)
    chat.open_room("general")
    return chat
