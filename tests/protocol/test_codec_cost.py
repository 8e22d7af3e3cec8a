"""The cost of the codec: a few passes over the text, not a step of Python for each value in it."""

import gc
import sys
from time import thread_time
from typing import Any

import pytest

from realtime.protocol.codec import JSON_MESSAGE_MAX_BYTES
from tests.protocol.test_codec import decode_or_refuse

COSTLY = {
    "empty arrays": "[" + "[]," * 20_000 + "1]",
    "empty objects": "[" + "{}," * 20_000 + "1]",
    "deep arrays": "[" + ",".join(["[" * 28 + "]" * 28] * 1000) + "]",
    "too deep": "[" * 60_000,
    "objects": "[" + '{"":1},' * 8000 + "1]",
    "integers": "[" + "1," * 30_000 + "1]",
    "long integers": "[" + "18446744073709551615," * 2800 + "1]",
    "floats": "[" + "1.5," * 15_000 + "1]",
    "exponents": "[" + "1e9," * 15_000 + "1]",
    "strings": "[" + '"",' * 20_000 + '""]',
    "brackets in strings": '["[{", ' + '"]}[{",' * 8000 + "1]",
    "escaped quotes": '"' + '\\"' * 30_000 + '"',
    "escaped letters": '"' + "\\u00e9" * 10_000 + '"',
    "many keys": "{" + ",".join(f'"{number}":0' for number in range(6000)) + "}",
    "one key": "{" + ",".join(['"a":1'] * 10_000) + "}",
    "huge integers": "[" + ",".join(["9" * 4000] * 15) + "]",
}


@pytest.mark.parametrize(
    "written", ['{"type":"a","payload":{"x":%s}}', '{"type": "a", "payload": {"x": %s}}']
)
@pytest.mark.parametrize("value", COSTLY.values(), ids=COSTLY)
def test_the_cost_of_a_message_is_bounded_by_its_size(value: str, written: str) -> None:
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += 1
        return trace

    text = written % value
    assert len(text) <= JSON_MESSAGE_MAX_BYTES
    # Hypothesis takes the time of every collection, in Python.
    gc.disable()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decode_or_refuse(text)
    finally:
        # Coverage is measured by another one.
        sys.settrace(before)
        gc.enable()
    assert lines < 300


HARD_NUMBERS = ("1e308", "1.5e300", "4.9e-324", "1.7976931348623157e308", "2.2250738585072011e-308", "1e23")


def _cpu_s(written: str) -> float:
    """The CPU time of reading 60 KB of this value, at best."""
    value = ",".join([written] * (60_000 // (len(written) + 1)))
    text = f'{{"type":"a","payload":{{"x":[{value}]}}}}'
    times_s = []
    gc.disable()
    for _ in range(3):
        begun_s = thread_time()
        decode_or_refuse(text)
        times_s.append(thread_time() - begun_s)
    gc.enable()
    return min(times_s)


@pytest.mark.parametrize("number", HARD_NUMBERS)
def test_no_number_costs_far_more_than_another(number: str) -> None:
    """Numbers at the ends of what a double can hold took 90 ms in 64 KiB."""
    assert _cpu_s(number) < 12 * _cpu_s("1.5e3") + 0.002
