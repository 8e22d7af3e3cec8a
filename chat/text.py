"""Validation of message texts and room names, as functions of plain values."""

import re

from django.utils.translation import gettext as _

from accounts.core.text import TextError, clean_name, has_controls, is_visible, name_key
from chat.errors import field_error
from chat.rendering.emoji import emoji_known

TEXT_MAX_CHARS = 4000
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
ROOM_NAME_MAX_CHARS = 80
TOPIC_LINE_MAX_CHARS = 250
FILE_NAME_MAX_CHARS = 200
# Returns a key that is equal for names that look the same. It is unique among the open rooms of a tenant.
room_name_key = name_key
# The longest emoji are families and flags, made of several characters.
EMOJI_MAX_CHARS = 32
# A few characters become many when folded. A name with a longer key is refused.
ROOM_NAME_KEY_MAX_CHARS = 240


def clean_text(text: str, *, may_be_empty: bool = False) -> str:
    """Return `text` without surrounding whitespace: 1 to 4,000 characters, at least one of them visible.

    If there are several lines, the first keeps its indentation, as in a piece of code.
    `may_be_empty`: a message with files needs no text. Control characters other than newline and tab are
    refused. Raises RequestError(invalid_message).
    """
    text = trimmed(text)
    if may_be_empty and not text:
        return ""
    if not 0 < len(text) <= TEXT_MAX_CHARS:
        expected = _("Expected a text of 1 to {most} characters, received {count}.")
        raise field_error("payload.text", expected.format(most=TEXT_MAX_CHARS, count=len(text)))
    if has_controls(text, allowed="\n\t"):
        message = _("A text must not contain control characters except newline and tab.")
        raise field_error("payload.text", message)
    if not is_visible(text):
        raise field_error("payload.text", _("This text has no visible characters."))
    return text


def trimmed(text: str) -> str:
    """Return `text` without surrounding whitespace. If there are several lines, the first keeps its indentation."""
    return _BLANK_LINES.sub("", text).rstrip() if "\n" in text.strip() else text.strip()


def clean_room_name(name: str) -> str:
    """Return `name` with single spaces: 1 to 80 characters, all visible.

    Raises RequestError(invalid_message).
    """
    try:
        name = clean_name(name, max_chars=ROOM_NAME_MAX_CHARS)
    except TextError as refused:
        message = _("This cannot be the name of a room. {refused}").format(refused=refused)
        raise field_error("payload.name", message) from None
    if not 0 < len(room_name_key(name)) <= ROOM_NAME_KEY_MAX_CHARS:
        raise field_error("payload.name", _("A name is made of simpler characters."))
    return name


def clean_line(text: str, *, field: str, max_chars: int) -> str:
    """Return a line of text with single spaces, empty or visible. Raises RequestError(invalid_message)."""
    if not text.strip():
        return ""
    try:
        return clean_name(text, max_chars=max_chars)
    except TextError as refused:
        raise field_error(f"payload.{field}", str(refused)) from None


def clean_emoji(text: str, *, field: str) -> str:
    """Return the full form of an emoji. Raises RequestError(invalid_message) for any other text."""
    emoji = emoji_known(text)
    if emoji is None:
        raise field_error(f"payload.{field}", _("This is no emoji."))
    return emoji
