"""Decides which URLs become links: only if the reader can see where a URL leads."""

import re
from urllib.parse import unquote, urlsplit

from accounts.core.text import has_invisible

# `https://bank.example@evil.example` leads to evil.example. Browsers accept any number of slashes of both
# kinds.
_WITH_USER = re.compile(r"https?:[/\\]*[^/\\?#]*@", re.IGNORECASE)
_WEB = re.compile(r"https?://[^/\\?#\s]", re.IGNORECASE)
# LRO and RLO: the following text is shown in an order that the writer chooses.
_OVERRIDE = re.compile("[\u202d\u202e]")
_LOOKS_LIKE_URL = re.compile(r"//|\bwww\.|^[\w-]+(?:\.[\w-]+)+(?:[/:?#]|$)", re.IGNORECASE)


def is_honest_url(url: str) -> bool:
    """Return whether `url` is an http or https URL without a user name or invisible characters."""
    shown = unquote(url)
    if not _WEB.match(url) or _WITH_USER.match(shown) or has_invisible(shown):
        return False
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def overrides_direction(text: str) -> bool:
    """Return whether a text is shown in another order than it is written. It gets no links."""
    return _OVERRIDE.search(text) is not None


def poses_as_url(label: str, url: str) -> bool:
    """Return whether the label of a link looks like a URL of another host than it leads to."""
    label = label.strip()
    if not _LOOKS_LIKE_URL.search(label):
        return False
    shown = label if "//" in label else f"//{label}"
    try:
        return urlsplit(shown).hostname != urlsplit(url).hostname
    except ValueError:
        return True
