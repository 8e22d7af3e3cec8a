"""The chat page, as somebody who uses it sees it."""

from io import BytesIO
from typing import Any

from PIL import Image
from playwright.sync_api import FilePayload, Locator, expect

from tests.browser.windows import ACME, Window, Windows

# Safari ends the composition before the Enter of its input method, and marks the key by this code only.
ENTER_OF_INPUT_METHOD = """(field) => field.dispatchEvent(
  new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true, cancelable: true }))"""


def picture(width: int, height: int) -> FilePayload:
    """A picture, as a file to choose."""
    content = BytesIO()
    Image.new("RGB", (width, height), "teal").save(content, "PNG")
    return {"name": "plan.png", "mimeType": "image/png", "buffer": content.getvalue()}


# The browser stores a message after it shows it, within milliseconds.
UNTIL_STORED = """(count) => new Promise((done, failed) => {
  const request = indexedDB.open("rockstar-chat");
  request.onerror = () => failed(request.error);
  request.onsuccess = () => {
    const look = () => {
      const counted = request.result.transaction("outbox").objectStore("outbox").count();
      counted.onsuccess = () => (counted.result >= count ? done(request.result.close()) : setTimeout(look, 20));
    };
    look();
  };
})"""


class ChatPage:
    """Somebody's chat."""

    def __init__(self, window: Window, name: str) -> None:
        self.window = window
        self.page = window.page
        self.name = name

    @classmethod
    def enter(cls, windows: Windows, name: str, host: str = ACME, **options: Any) -> "ChatPage":
        """Open a window on the chat of `name`, and wait until it is connected."""
        chat = cls(windows.enter(name, "/chat/", host, **options), name)
        chat.wait_until_connected()
        chat.turn_to()
        return chat

    def turn_to(self) -> None:
        """Give the window the focus. In Chromium every window has it."""
        self.page.bring_to_front()
        if self.is_in_firefox:
            # Its window has no focus after a navigation, and without it Enter presses no button.
            self.page.mouse.click(1, 1)

    @property
    def is_in_firefox(self) -> bool:
        """Whether the browser is the Firefox of $FIREFOX."""
        browser = self.page.context.browser
        return browser is not None and browser.browser_type.name == "firefox"

    def wait_until_connected(self) -> None:
        """Wait until the page knows who is here, the reader among them."""
        expect(self.here.filter(has_text=self.name)).to_have_count(1)

    @property
    def heading(self) -> Locator:
        """The name of the room that is open."""
        return self.page.locator(".room-head h1")

    @property
    def here(self) -> Locator:
        """The people of the room who are here."""
        return self.page.locator(".people-list li[data-here=true] .person-name")

    @property
    def typing(self) -> Locator:
        """The line that names the people who are typing."""
        return self.page.locator(".typing-line")

    @property
    def bar(self) -> Locator:
        """The bar that tells of a lost connection."""
        return self.page.locator(".connection-bar")

    @property
    def composer(self) -> Locator:
        """Where one types."""
        return self.page.get_by_role("textbox", name="Message in")

    def room(self, name: str) -> Locator:
        """A room of one's own in the list."""
        return self.page.locator("button.room-item").filter(has=self.page.get_by_text(name, exact=True))

    def open_room(self, name: str) -> None:
        """Look into a room, and wait for what is said there."""
        # A page without the focus marks nothing as read. In Chromium every page has it here.
        self.page.bring_to_front()
        self.room(name).click()
        expect(self.heading).to_have_text(name)
        expect(self.page.get_by_role("log")).to_have_attribute("aria-busy", "false")
        expect(self.page.locator(".messages-beginning")).to_contain_text("begins")

    def create_room(self, name: str) -> None:
        """Make a public room; it is open then."""
        self.page.get_by_role("button", name="New room").click()
        dialog = self.page.get_by_role("dialog")
        dialog.locator("#room-name").fill(name)
        dialog.get_by_role("button", name="Create").click()
        expect(self.heading).to_have_text(name)

    def join_room(self, name: str) -> None:
        """Join a public room from the list of those that are there; it is open then."""
        self.page.get_by_role("button", name="Browse rooms").click()
        self.page.get_by_role("button", name=f"Join {name}").click()
        expect(self.heading).to_have_text(name)

    def in_menu(self, name: str) -> Locator:
        """Open the menu of the room, and return an item of it."""
        self.page.get_by_role("button", name="More about").click()
        return self.page.locator(".room-menu").get_by_text(name)

    def in_message_menu(self, row: Locator, name: str) -> Locator:
        """Open the menu of a message, and return an item of it."""
        row.hover()
        row.get_by_role("button", name="More").click()
        return self.page.locator(".row-menu").get_by_role("button", name=name)

    def leave_room(self) -> None:
        """Leave the room that is open, and confirm it."""
        self.in_menu("Leave ").click()
        self.page.get_by_role("dialog").get_by_role("button", name="Leave").click()

    def say(self, *texts: str) -> None:
        """Type and send, one after the other, waiting for nothing."""
        for text in texts:
            self.composer.fill(text)
            self.composer.press("Enter")

    def wait_until_stored(self, count: int) -> None:
        """Wait until the browser keeps `count` unsent messages, whatever becomes of the page."""
        self.page.evaluate(UNTIL_STORED, count)

    def messages(self, about: str) -> Locator:
        """The messages with `about` in them that the server has."""
        return self.page.locator(".message[data-state=sent] .message-text").filter(has_text=about)

    def unsent(self, about: str) -> Locator:
        """The reader's own messages with `about` in them that the server has not confirmed."""
        return self.page.locator(".message:not([data-state=sent]) .message-text").filter(has_text=about)
