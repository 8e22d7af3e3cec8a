"""Reads a large JSON text as strictly as `codec`, in short pieces, so that the caller can do other work in between.

The text is cut at commas between values. Each piece is completed to a JSON text of its own: the containers
that are open where it begins are opened before it, and those that are open where it ends are closed after it.
So the codec checks each piece like a small message. Keys are compared over all pieces of their object.
"""

import re
from array import array
from collections.abc import Generator, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from realtime.protocol.codec import (
    BRACKET_STEPS,
    JSON_MAX_DEPTH,
    NO_BRACKETS,
    check_depth,
    check_size,
    decode_json,
    decode_shallow,
    invalid_json,
    repeated_key,
    too_deep,
)
from realtime.protocol.errors import RequestError

# The usual length of a piece, in characters: at most about a millisecond of work, whatever it holds. It holds
# fewer containers than the garbage collector lets live before it looks for cycles.
PIECE_CHARS = 16 * 1024
# Brackets and quotes between two commas of valid JSON are fewer: at each level a bracket opens, one closes,
# and two quotes belong to a key.
_CROWDED = 4 * JSON_MAX_DEPTH + 4
# The members of an object that the caller needs.
_HEAD = ("type", "id")
_OBJECT = ord("{")
_BYTE = re.compile(r"\(byte (\d+)\)")


class _Container:
    """A container that is open between two pieces."""

    __slots__ = ("key", "keys")

    def __init__(self, *, is_object: bool) -> None:
        # The keys so far; None for an array.
        self.keys: set[str] | None = set() if is_object else None
        # The last of them.
        self.key = ""

    def opened(self, *, is_innermost: bool) -> str:
        """Return the text that stands for the beginning of this container. The innermost container has one
        value, because a comma follows it."""
        value = "0," if is_innermost else ""
        return "[" + value if self.keys is None else f"{{{msgspec.json.encode(self.key).decode()}:{value}"

    def first(self, value: Any) -> Any:
        """Return the container within this one at the beginning of a piece; `value` is the piece's part of this one."""
        return value[0] if self.keys is None else value[self.key]

    def add_keys(self, value: Any) -> None:
        """Add the keys of a piece that began within this container, or raise RequestError."""
        if self.keys is not None:
            # The piece repeats the last key to begin with.
            if len(self.keys.intersection(value)) > 1:
                raise repeated_key()
            self.keys.update(value)


def decode_in_pieces(
    text: str, *, max_bytes: int, piece_chars: int = PIECE_CHARS
) -> Generator[None, None, Any]:
    """Decode a text in pieces; the generator yields after each piece.

    It returns the value of the text. Of an object it returns only the members `type` and `id`, of other
    containers only the beginning. Raises RequestError for the same texts as `decode_json`.
    """
    check_size(text, max_bytes)
    return (yield from _Reader(text).read(piece_chars))


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[_Container] = []
        self._value: Any = None

    def read(self, piece_chars: int) -> Generator[None, None, Any]:
        size = piece_chars
        while self._at + size < len(self._text):
            if self._take(self._text[self._at : self._at + size]):
                size = piece_chars
            else:
                # One value is longer than the piece.
                size *= 2
            yield
        before = self._before()
        self._keep(self._decoded(before, before + self._text[self._at :], is_depth_known=False))
        return self._value

    def _take(self, window: str) -> bool:
        """Read as much of `window` as ends before a comma; False if it has no comma between values."""
        segments = _without_escapes(window).split('"')
        cut = _last_comma(segments)
        if cut is None:
            self._require_sparse(window, segments)
            return False
        length, outside = cut
        piece = window[:length]
        kept, opened = self._containers(outside)
        is_object = [each.keys is not None for each in self._open[:kept]] + [
            each == _OBJECT for each in opened
        ]
        if not is_object or piece.rstrip().endswith(("[", "{")):
            raise invalid_json("The message is not JSON: a comma without a value before it.")
        before = self._before()
        after = "".join("}" if each else "]" for each in reversed(is_object))
        value = self._decoded(before, before + piece + after, is_depth_known=True)
        self._keep(value)
        self._open[kept:] = [_Container(is_object=each) for each in is_object[kept:]]
        self._note_ends(value, kept)
        self._at += length + 1
        return True

    def _before(self) -> str:
        last = len(self._open) - 1
        return "".join(each.opened(is_innermost=level == last) for level, each in enumerate(self._open))

    def _containers(self, outside: str) -> tuple[int, bytes]:
        """Return how many of the open containers are still open at the end of this text, and the brackets
        that it opens and does not close."""
        brackets = outside.encode(errors="replace").translate(None, NO_BRACKETS)
        steps = array("b", brackets.translate(BRACKET_STEPS))
        levels = list(accumulate(steps, initial=len(self._open)))
        kept = min(levels)
        if kept < 0:
            raise invalid_json("The message is not JSON: a bracket closes what is not open.")
        if max(levels) > JSON_MAX_DEPTH:
            raise too_deep()
        written = bytes(levels)
        # A container is open to the end if the level below it is not reached again after its bracket.
        return kept, bytes(brackets[written.rindex(level)] for level in range(kept, levels[-1]))

    def _decoded(self, before: str, text: str, *, is_depth_known: bool) -> Any:
        try:
            return decode_shallow(text) if is_depth_known else decode_json(text, max_bytes=len(text) * 4)
        except RequestError as error:
            moved = len(self._text[: self._at].encode(errors="replace")) - len(before.encode())
            raise invalid_json(
                _BYTE.sub(lambda found: f"(byte {int(found[1]) + moved})", error.message)
            ) from None

    def _keep(self, value: Any) -> None:
        """Compare and keep the keys of the containers in which the piece began. Keep the members that the
        caller needs."""
        within = value
        for level, each in enumerate(self._open):
            each.add_keys(within)
            if level + 1 < len(self._open):
                within = each.first(within)
        if isinstance(value, dict):
            head = self._value if self._open else {}
            self._value = {name: value[name] for name in _HEAD if name in value} | head
        elif not self._open:
            self._value = value

    def _note_ends(self, value: Any, kept: int) -> None:
        """Note the last keys of the containers that are open after the piece `value`."""
        for level, each in enumerate(self._open):
            if each.keys is None:
                value = value[-1]
                continue
            if level >= kept:
                each.keys.update(value)
            each.key = next(reversed(value))
            value = value[each.key]

    def _require_sparse(self, window: str, segments: Sequence[str]) -> None:
        """Raise RequestError for a window without a comma that holds too much for valid JSON."""
        brackets = "".join(segments[::2])
        if len(segments) > _CROWDED or sum(map(brackets.count, "[]{}")) > _CROWDED:
            check_depth(self._before() + window)
            raise invalid_json("The message is not JSON: a comma is missing.")


def _last_comma(segments: Sequence[str]) -> tuple[int, str] | None:
    """Return the position of the last comma outside of strings, and the text outside of strings before it.
    `segments` is a text split at its quotes."""
    for number in range((len(segments) - 1) // 2 * 2, -1, -2):
        comma = segments[number].rfind(",")
        if comma >= 0:
            length = sum(map(len, segments[:number])) + number + comma
            return length, "".join([*segments[:number:2], segments[number][:comma]])
    return None


def _without_escapes(text: str) -> str:
    """Return `text` in its length, without escaped backslashes and quotes, so that each remaining quote
    begins or ends a string."""
    return text.replace("\\\\", "__").replace('\\"', "__") if "\\" in text else text
