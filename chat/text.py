"""Validation of message texts and room names, as functions of plain values."""

from accounts.core.text import TextError, clean_name, has_controls, is_visible, name_key
from realtime import ErrorCode, RequestError

TEXT_MAX_CHARS = 4000
ROOM_NAME_MAX_CHARS = 80
# A few characters become many when folded. A name with a longer key is refused.
ROOM_NAME_KEY_MAX_CHARS = 240


def clean_text(text: str) -> str:
    """Return `text` without surrounding whitespace: 1 to 4,000 characters, at least one of them visible.

    Control characters other than newline and tab are refused. Raises RequestError(invalid_message).
    """
    text = text.strip()
    if not 0 < len(text) <= TEXT_MAX_CHARS:
        raise _invalid("text", f"Expected a text of 1 to {TEXT_MAX_CHARS} characters, received {len(text)}.")
    if has_controls(text, allowed="\n\t"):
        raise _invalid("text", "A text must not contain control characters except newline and tab.")
    if not is_visible(text):
        raise _invalid("text", "This text has no visible characters.")
    return text


def clean_room_name(name: str) -> str:
    """Return `name` with single spaces: 1 to 80 characters, all visible.

    Raises RequestError(invalid_message).
    """
    try:
        name = clean_name(name, max_chars=ROOM_NAME_MAX_CHARS)
    except TextError as refused:
        raise _invalid("name", f"This cannot be the name of a room. {refused}") from None
    if not 0 < len(room_name_key(name)) <= ROOM_NAME_KEY_MAX_CHARS:
        raise _invalid("name", "A name is made of simpler characters.")
    return name


def room_name_key(name: str) -> str:
    """Return a key that is equal for names that look the same.

    It is unique among the open rooms of a tenant.
    """
    return name_key(name)


def _invalid(field: str, message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": f"payload.{field}"})
