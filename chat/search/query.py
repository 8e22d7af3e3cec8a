"""Parses search queries: words, "phrases", and filters. Plain values in and out."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

# Words and phrases of one query; more are ignored.
WORDS_MAX = 10
HAS = frozenset({"file", "image", "link", "reaction", "pin", "reply", "mention"})
# Filters by a name, and the fields of a query.
_NAMES = {"from": "sender", "in": "room"}
_TERM = re.compile(r'(?:(from|in|before|after|has):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """`words` must all be in the text. `sender` and `room` are names as written; times are UTC."""

    words: tuple[str, ...] = ()
    sender: str = ""
    room: str = ""
    before: datetime | None = None
    after: datetime | None = None
    has: frozenset[str] = frozenset()


def parse_query(text: str) -> SearchQuery:
    """Parse the text of a query. A filter with an unknown value is an ordinary word.

    `before:` is before a day begins, `after:` after it has ended; either also takes a time (UTC if it names
    no offset).
    """
    words: list[str] = []
    filters: dict[str, Any] = {}
    has: set[str] = set()
    for name, phrase, word in _TERM.findall(text):
        value, key = phrase or word, name.lower()
        if key in {"before", "after"} and (span := _span(value)) is not None:
            filters[key] = span[0] if key == "before" else span[1]
        elif key == "has" and value.lower().removesuffix("s") in HAS:
            has.add(value.lower().removesuffix("s"))
        elif key in _NAMES and value.strip("@#"):
            filters[_NAMES[key]] = value.removeprefix("@").removeprefix("#")
        elif name or value.strip():
            words.append(f"{name}:{value}" if name else value)
    return SearchQuery(tuple(words[:WORDS_MAX]), has=frozenset(has), **filters)


def _span(text: str) -> tuple[datetime, datetime] | None:
    """Return the start and the end of a day. For a time, both are this time."""
    try:
        with suppress(ValueError):
            begin = datetime.combine(date.fromisoformat(text), time(), UTC)
            return begin, begin + timedelta(days=1)
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return moment, moment
