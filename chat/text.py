"""What people write, made clean: message texts and room names. Plain values in, plain values out."""

import unicodedata

from realtime.protocol.errors import ErrorCode, RequestError

TEXT_MAX_CHARS = 4000
ROOM_NAME_MAX_CHARS = 80
# A few characters fold into many; a name made of them is no name.
ROOM_NAME_KEY_MAX_CHARS = 240

# Cc: control characters; Cs: halves of surrogate pairs, which no database stores.
_FORBIDDEN = frozenset({"Cc", "Cs"})


def clean_text(text: str) -> str:
    """`text` without the space around it: 1 to 4,000 characters, no control characters but newline and tab.

    Raises RequestError(invalid_message).
    """
    text = text.strip()
    if not 0 < len(text) <= TEXT_MAX_CHARS:
        raise _invalid("text", f"Expected a text of 1 to {TEXT_MAX_CHARS} characters, received {len(text)}.")
    if _has_control(text, allowed="\n\t"):
        raise _invalid("text", "A text holds no control characters but newline and tab.")
    return text


def clean_room_name(name: str) -> str:
    """`name` with single spaces: 1 to 80 characters, no controls; raises RequestError(invalid_message)."""
    name = " ".join(name.split())
    if not 0 < len(name) <= ROOM_NAME_MAX_CHARS:
        raise _invalid(
            "name", f"Expected a name of 1 to {ROOM_NAME_MAX_CHARS} characters, received {len(name)}."
        )
    if len(room_name_key(name)) > ROOM_NAME_KEY_MAX_CHARS:
        raise _invalid("name", "A name is made of simpler characters.")
    if _has_control(name):
        raise _invalid("name", "A name holds no control characters.")
    return name


def room_name_key(name: str) -> str:
    """What two names share that people read as the same: case and Unicode's forms of a letter left out."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _has_control(text: str, allowed: str = "") -> bool:
    # Most texts are printable throughout, which is known much faster than the category of each character.
    return not text.isprintable() and any(
        unicodedata.category(char) in _FORBIDDEN and char not in allowed for char in text
    )


def _invalid(field: str, message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_MESSAGE, message, details={"field": f"payload.{field}"})
