"""The text of a message, about 100 bytes, which says who sent it, as which and when, so that order, loss and
latency show at the receiver.
"""

import re
import time

TEXT_BYTES = 100
# publisher, its running number, the moment it was due (perf_counter, ns): fixed widths, nothing JSON would escape.
_HEAD = b"|#%03d#%08d#%019d#"
STAMP_BYTES = 35
# Our chat sends a text a second time, as HTML, where a tag is before it.
_STAMP = re.compile(rb"(?<!>)\|#(\d{3})#(\d{8})#(\d{19})#")


class Publisher:
    """Numbers the messages of one sender."""

    def __init__(self, number: int, size_bytes: int = TEXT_BYTES) -> None:
        self._number = number
        self._size_bytes = size_bytes
        self._sent = 0

    def text(self, due_ns: int | None = None) -> bytes:
        """The next message, due at `due_ns` (default: now)."""
        self._sent += 1
        head = _HEAD % (self._number, self._sent, time.perf_counter_ns() if due_ns is None else due_ns)
        return head.ljust(self._size_bytes, b"x")


class Checker:
    """Reads every message one member gets: counts what is out of order or no message of ours
    (an error), and how late each came."""

    def __init__(self) -> None:
        self.reordered = 0
        self.foreign = 0
        self.latencies_ns: list[int] = []
        self._last: dict[bytes, int] = {}

    def check(self, payload: bytes) -> int:
        """The number of messages in one frame."""
        now_ns = time.perf_counter_ns()
        count = 0
        for publisher, number, due_ns in _STAMP.findall(payload):
            count += 1
            expected = self._last.get(publisher, 0) + 1
            self._last[publisher] = int(number)
            if int(number) != expected:
                self.reordered += 1
            self.latencies_ns.append(now_ns - int(due_ns))
        if not count:
            self.foreign += 1
        return count
