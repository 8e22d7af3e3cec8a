"""What people write, made clean."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.text import ROOM_NAME_KEY_MAX_CHARS, clean_room_name, clean_text, room_name_key
from realtime.protocol.errors import ErrorCode, RequestError


def assert_refused(clean: Callable[[str], str], text: str, field: str) -> None:
    with pytest.raises(RequestError) as refused:
        clean(text)
    assert refused.value.code is ErrorCode.INVALID_MESSAGE
    assert refused.value.details == {"field": field}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("hi", "hi"),
        ("  hi \n", "hi"),
        ("\n \n    if x:\n        y\n \n", "    if x:\n        y"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("<b>&amp;</b> \\u0000 'quoted'", "<b>&amp;</b> \\u0000 'quoted'"),
        ("👩‍💻 дa ü", "👩‍💻 дa ü"),
        ("x" * 4000, "x" * 4000),
        (
            "\u200f\u05d0\u200e soft\u00adware \u2764\ufe0f\u200d\U0001f525",
            "\u200f\u05d0\u200e soft\u00adware \u2764\ufe0f\u200d\U0001f525",
        ),
    ],
)
def test_a_text_is_kept_as_it_was_written(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t ",
        "x" * 4001,
        "nul\0",
        "a\rb",
        "bell\a",
        "del\x7f",
        "c1\x85x",
        "\u200b",
        "\u3164",
        "\u2800 \u00ad",
        "\ufe0f",
    ],
)
def test_a_text_that_is_empty_too_long_or_holds_controls_is_refused(text: str) -> None:
    assert_refused(clean_text, text, "payload.text")


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 81, "a\0b", "\ud800", "\ufdfa" * 80, "gen\u200beral", "\u202elareneg", "\u3164"]
)
def test_a_bad_room_name_is_refused(name: str) -> None:
    assert_refused(clean_room_name, name, "payload.name")


@pytest.mark.parametrize(
    ("one", "other"),
    [("General", "general"), ("Ümlaut", "ümlaut"), ("STRASSE", "straße"), ("ﬁne", "fine"), ("e\u0301", "é")],
)
def test_names_that_read_the_same_share_a_key(one: str, other: str) -> None:
    assert room_name_key(one) == room_name_key(other)


def test_a_room_name_has_single_spaces() -> None:
    assert clean_room_name("  coffee \t break ") == "coffee break"


@given(st.text(max_size=100))
def test_what_passes_is_clean_and_stays_as_it_is(text: str) -> None:
    try:
        clean = clean_text(text)
    except RequestError:
        return
    assert clean == clean.strip() == clean_text(clean)
    assert not {char for char in clean if unicodedata.category(char) == "Cc"} - {"\n", "\t"}


@given(st.text(max_size=100))
def test_the_key_of_a_name_fits_its_column(name: str) -> None:
    try:
        clean = clean_room_name(name)
    except RequestError:
        return
    assert 0 < len(room_name_key(clean)) <= ROOM_NAME_KEY_MAX_CHARS
