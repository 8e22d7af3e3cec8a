"""Known emoji: for reactions, a status, and `:names:` in texts."""

import re
from functools import cache

from emoji import EMOJI_DATA

_NAMES = re.compile(r":[a-z0-9_+-]{2,50}:")
# Its absence makes some characters text instead of a picture. It does not make another emoji.
_PICTURE = "\ufe0f"
# The `status` of a sequence in its full form.
_COMPLETE = 2


def emoji_known(text: str) -> str | None:
    """Return the full form of an emoji; None for any other text."""
    return _table().get(text.replace(_PICTURE, ""))


def with_emoji(text: str) -> str:
    """Return `text` with emoji in place of their `:names:`."""
    if ":" not in text:
        return text
    return _NAMES.sub(lambda match: _by_name().get(match[0], match[0]), text)


@cache
def _table() -> dict[str, str]:
    return {
        emoji.replace(_PICTURE, ""): emoji
        for emoji, data in EMOJI_DATA.items()
        if data["status"] == _COMPLETE
    }


@cache
def _by_name() -> dict[str, str]:
    names: dict[str, str] = {}
    for emoji, data in EMOJI_DATA.items():
        if data["status"] == _COMPLETE:
            for name in (data["en"], *data.get("alias", ())):
                names.setdefault(name, emoji)
    return names
