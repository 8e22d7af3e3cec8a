"""Groups rows by what they belong to, and selects them by parts of texts."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Q

K = TypeVar("K")
V = TypeVar("V")


def grouped(pairs: Iterable[tuple[K, V]]) -> defaultdict[K, list[V]]:
    """Return the values of each key, in their order."""
    found: defaultdict[K, list[V]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def like(lookup: str, text: str) -> Q:
    """Select rows by `name__icontains` or the like, also if the database knows the case of ASCII letters only.

    SQLite and PostgreSQL's locale "C" are such. They find other letters as written, in capitals, or in small letters.
    """
    found = Q()
    for form in {text} if text.isascii() else {text, text.lower(), text.upper(), text.title()}:
        found |= Q(**{lookup: form})
    return found
