"""A browser, a site to look at, and windows on it. Every window is watched for complaints until it closes."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Error, expect, sync_playwright

from tests.browser.windows import Sessions, Windows
from tests.missing import give_up
from tests.prepare import find_chromium
from tests.servers.pool import Site, SitePool

LAUNCH_ARGUMENTS = ("--no-sandbox", "--disable-background-networking")
# Firefox without a screen takes itself for a phone: this is a mouse (hover and fine). Its panel of downloads would take
# the focus from the page.
PREFERENCES: dict[str, str | float | bool] = {
    "ui.primaryPointerCapabilities": 6,
    "ui.allPointerCapabilities": 6,
    "browser.download.alwaysOpenPanel": False,
}
# Two busy cores are slow; nobody waits this long on a good day.
PATIENCE_MS = 20_000
HERE = Path(__file__).parent
Launch = Callable[[], AbstractContextManager[BrowserContext]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a browser and a server."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.servers)


# By package, not by session: playwright's loop runs in this thread as long as it is there, and no other can.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser; without one the tests are skipped, or fail where the environment says CI.

    It is a Chromium, or the Firefox that $FIREFOX names.
    """
    firefox = os.environ.get("FIREFOX")
    path = firefox or find_chromium()
    if path is None:
        give_up("No Chromium was found: install one, or name it in $CHROMIUM (tests/prepare.py says more).")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        try:
            kind = playwright.firefox if firefox else playwright.chromium
            browser = kind.launch(executable_path=path, **options_of(kind))
        except Error as error:
            give_up(f"{path} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def launch(chromium: Browser, tmp_path: Path) -> Launch:
    """Starts the browser with a profile that is kept, as often as it is called; it ends with the block."""
    kind = chromium.browser_type
    path = os.environ.get("FIREFOX") or find_chromium()

    @contextmanager
    def launched() -> Iterator[BrowserContext]:
        profile = tmp_path / "profile"
        context = kind.launch_persistent_context(profile, executable_path=path, **options_of(kind))
        context.set_default_timeout(PATIENCE_MS)
        yield context
        context.close()

    return launched


@pytest.fixture(scope="package")
def browsed_site(site_pool: SitePool) -> Iterator[Site]:
    """The site that the tests of this folder share."""
    # With samples from the first second on.
    # As operators run it: with the collected files, the bundle among them.
    site = site_pool.start("serve", {"REALTIME_SAMPLE_INTERVAL_S": "1", "DEBUG": "0"})
    yield site
    site.close()


@pytest.fixture(scope="package")
def sessions() -> Sessions:
    """The users that have signed in on the site."""
    return {}


@pytest.fixture
def windows(chromium: Browser, browsed_site: Site, sessions: Sessions) -> Iterator[Windows]:
    """Opens windows. At the end neither they nor the server may have complained."""
    with Windows(chromium, browsed_site.server.port, sessions, timeout_ms=PATIENCE_MS) as opened:
        yield opened
    browsed_site.server.check_log()


@pytest.fixture(scope="module")
def kept_windows(chromium: Browser, browsed_site: Site, sessions: Sessions) -> Iterator[Windows]:
    """The same for windows that the tests of one module share, because opening them takes longer than the tests."""
    with Windows(chromium, browsed_site.server.port, sessions, timeout_ms=PATIENCE_MS) as opened:
        yield opened
    browsed_site.server.check_log()


def options_of(kind: BrowserType) -> dict[str, Any]:
    """The options to start a browser with, in playwright's words."""
    if kind.name == "firefox":
        return {"channel": "moz-firefox", "firefox_user_prefs": PREFERENCES}
    return {"args": LAUNCH_ARGUMENTS}
