"""The codec: what it takes, what it refuses and how, and that nothing else ever comes out of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from realtime.protocol.codec import (
    INTEGER_MAX,
    INTEGER_MIN,
    JSON_MAX_DEPTH,
    JSON_MESSAGE_MAX_BYTES,
    decode_json,
    decode_request,
    decode_usual_request,
    encode,
    encode_error,
    encode_reply,
    payload_as,
    request_of,
)
from realtime.protocol.envelope import Request
from realtime.protocol.errors import ErrorCode, RequestError

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(INTEGER_MIN, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
REQUESTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["publish", "subscribe", "ping", "x" * 64])},
    optional={
        "id": st.integers(INTEGER_MIN, INTEGER_MAX) | st.text("abc-é👋", min_size=1, max_size=64) | st.none(),
        "payload": st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4) | st.none(),
    },
)
MUTATIONS = st.sampled_from(list('{}[]",:\\0123456789eE+-.\u0000\ud800\u2028 tfnN/uI')) | st.characters()


def refusal(text: str) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode_request(text)
    return caught.value


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


# Valid

VALID = {
    "only a type": ('{"type":"ping"}', Request("ping", {})),
    "string id": ('{"type":"a","id":"x"}', Request("a", {}, "x")),
    "integer id": ('{"type":"a","id":0}', Request("a", {}, 0)),
    "negative id": ('{"type":"a","id":-5}', Request("a", {}, -5)),
    "null id is none": ('{"type":"a","id":null}', Request("a", {})),
    "null payload is empty": ('{"type":"a","payload":null}', Request("a", {})),
    "unknown fields are ignored": ('{"type":"a","x":[1]}', Request("a", {})),
    "white space around": (' \t\r\n{"type" : "a"} \n', Request("a", {})),
    "escapes": (r'{"type":"a\n\u00e9\\"}', Request("a\né\\", {})),
    "a pair of surrogates escaped": (r'{"type":"\ud83d\udc4b"}', Request("👋", {})),
    "a pair escaped in capitals": (r'{"type":"\uD83D\uDC4B"}', Request("👋", {})),
    "a backslash before ud800": (r'{"type":"\\ud800"}', Request("\\ud800", {})),
    "an emoji as it is": ('{"type":"👋"}', Request("👋", {})),
    "an escaped NUL": (r'{"type":"a","payload":{"x":"\u0000"}}', Request("a", {"x": "\0"})),
    "the largest integer": (f'{{"type":"a","id":{INTEGER_MAX}}}', Request("a", {}, INTEGER_MAX)),
    "the smallest integer": (f'{{"type":"a","id":{INTEGER_MIN}}}', Request("a", {}, INTEGER_MIN)),
    "large floats": ('{"type":"a","payload":{"x":1.7e308}}', Request("a", {"x": 1.7e308})),
    "tiny floats": ('{"type":"a","payload":{"x":1e-999}}', Request("a", {"x": 0.0})),
    "equal keys in different objects": (
        '{"type":"a","payload":{"type":{"type":1}}}',
        Request("a", {"type": {"type": 1}}),
    ),
    "an id of 64 characters": ('{"type":"a","id":"' + "é" * 64 + '"}', Request("a", {}, "é" * 64)),
    "a type of 64 characters": ('{"type":"' + "t" * 64 + '"}', Request("t" * 64, {})),
}


@pytest.mark.parametrize(("text", "request_"), VALID.values(), ids=VALID)
def test_valid_requests(text: str, request_: Request) -> None:
    assert decode_request(text) == request_


@given(JSON_VALUES)
def test_any_json_value_comes_through(value: Any) -> None:
    assert decode_json(json.dumps(value)) == value
    assert decode_json(json.dumps(value, ensure_ascii=False)) == value
    assert decode_json(encode({"value": value})) == {"value": value}


# Not JSON

INVALID_JSON = {
    "nothing": "",
    "white space": "  ",
    "words": "hello",
    "NaN": '{"type":"a","payload":{"x":NaN}}',
    "Infinity": '{"type":"a","payload":{"x":Infinity}}',
    "-Infinity": '{"type":"a","payload":{"x":-Infinity}}',
    "a number beyond floats": '{"type":"a","payload":{"x":1e999}}',
    "a negative one": '{"type":"a","payload":{"x":-1e999}}',
    "repeated keys": '{"type":"a","type":"b"}',
    "repeated keys within": '{"type":"a","payload":{"x":{"k":1,"k":1}}}',
    "keys repeated by an escape": r'{"type":"a","payload":{"k":1,"\u006b":2}}',
    "half a pair first": r'{"type":"\ud800"}',
    "half a pair last": r'{"type":"\udc00"}',
    "half a pair in capitals": r'{"type":"\uD83D"}',
    "half a pair with one capital": r'{"type":"\uDc00"}',
    "half a pair then text": r'{"type":"\ud83dx"}',
    "a pair the wrong way round": r'{"type":"\udc4b\ud83d"}',
    "half a pair in a key": r'{"type":"a","payload":{"\ud800":1}}',
    "half a pair that is not escaped": '{"type":"\ud800"}',
    "a pair that is not escaped": '{"type":"\ud83d\udc4b"}',
    "a mixed pair": '{"type":"\\ud83d\udc4b"}',
    "an integer over 64 bits": f'{{"type":"a","id":{INTEGER_MAX + 1}}}',
    "an integer under 64 bits": f'{{"type":"a","id":{INTEGER_MIN - 1}}}',
    "an integer of 5,000 digits": '{"type":"a","id":' + "9" * 5000 + "}",
    "a float of 5,000 digits": '{"type":"a","payload":{"x":' + "9" * 5000 + ".0}}",
    "an exponent of 5,000 digits": '{"type":"a","payload":{"x":1e' + "9" * 5000 + "}}",
    "a leading zero": '{"type":"a","id":01}',
    "a plus sign": '{"type":"a","id":+1}',
    "hexadecimal": '{"type":"a","id":0x1}',
    "single quotes": "{'type':'a'}",
    "a trailing comma": '{"type":"a",}',
    "a comment": '{"type":"a"}//',
    "two values": '{"type":"a"}{"type":"b"}',
    "an unfinished object": '{"type":"a"',
    "an unfinished string": '{"type":"a',
    "an unfinished escape": '{"type":"a\\',
    "an unknown escape": r'{"type":"\x41"}',
    "a short escape": r'{"type":"\u12"}',
    "a line break in a string": '{"type":"a\nb"}',
    "a NUL in a string": '{"type":"a\0b"}',
    "a NUL after it": '{"type":"a"}\0',
    "a byte order mark": '\ufeff{"type":"a"}',
    "white space that is not JSON's": '\u00a0{"type":"a"}',
    "digits that are not ASCII": '{"type":"a","id":\u0661}',
    "33 arrays": nested(33),
    "33 objects": '{"a":' * 33 + "1" + "}" * 33,
    "many brackets": "[" * 60_000,
    "many brackets in turn": '[{"":' * 10_000,
    "closed before opened": "]" * 40 + nested(33),
}


@pytest.mark.parametrize("text", INVALID_JSON.values(), ids=INVALID_JSON)
def test_what_is_not_json(text: str) -> None:
    error = refusal(text)
    assert error.code is ErrorCode.INVALID_JSON
    assert error.request_id is None
    assert json.loads(encode_error(error))["payload"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    "text",
    [
        nested(32),
        '{"a":' * 32 + "1" + "}" * 32,
        "[" + ",".join(["[]"] * 100) + "]",
        json.dumps(["[[[[" * 50, '"' + "[" * 50, "\\" * 9 + "{" * 50]),
        json.dumps({"\\": "{" * 40, '\\"': "[" * 40}),
    ],
)
def test_depth_counts_brackets_outside_of_strings(text: str) -> None:
    assert decode_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", ['"\\\\"' + nested(33), '["\\"", ' + nested(32) + "]", '["",' + nested(32) + "]"]
)
def test_depth_is_counted_after_strings(text: str) -> None:
    with pytest.raises(RequestError, match=f"deeper than {JSON_MAX_DEPTH}"):
        decode_json(text)


# Size


@pytest.mark.parametrize("filler", ["a", "é", "€", "👋"])
def test_size_is_counted_in_bytes(filler: str) -> None:
    width = len(filler.encode())
    count, rest = divmod(JSON_MESSAGE_MAX_BYTES - 2, width)
    fits = '"' + filler * count + "." * rest + '"'
    assert len(fits.encode()) == JSON_MESSAGE_MAX_BYTES
    assert decode_json(fits) == fits[1:-1]
    with pytest.raises(RequestError) as caught:
        decode_json(fits[:-1] + '."')
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert caught.value.details == {"max_bytes": JSON_MESSAGE_MAX_BYTES}


def test_another_size_may_be_allowed() -> None:
    assert decode_json('"' + "x" * 100_000 + '"', max_bytes=100_002)
    with pytest.raises(RequestError):
        decode_json('"xx"', max_bytes=3)


def test_half_pairs_count_as_they_would_be_sent() -> None:
    with pytest.raises(RequestError) as caught:
        decode_json('"' + "\ud800" * 30_000 + '"')
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE


# Not a request

INVALID_MESSAGES = {
    "an array": ("[]", "", None),
    "a string": ('"x"', "", None),
    "a number": ("1", "", None),
    "null": ("null", "", None),
    "no type": ("{}", "type", None),
    "no type, with id": ('{"id":7}', "type", 7),
    "type null": ('{"type":null,"id":"x"}', "type", "x"),
    "type a number": ('{"type":1}', "type", None),
    "type an object": ('{"type":{}}', "type", None),
    "type empty": ('{"type":""}', "type", None),
    "type too long": ('{"type":"' + "x" * 65 + '"}', "type", None),
    "id a boolean": ('{"type":"a","id":true}', "id", None),
    "id a float": ('{"type":"a","id":1.0}', "id", None),
    "id an exponent": ('{"type":"a","id":1e2}', "id", None),
    "id an array": ('{"type":"a","id":[]}', "id", None),
    "id an object": ('{"type":"a","id":{}}', "id", None),
    "id empty": ('{"type":"a","id":""}', "id", None),
    "id too long": ('{"type":"a","id":"' + "x" * 65 + '"}', "id", None),
    "payload an array": ('{"type":"a","id":1,"payload":[]}', "payload", 1),
    "payload a string": ('{"type":"a","id":1,"payload":"x"}', "payload", 1),
    "payload false": ('{"type":"a","payload":false}', "payload", None),
    "payload 0": ('{"type":"a","payload":0}', "payload", None),
}


@pytest.mark.parametrize(("text", "field", "request_id"), INVALID_MESSAGES.values(), ids=INVALID_MESSAGES)
def test_what_is_not_a_request(text: str, field: str, request_id: str | int | None) -> None:
    error = refusal(text)
    assert error.code is ErrorCode.INVALID_MESSAGE
    assert error.details == {"field": field}
    assert error.request_id == request_id


# Anything


@given(st.text(st.characters()))
@example('{"type":' + "[" * 2000)
def test_any_text_is_a_request_or_refused(text: str) -> None:
    decode_or_refuse(text)


@settings(max_examples=500)
@given(REQUESTS, st.lists(st.tuples(st.integers(0, 300), st.integers(0, 3), MUTATIONS), max_size=5))
def test_any_mutated_request_is_a_request_or_refused(
    request_: dict[str, Any], mutations: list[tuple[int, int, str]]
) -> None:
    text = json.dumps(request_)
    for at, cut, inserted in mutations:
        text = text[:at] + inserted + text[at + cut :]
    decode_or_refuse(text)


@given(REQUESTS)
def test_a_well_formed_request_is_taken_as_it_is(request_: dict[str, Any]) -> None:
    if any("\ud800" <= char <= "\udfff" for key in request_.get("payload") or {} for char in key):
        return
    expected = Request(request_["type"], request_.get("payload") or {}, request_.get("id"))
    assert decode_request(json.dumps(request_)) == expected


@given(JSON_VALUES)
def test_any_value_is_a_request_or_refused(value: Any) -> None:
    is_request = isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] != ""
    code: ErrorCode | None = None
    try:
        assert request_of(value).type == value["type"]
    except RequestError as error:
        code = error.code
    assert is_request or code is ErrorCode.INVALID_MESSAGE


def decode_or_refuse(text: str) -> None:
    try:
        request = decode_request(text)
    except RequestError as error:
        encode_error(error).encode()
    else:
        # What was taken can be sent on: to a browser as UTF-8, over the broker, into the database.
        encode_reply(request.id, request.type, request.payload).encode()
        msgspec.msgpack.encode(request.payload)


# Payloads


class Inner(msgspec.Struct, frozen=True):
    offset: int


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    topic: str
    recover: Inner | None = None
    tags: list[str] = []


def test_a_payload_becomes_typed() -> None:
    assert payload_as(Outer, {"topic": "t", "recover": {"offset": 3}}) == Outer("t", Inner(3))


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "payload.topic"),
        ({"topic": 1}, "payload.topic"),
        ({"topic": None}, "payload.topic"),
        ({"topic": "t", "recover": {}}, "payload.recover.offset"),
        ({"topic": "t", "recover": {"offset": "1"}}, "payload.recover.offset"),
        ({"topic": "t", "recover": {"offset": 1.5}}, "payload.recover.offset"),
        ({"topic": "t", "recover": {"offset": True}}, "payload.recover.offset"),
        ({"topic": "t", "recover": []}, "payload.recover"),
        ({"topic": "t", "tags": ["a", 1]}, "payload.tags[1]"),
        ({"topic": "t", "more": 1}, "payload.more"),
    ],
)
def test_a_wrong_payload_names_the_field(payload: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        payload_as(Outer, payload)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE
    assert caught.value.details == {"field": field}


# Going out


def test_replies_carry_the_id_and_pushes_none() -> None:
    assert json.loads(encode_reply("7", "pong", {})) == {"id": "7", "type": "pong", "payload": {}}
    assert json.loads(encode_reply(0, "pong", {})) == {"id": 0, "type": "pong", "payload": {}}
    assert json.loads(encode_reply(None, "welcome", {"a": "é"})) == {"type": "welcome", "payload": {"a": "é"}}


def test_errors_carry_the_id_that_was_readable() -> None:
    error = RequestError(ErrorCode.RATE_LIMITED, "Slower.", retry_after_ms=50, request_id="mine")
    assert json.loads(encode_error(error)) == {
        "id": "mine",
        "type": "error",
        "payload": {"code": "rate_limited", "message": "Slower.", "retryable": True, "retry_after_ms": 50},
    }
    assert json.loads(encode_error(error, 0))["id"] == 0
    assert "id" not in json.loads(encode_error(RequestError(ErrorCode.INTERNAL, "x")))


def test_details_are_sent_where_there_are_some() -> None:
    error = RequestError(ErrorCode.INVALID_MESSAGE, "x", details={"field": "type"})
    assert error.payload()["details"] == {"field": "type"}
    assert "details" not in RequestError(ErrorCode.INTERNAL, "x").payload()


def test_what_json_cannot_say_is_a_fault_of_the_server() -> None:
    with pytest.raises(TypeError):
        encode({"x": object()})


@given(JSON_VALUES)
def test_the_short_way_and_the_strict_way_agree(value: Any) -> None:
    message = {"id": 1, "type": "a", "payload": {"x": value}}
    for text in (encode(message), json.dumps(message), json.dumps(message, ensure_ascii=False)):
        usual, strict = decode_usual_request(text), request_of(decode_json(text))
        if usual is not None:
            assert usual == strict
            assert encode(usual.payload) == encode(strict.payload)


def test_the_short_way_is_taken() -> None:
    for text in ('{"type":"a"}', '{"id":"1","type":"a","payload":{"x":[1,2.5,{"é":null}]}}'):
        assert decode_usual_request(text) == request_of(json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"a","payload":{"x":1,"x":2}}',
        '{"type":"a","type":"b"}',
        '{"type":"a","payload":{"x":18446744073709551616}}',
        '{"id":18446744073709551615,"type":"a"}',
        '{"type":"a","more":1}',
        '{"type": "a"}',
        r'{"type":"a","payload":{"x":"\ud800"}}',
        '{"id":"' + "x" * 65 + '","type":"a"}',
        '{"action":"subscribe","topic":"t"}',
        "[1]",
        "",
    ],
)
def test_whatever_is_unusual_goes_the_strict_way(text: str) -> None:
    assert decode_usual_request(text) is None


@pytest.mark.parametrize("payload", ['{"x":%s}', '{"b":[1,{"c":%s}]}'])
@pytest.mark.parametrize("number", [INTEGER_MAX + 1, INTEGER_MIN - 1, 10**40])
def test_huge_integers_are_found_wherever_they_are(payload: str, number: int) -> None:
    assert refusal('{"type":"a","payload":' + payload % number + "}").code == ErrorCode.INVALID_JSON


@pytest.mark.parametrize("number", ["1e309", "-1e309", "1" * 310 + ".0", "0.1e400"])
def test_a_number_beyond_a_double_is_refused(number: str) -> None:
    for text in (number, f'{{"type":"a","payload":{{"x":[0.5,{number}]}}}}', f'{{"x": {number}}}'):
        with pytest.raises(RequestError, match="out of range"):
            decode_json(text)


def test_a_number_with_the_bytes_of_an_infinity_is_none() -> None:
    value = {"x": [int.from_bytes(b"\xcb\x7f\xf0\0\0\0\0\0"), 0, 0]}
    assert decode_json('{"x": [14663702794532290560, 0, 0]}') == value


@pytest.mark.parametrize("count", [1, 9, 5000])
def test_a_repeated_key_is_found_among_many(count: int) -> None:
    keys = [f'"k{number}":{{"\\\\":"\\"{number}"}}' for number in range(count)]
    assert len(decode_json("{" + ",".join(keys) + "}", max_bytes=10**6)) == count
    with pytest.raises(RequestError, match="repeats a key"):
        decode_json("{" + ",".join([*keys, '"k0":1']) + "}", max_bytes=10**6)


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ('{"id":"1","type":"x","payload":{"d":NaN}}', "1"),
        ('{"type":"x","payload":{"d":Infinity},"id":7}', 7),
        ('{"id": "1", "payload": "\\ud83d"}', "1"),
        ('{"type":"x","payload":"\\ud83d","id":"1"}', "1"),
        ('{"id":-7,"type":"x","payload":' + "[" * 40 + "]" * 40 + "}", -7),
        ('{"type":"x","payload":' + "[" * 40 + "]" * 40 + ',"id":"1"}', "1"),
        ('{"id":"1","a":' + "[" * 20_000, "1"),
        ('{"type":"x","payload":{"a":1,"a":2},"id":"1"}', "1"),
        ('{"type":"x","payload":{"n":' + "9" * 5000 + '},"id":7}', 7),
        ('{"type":"x","id":7,"payload":1e999}', 7),
        ('{"id":"1","type":"x"', "1"),
        ('{"id":"a\\"b","type":}', 'a"b'),
        ('{"id":"\\u0041","type":}', "A"),
        # No id can be read, or it is not a valid one.
        ('{"type":"x","id":"1"', None),
        ('{"id":"' + "1" * 65 + '","type":}', None),
        ('{"id":1.5,"type":}', None),
        ('{"id":123456789012345678901234567890,"type":}', None),
        ('{"id":"\\ud800","type":}', None),
        ('{"payload":{"id":"1"},"type":}', None),
        ('[{"id":"1"},NaN]', None),
        ("", None),
    ],
)
def test_a_refusal_carries_the_id_that_can_be_read(text: str, request_id: object) -> None:
    with pytest.raises(RequestError) as caught:
        decode_request(text)
    assert caught.value.code in {ErrorCode.INVALID_JSON, ErrorCode.INVALID_MESSAGE}
    assert caught.value.request_id == request_id
    encode_error(caught.value)


@pytest.mark.parametrize("text", [r'{"type":"x","id":"\udc4b"}', r'{"type":"x","id":"a\ud83d","payload":{}}'])
def test_half_a_surrogate_pair_is_no_id_that_an_answer_can_carry(text: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode_request(text)
    assert (caught.value.code, caught.value.request_id) == (ErrorCode.INVALID_JSON, None)
