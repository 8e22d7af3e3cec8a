"""Frames nobody would send on purpose: random ones, and real ones with something wrong in them."""

import json
import random
import string
from dataclasses import dataclass
from typing import Any

VERBS: dict[str, dict[str, Any]] = {
    "ping": {},
    "subscribe": {"topic": "fuzz", "recover": {"epoch": "e", "offset": 1}, "presence": True},
    "unsubscribe": {"topic": "fuzz"},
    "publish": {"topic": "fuzz", "data": {"a": 1}, "idempotency_key": "k"},
    "history": {"topic": "fuzz", "since": {"epoch": "e", "offset": 0}, "limit": 3},
    "presence": {"topic": "fuzz"},
    "get_user": {"user_id": 1},
    "update_status": {"status": "away"},
    "cancel": {"id": "x"},
    "rpc.methods": {},
    "start": {"source": "clock", "interval": 60},
    "stop": {"stream": "1"},
    "query": {"query": "items", "params": {"category": "books"}, "page_size": 5, "watch": False},
    "unwatch": {"query_id": "1"},
    "whoami": {},
    "set": {"key": "fuzz", "value": 1},
    "get": {"key": "fuzz"},
    "refresh": {"token": "x"},
    "room.list": {},
    "room.join": {"room_id": 1},
    "message.list": {"room_id": 1, "after_seq": 0, "limit": 3},
    "message.send": {"room_id": 1, "text": "fuzz", "client_msg_id": "c"},
    "typing": {"room_id": 1},
    "read": {"room_id": 1, "seq": 1},
}
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**30, 0.1, -0.0, 1e308, "", "a", "\x00",
    "\u202e", "🚀" * 50, "x" * 300, [], {}, [None], {"": None}, "__class__", "1; DROP TABLE x", {"$ne": 1}, "NaN",
]  # fmt: skip
ALPHABET = string.printable + "äöüß€🚀\u2028\x00\x7f\ufffe"


@dataclass(frozen=True)
class Frame:
    """A frame, and what must come of it: an error, a reply to `request_id`, or whatever it is."""

    data: str | bytes
    must_fail: bool = False
    request_id: str | None = None


class FrameMaker:
    """Frames from a seed: the same seed makes the same frames."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._count = 0

    def frame(self) -> Frame:
        """The next frame."""
        makers = (self._noise, self._binary, self._value, self._mutant, self._mutant, self._torn)
        return self._random.choice(makers)()

    def _noise(self) -> Frame:
        text = "".join(self._random.choices(ALPHABET, k=self._random.randint(1, 80)))
        return Frame(text, must_fail=not _is_object(text))

    def _binary(self) -> Frame:
        return Frame(self._random.randbytes(self._random.randint(1, 200)), must_fail=True)

    def _value(self) -> Frame:
        text = json.dumps(self._any(0), ensure_ascii=self._random.random() < 0.5)
        return Frame(text, must_fail=not _is_object(text))

    def _mutant(self) -> Frame:
        """A real request with some of its fields replaced, taken away or added."""
        verb = self._random.choice(list(VERBS))
        payload = dict(VERBS[verb])
        for key in list(payload):
            if self._random.random() < 0.4:
                payload[key] = self._any(0)
            elif self._random.random() < 0.1:
                del payload[key]
        if self._random.random() < 0.2:
            payload[self._word()] = self._any(0)
        self._count += 1
        request_id = f"fuzz-{self._count}"
        text = json.dumps({"id": request_id, "type": verb, "payload": payload})
        # Where the text itself is refused (too long a number, say), the id cannot be known.
        return Frame(text, request_id=None if _has_huge_number(text) else request_id)

    def _torn(self) -> Frame:
        """A real request with characters replaced, cut or doubled."""
        whole = str(self._mutant().data)
        at = self._random.randrange(len(whole))
        until = min(at + self._random.randint(1, 10), len(whole))
        middle = self._random.choice(["", whole[at:until] * 2, self._word()])
        text = whole[:at] + middle + whole[until:]
        return Frame(text, must_fail=not _is_object(text))

    def _any(self, depth: int) -> Any:
        if depth > 3 or self._random.random() < 0.6:
            return self._random.choice(ODD)
        if self._random.random() < 0.5:
            return [self._any(depth + 1) for _ in range(self._random.randint(0, 4))]
        return {self._word(): self._any(depth + 1) for _ in range(self._random.randint(0, 4))}

    def _word(self) -> str:
        names = ["topic", "type", "id", "payload", "action", "category", "_x", "room_id", "key"]
        return self._random.choice([*names, "".join(self._random.choices(ALPHABET, k=5))])


def _is_object(text: str) -> bool:
    """Whether somebody could take `text` for an envelope; Python takes more than JSON, so it errs on that side."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _has_huge_number(text: str) -> bool:
    digits = 0
    for char in text:
        digits = digits + 1 if char.isdigit() else 0
        if digits > 18:
            return True
    return False
