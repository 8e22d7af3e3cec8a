"""What a name may hold, and which names look the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.core.lookalikes import ASCII_OF_LOOKALIKE
from accounts.core.text import TextError, clean_name, is_visible, name_key

# One of each kind: zero-width, joiners, bidi controls, soft hyphen, selectors, tags, fillers, blanks, annotations.
INVISIBLE = [
    *"\u200b\u200c\u200d\u2060\ufeff\u180e\u034f",
    *"\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *"\u00ad\u2061\u2062\u2063\u2064\u206a\u206f",
    *"\ufe00\ufe0e\ufe0f\U000e0100\U000e01ef\u180b",
    *"\U000e0001\U000e0041\U000e007f",
    *"\u3164\u2800\u115f\u1160\uffa0\u17b4\u17b5",
    *"\ufff9\ufffb\ufffc\U0001d159\U0001d173\U0001bca0\U00013430\U00016fe4",
]


def name(text: str) -> str:
    return clean_name(text, max_chars=80)


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda char: f"U+{ord(char):04X}")
def test_what_is_invisible_is_no_part_of_a_name(char: str) -> None:
    for text in (char, f"{char}general", f"gen{char}eral", f"general{char}", f"general {char}", char * 3):
        with pytest.raises(TextError):
            name(text)
    assert name_key(f"gen{char}eral") == "general"
    assert not is_visible(f" {char}\n{char * 2} ")
    assert is_visible(f"{char}x")


@pytest.mark.parametrize("char", ["\0", "\x7f", "\x86", "\ud800", "\ue000", "\U0010fffd"])
def test_what_has_no_look_is_no_part_of_a_name(char: str) -> None:
    with pytest.raises(TextError):
        name(f"a{char}b")


@pytest.mark.parametrize(
    "text",
    [
        "\U0001f469\u200d\U0001f4bb devs",
        "\u2764\ufe0f",
        "\U0001f3f3\ufe0f\u200d\U0001f308 pride",
        "\U0001f9d1\U0001f3fd\u200d\U0001f680",
        "1\ufe0f\u20e3",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0d28\u0d4d\u200d\u0d31\u0d46",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u65e5\u672c\u8a9e",
        "na\u00efve caf\u00e9 #1 (c++)",
    ],
)
def test_scripts_and_emoji_as_people_write_them_are_names(text: str) -> None:
    assert name(text) == text
    assert is_visible(text)


@pytest.mark.parametrize(
    "lookalike",
    [
        "GENERAL",
        "\u0261eneral",
        "g\u0435neral",
        "gener\u0430l",
        "\uff47eneral",
        "\u0261\u0435n\u0435r\u0430l",
        "general\ufe0f",
        "\U0001d420eneral",
    ],
)
def test_names_that_look_the_same_share_a_key(lookalike: str) -> None:
    assert name_key(lookalike) == name_key("general") == "general"


@pytest.mark.parametrize(
    ("one", "other"),
    [("modem", "modern"), ("mall", "mail"), ("room 1", "room l"), ("resume", "r\u00e9sum\u00e9"), ("O", "0")],
)
def test_names_that_differ_have_different_keys(one: str, other: str) -> None:
    assert name_key(one) != name_key(other)


def test_an_accent_does_not_hide_the_letter_under_it() -> None:
    assert name_key("caf\u0435\u0301") == name_key("caf\u00e9")


def test_lookalikes_lead_to_ascii_in_one_step() -> None:
    for char, ascii_text in ASCII_OF_LOOKALIKE.items():
        assert not chr(char).isascii()
        assert ascii_text.isascii()
        assert ascii_text == ascii_text.lower()


@given(st.text(max_size=100))
def test_a_clean_name_stays_as_it_is(text: str) -> None:
    try:
        clean = name(text)
    except TextError:
        return
    assert name(clean) == clean == clean.strip()
    assert is_visible(clean)
    assert not {unicodedata.category(char) for char in clean} & {"Cc", "Cs", "Co"}
    assert name_key(name_key(clean)) == name_key(clean)
