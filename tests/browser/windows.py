"""Windows of the browser: each with cookies of its own, each watched for what the console says."""

import re
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    StorageState,
    ViewportSize,
    expect,
)

ACME = "acme.localhost"
GLOBEX = "globex.localhost"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 320, "height": 640}
PASSWORD = "rockstar"
SIGN_IN = re.compile(r"/accounts/login/")
# Chromium says most violations itself, but not all of them as errors.
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} forbids ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
"""
# Chromium itself writes this for every connection that cannot be made.
LOST_NETWORK = re.compile(
    r"WebSocket connection to .* failed|Failed to load resource: (net::ERR_|the server responded with a status of)"
)


# The cookies of the users that have signed in, by host and name. Each sign-in takes its time.
Sessions = dict[tuple[str, str], StorageState]


def fill_in_sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in the sign-in form and send it."""
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


class Window:
    """One window, on one host."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.complaints: list[str] = []
        self._loses_network = False
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("page", self._watch)
        self.page = context.new_page()

    def go(self, path: str) -> Page:
        """Open a page of the site."""
        self.page.goto(self.address + path)
        return self.page

    def expect_lost_network(self) -> None:
        """From now on failed connections are part of the test."""
        self._loses_network = True

    def _watch(self, page: Page) -> None:
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: uncaught {error}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        if self._loses_network and LOST_NETWORK.search(message.text):
            return
        self.complaints.append(f"{message.location.get('url')}: {message.type}: {message.text}")


class Windows:
    """Opens windows and closes them all; fails at the end when a page complained."""

    def __init__(self, browser: Browser, port: int, sessions: Sessions, *, timeout_ms: int) -> None:
        self._browser = browser
        self._port = port
        self._sessions = sessions
        self._timeout_ms = timeout_ms
        self._opened: list[Window] = []

    def open(self, host: str = ACME, *, port: int | None = None, **options: Any) -> Window:
        """A new window on `host`; `options` are those of playwright's `new_context`."""
        context = self._browser.new_context(**({"viewport": DESKTOP} | options))
        context.set_default_timeout(self._timeout_ms)
        window = Window(context, f"http://{host}:{port or self._port}")
        self._opened.append(window)
        return window

    def enter(self, name: str, path: str, host: str = ACME, **options: Any) -> Window:
        """A new window where `name` is on the page `path`, signed in on the way if need be."""
        known = self._sessions.get((host, name))
        window = self.open(host, storage_state=known, **options)
        window.go(f"/accounts/login/?next={path}")
        if SIGN_IN.search(window.page.url):
            fill_in_sign_in(window.page, name)
            expect(window.page).not_to_have_url(SIGN_IN)
            self._sessions[host, name] = window.context.storage_state()
        return window

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for window in self._opened:
            window.context.close()
        if error is None:
            complaints = [line for window in self._opened for line in window.complaints]
            assert not complaints, "Pages complained:\n" + "\n".join(complaints)
