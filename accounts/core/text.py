"""The policy for displayed texts: invisible characters, valid names, and names that look the same.

Functions of plain values. Used for room names and messages (chat), statuses and user names.
"""

import re
import unicodedata

from django.utils.translation import gettext as _

from accounts.core.lookalikes import ASCII_OF_LOOKALIKE

# Cc: control characters. Cs: halves of surrogate pairs, which databases cannot store.
_CONTROLS = frozenset({"Cc", "Cs"})

# Unicode's Default_Ignorable_Code_Point (zero-width, bidi controls, soft hyphen, variation selectors, tags,
# fillers), other invisible format characters, and characters with a blank glyph.
_DEFAULT_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_OTHER_BLANKS = "\u2800\ufff9-\ufffc\U00013430-\U0001343f\U00016fe4\U0001d159"
_INVISIBLE = re.compile(f"[{_DEFAULT_IGNORABLE}{_OTHER_BLANKS}]")
# Also private use characters: their look depends on the reader's fonts, and often they are blank.
_NOT_IN_NAMES = re.compile(f"[{_DEFAULT_IGNORABLE}{_OTHER_BLANKS}\ue000-\uf8ff\U000f0000-\U0010ffff]")
_VISIBLE = re.compile(rf"[^\s{_DEFAULT_IGNORABLE}{_OTHER_BLANKS}]")

# Some invisible characters are allowed inside emoji (variation selector 16, ZWJ, tags of flags) …
_PICTOGRAPH = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_EMOJI = f"(?:{_PICTOGRAPH}\ufe0f?[\U0001f3fb-\U0001f3ff]?)"
_KEYCAP = "[0-9#*]\ufe0f\u20e3"
_REGION_FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
# … and joiners between letters of scripts that use them (Arabic to Myanmar, Khmer, Mongolian).
_JOINING = "[\u0620-\u109f\u1780-\u18aa]"
_LEGITIMATE = re.compile(
    f"{_REGION_FLAG}|{_KEYCAP}|{_EMOJI}(?:\u200d{_EMOJI})*|(?<={_JOINING})[\u200c\u200d](?={_JOINING})"
)


class TextError(ValueError):
    """The policy refuses a text. The message says why, for people."""


def clean_name(name: str, *, max_chars: int) -> str:
    """Return `name` with single spaces, 1 to `max_chars` characters.

    Invisible characters are only allowed in emoji and joined scripts. Raises TextError.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= max_chars:
        message = _("Expected 1 to {most} characters, received {count}.")
        raise TextError(message.format(most=max_chars, count=len(name)))
    if has_controls(name):
        raise TextError(_("Control characters are not allowed here."))
    if _NOT_IN_NAMES.search(_LEGITIMATE.sub("", name)):
        raise TextError(_("Invisible characters are not allowed here."))
    return name


def has_controls(text: str, *, allowed: str = "") -> bool:
    """Return whether `text` has control characters other than `allowed`, or half a surrogate pair."""
    # Most texts are printable, so the category of each character need not be looked up.
    return not text.isprintable() and any(
        unicodedata.category(char) in _CONTROLS and char not in allowed for char in text
    )


def is_visible(text: str) -> bool:
    """Return whether any character of `text` is visible."""
    return _VISIBLE.search(text) is not None


def has_invisible(text: str) -> bool:
    """Return whether `text` has invisible characters, among them those that change the reading direction."""
    return _INVISIBLE.search(text) is not None


def name_key(name: str) -> str:
    """Return a key that is equal for names that look the same.

    It ignores case, Unicode's forms of a letter (NFKC), invisible characters, and the script of characters
    that look like ASCII (U+0261 is "g", Cyrillic U+0430 is "a"). Two ASCII characters stay different, even if
    they look alike in some fonts ("I" and "l").
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _INVISIBLE.sub("", name)).casefold())
    # Decomposed, so that an accented lookalike becomes the lookalike and an accent.
    parts = unicodedata.normalize("NFD", folded).translate(ASCII_OF_LOOKALIKE)
    return " ".join(unicodedata.normalize("NFKC", parts).casefold().split())


def poses_as_ascii(name: str) -> bool:
    """Return whether `name` looks like ASCII only, but is not."""
    return not name.isascii() and name_key(name).isascii()
