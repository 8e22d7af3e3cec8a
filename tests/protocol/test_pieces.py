"""Large messages read in pieces: the same answers as from the codec, and no piece that takes long."""

import gc
import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.protocol.codec import RAW_MESSAGE_MAX_BYTES, decode_json
from realtime.protocol.errors import ErrorCode, RequestError
from realtime.protocol.pieces import decode_in_pieces
from tests.protocol.test_codec import INVALID_JSON, JSON_VALUES, MUTATIONS, VALID, nested
from tests.slowness import slowness

SIZES = st.integers(1, 40)
KEYS = st.sampled_from(["", "a", "type", "id", ",", '"', "\\", "[", "é\n"])
NARROW = st.recursive(
    st.sampled_from([None, True, 0, -1.5, "", "a,b", '","', "\\", "[{", "👋"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=40,
)


def read(text: str, piece_chars: int = 16 * 1024, max_bytes: int = RAW_MESSAGE_MAX_BYTES) -> tuple[Any, int]:
    """The value of a text, and the number of its pieces."""
    reading, pieces = decode_in_pieces(text, max_bytes=max_bytes, piece_chars=piece_chars), 1
    while True:
        try:
            next(reading)
        except StopIteration as done:
            return done.value, pieces
        pieces += 1


def outcome(text: str, piece_chars: int | None) -> Any:
    """Return what an endpoint gets from this text: the error's code, or kind and head of the value."""
    try:
        value = (
            decode_json(text, max_bytes=10**7) if piece_chars is None else read(text, piece_chars, 10**7)[0]
        )
    except RequestError as error:
        return error.code
    if not isinstance(value, dict):
        return "[]" if isinstance(value, list) else value
    head = {name: value[name] for name in ("type", "id") if name in value}
    return {name: type(part) if isinstance(part, list | dict) else part for name, part in head.items()}


def assert_agrees(text: str, piece_chars: int) -> None:
    assert outcome(text, piece_chars) == outcome(text, None), (text, piece_chars)


@settings(max_examples=400)
@given(NARROW | JSON_VALUES, SIZES, st.booleans(), st.sampled_from([None, 1]))
def test_any_value_is_taken(value: Any, piece_chars: int, is_ascii: bool, indent: int | None) -> None:
    assert_agrees(json.dumps(value, ensure_ascii=is_ascii, indent=indent), piece_chars)


@settings(max_examples=1500)
@given(
    NARROW,
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 3), MUTATIONS | st.just("")), min_size=1, max_size=3
    ),
    SIZES,
)
@example([[], 1], [(1, 2, "")], 1)
@example([1, 2], [(5, 0, ",")], 3)
@example({"a": 1, "b": 2}, [(12, 0, ",")], 3)
@example([1], [(3, 0, ",2")], 1)
@example([1], [(0, 0, "1],[")], 1)
def test_any_mutated_text_is_taken_or_refused_alike(
    value: Any, mutations: list[tuple[int, int, str]], piece_chars: int
) -> None:
    text = json.dumps(value)
    for at, cut, inserted in mutations:
        text = text[:at] + inserted + text[at + cut :]
    assert_agrees(text, piece_chars)


@given(st.text(st.sampled_from('[]{},:"\\ 1ak')), SIZES)
@settings(max_examples=1500)
def test_any_row_of_marks_is_taken_or_refused_alike(text: str, piece_chars: int) -> None:
    assert_agrees(text, piece_chars)


@pytest.mark.parametrize("piece_chars", [1, 7, 64, 1024])
def test_what_the_codec_takes_and_refuses(piece_chars: int) -> None:
    for text in [*INVALID_JSON.values(), *(text for text, _ in VALID.values())]:
        for written in (
            text,
            f'{{"a":[1,{{"k":[2,{text}]}},3],"type":"b"}}',
            f"[{text},{text}]",
            f"1,{text}",
        ):
            assert_agrees(written, piece_chars)


@pytest.mark.parametrize("levels", [29, 32, 33])
def test_depth_is_counted_from_the_beginning_of_the_text(levels: int) -> None:
    """The part that is nested is read in pieces of its own."""
    inner = ",".join([nested(levels - 2)] * 3)
    assert_agrees(f'{{"type":"a","b":[{inner}]}}', 5)


@pytest.mark.parametrize("key", ["k0", "k2999", "type", "inner"])
def test_a_key_repeated_in_a_later_piece_is_found(key: str) -> None:
    members = ",".join(f'"k{number}":{{"k0":{number}}}' for number in range(3000))
    text = f'{{"type":"a",{members},"inner":[{{{members}}}]'
    assert read(text + "}")[0] == {"type": "a"}
    for repeated in (f'{text},"{key}":1}}', f'{text},"\\u00{ord(key[0]):x}{key[1:]}":1}}'):
        with pytest.raises(RequestError, match="repeats a key"):
            read(repeated)


def test_the_place_of_a_fault_is_counted_from_the_beginning_of_the_text() -> None:
    text = '{"type":"é",' + ",".join(f'"{number}":[[0]]' for number in range(5000)) + ',"x":[[1,2,nul]]}'
    with pytest.raises(RequestError, match="byte") as strict:
        decode_json(text, max_bytes=10**6)
    with pytest.raises(RequestError) as caught:
        read(text)
    assert caught.value.message == strict.value.message


def test_a_text_that_is_too_large_is_refused_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        next(decode_in_pieces('{"id":7,"a":"' + "x" * 100 + '"}', max_bytes=100))
    assert (caught.value.code, caught.value.request_id) == (ErrorCode.MESSAGE_TOO_LARGE, 7)


# The cost: 1 MiB of anything, and the time of its longest piece.


def row(unit: str, *, size: int = RAW_MESSAGE_MAX_BYTES - 100) -> str:
    """A message of about 1 MiB that repeats `unit`, which ends with a comma."""
    return '{"type":"a","b":[' + unit * (size // len(unit.encode())) + "1]}"


def string(unit: str) -> str:
    """A message of about 1 MiB with one long string."""
    return '{"type":"a","b":"' + unit * ((RAW_MESSAGE_MAX_BYTES - 100) // len(unit.encode())) + '"}'


HEAVY = {
    "arrays": row("[],"),
    "deep arrays": row("[" * 28 + "]" * 28 + ","),
    "objects": row('{"a":1,"b":2},'),
    "floats": row("1.5e3,"),
    "hard floats": row("1.7976931348623157e308,"),
    "strings": row('"",'),
    "marks in strings": row('"]},[{",'),
    "escapes in strings": row('"\\"\\\\",'),
    "keys": '{"type":"a",' + ",".join(f'"{number:x}":0' for number in range(90_000)) + "}",
    "keys of objects": row(
        "{" + ",".join(f'"{number:x}":[]' for number in range(10_000)) + "},", size=900_000
    ),
    "text": string("x"),
    "emoji": string("👋"),
    "escaped quotes": string('\\"'),
    "escaped letters": string("\\u00e9"),
    "white space": '{"type":"a"' + " " * 1_000_000 + "}",
    "digits": '{"type":"a","b":0.' + "9" * 1_000_000 + "}",
    "strings without commas": '{"type":"a","b":[' + '""' * 500_000 + "]}",
    "brackets without commas": '{"type":"a","b":' + "[]" * 500_000 + "}",
    "too deep": '{"type":"a","b":' + "[" * 1_000_000 + "}",
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_no_piece_takes_long(text: str) -> None:
    """In one piece, 1 MiB takes up to 100 ms."""
    assert len(text.encode()) <= RAW_MESSAGE_MAX_BYTES
    assert min(_longest_s(text) for _ in range(2)) < 0.02 * slowness()


def _longest_s(text: str) -> float:
    """The CPU time of the longest piece."""
    longest_s = 0.0
    reading = decode_in_pieces(text, max_bytes=RAW_MESSAGE_MAX_BYTES)
    # Hypothesis takes the time of every collection, in Python.
    gc.disable()
    try:
        while True:
            begun_s = thread_time()
            next(reading)
            longest_s = max(longest_s, thread_time() - begun_s)
    except (StopIteration, RequestError):
        return max(longest_s, thread_time() - begun_s)
    finally:
        gc.enable()
