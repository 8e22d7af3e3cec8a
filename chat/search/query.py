"""Parses what a user searches for: words, "phrases", and filters. Plain values in and out."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

# Words and phrases of one query; more are ignored.
WORDS_MAX = 10
HAS = frozenset({"file", "image", "link", "reaction", "pin", "reply", "mention"})
_TERM = re.compile(r'(?:(from|in|before|after|has):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """`words` must all be in the text. `sender` and `room` are names as written; times are UTC."""

    words: tuple[str, ...] = ()
    sender: str = ""
    room: str = ""
    before: datetime | None = None
    after: datetime | None = None
    has: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was asked for."""
        return self == SearchQuery()


def parse_query(text: str) -> SearchQuery:
    """Return what `text` asks for. A filter with a value that it does not know is an ordinary word.

    `before:` is before a day begins, `after:` after it has ended.
    """
    words: list[str] = []
    filters: dict[str, str] = {}
    times: dict[str, datetime] = {}
    has: set[str] = set()
    for name, phrase, word in _TERM.findall(text):
        value, key = phrase or word, name.lower()
        if key in {"before", "after"} and (day := _day(value)) is not None:
            times[key] = day if key == "before" else day + timedelta(days=1)
        elif key == "has" and value.lower().removesuffix("s") in HAS:
            has.add(value.lower().removesuffix("s"))
        elif key in {"from", "in"} and value.strip("@#"):
            filters[key] = value.removeprefix("@").removeprefix("#")
        elif name or value.strip():
            words.append(f"{name}:{value}" if name else value)
    return SearchQuery(
        tuple(words[:WORDS_MAX]),
        filters.get("from", ""),
        filters.get("in", ""),
        times.get("before"),
        times.get("after"),
        frozenset(has),
    )


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
        # A day after must exist.
        day + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
