"""A browser that loses the network and comes back: nothing is lost, nothing is doubled, the order holds."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.cable import Cable
from tests.browser.chat_page import ChatPage
from tests.browser.windows import Windows
from tests.servers.pool import Site


@pytest.fixture(scope="module")
def whole_cable(browsed_site: Site) -> Iterator[Cable]:
    """The cable of alice's machine."""
    with Cable(browsed_site.server.port) as cable:
        yield cable


@pytest.fixture(scope="module")
def bob(kept_windows: Windows) -> ChatPage:
    """Bob, in the room "general"; his network holds."""
    chat = ChatPage.enter(kept_windows, "bob")
    chat.open_room("general")
    return chat


@pytest.fixture(scope="module")
def alices_window(kept_windows: Windows, whole_cable: Cable) -> ChatPage:
    """Alice's chat, at the end of the cable."""
    chat = ChatPage.enter(kept_windows, "alice", port=whole_cable.port)
    chat.window.expect_lost_network()
    chat.open_room("general")
    return chat


@pytest.fixture
def alice(alices_window: ChatPage, bob: ChatPage) -> ChatPage:
    """Alice, in the same room and connected."""
    alices_window.wait_until_connected()
    expect(alices_window.bar).to_be_hidden()
    expect(bob.here.filter(has_text="alice")).to_have_count(1)
    return alices_window


@pytest.fixture
def cable(alice: ChatPage, whole_cable: Cable) -> Iterator[Cable]:
    """The cable, mended after the test."""
    yield whole_cable
    whole_cable.mend()


def test_offline_and_back(alice: ChatPage, bob: ChatPage) -> None:
    """The browser knows that it is offline; the page says so, and connects as soon as it is not."""
    expect(alice.bar).to_be_hidden()
    alice.page.wait_for_load_state("networkidle")
    alice.window.context.set_offline(True)
    expect(alice.bar).to_contain_text("You are offline.")
    # What was not used before is there.
    for name in ("Find…", "Emoji"):
        alice.page.get_by_role("button", name=name).click()
        expect(alice.page.get_by_role("dialog")).to_be_visible()
        alice.page.keyboard.press("Escape")
    expect(alice.page.get_by_role("dialog")).to_have_count(0)
    _both_talk(alice, bob, "offline")
    expect(alice.bar).to_contain_text("2 messages wait to be sent.")
    alice.window.context.set_offline(False)
    _assert_whole(alice, bob, "offline")


def test_a_cut_cable_and_back(alice: ChatPage, bob: ChatPage, cable: Cable) -> None:
    """The browser does not notice the loss. The page does, and tries again at once when it is used."""
    cable.cut()
    expect(alice.bar).to_contain_text("The connection is lost.")
    _both_talk(alice, bob, "cut")
    expect(alice.bar).to_contain_text("2 messages wait to be sent.")
    cable.mend()
    alice.composer.click()
    _assert_whole(alice, bob, "cut")


def test_a_message_whose_confirmation_was_lost_is_there_once(
    alice: ChatPage, bob: ChatPage, cable: Cable
) -> None:
    """The server has it, alice cannot know: she sends it again, and it stays one message."""
    cable.deafen()
    alice.say("deaf, from alice")
    expect(bob.messages("deaf")).to_have_text(["deaf, from alice"])
    expect(alice.unsent("deaf")).to_have_text(["deaf, from alice"])
    cable.cut()
    expect(alice.bar).to_contain_text("1 message waits to be sent.")
    cable.mend()
    alice.composer.click()
    expect(alice.messages("deaf")).to_have_text(["deaf, from alice"])
    expect(alice.bar).to_be_hidden()
    alice.say("deaf no more")
    for chat in (alice, bob):
        expect(chat.messages("deaf")).to_have_text(["deaf, from alice", "deaf no more"])


def test_what_waits_survives_a_reload(alice: ChatPage, bob: ChatPage, cable: Cable) -> None:
    """The tab keeps what was typed without a network, also over a reload once it is back."""
    cable.cut()
    alice.say("kept one", "kept two")
    expect(alice.unsent("kept")).to_have_text(["kept one", "kept two"])
    cable.mend()
    alice.page.reload()
    for chat in (alice, bob):
        expect(chat.messages("kept")).to_have_text(["kept one", "kept two"])
    expect(alice.unsent("kept")).to_have_count(0)


def _both_talk(alice: ChatPage, bob: ChatPage, about: str) -> None:
    alice.say(f"{about}: waits 1", f"{about}: waits 2")
    expect(alice.unsent(about)).to_have_text([f"{about}: waits 1", f"{about}: waits 2"])
    bob.say(f"{about}: meanwhile 1", f"{about}: meanwhile 2", f"{about}: meanwhile 3")
    expect(bob.messages(about)).to_have_count(3)


def _assert_whole(alice: ChatPage, bob: ChatPage, about: str) -> None:
    said = [f"{about}: meanwhile {number}" for number in (1, 2, 3)]
    said += [f"{about}: waits {number}" for number in (1, 2)]
    expect(alice.messages(about)).to_have_text(said)
    expect(alice.bar).to_be_hidden()
    expect(bob.here.filter(has_text="alice")).to_have_count(1)
    # Whatever came twice would have come before this.
    bob.say(f"{about}: the end")
    for chat in (alice, bob):
        expect(chat.messages(about)).to_have_text([*said, f"{about}: the end"])
        expect(chat.unsent(about)).to_have_count(0)
