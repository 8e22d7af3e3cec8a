"""Conversion of Django's own values to JSON, for those that the encoder does not know by itself."""

import datetime as dt
import decimal
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.query import FlatValuesListIterable, ValuesIterable, ValuesListIterable
from django.utils.functional import LazyObject, Promise, empty

_ROWS = (ValuesIterable, ValuesListIterable, FlatValuesListIterable)


def known_value(value: Any) -> Any:
    """Return `value` as something that the encoder knows; raises TypeError, which says what to publish instead.

    Called by the encoder. Rows of `values()` and `values_list()` are read from the database here.
    """
    if isinstance(value, LazyObject):
        # `request.user` and its like: the object behind it is used.
        return _behind(value)
    if isinstance(value, Promise):
        return str(value)
    if is_rows(value):
        return list(value)
    if isinstance(value, Model):
        raise TypeError(f"{_name(value)} is a model instance; publish some of its fields")
    if isinstance(value, QuerySet):
        raise TypeError("a queryset of model instances; publish the rows of .values()")
    return _without_subclass(value)


def _without_subclass(value: Any) -> Any:  # noqa: PLR0911 a table, one line for each type
    """Return the plain value of a subclass, such as SafeString: the encoder knows exact types only."""
    match value:
        case str():
            return plain_text(value)
        case int() if type(value) is not bool:
            return int.__int__(value)
        case float():
            return float.__float__(value)
        case bytes():
            return bytes(value)
        case decimal.Decimal():
            return decimal.Decimal(value)
        case dt.datetime():
            time = dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)
            return dt.datetime.combine(dt.date(value.year, value.month, value.day), time)
        case dt.date():
            return dt.date(value.year, value.month, value.day)
    raise TypeError(f"{_name(value)} cannot be held by JSON")


def plain_text(text: str) -> str:
    """Return `text` as a `str` itself. `str()` of a SafeString is the SafeString."""
    return "".join((text,))  # noqa: FLY002 an f-string has the subclass too


def is_rows(value: Any) -> bool:
    """Return whether `value` is a queryset of plain rows, which are published as a list."""
    return isinstance(value, QuerySet) and issubclass(value._iterable_class, _ROWS)  # noqa: SLF001


def _behind(value: Any) -> Any:
    if value._wrapped is empty:  # noqa: SLF001 Django has no public way
        value._setup()  # noqa: SLF001
    return value._wrapped  # noqa: SLF001


def _name(value: object) -> str:
    return f"a value of the type {type(value).__module__}.{type(value).__qualname__}"
